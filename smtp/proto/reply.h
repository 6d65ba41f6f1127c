/* reply - a server's reply, as a client reads it (RFC 5321 4.2)
 *
 * Fed with bytes in pieces of any size; bounded in line length, lines and text, whatever the server
 * sends. */
#ifndef SMTP_PROTO_REPLY_H
#define SMTP_PROTO_REPLY_H

#include "base/buf.h"

#define REPLY_LINE_MAX 2048 /* RFC 5321 says 512; real servers write more */
#define REPLY_LINES_MAX 128
#define REPLY_TEXT_MAX (8 * 1024)

enum reply_status { REPLY_MORE, REPLY_DONE, REPLY_BAD };

struct reply {
	int code;          /* 200..599 */
	char enhanced[12]; /* "5.1.1" of the first line when it fits the code, or "" */
	struct buf
	    text; /* the lines without codes, joined by LF; printable ASCII and UTF-8 bytes only */
	/* while it is read: */
	struct buf line;
	unsigned lines;
	const char *fault; /* REPLY_BAD: why */
};

void reply_init(struct reply *r);
void reply_free(struct reply *r);
/* Forget the last reply, ready for the next; memory is kept. */
void reply_reset(struct reply *r);
/* Feed it; *used bytes were taken (on REPLY_DONE the rest belongs to the next reply). After
 * REPLY_BAD the session is void. */
enum reply_status reply_feed(struct reply *r, struct slice in, size_t *used);
/* 2, 3, 4 or 5. */
int reply_class(const struct reply *r);
/* EHLO: is the keyword offered (lines after the first)? *args is what stands behind it; may be
 * NULL. */
bool reply_keyword(const struct reply *r, struct slice keyword, struct slice *args);
/* All on one line for a log or a report: "CODE ENHANCED text text"; lines joined by blanks, cut to
 * size. */
void reply_sentence(const struct reply *r, char *out, size_t size);

#endif
