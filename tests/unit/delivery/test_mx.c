/* The order of mail hosts; our own name in the list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "delivery/mx.h"

static uint32_t number;

static uint32_t
fixed(void)
{
	return number;
}

/* "10 a" -> rdata of MX 10 a.test ("10 ." is the root) */
static struct slice
rdata(const char *text, char out[static 64])
{
	unsigned pref;
	char name[16];
	size_t n = 2;

	assert_int_equal(sscanf(text, "%u %15s", &pref, name), 2);
	out[0] = (char)(pref >> 8);
	out[1] = (char)pref;
	if (strcmp(name, ".") != 0) {
		out[n++] = (char)strlen(name);
		memcpy(out + n, name, strlen(name));
		n += strlen(name);
		memcpy(out + n, "\4test", 5);
		n += 5;
	}
	out[n++] = '\0';
	return (struct slice){ out, n };
}

static const struct row {
	const char *name;
	const char *in[6];
	uint32_t random;
	enum mx_result result;
	const char *out;
} rows[] = {
	{ "by preference", { "20 b", "10 a", "30 c" }, 0, MX_FOUND, "a.test b.test c.test " },
	{ "equals, one way", { "10 a", "10 b", "10 c" }, 0, MX_FOUND, "c.test b.test a.test " },
	{ "equals, another", { "10 a", "10 b", "10 c" }, 5, MX_FOUND, "a.test b.test c.test " },
	{ "equals stay among themselves", { "20 x", "10 a", "20 y", "5 z" }, 1, MX_FOUND, "z.test a.test x.test y.test " },
	{ "null", { "0 ." }, 0, MX_NULL, "" },
	{ "null among others", { "0 .", "10 a" }, 0, MX_FOUND, "a.test " },
	{ "we are the best", { "10 self", "20 b" }, 0, MX_LOOP, "" },
	{ "we are one of the best", { "10 self", "10 b" }, 0, MX_LOOP, "" },
	{ "we are the backup", { "10 a", "20 SELF", "20 b", "30 c" }, 0, MX_FOUND, "a.test " },
	{ "nothing at all", { NULL }, 0, MX_NONE, "" },
	{ "large preferences", { "65535 b", "256 a" }, 0, MX_FOUND, "a.test b.test " },
};

static void
order(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct slice in[6];
		char bytes[6][64], out[512] = "";
		struct mx_list list;
		size_t n = 0;

		while (n < 6 && rows[i].in[n] != NULL) {
			in[n] = rdata(rows[i].in[n], bytes[n]);
			n++;
		}
		number = rows[i].random;
		if (mx_from_rdata(&list, in, n, "self.test", fixed) != rows[i].result)
			fail_msg("%s: other result", rows[i].name);
		for (size_t k = 0; k < list.n; k++)
			snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s ", list.at[k].name);
		if (strcmp(out, rows[i].out) != 0)
			fail_msg("%s: %s", rows[i].name, out);
	}
}

/* More records than are kept: the best ones stay, whatever their place. */
static void
ceiling(void **state)
{
	struct slice in[60];
	char bytes[60][64], text[20];
	struct mx_list list;

	(void)state;
	for (unsigned i = 0; i < 60; i++) {
		snprintf(text, sizeof(text), "%u h%u", 60 - i, 60 - i);
		in[i] = rdata(text, bytes[i]);
	}
	number = 0;
	assert_int_equal(mx_from_rdata(&list, in, 60, "self.test", fixed), MX_FOUND);
	assert_int_equal(list.n, MX_MAX);
	for (unsigned i = 0; i < MX_MAX; i++)
		assert_int_equal(list.at[i].preference, i + 1);
}

static void
malformed(void **state)
{
	static const struct slice in[] = { { "", 0 }, { "\0\1", 2 }, { "\0\1\5ab", 5 }, { "\0\1\3a b\0", 7 }, { "\0\1\1a\0x", 6 } };
	struct mx_list list;

	(void)state;
	assert_int_equal(mx_from_rdata(&list, in, COUNT(in), "self.test", fixed), MX_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(order), cmocka_unit_test(ceiling), cmocka_unit_test(malformed) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
