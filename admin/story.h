/* story - the events of a message in plain words, and how it stands at the end */
#ifndef ADMIN_STORY_H
#define ADMIN_STORY_H

#include "admin/rows.h"
#include "base/msg.h"
#include "base/refusal.h"

/* One event (a row of `trace`) as a sentence, appended to `out` unescaped. */
void story_sentence(struct buf *out, const struct row *row);

/* What a failed or put-off attempt means; empty words for all other events. */
const struct refusal_words *story_meaning(const struct row *row);

enum story_end {
	STORY_ENDED,   /* nothing is left to do for it */
	STORY_WAITING, /* accepted, and not all recipients are done: ask the queue */
	STORY_NONE     /* it is no message, or its beginning is not known */
};

/* How the message `id` stands after all rows of it, as sentences (a line each) into `out`. */
enum story_end story_end(struct buf *out, const struct rows *rows, const char *id);

/* The event's name as an enum; EVENT_COUNT when unknown. */
enum trace_event story_event(const char *name);

#endif
