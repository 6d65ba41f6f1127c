/* log - lines for the administrator
 *
 * A line is at most LINE_MAX_BYTES long and holds no control character: what came from outside is
 * escaped when the line is made, so one event is one line whoever wrote its words. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

static const char *const level_names[] = { "error", "warning", "info", "debug" };

static const char *who = "tegami";
static enum log_level most = LOG_LEVEL_INFO;
static bool (*sink_fn)(enum log_level, const char *);

void
log_name(const char *name)
{
	who = name;
}

void
log_set_level(enum log_level level)
{
	most = level;
}

const char *
log_level_name(enum log_level level)
{
	return level < COUNT(level_names) ? level_names[level] : "?";
}

enum log_level
log_level_of(struct slice name, bool *known)
{
	for (size_t i = 0; i < COUNT(level_names); i++) {
		if (slice_eq_nocase(name, slice_of(level_names[i]))) {
			*known = true;
			return (enum log_level)i;
		}
	}
	*known = false;
	return LOG_LEVEL_INFO;
}

void
log_sink(bool (*sink)(enum log_level level, const char *line))
{
	sink_fn = sink;
}

/* How many bytes of valid UTF-8 text begin here; 0: this byte must be escaped. */
static size_t
printable(const unsigned char *p, size_t left)
{
	size_t n, i;

	if (p[0] < 0x80)
		return p[0] >= ' ' && p[0] != 0x7f ? 1 : 0;
	n = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 :
	    p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
	if (n == 0 || n > left)
		return 0;
	for (i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* C1 controls, overlong forms, surrogates */
	if ((p[0] == 0xc2 && p[1] < 0xa0) || (p[0] == 0xe0 && p[1] < 0xa0) ||
	    (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	/* line and paragraph separators, direction overrides */
	if (p[0] == 0xe2 && p[1] == 0x80 &&
	    (p[2] == 0xa8 || p[2] == 0xa9 || (p[2] >= 0xaa && p[2] <= 0xae)))
		return 0;
	return n;
}

void
log_escape(char *out, size_t size, struct slice in)
{
	static const char hex[] = "0123456789abcdef";
	size_t o = 0;

	for (size_t i = 0; i < in.len;) {
		const unsigned char *p = (const unsigned char *)in.at + i;
		size_t n = printable(p, in.len - i);

		if (o + (n > 0 ? n : 4) >= size)
			break;
		if (n > 0) {
			memcpy(out + o, p, n);
			o += n;
			i += n;
			continue;
		}
		memcpy(out + o, "\\x", 2);
		out[o + 2] = hex[*p >> 4];
		out[o + 3] = hex[*p & 15];
		o += 4;
		i++;
	}
	out[o] = '\0';
}

static void
to_stderr(enum log_level level, const char *line)
{
	char all[LINE_MAX_BYTES + 128];
	int n = snprintf(all, sizeof all, "%s[%d] %s: %s\n", who, (int)getpid(),
	    log_level_name(level), line);
	ssize_t done;

	if (n >= (int)sizeof all)
		n = (int)sizeof all - 1;
	done = write(STDERR_FILENO, all, (size_t)n);
	(void)done;		/* nobody is left to be told */
}

__attribute__((format(printf, 2, 0))) static void
log_line(enum log_level level, const char *fmt, va_list ap)
{
	char raw[LINE_MAX_BYTES], line[LINE_MAX_BYTES];

	if (level > most)
		return;
	vsnprintf(raw, sizeof raw, fmt, ap);
	log_escape(line, sizeof line, slice_of(raw));
	if (sink_fn == NULL || !sink_fn(level, line))
		to_stderr(level, line);
}

#define LOG_FUNCTION(name, level)            \
	void name(const char *fmt, ...)      \
	{                                    \
		va_list ap;                  \
		va_start(ap, fmt);           \
		log_line(level, fmt, ap);    \
		va_end(ap);                  \
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
