/* directory_check - what is odd about the users and aliases, in words, before mail shows it
 *
 * Looks for domains whose postmaster is nobody's task, and for aliases that lead nowhere, in a
 * circle, to too many or partly to mailboxes that are gone. Every alias is looked up as mail would
 * look it up. */
#include "storage/directory_check.h"

#include <stdio.h>
#include <stdlib.h>

#include "storage/directory_store.h"

struct check {
	struct directory *d;
	struct admin_out *out;
	struct directory_answer *answer;
	int rows;
};

static void
tell(struct check *c, const char *name, const char *state, const char *text, const char *advice)
{
	if (c->rows++ < DIRECTORY_CHECK_ROWS)
		admin_row(
		    c->out, "name", name, "state", state, "text", text, "advice", advice, NULL);
}

/* Walk (local, domain) rows of `sql` and look each address up. */
static int
for_each(struct check *c, const char *sql, void (*fn)(struct check *, const char *address),
    struct err *err)
{
	sqlite3_stmt *s = db_prepare(c->d->db, sql, err);
	char text[ADDRESS_SIZE];
	struct address a;
	struct pool *pool;
	int got = -1;

	while (s != NULL && (got = db_step(c->d->db, s, err)) == 1) {
		slice_copy(slice_of(db_text(s, 0)), a.local, sizeof(a.local));
		slice_copy(slice_of(db_text(s, 1)), a.domain, sizeof(a.domain));
		address_text(&a, text);
		pool = pool_new(1024 * 1024);
		if (pool == NULL) {
			got = err_sys(err, "cannot check %s", text);
			break;
		}
		directory_lookup(c->d, slice_of(text), pool, c->answer);
		fn(c, text);
		pool_free(&pool);
	}
	db_done(&s);
	return got;
}

static void
check_alias(struct check *c, const char *address)
{
	char text[600];

	if (c->answer->status == RCPT_OK && c->answer->why[0] == '\0')
		return;
	snprintf(text, sizeof(text), "%s: %s", address, c->answer->why);
	tell(c, "alias", c->answer->status == RCPT_OK ? "warning" : "error", text,
	    "add what is missing, or take the target away with `tegami alias remove`");
}

/* `address` is a postmaster that no alias or user bears. */
static void
check_postmaster(struct check *c, const char *address)
{
	char text[600];

	if (c->answer->status == RCPT_OK && c->answer->n > 0) {
		snprintf(text, sizeof(text), "%s is not set up: its mail goes to %s", address,
		    c->answer->targets[0].address);
		tell(c, "postmaster", "warning", text, "name who reads it with `tegami alias add`");
	} else {
		snprintf(text, sizeof(text), "%s: %s", address, c->answer->why);
		tell(c, "postmaster", "error", text,
		    "add a user, or an alias with `tegami alias add`");
	}
}

static const char without_postmaster[] =
    "SELECT 'postmaster', name FROM domains d WHERE"
    " NOT EXISTS (SELECT 1 FROM users u WHERE u.domain = d.id AND u.local = 'postmaster') AND"
    " NOT EXISTS (SELECT 1 FROM aliases a WHERE a.domain = d.id AND a.local = 'postmaster') ORDER "
    "BY name";

static const char all_aliases[] = "SELECT DISTINCT a.local, d.name FROM aliases a JOIN domains d "
				  "ON d.id = a.domain WHERE a.local <> ''"
				  " ORDER BY d.name, a.local";

int
directory_check(struct directory *d, struct admin_out *out, struct err *err)
{
	struct check c = { d, out, malloc(sizeof(*c.answer)), 0 };
	int rc;

	if (c.answer == NULL)
		return err_sys(err, "cannot check the directory");
	rc = for_each(&c, without_postmaster, check_postmaster, err);
	if (rc == 0)
		rc = for_each(&c, all_aliases, check_alias, err);
	if (rc == 0 && c.rows == 0)
		tell(&c, "directory", "ok",
		    "every alias leads to somebody, and every domain has a postmaster", "");
	free(c.answer);
	return rc;
}
