/* value - from text to a field of struct conf and back, by the type in the option's row
 *
 * A value that is wrong changes nothing; the error says what would be right. */
#include "conf/value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX_LEN 4096

struct unit {
	char letter;
	int64_t factor;
};
static const struct unit size_units[] = {
	{ 'K', INT64_C(1) << 10 }, { 'M', INT64_C(1) << 20 }, { 'G', INT64_C(1) << 30 }, { 'T', INT64_C(1) << 40 },
};
static const struct unit time_units[] = {
	{ 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 }, { 'w', 604800000 },
};

/* -- numbers */

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

	return u && to_number(slice_first(s, s.len - 1), out) && !__builtin_mul_overflow(*out, u->factor, out);
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

static bool
to_bool(struct slice s, bool *out)
{
	static const char *const yes[] = { "true", "yes", "on" }, *const no[] = { "false", "no", "off" };

	for (size_t i = 0; i < COUNT(yes); i++)
		if (slice_eq_nocase(slice_of(yes[i]), s) || slice_eq_nocase(slice_of(no[i]), s)) {
			*out = slice_eq_nocase(slice_of(yes[i]), s);
			return true;
		}
	return false;
}

static bool
to_int(const struct conf_row *row, struct slice s, bool plain, int64_t *out)
{
	if (row->type == CONF_ENUM)
		return to_enum(row, s, out);
	if (plain || row->type == CONF_NUMBER)
		return to_number(s, out);
	if (row->type == CONF_SIZE)
		return to_size(s, out);
	return row->type == CONF_TIME ? to_time(s, out) : to_score(s, out);
}

/* -- texts */

static bool
printable(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] < 0x20 || s.at[i] == 0x7f)
			return false;
	return s.len <= TEXT_MAX_LEN;
}

