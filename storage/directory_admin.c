/* directory_admin - what the administrator asks of the directory
 *
 * Verbs that change go through directory.h, which knows the rules; verbs that list read the tables
 * here. */
#include "storage/directory_admin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "storage/directory_check.h"
#include "storage/directory_store.h"

static int
need(const struct admin_request *rq, const char *key, const char **out, struct err *err)
{
	*out = admin_get(rq, key);
	if (*out == NULL || **out == '\0')
		return err_set(err, ERR_USAGE, "%s is missing", key);
	return 0;
}

/* All values under "target"; the number of them. */
static size_t
all_targets(const struct admin_request *rq, const char *out[ADMIN_WORDS_MAX])
{
	size_t n = 0;

	while (n < ADMIN_WORDS_MAX && (out[n] = admin_get_at(rq, "target", n)) != NULL)
		n++;
	return n;
}

/* "1073741824", "500M", "2G"; absent, "" or "default": -1. */
static int
read_quota(const char *text, int64_t *quota, struct err *err)
{
	static const char units[] = "KMGT";
	struct slice s = slice_of(text);
	const char *unit = NULL;
	uint64_t n;
	unsigned shift = 0;

	*quota = DIRECTORY_QUOTA_DEFAULT;
	if (s.len == 0 || strcmp(text, "default") == 0)
		return 0;
	unit = strchr(units, s.at[s.len - 1] & ~0x20);
	if (unit != NULL && *unit != '\0') {
		shift = 10 * (unsigned)(unit - units + 1);
		s.len--;
	}
	if (!slice_to_u64(s, &n) || n > (uint64_t)INT64_MAX >> shift)
		return err_set(err, ERR_USAGE,
		    "the quota \"%.40s\" is not a size like 500M, 2G or 0 (no limit)", text);
	*quota = (int64_t)(n << shift);
	return 0;
}

static const char *
number(int64_t v, char out[static 24])
{
	snprintf(out, 24, "%" PRId64, v);
	return out;
}

/* -- domains */

static int
run_domain_add(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	const char *domain;

	(void)out;
	return need(rq, "domain", &domain, err) == -1 ? -1
						      : directory_domain_add(owner, domain, err);
}

static int
run_domain_remove(
    void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	const char *domain;

	(void)out;
	return need(rq, "domain", &domain, err) == -1 ? -1
						      : directory_domain_remove(owner, domain, err);
}

/* Rows of the domains, or of the one named. How many, or -1. */
static int
list_domains(struct directory *d, const char *domain, struct admin_out *out, struct err *err)
{
	sqlite3_stmt *s = db_prepare(d->db,
	    "SELECT name, (SELECT count(*) FROM users u WHERE u.domain = d.id),"
	    " (SELECT count(DISTINCT local) FROM aliases a WHERE a.domain = d.id), created"
	    " FROM domains d WHERE ?1 IS NULL OR name = ?1 ORDER BY name",
	    err);
	int got, rows = 0;

	if (s == NULL)
		return -1;
	db_bind_text(s, 1, domain);
	for (; (got = db_step(d->db, s, err)) == 1; rows++)
		admin_row(out, "domain", db_text(s, 0), "users", db_text(s, 1), "aliases",
		    db_text(s, 2), "created", db_text(s, 3), NULL);
	db_done(&s);
	return got == -1 ? -1 : rows;
}

static int
run_domain_list(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	(void)rq;
	return list_domains(owner, NULL, out, err) == -1 ? -1 : 0;
}

/* The domain word in its one form; "" in `out` when there is none and it may be left out. It must
 * be one of ours. */
static int
read_domain(
    struct directory *d, const struct admin_request *rq, char out[DOMAIN_MAX + 1], struct err *err)
{
	const char *text = admin_get(rq, "domain");
	int64_t id;
	int got;

	out[0] = '\0';
	if (text == NULL || *text == '\0')
		return 0;
	if (domain_read(slice_of(text), out, err) == -1)
		return -1;
	got = directory_domain_id(d, out, &id, err);
	if (got == 0)
		return err_set(err, ERR_NOT_FOUND, "there is no domain %s", out);
	return got == 1 ? 0 : -1;
}

