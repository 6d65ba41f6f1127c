/* log - lines for the administrator
 *
 * In a role a line goes as a frame to `control`, the one writer, which stamps role and pid;
 * elsewhere (and while control is away for long) it goes to stderr. Control characters are escaped
 * here, so no line can be forged. Never blocks: under overload lines are dropped and counted. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/slice.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The name that stands before each line on stderr. */
void log_name(const char *name);
/* Lines above this level are not made. */
void log_set_level(enum log_level level);
enum log_level log_level_of(struct slice name, bool *known);
const char *log_level_name(enum log_level level);
/* Where lines go instead of stderr; NULL: back to stderr. The sink says false when it could not
 * take one. */
void log_sink(bool (*sink)(enum log_level level, const char *line));
/* Copy `in` with control characters, DEL and bad UTF-8 as \xHH; at most `size`-1 bytes. */
void log_escape(char *out, size_t size, struct slice in);

#endif
