/* head - what smtpd needs to know of a message's header
 *
 * line start -> name -> value -> line start ..., up to the first line that is empty or no field.
 * Most fields matter by their name only; of those whose value matters, the start of its first line
 * with something in it is kept. */
#include "smtp/head.h"

#include <string.h>

enum { AT_LINE, IN_NAME, IN_VALUE };
/* from MESSAGE_ID on: the value matters */
enum { NO_FIELD, RECEIVED, DATE, FROM, MESSAGE_ID, TLS_REQUIRED, DELIVERED_TO, FIELDS };

static const char *const names[FIELDS] = { [RECEIVED] = "Received",
	[DATE] = "Date",
	[FROM] = "From",
	[MESSAGE_ID] = "Message-ID",
	[TLS_REQUIRED] = "TLS-Required",
	[DELIVERED_TO] = "Delivered-To" };

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* From '<' to '>' in the value, if that is printable ASCII. */
static void
take_msgid(struct head *h, struct slice value)
{
	ptrdiff_t open = slice_find(value, '<');
	size_t n = 0;

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

static uint64_t
address_hash(struct slice address)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < address.len; i++)
		h = (h ^ (unsigned char)(address.at[i] >= 'A' && address.at[i] <= 'Z' ? address.at[i] + 32
										    : address.at[i])) *
		    UINT64_C(0x100000001b3);
	return h;
}

bool
head_delivered(const struct head *h, const char *address)
{
	uint64_t hash = address_hash(slice_of(address));

	for (unsigned i = 0; i < h->n_delivered; i++)
		if (h->delivered[i] == hash)
			return true;
	return false;
}

/* What was kept of a value is all that is wanted. */
static void
field_end(struct head *h)
{
	struct slice value = slice_trim((struct slice){ h->now.value, h->now.len });

	if (h->now.field == MESSAGE_ID)
		take_msgid(h, value);
	else if (h->now.field == TLS_REQUIRED)
		h->tls_optional |= slice_eq_nocase(value, SLICE("No"));
	else if (h->now.field == DELIVERED_TO && value.len > 0 && h->n_delivered < HEAD_DELIVERED_MAX)
		h->delivered[h->n_delivered++] = address_hash(value);
	h->now.field = NO_FIELD;
}

/* The colon is here. Blanks before it are obsolete but legal. */
static void
name_end(struct head *h)
{
	struct slice name = slice_trim((struct slice){ h->now.name, h->now.name_len });
	unsigned char field = NO_FIELD;

	for (unsigned i = NO_FIELD + 1; i < FIELDS; i++)
		if (slice_eq_nocase(name, slice_of(names[i])))
			field = (unsigned char)i;
	h->received += field == RECEIVED;
	h->has_date |= field == DATE;
	h->has_from |= field == FROM;
	if (field == MESSAGE_ID && h->has_msgid)
		field = NO_FIELD;
	h->has_msgid |= field == MESSAGE_ID;
	h->now.field = field;
	h->now.len = 0;
	h->now.at = IN_VALUE;
}

/* A longer name than any of ours stays too long: only blanks may follow a full buffer. */
static void
take_name(struct head *h, char c)
{
	if (c == ':')
		name_end(h);
	else if (c == '\n') /* no field: the body began without an empty line */
		h->complete = true;
	else if (h->now.name_len < HEAD_NAME_SIZE)
		h->now.name[h->now.name_len++] = c;
	else if (!is_blank(c) && c != '\r')
		h->now.name[0] = '\0';
}

static void
take_line_start(struct head *h, char c)
{
	if (c == '\r')
		return;
	if (c == '\n') {
		h->complete = true;
	} else if (is_blank(c)) {
		h->now.at = IN_VALUE; /* it goes on */
	} else {
		field_end(h);
		h->now.at = IN_NAME;
		h->now.name_len = 0;
		take_name(h, c);
	}
}

/* The rest of a line of a value; what is left of the part. */
static struct slice
take_value(struct head *h, struct slice part)
{
	const char *end = memchr(part.at, '\n', part.len);
	struct slice line = slice_first(part, end != NULL ? (size_t)(end - part.at) : part.len);
	size_t room = HEAD_VALUE_SIZE - h->now.len;

	if (h->now.field >= MESSAGE_ID) {
		struct slice kept = line;

		while (
		    h->now.len == 0 && kept.len > 0 && (is_blank(kept.at[0]) || kept.at[0] == '\r'))
			kept = slice_skip(kept, 1);
		kept = slice_first(kept, room);
		memcpy(h->now.value + h->now.len, kept.at, kept.len);
		h->now.len += (uint16_t)kept.len;
		if (end != NULL && h->now.len > 0)
			field_end(h);
	}
	if (end == NULL)
		return slice_skip(part, part.len);
	h->now.at = AT_LINE;
	return slice_skip(part, line.len + 1);
}

void
head_feed(struct head *h, struct slice part)
{
	if (!h->begun && part.len > 0) {
		h->begun = true;
		h->folded_first = is_blank(part.at[0]);
	}
	while (part.len > 0 && !h->complete) {
		if (h->now.at == IN_VALUE) {
			part = take_value(h, part);
			continue;
		}
		if (h->now.at == IN_NAME)
			take_name(h, part.at[0]);
		else
			take_line_start(h, part.at[0]);
		part = slice_skip(part, 1);
	}
	if (h->complete)
		field_end(h);
}

void
head_end(struct head *h)
{
	field_end(h);
	h->complete = true;
}