static int
run_domain_show(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	char domain[DOMAIN_MAX + 1];
	const char *text;

	if (need(rq, "domain", &text, err) == -1 || read_domain(owner, rq, domain, err) == -1)
		return -1;
	return list_domains(owner, domain, out, err) == -1 ? -1 : 0;
}

/* -- users */

static int
run_user_add(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	const char *address, *name = admin_get(rq, "name"), *quota_text = admin_get(rq, "quota");
	int64_t quota;

	(void)out;
	if (need(rq, "address", &address, err) == -1 ||
	    read_quota(quota_text ? quota_text : "", &quota, err) == -1)
		return -1;
	return directory_user_add(owner, address, name ? name : "", quota, err);
}

static int
run_user_remove(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	const char *address;

	(void)out;
	return need(rq, "address", &address, err) == -1
		   ? -1
		   : directory_user_remove(owner, address, err);
}

static int
run_user_enable(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	const char *address;

	(void)out;
	return need(rq, "address", &address, err) == -1
		   ? -1
		   : directory_user_enable(owner, address, true, err);
}

static int
run_user_disable(
    void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	const char *address;

	(void)out;
	return need(rq, "address", &address, err) == -1
		   ? -1
		   : directory_user_enable(owner, address, false, err);
}

static int
run_user_quota(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	const char *address, *text;
	int64_t quota;

	(void)out;
	if (need(rq, "address", &address, err) == -1 || need(rq, "quota", &text, err) == -1 ||
	    read_quota(text, &quota, err) == -1)
		return -1;
	return directory_user_quota(owner, address, quota, err);
}

static void
user_row(struct directory *d, sqlite3_stmt *s, struct admin_out *out)
{
	char address[ADDRESS_SIZE], home[DIRECTORY_HOME_SIZE], quota[24];
	int64_t own = db_i64(s, 3);

	snprintf(address, sizeof(address), "%s@%s", db_text(s, 0), db_text(s, 1));
	snprintf(home, sizeof(home), "%s/%s", db_text(s, 1), db_text(s, 0));
	admin_row(out, "address", address, "name", db_text(s, 2), "enabled",
	    db_i64(s, 4) ? "yes" : "no", "quota", number(own >= 0 ? own : d->default_quota, quota),
	    "quota_default", own >= 0 ? "no" : "yes", "home", home, "created", db_text(s, 5), NULL);
}

/* Rows of the users of a domain, or of all (domain is ""), or of the one named. How many, or -1. */
static int
list_users(struct directory *d, const char *domain, const char *local, struct admin_out *out,
    struct err *err)
{
	sqlite3_stmt *s = db_prepare(d->db,
	    "SELECT local, d.name, u.name, quota, enabled, u.created FROM users u JOIN domains d "
	    "ON d.id = u.domain"
	    " WHERE (?1 = '' OR d.name = ?1) AND (?2 IS NULL OR local = ?2) ORDER BY d.name, local",
	    err);
	int got, rows = 0;

	if (s == NULL)
		return -1;
	db_bind_text(s, 1, domain);
	db_bind_text(s, 2, local);
	for (; (got = db_step(d->db, s, err)) == 1; rows++)
		user_row(d, s, out);
	db_done(&s);
	return got == -1 ? -1 : rows;
}

static int
run_user_list(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	char domain[DOMAIN_MAX + 1];

	if (read_domain(owner, rq, domain, err) == -1)
		return -1;
	return list_users(owner, domain, NULL, out, err) == -1 ? -1 : 0;
}

static int
run_user_show(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	const char *text;
	struct address a;
	int rows;

	if (need(rq, "address", &text, err) == -1 || address_read(slice_of(text), &a, err) == -1)
		return -1;
	rows = a.domain[0] == '\0' ? 0 : list_users(owner, a.domain, a.local, out, err);
	return rows == 0    ? err_set(err, ERR_NOT_FOUND, "there is no user %.80s", text)
	       : rows == -1 ? -1
			    : 0;
}

/* -- aliases */

