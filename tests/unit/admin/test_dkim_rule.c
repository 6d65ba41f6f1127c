/* dkim_rule, dkim_state: what becomes of DKIM keys */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/dkim_rule.h"

/* -- the rule: keys as "DOMAIN ALGORITHM STATE DNS flags", what follows for each */

enum { SEEN = 1, STOPPED = 2, WANTED = 4, FORCE = 8 };
enum { ACTIVATE = 1, RETIRE = 2, SEE = 4, STOP = 8 };
#define N DKIM_NEXT
#define A DKIM_ACTIVE
#define R DKIM_RETIRING
#define RIGHT DKIM_DNS_RIGHT
#define ABSENT DKIM_DNS_ABSENT
#define WRONG DKIM_DNS_WRONG
#define SILENT DKIM_DNS_UNKNOWN

struct key {
	const char *domain, *algorithm;
	enum dkim_state state;
	enum dkim_dns dns;
	unsigned flags, follows;
};

static const struct key rows[][4] = {
	/* the first keys of a domain */
	{ { "a", "rsa", A, ABSENT, 0, 0 }, { "a", "ed25519", A, ABSENT, 0, 0 } },
	{ { "a", "rsa", A, RIGHT, 0, SEE }, { "a", "ed25519", A, ABSENT, 0, STOP } },
	{ { "a", "rsa", A, RIGHT, 0, SEE }, { "b", "rsa", A, ABSENT, 0, 0 } },
	{ { "a", "rsa", A, WRONG, 0, STOP } },
	{ { "a", "rsa", A, SILENT, 0, 0 } },
	/* one that was there */
	{ { "a", "rsa", A, ABSENT, SEEN, STOP } },
	{ { "a", "rsa", A, ABSENT, SEEN | STOPPED, STOP } },
	{ { "a", "rsa", A, SILENT, SEEN, 0 } },
	{ { "a", "rsa", A, SILENT, SEEN | STOPPED, STOP } },
	{ { "a", "rsa", A, RIGHT, SEEN | STOPPED, 0 } },
	/* rotation: only by the right record, only those of its kind and domain */
	{ { "a", "rsa", A, RIGHT, SEEN, 0 }, { "a", "rsa", N, ABSENT, 0, 0 } },
	{ { "a", "rsa", A, RIGHT, SEEN, 0 }, { "a", "rsa", N, WRONG, 0, 0 } },
	{ { "a", "rsa", A, RIGHT, SEEN, 0 }, { "a", "rsa", N, SILENT, 0, 0 } },
	{ { "a", "rsa", A, RIGHT, SEEN, RETIRE }, { "a", "rsa", N, RIGHT, 0, ACTIVATE | SEE },
	    { "a", "ed25519", A, RIGHT, SEEN, 0 }, { "b", "rsa", A, RIGHT, SEEN, 0 } },
	/* the administrator */
	{ { "a", "rsa", A, RIGHT, SEEN, 0 }, { "a", "rsa", N, ABSENT, WANTED, 0 } },
	{ { "a", "rsa", A, RIGHT, SEEN, RETIRE }, { "a", "rsa", N, ABSENT, WANTED | FORCE, ACTIVATE } },
	{ { "a", "rsa", A, RIGHT, SEEN, 0 }, { "a", "rsa", R, RIGHT, SEEN, 0 } },
	{ { "a", "rsa", A, RIGHT, SEEN, RETIRE }, { "a", "rsa", R, RIGHT, SEEN | WANTED, ACTIVATE } },
	{ { "a", "rsa", R, ABSENT, SEEN, 0 } },
};

static void
rule(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct dkim_look looks[4] = { 0 };
		size_t n = 0;

		for (; n < 4 && rows[i][n].domain != NULL; n++) {
			const struct key *k = &rows[i][n];
			struct dkim_look *l = &looks[n];

			snprintf(l->domain, sizeof(l->domain), "%s", k->domain);
			snprintf(l->selector, sizeof(l->selector), "s%zu", n);
			snprintf(l->algorithm, sizeof(l->algorithm), "%s", k->algorithm);
			l->state = k->state;
			l->dns = k->dns;
			l->seen = k->flags & SEEN;
			l->stopped = k->flags & STOPPED;
			l->wanted = k->flags & WANTED;
			l->force = k->flags & FORCE;
		}
		dkim_rule(looks, n);
		for (size_t j = 0; j < n; j++) {
			const struct dkim_look *l = &looks[j];
			unsigned got = (l->activate ? ACTIVATE : 0) | (l->retire ? RETIRE : 0) | (l->see ? SEE : 0) |
				       (l->stop ? STOP : 0);

			if (got != rows[i][j].follows)
				fail_msg("row %zu, key %zu: %u, not %u", i, j, got, rows[i][j].follows);
		}
	}
}

