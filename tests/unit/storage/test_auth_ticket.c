/* auth_ticket: issue, check, end by session, process, user and age; the ceiling */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "storage/auth_ticket.h"

#define MOST 500

static void
test_tickets(void **state)
{
	unsigned char a[TICKET_SIZE], b[TICKET_SIZE], c[TICKET_SIZE];
	struct slice sa = { (char *)a, TICKET_SIZE }, sb = { (char *)b, TICKET_SIZE },
		     sc = { (char *)c, TICKET_SIZE };
	struct err err;
	struct tickets *t = tickets_new(MOST, 1000, &err);

	(void)state;
	assert_int_equal(tickets_issue(t, "alice@x", 1, 0, a, &err), 0);
	assert_int_equal(tickets_issue(t, "alice@x", 2, 0, b, &err), 0);
	assert_int_equal(tickets_issue(t, "bob@x", 2, 500, c, &err), 0);
	assert_memory_not_equal(a, b, TICKET_SIZE);
	assert_string_equal(tickets_user(t, sa, 1), "alice@x");
	assert_string_equal(tickets_user(t, sc, 1), "bob@x");
	assert_null(tickets_user(t, slice_first(sa, 15), 1));
	assert_null(tickets_user(t, (struct slice){ NULL, 0 }, 1));
	assert_null(tickets_user(t, SLICE("0123456789abcdef"), 1));
	tickets_end(t, sa, 2); /* another process's */
	assert_non_null(tickets_user(t, sa, 1));
	tickets_end(t, sa, 1);
	assert_null(tickets_user(t, sa, 1));
	assert_null(tickets_user(t, sb, 1000));
	assert_non_null(tickets_user(t, sc, 1000));
	tickets_sweep(t, 1000);
	assert_int_equal(tickets_count(t), 1);
	assert_int_equal(tickets_issue(t, "bob@x", 1, 0, a, &err), 0);
	tickets_end_owner(t, 2);
	assert_null(tickets_user(t, sc, 1));
	assert_non_null(tickets_user(t, sa, 1));
	tickets_end_user(t, "bob@x");
	assert_int_equal(tickets_count(t), 0);
	tickets_free(&t);
	assert_null(t);
}

static void
test_ceiling(void **state)
{
	unsigned char a[TICKET_SIZE];
	struct err err;
	struct tickets *t = tickets_new(MOST, 1000, &err);
	int i;

	(void)state;
	for (i = 0; i < MOST; i++)
		assert_int_equal(tickets_issue(t, "alice@x", 1, 0, a, &err), 0);
	assert_int_equal(tickets_issue(t, "alice@x", 1, 0, a, &err), -1);
	assert_int_equal(err.kind, ERR_TEMPORARY);
	assert_int_equal(
	    tickets_issue(t, "alice@x", 1, 1000, a, &err), 0); /* the old ones have run out */
	assert_int_equal(tickets_count(t), 1);
	tickets_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_tickets),
		cmocka_unit_test(test_ceiling) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