static int
run_alias_add(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	const char *address, *targets[ADMIN_WORDS_MAX];
	size_t n = all_targets(rq, targets);

	(void)out;
	return need(rq, "address", &address, err) == -1
		   ? -1
		   : directory_alias_add(owner, address, targets, n, err);
}

static int
run_alias_remove(
    void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	const char *address, *targets[ADMIN_WORDS_MAX];
	size_t n = all_targets(rq, targets);

	(void)out;
	return need(rq, "address", &address, err) == -1
		   ? -1
		   : directory_alias_remove(owner, address, targets, n, err);
}

static int
run_alias_list(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	struct directory *d = owner;
	char domain[DOMAIN_MAX + 1], text[ADDRESS_SIZE];
	struct address a;
	sqlite3_stmt *s;
	int got;

	if (read_domain(d, rq, domain, err) == -1)
		return -1;
	s = db_prepare(d->db,
	    "SELECT local, name, target, a.created FROM aliases a JOIN domains d ON d.id = a.domain"
	    " WHERE ?1 = '' OR name = ?1 ORDER BY name, local, a.id",
	    err);
	if (s == NULL)
		return -1;
	db_bind_text(s, 1, domain);
	while ((got = db_step(d->db, s, err)) == 1) {
		slice_copy(slice_of(db_text(s, 0)), a.local, sizeof(a.local));
		slice_copy(slice_of(db_text(s, 1)), a.domain, sizeof(a.domain));
		address_text(&a, text);
		admin_row(
		    out, "address", text, "target", db_text(s, 2), "created", db_text(s, 3), NULL);
	}
	db_done(&s);
	return got;
}

static void
explain_step(void *arg, const struct directory_step *step)
{
	char depth[12];

	snprintf(depth, sizeof(depth), "%u", step->depth);
	admin_row(arg, "row", "step", "depth", depth, "address", step->address, "is", step->is, "by", step->by, NULL);
}

/* Where mail to an address goes: every step on the way, the targets, and the answer that a client would get. */
static int
run_explain(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	static const char *const names[] = { [RCPT_OK] = "ok",
		[RCPT_UNKNOWN] = "unknown",
		[RCPT_NOT_OURS] = "elsewhere",
		[RCPT_OVER_QUOTA] = "full",
		[RCPT_TEMPORARY] = "temporary" };
	struct pool *pool = pool_new(1024 * 1024);
	struct directory_answer *answer = pool != NULL ? pool_alloc(pool, sizeof(*answer)) : NULL;
	const char *address;

	if (answer == NULL || need(rq, "address", &address, err) == -1) {
		pool_free(&pool);
		return answer == NULL ? err_set(err, ERR_TEMPORARY, "out of memory") : -1;
	}
	directory_explain(owner, slice_of(address), pool, answer, explain_step, out);
	for (size_t i = 0; i < answer->n; i++) {
		const struct directory_target *t = &answer->targets[i];

		admin_row(out, "row", "target", "kind", t->kind == RCPT_LOCAL ? "local" : "remote", "address", t->address,
		    "home", t->home, NULL);
	}
	admin_row(out, "row", "answer", "status", names[answer->status], "why", answer->why, NULL);
	pool_free(&pool);
	return 0;
}

static int
run_check(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	(void)rq;
	return directory_check(owner, out, err);
}

const struct admin_verb directory_admin_verbs[] = {
	{ "domain.add", run_domain_add },
	{ "domain.remove", run_domain_remove },
	{ "domain.list", run_domain_list },
	{ "domain.show", run_domain_show },
	{ "user.add", run_user_add },
	{ "user.remove", run_user_remove },
	{ "user.list", run_user_list },
	{ "user.show", run_user_show },
	{ "user.enable", run_user_enable },
	{ "user.disable", run_user_disable },
	{ "user.quota", run_user_quota },
	{ "alias.add", run_alias_add },
	{ "alias.remove", run_alias_remove },
	{ "alias.list", run_alias_list },
	{ "directory.check", run_check },
	{ "directory.explain", run_explain },
	{ NULL, NULL },
};
