/* directory_forward - the sender of mail that an alias of ours leads to another server, and the way back (storage/srs.h)
 *
 * Keys are random and kept in directory.db. A new one is made every KEY_DAYS days, by whoever needs it first; an old one
 * stays as long as a report may come to what it signed. */
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "storage/directory_store.h"
#include "storage/srs.h"

#define KEY_DAYS 30
#define DAY (86400 * CLOCK_SECOND)

static int
run(struct directory *d, const char *sql, int64_t time, struct slice secret, struct err *err)
{
	sqlite3_stmt *s = db_prepare(d->db, sql, err);
	int rc;

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, time);
	if (secret.len > 0)
		db_bind_slice(s, 2, secret);
	rc = db_run(d->db, s, err);
	db_done(&s);
	return rc;
}

static int
make_key(struct directory *d, int64_t now, unsigned char key[static SRS_KEY_LEN], struct err *err)
{
	if (RAND_bytes(key, SRS_KEY_LEN) != 1)
		return err_set(err, ERR_TEMPORARY, "no random bytes for a key");
	if (run(d, "DELETE FROM forward_keys WHERE created < ?1", now - (KEY_DAYS + SRS_DAYS + 2) * DAY,
		(struct slice){ NULL, 0 }, err) == -1)
		return -1;
	return run(d, "INSERT INTO forward_keys (created, secret) VALUES (?1, ?2)", now,
	    (struct slice){ (const char *)key, SRS_KEY_LEN }, err);
}

/* The newest key, or a new one when that is old. */
static int
newest_key(struct directory *d, int64_t now, unsigned char key[static SRS_KEY_LEN], struct err *err)
{
	sqlite3_stmt *s = d->query[Q_KEYS];
	int64_t created = 0;
	int got = db_step(d->db, s, err);

	if (got == 1 && db_blob(s, 0).len == SRS_KEY_LEN) {
		memcpy(key, db_blob(s, 0).at, SRS_KEY_LEN);
		created = db_i64(s, 1);
	}
	sqlite3_reset(s);
	if (got == -1)
		return -1;
	if (created > now - KEY_DAYS * DAY)
		return 0;
	return make_key(d, now, key, err);
}

/* Is it an address of a domain of ours? 1, 0, -1. */
static int
is_ours(struct directory *d, struct slice address, struct err *err)
{
	ptrdiff_t at = slice_find_last(address, '@');
	char domain[DOMAIN_MAX + 1];
	int64_t id;

	if (at < 0 || domain_read(slice_skip(address, (size_t)at + 1), domain, NULL) == -1)
		return 0;
	return strcmp(domain, d->hostname) == 0 ? 1 : directory_domain_id(d, domain, &id, err);
}

int
directory_forward(struct directory *d, int64_t now, struct slice sender, struct slice alias,
    char out[static DIRECTORY_FORWARD_SIZE], struct err *err)
{
	ptrdiff_t at = slice_find_last(alias, '@');
	char domain[DOMAIN_MAX + 1];
	unsigned char key[SRS_KEY_LEN];
	int ours = sender.len > 0 ? is_ours(d, sender, err) : 1;

	if (ours != 0)
		return ours == 1 ? 0 : -1;
	if (at < 0 || domain_read(slice_skip(alias, (size_t)at + 1), domain, NULL) == -1)
		snprintf(domain, sizeof(domain), "%s", d->hostname);
	if (newest_key(d, now, key, err) == -1)
		return -1;
	return srs_forward(key, now, sender, domain, out) ? 1 : 0;
}

int
directory_backward(struct directory *d, int64_t now, struct slice address,
    char out[static DIRECTORY_FORWARD_SIZE], const char **why, struct err *err)
{
	ptrdiff_t at = slice_find_last(address, '@');
	struct slice local = slice_first(address, at > 0 ? (size_t)at : 0);
	sqlite3_stmt *s = d->query[Q_KEYS];
	enum srs_status status = SRS_FORGED;
	int got = at > 0 && srs_is(local) ? is_ours(d, address, err) : 0;

	if (got != 1)
		return got;
	while (status == SRS_FORGED && (got = db_step(d->db, s, err)) == 1)
		if (db_blob(s, 0).len == SRS_KEY_LEN)
			status = srs_reverse((const unsigned char *)db_blob(s, 0).at, now, local, out);
	sqlite3_reset(s);
	if (got == -1)
		return -1;
	*why = "";
	if (status == SRS_OLD)
		*why = "this return address is too old; nobody expects a report any more";
	else if (status != SRS_OK || is_ours(d, slice_of(out), err) != 0)
		*why = "this return address was not made by this server";
	return 1;
}