static void
records(void **state)
{
	static const char rsa[] = "v=DKIM1; k=rsa; p=MIIB/+w==", ed[] = "v=DKIM1; k=ed25519; p=AAAA";
	static const struct {
		const char *published, *ours;
		bool same;
	} pairs[] = {
		{ rsa, rsa, true },
		{ "v=DKIM1;k=rsa;p=MII B/+w\t==;", rsa, true },
		{ "p=MIIB/+w==", rsa, true },
		{ "v=DKIM1; h=sha1:sha256; s=*; t=s; n=ours; p=MIIB/+w==", rsa, true },
		{ "v=DKIM1; k=rsa; p=MIIB/+x==", rsa, false },
		{ "v=DKIM1; k=rsa; p=", rsa, false },
		{ "v=DKIM1; k=rsa; h=sha1; p=MIIB/+w==", rsa, false },
		{ "v=DKIM1; k=rsa; s=tlsrpt; p=MIIB/+w==", rsa, false },
		{ "v=DKIM2; k=rsa; p=MIIB/+w==", rsa, false },
		{ "v=DKIM1; p=AAAA", ed, false },
		{ "v=DKIM1; k=ed25519; p=AAAA; p=AAAA", ed, false },
		{ "v=DKIM1; k=ed25519; p=AAAA", ed, true },
		{ "", rsa, false },
		{ "v=spf1 -all", rsa, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(pairs); i++)
		if (dkim_record_same(pairs[i].published, pairs[i].ours) != pairs[i].same)
			fail_msg("%s", pairs[i].published);
}

/* -- on the disk */

static int
in_a_folder(void **state)
{
	static char folder[] = "/tmp/test-states-XXXXXX";

	*state = folder;
	return mkdtemp(folder) != NULL && chdir(folder) == 0 ? 0 : -1;
}

static int
clean(void **state)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf %s", (const char *)*state);
	return system(command);
}

static void
make(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT, 0600);

	assert_int_not_equal(fd, -1);
	close(fd);
}

static int
change(int keys, const char *selector, enum dkim_step step, int64_t now, bool force)
{
	struct dkim_terms terms = { .now = now, .keep = 100, .force = force };
	struct dkim_change c = { selector, step };
	struct err err = { 0 };
	int rc = dkim_change(keys, "a.example", &c, 1, &terms, &err);

	return rc == 0 ? 0 : (int)err.kind;
}

static void
steps(void **state)
{
	struct dkim_standing next = { DKIM_NEXT, 5, false, false };
	struct dkim_change both[] = { { "two", DKIM_ACTIVATE }, { "one", DKIM_RETIRE } };
	struct dkim_terms terms = { .now = 10, .keep = 100 };
	struct err err;
	int keys = open(".", O_RDONLY | O_DIRECTORY), other = open(".", O_RDONLY | O_DIRECTORY);

	(void)state;
	make("a.example.one.pem");
	assert_int_equal(dkim_standing_put(keys, "a.example", "two", &next, &err), 0);
	make("a.example.two.pem");
	make("b.a.example.one.pem");
	/* one without a line is active */
	assert_int_equal(dkim_standing(keys, "a.example", "one").state, DKIM_ACTIVE);
	assert_int_equal(dkim_standing(keys, "a.example", "two").state, DKIM_NEXT);
	assert_int_equal(change(keys, "one", DKIM_RETIRE, 10, false), ERR_PERMANENT); /* the last */
	assert_int_equal(change(keys, "three", DKIM_RETIRE, 10, false), ERR_NOT_FOUND);
	/* in one step */
	assert_int_equal(dkim_lock(other, true, &err), 0);
	assert_int_equal(dkim_change(keys, "a.example", both, 2, &terms, &err), -1);
	assert_int_equal(err.kind, ERR_TEMPORARY);
	assert_int_equal(dkim_standing(keys, "a.example", "two").state, DKIM_NEXT);
	close(other);
	assert_int_equal(dkim_change(keys, "a.example", both, 2, &terms, &err), 0);
	assert_int_equal(dkim_standing(keys, "a.example", "one").state, DKIM_RETIRING);
	assert_int_equal(dkim_standing(keys, "a.example", "one").since, 10);
	assert_int_equal(dkim_standing(keys, "a.example", "two").state, DKIM_ACTIVE);
	assert_true(dkim_standing(keys, "a.example", "two").seen);
	/* its record stays for its time, and then its file goes */
	assert_int_equal(change(keys, "one", DKIM_RETIRE, 109, false), ERR_PERMANENT);
	assert_string_equal(dkim_state_shown(DKIM_RETIRING, 10, 100, 109), "retiring");
	assert_string_equal(dkim_state_shown(DKIM_RETIRING, 10, 100, 110), "retired");
	assert_int_equal(access("a.example.one.pem", F_OK), 0);
	assert_int_equal(change(keys, "one", DKIM_RETIRE, 110, false), 0);
	assert_int_equal(access("a.example.one.pem", F_OK), -1);
	assert_int_equal(access("b.a.example.one.pem", F_OK), 0);
	assert_int_equal(change(keys, "two", DKIM_RETIRE, 120, true), 0);
	assert_int_equal(dkim_standing(keys, "a.example", "two").state, DKIM_RETIRING);
	close(keys);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule),
		cmocka_unit_test(records),
		cmocka_unit_test_setup_teardown(steps, in_a_folder, clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
