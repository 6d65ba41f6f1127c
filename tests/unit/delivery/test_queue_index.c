/* queue_index: finding, due times in order, destinations that come and go, memory */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "delivery/queue_index.h"

static void
test_find(void **state)
{
	struct index *ix = index_new();

	(void)state;
	for (uint64_t q = 1; q <= 5000; q++)
		assert_non_null(index_add(ix, q << 14, 0, 100, 1 + q % 3));
	assert_null(index_add(ix, 7 << 14, 0, 100, 1));
	assert_int_equal(index_items(ix), 5000);
	for (uint64_t q = 1; q <= 5000; q += 2)
		index_remove(ix, index_find(ix, q << 14));
	for (uint64_t q = 1; q <= 5000; q++)
		assert_true((index_find(ix, q << 14) != NULL) == (q % 2 == 0));
	assert_int_equal(index_items(ix), 2500);
	index_free(&ix);
	assert_null(ix);
}

static void
test_due(void **state)
{
	struct index *ix = index_new();
	struct entry *e;
	int64_t last = -1;
	unsigned seen = 0;

	(void)state;
	srand(1);
	for (uint64_t q = 1; q <= 1000; q++) {
		struct item *it = index_add(ix, q, 0, 0, 3);

		for (int i = 0; i < 3; i++)
			due_set(ix, &it->entries[i], rand() % 100000);
	}
	/* moved, cleared, removed */
	for (uint64_t q = 1; q <= 1000; q += 5)
		due_set(ix, &index_find(ix, q)->entries[1], rand() % 100000);
	for (uint64_t q = 2; q <= 1000; q += 5)
		due_clear(ix, &index_find(ix, q)->entries[0]);
	for (uint64_t q = 3; q <= 1000; q += 5)
		index_remove(ix, index_find(ix, q));
	while ((e = due_first(ix)) != NULL) {
		assert_true(e->due >= last);
		last = e->due;
		due_clear(ix, e);
		due_clear(ix, e);
		seen++;
	}
	assert_int_equal(seen, 3000 - 200 - 600);
	index_free(&ix);
}

static void
test_destinations(void **state)
{
	struct index *ix = index_new();

	(void)state;
	for (uint64_t q = 1; q <= 4000; q++) {
		struct item *it = index_add(ix, q, 0, 0, 2);
		char address[64];

		snprintf(address, sizeof(address), "u@D%u.Example", (unsigned)q % 2000);
		assert_int_equal(index_set_dest(ix, &it->entries[0], slice_of(address)), 0);
		assert_int_equal(index_set_dest(ix, &it->entries[1], SLICE("a@b@same.example")), 0);
	}
	assert_int_equal(index_dests(ix), 2001);
	assert_string_equal(index_find(ix, 1)->entries[0].dest->domain, "d1.example");
	assert_ptr_equal(index_find(ix, 1)->entries[0].dest, index_find(ix, 2001)->entries[0].dest);
	assert_string_equal(index_find(ix, 1)->entries[1].dest->domain, "same.example");
	for (uint64_t q = 1; q <= 2000; q++)
		index_remove(ix, index_find(ix, q));
	assert_int_equal(index_dests(ix), 2001);
	for (uint64_t q = 2001; q <= 4000; q++)
		index_remove(ix, index_find(ix, q));
	assert_int_equal(index_dests(ix), 0);
	index_free(&ix);
}

static void
test_memory(void **state)
{
	struct index *ix = index_new();

	(void)state;
	for (uint64_t q = 1; q <= 100000; q++) {
		struct item *it = index_add(ix, q << 14, 0, 4096, 1);

		assert_int_equal(index_set_dest(ix, &it->entries[0], SLICE("x@far.example")), 0);
	}
	assert_true(index_memory(ix) / 100000 < 400);
	index_free(&ix);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_due),
		cmocka_unit_test(test_destinations),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
