/* head - what smtpd needs to know of a message's header
 *
 * Field names only, line by line, up to the first line that is empty or no field. */
#include "smtp/head.h"

#include <string.h>

/* Is the line the field `name` (which ends in ':')? Blanks before the colon are obsolete but legal.
 */
static bool
is_field(struct slice line, struct slice name)
{
	ptrdiff_t colon = slice_find(line, ':');

	if (colon < 0)
		return false;
	return slice_eq_nocase(slice_trim(slice_first(line, (size_t)colon)), name);
}

/* The id: from '<' to '>' in the value, which may stand in the next, folded line. Only printable
 * ASCII is kept. */
static void
take_msgid(struct head *h, struct slice value)
{
	size_t n = 0;
	ptrdiff_t open = slice_find(value, '<');

	if (open < 0)
		return;
	value = slice_skip(value, (size_t)open);
	for (size_t i = 0; i < value.len && n + 1 < sizeof(h->msgid); i++) {
		if (value.at[i] <= 32 || value.at[i] == 127)
			break;
		h->msgid[n++] = value.at[i];
		if (value.at[i] == '>')
			break;
	}
	if (n == 0 || h->msgid[n - 1] != '>')
		n = 0;
	h->msgid[n] = '\0';
}

/* Its value, or what stands in the next line when that is folded right behind the name. */
static struct slice
value_of(struct slice line, struct slice rest)
{
	struct slice value = slice_skip(line, (size_t)slice_find(line, ':') + 1);

	if (slice_trim(value).len == 0 && rest.len > 0 && (rest.at[0] == ' ' || rest.at[0] == '\t'))
		slice_line(&rest, &value);
	return slice_trim(value);
}

static void
take_field(struct head *h, struct slice line, struct slice rest)
{
	switch (line.at[0] | 0x20) {
	case 'r':
		h->received += is_field(line, SLICE("Received"));
		break;
	case 'd':
		h->has_date |= is_field(line, SLICE("Date"));
		break;
	case 'f':
		h->has_from |= is_field(line, SLICE("From"));
		break;
	case 'm':
		if (h->has_msgid || !is_field(line, SLICE("Message-ID")))
			break;
		h->has_msgid = true;
		take_msgid(h, value_of(line, rest));
		break;
	case 't':
		h->tls_optional |= is_field(line, SLICE("TLS-Required")) &&
				   slice_eq_nocase(value_of(line, rest), SLICE("No"));
		break;
	}
}

void
head_read(struct head *h, struct slice message, bool whole)
{
	struct slice line;

	memset(h, 0, sizeof(*h));
	h->folded_first = message.len > 0 && (message.at[0] == ' ' || message.at[0] == '\t');
	while (message.len > 0) {
		if (!slice_line(&message, &line))
			return;
		if (line.len == 0) {
			h->complete = true;
			return;
		}
		if (line.at[0] == ' ' || line.at[0] == '\t')
			continue;
		if (slice_find(line, ':') <
		    0) { /* no field: the body began without an empty line */
			h->complete = true;
			return;
		}
		take_field(h, line, message);
	}
	h->complete = whole; /* a message without a body */
}
