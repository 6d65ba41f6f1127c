/* value_number - numbers of the configuration, from text and back: whole ones, sizes, times,
 * scores, choices
 *
 * Sizes are bytes, times milliseconds, scores thousandths; a choice is the place of its name in the
 * row. */
#include <inttypes.h>
#include <stdio.h>

#include "conf/value_form.h"

struct unit {
	char letter;
	int64_t factor;
};
static const struct unit size_units[] = {
	{ 'K', INT64_C(1) << 10 }, { 'M', INT64_C(1) << 20 }, { 'G', INT64_C(1) << 30 },
	{ 'T', INT64_C(1) << 40 },
};
static const struct unit time_units[] = {
	{ 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 }, { 'w', 604800000 },
};

/* -- from text */

/* Digits with a sign; false when it is none or does not fit. */
static bool
to_number(struct slice s, int64_t *out)
{
	bool minus = s.len > 0 && s.at[0] == '-';
	uint64_t v;

	if (!slice_to_u64(minus ? slice_skip(s, 1) : s, &v) || v > INT64_MAX)
		return false;
	*out = minus ? -(int64_t)v : (int64_t)v;
	return true;
}

static const struct unit *
unit_of(const struct unit *units, size_t n, char letter, bool nocase)
{
	for (size_t i = 0; i < n; i++)
		if (units[i].letter == letter || (nocase && units[i].letter == (letter & ~0x20)))
			return &units[i];
	return NULL;
}

static bool
to_units(struct slice s, const struct unit *units, size_t n, bool nocase, int64_t *out)
{
	const struct unit *u = s.len > 1 ? unit_of(units, n, s.at[s.len - 1], nocase) : NULL;

	return u && to_number(slice_first(s, s.len - 1), out) &&
	    !__builtin_mul_overflow(*out, u->factor, out);
}

static bool
to_size(struct slice s, int64_t *out)
{
	return to_number(s, out) || to_units(s, size_units, COUNT(size_units), true, out);
}

/* A time needs its unit: "30" may be meant as seconds by one and as minutes by another. */
static bool
to_time(struct slice s, int64_t *out)
{
	if (to_number(s, out))
		return *out == 0;
	return to_units(s, time_units, COUNT(time_units), false, out);
}

/* "-1.5", ".25", "3": at most three digits behind the point. */
static bool
to_score(struct slice s, int64_t *out)
{
	bool minus = s.len > 0 && s.at[0] == '-';
	struct slice rest = minus ? slice_skip(s, 1) : s;
	struct slice whole = slice_cut(&rest, '.');
	uint64_t w = 0, f = 0;

	if ((whole.len && !slice_to_u64(whole, &w)) || w > UINT64_C(1000000000) || rest.len > 3 ||
	    (rest.len && !slice_to_u64(rest, &f)) || whole.len + rest.len == 0)
		return false;
	for (size_t i = rest.len; i < 3; i++)
		f *= 10;
	*out = (int64_t)(w * 1000 + f);
	if (minus)
		*out = -*out;
	return true;
}

static bool
to_enum(const struct conf_row *row, struct slice s, int64_t *out)
{
	for (size_t i = 0; i < row->n_names; i++)
		if (row->names[i] && slice_eq(slice_of(row->names[i]), s)) {
			*out = (int64_t)i;
			return true;
		}
	return false;
}

bool
value_number_read(const struct conf_row *row, struct slice s, bool plain, int64_t *out)
{
	if (row->type == CONF_ENUM)
		return to_enum(row, s, out);
	if (plain || row->type == CONF_NUMBER)
		return to_number(s, out);
	if (row->type == CONF_SIZE)
		return to_size(s, out);
	return row->type == CONF_TIME ? to_time(s, out) : to_score(s, out);
}

/* -- back to text */

/* With the largest unit that leaves no rest. */
static void
print_units(int64_t v, const struct unit *units, size_t n, struct buf *out)
{
	for (size_t i = n; v != 0 && i > 0; i--)
		if (v % units[i - 1].factor == 0) {
			buf_printf(out, "%" PRId64 "%c", v / units[i - 1].factor,
			    units[i - 1].letter);
			return;
		}
	buf_printf(out, "%" PRId64, v);
}

static void
print_score(int64_t v, struct buf *out)
{
	uint64_t a = v < 0 ? -(uint64_t)v : (uint64_t)v;
	char frac[8];
	size_t len = 3;

	snprintf(frac, sizeof frac, "%03u", (unsigned)(a % 1000));
	while (len > 0 && frac[len - 1] == '0')
		len--;
	buf_printf(out, "%s%" PRIu64 "%s%.*s", v < 0 ? "-" : "", a / 1000, len ? "." : "",
	    (int)len, frac);
}

void
value_number_print(const struct conf_row *row, int64_t v, bool plain, struct buf *out)
{
	if (row->type == CONF_ENUM)
		buf_text(out,
		    v >= 0 && (size_t)v < row->n_names && row->names[v] ? row->names[v] : "?");
	else if (plain || row->type == CONF_NUMBER)
		buf_printf(out, "%" PRId64, v);
	else if (row->type == CONF_SIZE)
		print_units(v, size_units, COUNT(size_units), out);
	else if (row->type == CONF_SCORE)
		print_score(v, out);
	else if (v % 1000) /* finer than any unit of the file: never from a file */
		buf_printf(out, "%" PRId64 "ms", v);
	else
		print_units(v, time_units, COUNT(time_units), out);
}
