/* sendmail_head - the header of the message: recipients for -t, Bcc taken out */
#include <stdlib.h>
#include <string.h>

#include "admin/sendmail.h"

int
recipients_add(struct recipients *r, struct slice address, const char *host, struct err *err)
{
	bool bare = slice_find(address, '@') < 0;
	char **at, *copy;

	if (address.len + strlen(host) + 1 > ADDRESS_TEXT_MAX)
		return err_set(err, ERR_USAGE, "this address is too long: %.60s...", address.at);
	for (size_t i = 0; i < address.len; i++)
		if ((unsigned char)address.at[i] <= ' ' || address.at[i] == 0x7f ||
		    strchr("<>", address.at[i]) != NULL)
			return err_set(
			    err, ERR_USAGE, "this is no address: %.*s", SLICE_ARG(address));
	/* what looks like an option to a careless program further on is nobody's name */
	if (address.at[0] == '-')
		return err_set(err, ERR_USAGE, "this is no address: %.*s", SLICE_ARG(address));
	if (r->n >= RECIPIENTS_MAX)
		return err_set(err, ERR_USAGE, "more than %d recipients", RECIPIENTS_MAX);
	at = reallocarray(r->at, r->n + 1, sizeof(*at));
	if (at == NULL || (r->at = at, copy = malloc(address.len + strlen(host) + 2)) == NULL)
		return err_set(err, ERR_TEMPORARY, "out of memory");
	memcpy(copy, address.at, address.len);
	copy[address.len] = '\0';
	if (bare) {
		strcat(copy, "@");
		strcat(copy, host);
	}
	r->at[r->n++] = copy;
	return 0;
}

void
recipients_free(struct recipients *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->at[i]);
	free(r->at);
	*r = (struct recipients){ NULL, 0 };
}

/* -- an address list: one address at a time gathers in `word` (outside <>) and `angle` (inside) */

struct list {
	struct buf word, angle;
	bool in_angle, had_angle;
};

static void
list_clear(struct list *l)
{
	buf_reset(&l->word);
	buf_reset(&l->angle);
	l->in_angle = l->had_angle = false;
}

/* The end of one address: what stood in <> counts, else all there is. */
static int
list_end(struct list *l, struct recipients *r, const char *host, struct err *err)
{
	struct slice address = slice_trim(buf_all(l->had_angle ? &l->angle : &l->word));
	int rc = 0;
	ptrdiff_t colon;

	/* an old route, "<@a,@b:user@c>", means user@c */
	colon =
	    l->had_angle && address.len > 0 && address.at[0] == '@' ? slice_find(address, ':') : -1;
	if (colon >= 0)
		address = slice_skip(address, (size_t)colon + 1);
	if (address.len > 0)
		rc = recipients_add(r, address, host, err);
	list_clear(l);
	return rc;
}

/* Behind the closing mark of a comment or a quoted string; quoted text is kept, comments are not.
 */
static const char *
quoted(struct list *l, const char *p, const char *end)
{
	struct buf *to = l->in_angle ? &l->angle : &l->word;

	buf_char(to, *p++);
	while (p < end && *p != '"') {
		if (*p == '\\' && p + 1 < end)
			buf_char(to, *p++);
		buf_char(to, *p++);
	}
	buf_char(to, '"');
	return p < end ? p + 1 : end;
}

static const char *
comment(const char *p, const char *end)
{
	unsigned depth = 0;

	for (; p < end; p++) {
		if (*p == '\\')
			p++;
		else if (*p == '(')
			depth++;
		else if (*p == ')' && --depth == 0)
			return p + 1;
	}
	return end;
}

/* One character outside of quotes and comments. */
static int
plain(struct list *l, char c, struct recipients *r, const char *host, struct err *err)
{
	if (c == '<') {
		l->in_angle = l->had_angle = true;
		buf_reset(&l->angle);
	} else if (c == '>') {
		l->in_angle = false;
	} else if ((c == ',' && !l->in_angle) || c == ';') {
		return list_end(l, r, host, err);
	} else if (c == ':' && !l->in_angle) {
		list_clear(l); /* the name of a group */
	} else if (c != '\r' && c != '\n' && (l->in_angle ? c != ' ' && c != '\t' : true)) {
		buf_char(l->in_angle ? &l->angle : &l->word, c);
	}
	return 0;
}

int
head_addresses(struct slice value, struct recipients *r, const char *host, struct err *err)
{
	const char *p = value.at, *end = value.at + value.len;
	struct list l = { .in_angle = false };
	int rc = 0;

	buf_init(&l.word, 64 * 1024);
	buf_init(&l.angle, 64 * 1024);
	while (p < end && rc == 0) {
		if (*p == '"')
			p = quoted(&l, p, end);
		else if (*p == '(')
			p = comment(p, end);
		else
			rc = plain(&l, *p++, r, host, err);
	}
	if (rc == 0)
		rc = list_end(&l, r, host, err);
	if (rc == 0 && (l.word.failed || l.angle.failed))
		rc = err_set(err, ERR_USAGE, "an address in the header is too long");
	buf_free(&l.word);
	buf_free(&l.angle);
	return rc;
}

/* -- the whole header */

bool
head_begins(struct slice line)
{
	size_t i = 0;

	while (i < line.len && line.at[i] > ' ' && line.at[i] < 0x7f && line.at[i] != ':')
		i++;
	return i > 0 && i < line.len && line.at[i] == ':';
}

/* The field at the front: its lines with those that continue it. */
static struct slice
take_field(struct slice *rest)
{
	struct slice all = *rest, line;

	do
		slice_line(rest, &line);
	while (rest->len > 0 && (rest->at[0] == ' ' || rest->at[0] == '\t'));
	all.len = rest->len > 0 ? (size_t)(rest->at - all.at) : all.len;
	return all;
}

int
head_take(
    struct slice head, struct recipients *r, const char *host, struct buf *out, struct err *err)
{
	while (head.len > 0) {
		struct slice field = take_field(&head), value = field,
			     name = slice_trim(slice_cut(&value, ':'));
		bool bcc = slice_eq_nocase(name, SLICE("Bcc"));

		if (r != NULL && value.at != NULL &&
		    (bcc || slice_eq_nocase(name, SLICE("To")) ||
			slice_eq_nocase(name, SLICE("Cc"))) &&
		    head_addresses(value, r, host, err) == -1)
			return -1;
		if (!bcc)
			buf_slice(out, field);
	}
	return out->failed ? err_set(err, ERR_USAGE, "the header is too long") : 0;
}
