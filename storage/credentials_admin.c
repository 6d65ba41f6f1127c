/* credentials_admin - what the administrator asks of the credentials
 *
 * No verb ever shows a hash or a password, but for the one showing of a new app password. */
#include "storage/credentials_admin.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "storage/address.h"
#include "storage/credentials.h"

#define EXPIRES_MAX (UINT64_C(100) * 366 * 86400) /* seconds */

static int
need(const struct admin_request *rq, const char *key, const char **out, struct err *err)
{
	*out = admin_get(rq, key);
	if (*out == NULL || **out == '\0')
		return err_set(err, ERR_USAGE, "%s is missing", key);
	return 0;
}

/* The hash given, or one of the password given. */
static int
hash_of(const struct admin_request *rq, char hash[PASSWORD_HASH_SIZE], struct err *err)
{
	const char *given = admin_get(rq, "hash"), *password;

	if (given != NULL) {
		if (password_hash_known(given, err) == -1)
			return -1;
		strcpy(hash, given);
		return 0;
	}
	if (need(rq, "password", &password, err) == -1 || password_acceptable(password, err) == -1)
		return -1;
	return password_hash(password, hash, err);
}

static int
run_add(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	char hash[PASSWORD_HASH_SIZE];
	const char *address;

	(void)out;
	if (need(rq, "address", &address, err) == -1 || hash_of(rq, hash, err) == -1)
		return -1;
	return credentials_add(owner, address, hash, err);
}

static int
run_passwd(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	char hash[PASSWORD_HASH_SIZE];
	const char *address;

	(void)out;
	if (need(rq, "address", &address, err) == -1 || hash_of(rq, hash, err) == -1)
		return -1;
	return credentials_set(owner, address, hash, err);
}

static int
run_remove(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	const char *address;

	(void)out;
	return need(rq, "address", &address, err) == -1 ? -1
							: credentials_remove(owner, address, err);
}

static int
run_enable(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	const char *address;

	(void)out;
	return need(rq, "address", &address, err) == -1
		   ? -1
		   : credentials_enable(owner, address, true, err);
}

static int
run_disable(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	const char *address;

	(void)out;
	return need(rq, "address", &address, err) == -1
		   ? -1
		   : credentials_enable(owner, address, false, err);
}

/* -- lists */

/* The address in its one form; one that is none names nobody. */
static void
one_form(const char *text, char out[ADDRESS_SIZE])
{
	struct address a;

	out[0] = '\0';
	if (address_read(slice_of(text), &a, NULL) == 0)
		address_text(&a, out);
}

/* Rows of all accounts, or of the one named. How many, or -1. */
static int
list_accounts(struct credentials *c, const char *address, struct admin_out *out, struct err *err)
{
	sqlite3_stmt *s = db_prepare(credentials_db(c),
	    "SELECT address, enabled, a.created, ifnull(max(p.created) FILTER (WHERE slot = 0), 0),"
	    " count(*) FILTER (WHERE slot > 0), ifnull(max(last_used), 0)"
	    " FROM accounts a LEFT JOIN passwords p ON p.account = a.id WHERE ?1 IS NULL OR "
	    "address = ?1"
	    " GROUP BY a.id ORDER BY address",
	    err);
	int got, rows = 0;

	if (s == NULL)
		return -1;
	db_bind_text(s, 1, address);
	for (; (got = db_step(credentials_db(c), s, err)) == 1; rows++)
		admin_row(out, "address", db_text(s, 0), "enabled", db_i64(s, 1) ? "yes" : "no",
		    "created", db_text(s, 2), "changed", db_text(s, 3), "app_passwords",
		    db_text(s, 4), "last_used", db_text(s, 5), NULL);
	db_done(&s);
	return got == -1 ? -1 : rows;
}

static int
run_list(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	(void)rq;
	return list_accounts(owner, NULL, out, err) == -1 ? -1 : 0;
}

static int
run_show(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	char address[ADDRESS_SIZE];
	const char *text;
	int rows;

	if (need(rq, "address", &text, err) == -1)
		return -1;
	one_form(text, address);
	rows = list_accounts(owner, address, out, err);
	return rows == 0    ? err_set(err, ERR_NOT_FOUND, "nobody logs in as %.80s", text)
	       : rows == -1 ? -1
			    : 0;
}

static int
run_app_list(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	sqlite3 *db = credentials_db(owner);
	char address[ADDRESS_SIZE];
	const char *text;
	sqlite3_stmt *s;
	int got;

	if (need(rq, "address", &text, err) == -1)
		return -1;
	one_form(text, address);
	s = db_prepare(db,
	    "SELECT slot, label, trim(scope, ','), p.created, expires, last_used FROM passwords p"
	    " JOIN accounts a ON a.id = p.account WHERE a.address = ?1 AND slot > 0 ORDER BY slot",
	    err);
	if (s == NULL)
		return -1;
	db_bind_text(s, 1, address);
	while ((got = db_step(db, s, err)) == 1)
		admin_row(out, "slot", db_text(s, 0), "label", db_text(s, 1), "scope",
		    db_text(s, 2), "created", db_text(s, 3), "expires", db_text(s, 4), "last_used",
		    db_text(s, 5), NULL);
	db_done(&s);
	return got;
}

/* -- app passwords */

static int
run_app_add(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	const char *address, *label = admin_get(rq, "label"), *scope = admin_get(rq, "scope");
	char password[PASSWORD_APP_SIZE], slot[12], expires[24];
	struct credentials_app app;
	uint64_t seconds;

	if (need(rq, "address", &address, err) == -1 ||
	    admin_get_u64(rq, "expires", 0, &seconds, err) == -1)
		return -1;
	if (seconds > EXPIRES_MAX)
		return err_set(err, ERR_USAGE, "an app password lasts at most 100 years");
	if (credentials_app_add(owner, address, label ? label : "", scope ? scope : "",
		seconds ? clock_now() + (int64_t)seconds * CLOCK_SECOND : 0, &app, password,
		err) == -1)
		return -1;
	snprintf(slot, sizeof(slot), "%d", app.slot);
	snprintf(expires, sizeof(expires), "%" PRId64, app.expires);
	/* ",smtp,imap," is shown as in the list */
	if (app.scope[0] != '\0')
		app.scope[strlen(app.scope) - 1] = '\0';
	admin_row(out, "slot", slot, "password", password, "label", app.label, "scope",
	    app.scope[0] == ',' ? app.scope + 1 : app.scope, "expires", expires, NULL);
	OPENSSL_cleanse(password, sizeof(password));
	return 0;
}

static int
run_app_remove(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	const char *address, *label;

	(void)out;
	if (need(rq, "address", &address, err) == -1 || need(rq, "label", &label, err) == -1)
		return -1;
	return credentials_app_remove(owner, address, label, err);
}

const struct admin_verb credentials_admin_verbs[] = {
	{ "cred.add", run_add },
	{ "cred.passwd", run_passwd },
	{ "cred.remove", run_remove },
	{ "cred.enable", run_enable },
	{ "cred.disable", run_disable },
	{ "cred.show", run_show },
	{ "cred.list", run_list },
	{ "app.add", run_app_add },
	{ "app.remove", run_app_remove },
	{ "app.list", run_app_list },
	{ NULL, NULL },
};
