/* submit_head - what a user's message says of who wrote and sent it, and whom it must not name
 *
 * The header ends where head.c sees it end: at the first line that is empty or no field. Some readers
 * go on behind one that is no field, and some drop bytes of a name that do not belong there: what they
 * would take for a field of senders is told. */
#include "smtp/submit_head.h"

#include <string.h>

/* The field at the front with all lines that continue it; false at the header's end. */
static bool
next_field(struct slice *rest, struct slice *field)
{
	struct slice start = *rest, line;

	if (!slice_line(rest, &line) || line.len == 0 || slice_find(line, ':') < 0) {
		*rest = start;
		return false;
	}
	while (rest->len > 0 && (rest->at[0] == ' ' || rest->at[0] == '\t'))
		slice_line(rest, &line);
	*field = slice_first(start, start.len - rest->len);
	return true;
}

/* Lines that continue nothing, before the first field: head.c passes them over, too. */
static void
skip_orphans(struct slice *rest)
{
	struct slice line;

	while (rest->len > 0 && (rest->at[0] == ' ' || rest->at[0] == '\t'))
		slice_line(rest, &line);
}

static void
cut(struct submit_head *h, uint64_t at, uint64_t len)
{
	struct cut *last = h->n_bcc > 0 ? &h->bcc[h->n_bcc - 1] : NULL;

	if (last != NULL && last->at + last->len == at)
		last->len += len;
	else if (h->n_bcc == ENVELOPE_CUTS_MAX)
		h->too_many = true;
	else
		h->bcc[h->n_bcc++] = (struct cut){ at, len };
}

static const struct claim kinds[] = { { "From", false, { NULL, 0 } },
	{ "Sender", true, { NULL, 0 } }, { "Resent-From", false, { NULL, 0 } },
	{ "Resent-Sender", true, { NULL, 0 } } };

static void
take_claim(struct submit_head *h, struct slice name, struct slice value)
{
	for (size_t i = 0; i < COUNT(kinds); i++) {
		if (!slice_eq_nocase(name, slice_of(kinds[i].field)))
			continue;
		h->from += i == 0;
		h->sender += i == 1;
		if (h->n_claims == SUBMIT_CLAIMS_MAX) {
			h->too_many_claims = true;
			return;
		}
		h->claims[h->n_claims] = kinds[i];
		h->claims[h->n_claims++].value = value;
	}
}

/* The field of a sender, or Bcc, that a name is for a reader who drops what is no letter of a name;
 * NULL: none. */
static const char *
loosely(struct slice name)
{
	static const char *const cuts[] = { "Bcc", "Resent-Bcc" };
	char text[20];
	size_t n = 0;
	struct slice loose;

	for (size_t i = 0; i < name.len; i++) {
		if (name.at[i] <= ' ' || name.at[i] > '~') /* bytes over 127 are negative */
			continue;
		if (n == sizeof(text))
			return NULL;
		text[n++] = name.at[i];
	}
	loose = (struct slice){ text, n };
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (slice_eq_nocase(loose, slice_of(kinds[i].field)))
			return kinds[i].field;
	for (size_t i = 0; i < COUNT(cuts); i++)
		if (slice_eq_nocase(loose, slice_of(cuts[i])))
			return cuts[i];
	return NULL;
}

/* What stands behind a line that is no field, up to the next that is empty. */
static const char *
behind(struct slice rest)
{
	struct slice all, line;
	const char *found = NULL;

	while (found == NULL && (all = rest, slice_line(&rest, &line)) && line.len > 0) {
		while (rest.len > 0 && (rest.at[0] == ' ' || rest.at[0] == '\t'))
			slice_line(&rest, &line);
		all.len -= rest.len;
		line = slice_cut(&all, ':');
		if (all.at != NULL)
			found = loosely(line);
	}
	return found;
}

void
submit_head_read(struct submit_head *h, struct slice message)
{
	struct slice rest = slice_first(message, SUBMIT_HEAD_MAX), field, value, name;
	size_t seen = rest.len;

	memset(h, 0, sizeof(*h));
	skip_orphans(&rest);
	while (next_field(&rest, &field)) {
		value = field;
		name = slice_trim(slice_cut(&value, ':'));
		take_claim(h, name, value);
		if (loosely(name) != NULL && !slice_eq_nocase(name, slice_of(loosely(name))))
			h->twofold = loosely(name);
		if (slice_eq_nocase(name, SLICE("Bcc")) ||
		    slice_eq_nocase(name, SLICE("Resent-Bcc")))
			cut(h, (uint64_t)(field.at - message.at), field.len);
	}
	if (h->twofold == NULL)
		h->twofold = behind(rest);
	h->complete = rest.len > 0 || seen == message.len;
}

int
cuts_merge(const struct cut *a, size_t n_a, const struct cut *b, size_t n_b,
    struct cut out[static ENVELOPE_CUTS_MAX], size_t *n)
{
	size_t i = 0, k = 0;

	*n = 0;
	while (i < n_a || k < n_b) {
		struct cut c = k == n_b || (i < n_a && a[i].at <= b[k].at) ? a[i++] : b[k++];
		struct cut *last = *n > 0 ? &out[*n - 1] : NULL;
		uint64_t end = c.at + c.len;

		if (last != NULL && c.at <= last->at + last->len) {
			if (end > last->at + last->len)
				last->len = end - last->at;
			continue;
		}
		if (*n == ENVELOPE_CUTS_MAX)
			return -1;
		out[(*n)++] = c;
	}
	return 0;
}
