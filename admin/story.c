/* story - the events of a message in plain words, and how it stands at the end
 *
 * A sentence is a template: %x is a word of the event, and a part in brackets goes when a word in
 * it is empty. */
#include "admin/story.h"

#include <string.h>

#include "admin/text.h"
#include "base/clock.h"

#define RECIPIENTS_MAX 1000 /* told of at the end of a story */

/* %f from  %o to  %i ip  %u user  %t text */
static const char *const sentences[EVENT_COUNT] = {
	[EVENT_CONNECT] = "A client connected[ from %i][: %t]",
	[EVENT_REFUSED] = "Refused[ for %o][, from %f][ (client %i)][: %t]",
	[EVENT_ACCEPTED] = "Accepted[ from %f][ for %o][ (client %i)][, logged in as %u][: %t]",
	[EVENT_FILTERED] = "Judged by the filters[: %t]",
	[EVENT_DELIVERED] = "[%o: ]delivered[: %t]",
	[EVENT_RELAYED] = "[%o: ]handed on[: %t]",
	[EVENT_DEFERRED] = "[%o: ]not yet[: %t]",
	[EVENT_BOUNCED] = "[%o: ]given up[: %t]",
	[EVENT_HELD] = "[%o: ]held back[: %t]",
	[EVENT_DELETED] = "[%o: ]deleted[: %t]",
	[EVENT_AUTH_FAILED] = "Login failed[ for %u][ from %i][: %t]",
	[EVENT_AUTH_OK] = "[%u ]logged in[ from %i][: %t]",
	[EVENT_EXPANDED] = "[%o ]is an alias[: %t]",
	[EVENT_SEALED] = "ARC[: %t]",
};

enum trace_event
story_event(const char *name)
{
	for (int e = 0; e < EVENT_COUNT; e++)
		if (strcmp(name, trace_event_name((enum trace_event)e)) == 0)
			return (enum trace_event)e;
	return EVENT_COUNT;
}

static const char *
word_of(const struct row *row, char letter)
{
	switch (letter) {
	case 'f':
		return row_text(row, "from");
	case 'o':
		return row_text(row, "to");
	case 'i':
		return row_text(row, "ip");
	case 'u':
		return row_text(row, "user");
	default:
		return row_text(row, "text");
	}
}

/* The part up to `end`; nothing of it when a word is empty. */
static void
part(struct buf *out, const struct row *row, const char *at, const char *end)
{
	for (const char *p = at; p + 1 < end; p++)
		if (*p == '%' && *word_of(row, p[1]) == '\0')
			return;
	for (const char *p = at; p < end; p++) {
		if (*p == '%' && p + 1 < end)
			buf_text(out, word_of(row, *++p));
		else
			buf_char(out, *p);
	}
}

/* "delivered: delivered to INBOX" says one word twice. */
static bool
says_it_itself(enum trace_event event, const char *text)
{
	return event == EVENT_DELIVERED && strncmp(text, "delivered", 9) == 0;
}

void
story_sentence(struct buf *out, const struct row *row)
{
	enum trace_event event = story_event(row_text(row, "event"));
	const char *p = event < EVENT_COUNT ? sentences[event] : "%t";

	if (says_it_itself(event, row_text(row, "text")))
		p = "[%o: ]%t";
	while (*p != '\0') {
		const char *end = *p == '[' ? strchr(p, ']') : p + strcspn(p, "[");

		part(out, row, *p == '[' ? p + 1 : p, end);
		p = *end == ']' ? end + 1 : end;
	}
}

const struct refusal_words *
story_meaning(const struct row *row)
{
	enum trace_event event = story_event(row_text(row, "event"));
	bool failed = event == EVENT_DEFERRED || event == EVENT_BOUNCED;

	return refusal_words(failed ? refusal_of_line(row_text(row, "text")) : REFUSAL_OTHER);
}

/* -- the end */

struct recipient {
	const char *to, *text;
	enum trace_event last;
	int64_t time;
};

static struct recipient *
recipient_of(struct recipient *all, size_t *n, const char *to)
{
	for (size_t i = 0; i < *n; i++)
		if (strcmp(all[i].to, to) == 0)
			return &all[i];
	if (*n == RECIPIENTS_MAX)
		return NULL;
	all[*n] = (struct recipient){ .to = to, .text = "" };
	return &all[(*n)++];
}

static bool
is_final(enum trace_event e)
{
	return e == EVENT_DELIVERED || e == EVENT_RELAYED || e == EVENT_BOUNCED ||
	       e == EVENT_DELETED;
}

static void
end_of_one(struct buf *out, const struct recipient *r, int64_t came)
{
	char span[TEXT_SHOWN];
	struct slice folder = slice_of(r->text), rest = slice_of(r->to),
		     name = slice_cut(&rest, '@');

	text_show_span(r->time - came, span);
	switch (r->last) {
	case EVENT_DELIVERED:
		if (slice_starts(folder, SLICE("delivered to ")))
			folder = slice_skip(folder, strlen("delivered to "));
		if (folder.len > 0 && slice_find(folder, ' ') < 0)
			buf_printf(out, "Delivered to %.*s's %.*s %s after it came in.\n",
			    SLICE_ARG(name), SLICE_ARG(folder), span);
		else
			buf_printf(out, "Delivered to %s %s after it came in.\n", r->to, span);
		break;
	case EVENT_RELAYED:
		buf_printf(out, "Handed on for %s %s after it came in.\n", r->to, span);
		break;
	case EVENT_BOUNCED:
		buf_printf(out, "Could not be delivered to %s; given up after %s.\n", r->to, span);
		break;
	case EVENT_DELETED:
		buf_printf(out, "Deleted before it reached %s.\n", r->to);
		break;
	default:
		break;
	}
}

/* "4096 bytes for 3 recipients" -> 3; 1 when it does not say. */
static size_t
recipients_told(const char *text)
{
	const char *p = strstr(text, " for ");
	uint64_t n;
	struct slice rest = slice_of(p != NULL ? p + 5 : "");

	return slice_to_u64(slice_cut(&rest, ' '), &n) && n > 0 ? n : 1;
}

enum story_end
story_end(struct buf *out, const struct rows *rows, const char *id)
{
	static struct recipient all[RECIPIENTS_MAX];
	size_t n = 0, expected = 0, ended = 0;
	int64_t came = 0;
	bool refused = false;

	for (size_t i = 0; i < rows->n; i++) {
		const struct row *row = &rows->at[i];
		enum trace_event event = story_event(row_text(row, "event"));
		struct recipient *r;

		if (strcmp(row_text(row, "id"), id) != 0)
			continue;
		if (event == EVENT_ACCEPTED) {
			came = row_number(row, "time");
			expected = recipients_told(row_text(row, "text"));
		}
		refused |= event == EVENT_REFUSED;
		if ((!is_final(event) && event != EVENT_HELD && event != EVENT_DEFERRED) ||
		    (r = recipient_of(all, &n, row_text(row, "to"))) == NULL)
			continue;
		r->last = event;
		r->text = row_text(row, "text");
		r->time = row_number(row, "time");
	}
	for (size_t i = 0; i < n && came > 0; i++) {
		end_of_one(out, &all[i], came);
		ended += is_final(all[i].last);
	}
	if (came > 0)
		return ended >= expected && ended == n ? STORY_ENDED : STORY_WAITING;
	if (refused) {
		buf_text(out, "Not accepted; the sender's server was told why.\n");
		return STORY_ENDED;
	}
	return STORY_NONE;
}
