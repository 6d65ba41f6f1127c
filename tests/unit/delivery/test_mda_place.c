#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "delivery/mda_place.h"

static int root;
static struct stage stage;

static int
setup(void **state)
{
	char *dir = strdup("/tmp/tegami-place-XXXXXX");
	struct err err = { 0 };

	*state = mkdtemp(dir);
	root = open(dir, O_RDONLY | O_DIRECTORY);
	return stage_open(&stage, root, STAGE_DIR, true, &err);
}

static int
teardown(void **state)
{
	char command[100];

	stage_close(&stage);
	close(root);
	snprintf(command, sizeof(command), "rm -rf %s", (char *)*state);
	free(*state);
	return system(command);
}

static void
test_stage_id(void **state)
{
	struct stage again, other;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(strlen(stage.id), 8);
	assert_int_equal(stage_open(&again, root, STAGE_DIR, true, &err), 0);
	assert_string_equal(again.id, stage.id);
	stage_close(&again);
	assert_int_equal(stage_open(&other, root, "other", false, &err), -1);
	assert_int_equal(stage_open(&other, root, "other", true, &err), 0);
	assert_string_not_equal(other.id, stage.id);
	stage_close(&other);
	/* a folder without an id gets one only from who makes */
	assert_int_equal(mkdirat(root, "bare", 0700), 0);
	assert_int_equal(stage_open(&other, root, "bare", false, &err), -1);
	assert_int_equal(stage_open(&other, root, "bare", true, &err), 0);
	stage_close(&other);
}

static const struct {
	const char *home, *folder;
	enum err_kind kind; /* ERR_NONE: it is found */
} rows[] = {
	{ "a.test/u", "", ERR_NONE },
	{ "a.test/u", "Junk", ERR_NONE },
	{ "a.test/../b", "", ERR_PERMANENT },
	{ "a.test/.b", "", ERR_PERMANENT },
	{ "a.test", "", ERR_PERMANENT },
	{ "a.test/u", "../x", ERR_PERMANENT },
	{ "a.test/out", "", ERR_TEMPORARY },
	{ "a.test/file", "", ERR_TEMPORARY },
};

static void
test_get(void **state)
{
	struct places *p = places_new(root, &stage, 8);

	(void)state;
	assert_int_equal(mkdirat(root, "a.test", 0700) | mkdirat(root, "a.test/out", 0700), 0);
	assert_int_equal(symlinkat("../../..", root, "a.test/out/Maildir"), 0);
	close(openat(root, "a.test/file", O_WRONLY | O_CREAT, 0600));
	places_begin(p, 1);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err err = { 0 };
		struct place *place =
		    places_get(p, slice_of(rows[i].home), slice_of(rows[i].folder), &err);

		assert_int_equal(place == NULL, rows[i].kind != ERR_NONE);
		assert_int_equal(err.kind, rows[i].kind);
		if (place == NULL)
			continue;
		assert_ptr_equal(place->stage, &stage);
		assert_ptr_equal(
		    place, places_get(p, slice_of(rows[i].home), slice_of(rows[i].folder), &err));
	}
	places_free(&p);
	assert_null(p);
}

/* Places of the batch under way stay; others make room; all are found again. */
static void
test_ceiling(void **state)
{
	struct places *p = places_new(root, &stage, 8);
	struct err err = { 0 };
	char home[32];

	(void)state;
	for (unsigned batch = 1; batch <= 4; batch++) {
		places_begin(p, batch);
		for (unsigned i = 0; i < 8; i++) {
			snprintf(home, sizeof(home), "many.test/u%u", batch * 5 + i);
			assert_non_null(places_get(p, slice_of(home), SLICE(""), &err));
		}
		assert_null(places_get(p, SLICE("many.test/onemore"), SLICE(""), &err));
		assert_int_equal(err.kind, ERR_TEMPORARY);
	}
	places_free(&p);
}

static void
test_stale(void **state)
{
	struct places *p = places_new(root, &stage, 8);
	struct err err = { 0 };
	struct place *first, *second;

	(void)state;
	for (unsigned batch = 1; batch < 40; batch++) {
		places_begin(p, batch);
		first = places_get(p, SLICE("s.test/u"), SLICE(""), &err);
		places_stale(p, first);
		second = places_get(p, SLICE("s.test/u"), SLICE(""), &err);
		assert_non_null(second);
		assert_ptr_not_equal(first, second);
	}
	places_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stage_id),
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_ceiling),
		cmocka_unit_test(test_stale),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