static bool
label_ok(struct slice label)
{
	if (label.len == 0 || label.len > 63 || label.at[0] == '-' || label.at[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++) {
		unsigned char c = (unsigned char)label.at[i];

		if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
			return false;
	}
	return true;
}

static bool
hostname_ok(struct slice s)
{
	if (s.len == 0 || s.len > 253)
		return false;
	for (struct slice rest = s; rest.at;)
		if (!label_ok(slice_cut(&rest, '.')))
			return false;
	return true;
}

/* An IP address, as text of either family. */
static bool
ip_ok(const char *host)
{
	unsigned char ip[16];

	return inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
}

/* HOST:PORT, "any" for an empty host. */
static bool
host_port_ok(const char *text, bool any)
{
	char host[256];
	uint16_t port;

	if (!conf_host_port(text, 25, host, &port) || port == 0)
		return false;
	return host[0] ? ip_ok(host) || hostname_ok(slice_of(host)) : any;
}

static bool
listen_ok(const char *text)
{
	char host[256];
	uint16_t port;

	if (text[0] == '/')
		return strlen(text) < 108; /* sun_path */
	return conf_host_port(text, 0, host, &port) && port != 0 && (!host[0] || ip_ok(host));
}

static bool
network_ok(const char *text)
{
	char *one[] = { (char *)(uintptr_t)text };
	const struct conf_strings networks = { one, 1 };
	char ip[64];
	struct slice rest = slice_of(text);

	/* It is one when it holds its own address. */
	return slice_copy(slice_cut(&rest, '/'), ip, sizeof ip) && conf_networks_hold(&networks, ip);
}

static bool
text_ok(const struct conf_row *row, struct slice s, const char *text)
{
	if (!printable(s))
		return false;
	if (s.len == 0 && !row->list && row->type != CONF_TEXT)
		return row->fallback && !row->fallback[0]; /* empty is "none" where that is the default */
	switch (row->type) {
	case CONF_HOSTNAME:
		return hostname_ok(s);
	case CONF_PATH:
		return text[0] == '/';
	case CONF_HOST_PORT:
		return host_port_ok(text, false);
	case CONF_LISTEN:
		return listen_ok(text);
	case CONF_NETWORK:
		return network_ok(text);
	default:
		return row->max == 0 || ((int64_t)s.len >= row->min && (int64_t)s.len <= row->max);
	}
}

/* -- fields */

static void *
field_of(const void *base, size_t at)
{
	return (char *)(uintptr_t)base + at;
}

static bool
is_text(const struct conf_row *row)
{
	return row->type <= CONF_NETWORK;
}

static size_t
item_size(const struct conf_row *row)
{
	return is_text(row) ? sizeof(char *) : row->type == CONF_BOOL ? sizeof(bool) : sizeof(int64_t);
}

/* Where the i-th item stands. */
static void *
item_of(const void *base, const struct conf_row *row, size_t i)
{
	char *field = field_of(base, row->at);

	return row->list ? *(char **)(void *)field + i * item_size(row) : field;
}

size_t
conf_value_count(const void *base, const struct conf_row *row)
{
	return row->list ? *(size_t *)field_of(base, row->at_n) : 1;
}

/* A place for one item more at the end of the list. */
static void *
list_grow(void *base, const struct conf_row *row, struct err *err)
{
	char **list = field_of(base, row->at);
	size_t *n = field_of(base, row->at_n);
	char *more;

	if (*n >= CONF_LIST_MAX) {
		err_set(err, ERR_USAGE, "%s has more than %d items; leave some out", row->path, CONF_LIST_MAX);
		return NULL;
	}
	if (!(more = realloc(*list, (*n + 1) * item_size(row)))) {
		err_set(err, ERR_TEMPORARY, "out of memory");
		return NULL;
	}
	*list = more;
	return more + (*n)++ * item_size(row);
}

/* Free the texts of the value (not a list's array). */
static void
free_texts(void *base, const struct conf_row *row)
{
	if (!is_text(row))
		return;
	for (size_t i = 0; i < conf_value_count(base, row); i++) {
		char **text = item_of(base, row, i);

		free(*text);
		*text = NULL;
	}
}

void
conf_value_clear(void *base, const struct conf_row *row)
{
	void **list = field_of(base, row->at);

	free_texts(base, row);
	free(*list);
	*list = NULL;
	*(size_t *)field_of(base, row->at_n) = 0;
}

static int
wrong(const struct conf_row *row, struct slice s, const char *what, struct err *err)
{
	struct buf wanted;

	buf_init(&wanted, 1024);
	conf_value_wanted(row, &wanted);
	err_set(err, ERR_USAGE, "%s = \"%.*s\" %s; give %s", row->path, (int)(s.len < 80 ? s.len : 80), s.at, what,
	    buf_cstr(&wanted));
	buf_free(&wanted);
	return -1;
}

static int
set_text(void *base, const struct conf_row *row, struct slice s, struct err *err)
{
	char *text = memchr(s.at ? s.at : "", 0, s.len) ? NULL : slice_dup(s);
	char **field;

	if (!text || !text_ok(row, s, text)) {
		free(text);
		return wrong(row, s, "is not right", err);
	}
	if (!(field = row->list ? list_grow(base, row, err) : item_of(base, row, 0))) {
		free(text);
		return -1;
	}
	if (!row->list)
		free(*field);
	*field = text;
	return 0;
}

static int
set_int(void *base, const struct conf_row *row, struct slice s, bool plain, struct err *err)
{
	int64_t v, *field;

	if (!to_int(row, s, plain, &v))
		return wrong(row, s, row->type == CONF_ENUM ? "is no choice" : "is not of the right form", err);
	if ((row->min || row->max) && (v < row->min || v > row->max))
		return wrong(row, s, "is out of range", err);
	if (!(field = row->list ? list_grow(base, row, err) : item_of(base, row, 0)))
		return -1;
	*field = v;
	return 0;
}

int
conf_value_set(void *base, const struct conf_row *row, struct slice text, bool plain, struct err *err)
{
	bool *field = field_of(base, row->at);

	if (row->type != CONF_BOOL)
		return is_text(row) ? set_text(base, row, text, err) : set_int(base, row, text, plain, err);
	return to_bool(text, field) ? 0 : wrong(row, text, "is neither true nor false", err);
}

/* Items of the row's default; "" is none for a list. */
static int
set_default(void *base, const struct conf_row *row, struct err *err)
{
	struct slice rest = slice_of(row->fallback);

	if (!row->list) /* an empty text needs no check: that is "not given" */
		return is_text(row) && !rest.len ? ((*(char **)field_of(base, row->at) = strdup("")) ? 0 : -1)
						 : conf_value_set(base, row, rest, false, err);
	while (rest.len)
		if (conf_value_set(base, row, slice_trim(slice_cut(&rest, ',')), false, err) == -1)
			return -1;
	return 0;
}

int
conf_value_defaults(void *base, enum conf_group_id group, struct err *err)
{
	for (size_t i = 0; i < conf_n_rows; i++)
		if (conf_rows[i].group == group && set_default(base, &conf_rows[i], err) == -1)
			return -1;
	return 0;
}

void
conf_value_free(void *base, enum conf_group_id group)
{
	for (size_t i = 0; i < conf_n_rows; i++) {
		const struct conf_row *row = &conf_rows[i];

		if (row->group != group)
			continue;
		if (row->list)
			conf_value_clear(base, row);
		else
			free_texts(base, row);
	}
}

/* -- back to text */

/* With the largest unit that leaves no rest. */
static void
print_units(int64_t v, const struct unit *units, size_t n, struct buf *out)
{
	for (size_t i = n; v != 0 && i > 0; i--)
		if (v % units[i - 1].factor == 0) {
			buf_printf(out, "%" PRId64 "%c", v / units[i - 1].factor, units[i - 1].letter);
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
	buf_printf(out, "%s%" PRIu64 "%s%.*s", v < 0 ? "-" : "", a / 1000, len ? "." : "", (int)len, frac);
}

static void
print_int(const struct conf_row *row, int64_t v, bool plain, struct buf *out)
{
	if (row->type == CONF_ENUM)
		buf_text(out, v >= 0 && (size_t)v < row->n_names && row->names[v] ? row->names[v] : "?");
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

void
conf_value_print(const void *base, const struct conf_row *row, size_t i, bool plain, struct buf *out)
{
	const void *item = item_of(base, row, i);

	if (row->type == CONF_BOOL)
		buf_text(out, *(const bool *)item ? "true" : "false");
	else if (is_text(row))
		buf_text(out, *(char *const *)item ? *(char *const *)item : "");
	else
		print_int(row, *(const int64_t *)item, plain, out);
}

static void
print_quoted(const char *text, struct buf *out)
{
	buf_char(out, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_char(out, '\\');
		buf_char(out, *text);
	}
	buf_char(out, '"');
}

void
conf_value_written(const void *base, const struct conf_row *row, struct buf *out)
{
	size_t n = conf_value_count(base, row);

	if (row->list)
		buf_char(out, '{');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_text(out, ", ");
		if (is_text(row))
			print_quoted(*(char **)item_of(base, row, i), out);
		else
			conf_value_print(base, row, i, false, out);
	}
	if (row->list)
		buf_char(out, '}');
}

/* -- what would be right */

static const char *const wanted[] = {
	[CONF_TEXT] = "a text",
	[CONF_HOSTNAME] = "a host name such as \"mx.example.org\"",
	[CONF_PATH] = "an absolute path such as \"/var/lib/tegami\"",
	[CONF_HOST_PORT] = "HOST or HOST:PORT such as \"192.0.2.1:25\"",
	[CONF_LISTEN] = "\"IP:PORT\", \":PORT\" or \"/a/path\"",
	[CONF_NETWORK] = "an address or network such as \"192.0.2.0/24\"",
	[CONF_BOOL] = "true or false",
	[CONF_NUMBER] = "a whole number",
	[CONF_SIZE] = "a size such as 500K, 25M or 1G",
	[CONF_TIME] = "a time such as 30s, 5m, 2h, 5d or 1w",
	[CONF_SCORE] = "a number such as 5 or 2.5 (at most three decimals)",
};

static void
wanted_names(const struct conf_row *row, struct buf *out)
{
	const char *between = "one of ";

	for (size_t i = 0; i < row->n_names; i++)
		if (row->names[i]) {
			buf_printf(out, "%s%s", between, row->names[i]);
			between = ", ";
		}
}

void
conf_value_wanted(const struct conf_row *row, struct buf *out)
{
	if (row->type == CONF_ENUM) {
		wanted_names(row, out);
		return;
	}
	if (row->type == CONF_TEXT && row->max == 1) {
		buf_text(out, "one character or \"\"");
		return;
	}
	buf_text(out, wanted[row->type]);
	if (row->min == 0 && row->max == 0)
		return;
	buf_text(out, row->type == CONF_TEXT ? " of " : " from ");
	print_int(row, row->min, false, out);
	buf_text(out, " to ");
	print_int(row, row->max, false, out);
	if (row->type == CONF_TEXT)
		buf_text(out, " bytes");
}
