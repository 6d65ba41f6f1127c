#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "delivery/mda_text.h"

static const struct {
	const char *in, *out;
} lines[] = {
	{ "", "" },
	{ "a", "a" },
	{ "a\r\n", "a\n" },
	{ "a\r\nb\r\n", "a\nb\n" },
	{ "\r\n\r\n", "\n\n" },
	{ "a\rb", "a\rb" },
	{ "a\r", "a\r" },
	{ "a\r\r\nb", "a\r\nb" },
	{ "\r\r\r", "\r\r\r" },
	{ "a\nb\n", "a\nb\n" },
	{ "\r\n.\r\n..\r\n", "\n.\n..\n" },
};

/* In pieces of every size: the result is the same. */
static void
test_line_ends(void **state)
{
	char out[64];

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		for (size_t piece = 1; piece <= strlen(lines[i].in) + 1; piece++) {
			struct slice in = slice_of(lines[i].in);
			struct lf lf = { false };
			size_t len = 0;

			while (in.len > 0) {
				len += lf_copy(&lf, out + len, slice_first(in, piece));
				in = slice_skip(in, piece);
			}
			len += lf_end(&lf, out + len);
			out[len] = 0;
			assert_string_equal(out, lines[i].out);
		}
	}
}

static const struct {
	struct cut cuts[3];
	size_t n;
	const char *out;
} cuts[] = {
	{ { { 0, 0 } }, 0, "P: x\nA: 1\nB: 2\n\nbody\n" },
	{ { { 0, 6 } }, 1, "P: x\nB: 2\n\nbody\n" },
	{ { { 6, 6 } }, 1, "P: x\nA: 1\n\nbody\n" },
	{ { { 0, 6 }, { 6, 6 } }, 2, "P: x\n\nbody\n" },
	{ { { 0, 1000 } }, 1, "P: x\n" },
	{ { { 14, 2 }, { 18, 100 } }, 2, "P: x\nA: 1\nB: 2\n\ndy" },
	{ { { 5, 1 } }, 1, "P: x\nA: 1\rB: 2\n\nbody\n" },
};
static const char body[] = "A: 1\r\nB: 2\r\n\r\nbody\r\n";

static struct mda_text
text_of(size_t row, int fd)
{
	struct mda_text t = {
		.prefix = SLICE("P: x\r\n"), .body = SLICE(body), .fd = fd, .n_cuts = cuts[row].n
	};

	memcpy(t.cuts, cuts[row].cuts, sizeof(cuts[row].cuts));
	return t;
}

static void
test_cuts(void **state)
{
	char out[100];

	(void)state;
	for (size_t i = 0; i < COUNT(cuts); i++) {
		struct mda_text t = text_of(i, -1);

		out[mda_text_short(&t, out)] = 0;
		assert_string_equal(out, cuts[i].out);
	}
}

static FILE *
file_with(const char *bytes, size_t len)
{
	FILE *f = tmpfile();

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fflush(f), 0);
	return f;
}

static size_t
file_read(FILE *f, char *out, size_t size)
{
	ssize_t n = pread(fileno(f), out, size, 0);

	assert_true(n >= 0);
	return (size_t)n;
}

static void
test_long_is_as_short(void **state)
{
	char *work = malloc(2 * MDA_CHUNK + 64), out[200], want[200];

	(void)state;
	for (size_t i = 0; i < COUNT(cuts); i++) {
		FILE *from = file_with(body, strlen(body)), *to = tmpfile();
		struct mda_text t = text_of(i, fileno(from));
		uint64_t size;

		assert_int_equal(mda_text_long(&t, SLICE("H: y\r\n"), fileno(to), work, &size), 0);
		out[file_read(to, out, sizeof(out) - 1)] = 0;
		snprintf(want, sizeof(want), "H: y\n%s", cuts[i].out);
		assert_string_equal(out, want);
		assert_int_equal(size, strlen(want));
		fclose(from);
		fclose(to);
	}
	free(work);
}

/* CRLF on every border between chunks, and a size far over the work space. */
static void
test_large(void **state)
{
	size_t n = 5 * MDA_CHUNK + 12345;
	char *in = malloc(n), *out = malloc(n), *work = malloc(2 * MDA_CHUNK + 64),
	     *want = malloc(n);

	(void)state;
	for (size_t shift = 0; shift < 3; shift++) {
		struct mda_text t = { .n_cuts = 1, .cuts = { { MDA_CHUNK - 1, 3 } } };
		size_t len = 0;
		uint64_t size;
		FILE *from, *to = tmpfile();

		for (size_t i = 0; i < n; i++)
			in[i] = "x\r\n"[(i + shift) % 3];
		for (size_t i = 0; i < n; i++) {
			bool cut = i >= MDA_CHUNK - 1 && i < MDA_CHUNK + 2;

			if (!cut && !(in[i] == '\r' && i + 1 < n && in[i + 1] == '\n'))
				want[len++] = in[i];
		}
		from = file_with(in, n);
		t.fd = fileno(from);
		assert_int_equal(
		    mda_text_long(&t, (struct slice){ "", 0 }, fileno(to), work, &size), 0);
		assert_int_equal(size, len);
		assert_int_equal(file_read(to, out, n), len);
		assert_memory_equal(out, want, len);
		fclose(from);
		fclose(to);
	}
	free(in);
	free(out);
	free(work);
	free(want);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_ends),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_long_is_as_short),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
