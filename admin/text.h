/* text - what people type (spans, sizes, times) and what they like to read */
#ifndef ADMIN_TEXT_H
#define ADMIN_TEXT_H

#include "base/buf.h"
#include "base/err.h"

#define TEXT_SHOWN 48 /* bytes that any text_show_*() needs */

/* "90s", "5m", "2h", "7d", "1w", "1h30m", or a bare number of seconds. -1 + ERR_USAGE. */
int text_span(const char *text, int64_t *seconds, struct err *err);
/* "500K", "25M", "1.5G", a bare number of bytes, "0" or "unlimited" (0). -1 + ERR_USAGE. */
int text_size(const char *text, uint64_t *bytes, struct err *err);
/* "2026-11-24", "2026-11-24T05:52:28Z" (no zone: local time), or seconds since 1970. -1 +
 * ERR_USAGE. */
int text_time(const char *text, int64_t *us, struct err *err);

/* "512 B", "4.2 KiB", "1.5 GiB". */
void text_show_size(uint64_t bytes, char out[static TEXT_SHOWN]);
/* "0.02 s", "5 min", "3 h 20 min", "2 d 4 h"; us. */
void text_show_span(int64_t us, char out[static TEXT_SHOWN]);
/* "3 min ago", "in 5 min", "now"; us since 1970. */
void text_show_when(int64_t us, int64_t now, char out[static TEXT_SHOWN]);
/* Local time: "05:52:28" today, else "24 Nov 05:52:28", else with the year. */
void text_show_time(int64_t us, int64_t now, char out[static TEXT_SHOWN]);

/* Append `s` so that a terminal shows it and does nothing else: control characters, marks that turn
 * the writing direction, and bytes that are no UTF-8 become \xHH. Returns the columns it takes. */
size_t text_show(struct buf *out, struct slice s);

/* How far apart two words are (letters to insert, drop, change or swap). */
unsigned text_distance(const char *a, const char *b);

#endif
