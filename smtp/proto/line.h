/* line - command lines of a client: where they end, and their parts (RFC 5321 2.3.8, 4.1.1)
 *
 * A line ends with CR LF. One that ends with LF alone, or holds a bare CR or a NUL, is told apart
 * from a good one. */
#ifndef SMTP_PROTO_LINE_H
#define SMTP_PROTO_LINE_H

#include "base/slice.h"

enum line_status {
	LINE_MORE, /* no end yet; *used is 0 */
	LINE_OK,
	LINE_BARE_LF, /* a line, but ended by LF alone: 500 5.5.2 */
	LINE_BAD,     /* a line with a bare CR or a NUL in it: 500 5.5.2 */
	LINE_TOO_LONG /* longer than `max`: drop *used bytes, and drop on until its end (line_skip)
		       */
};

/* The first line of `in` without its end; *used counts the bytes to consume. `max` includes CR LF.
 */
enum line_status line_next(struct slice in, size_t max, struct slice *line, size_t *used);
/* The rest of a line that was too long: bytes to drop; *ended when its LF is among them. */
size_t line_skip(struct slice in, bool *ended);
/* "VERB arguments": the verb, and the arguments without blanks at either end. */
void line_split(struct slice line, struct slice *verb, struct slice *args);
/* Take `key` (no regard to case), as "FROM:", and blanks behind it off the front; false when it is
 * not there. */
bool line_take(struct slice *args, struct slice key);

#endif
