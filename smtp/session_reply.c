/* session_reply - what a session tells its client, and what becomes of one that errs too often
 *
 * A reply is a line of bounded length without control bytes, whatever its text was made from. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/role.h"
#include "conf/conf.h"
#include "smtp/rates.h"
#include "smtp/session.h"

#define REPLY_TEXT_MAX 500

static void
write_line(struct session *s, int code, const char *enhanced, const char *text)
{
	char line[REPLY_TEXT_MAX + 64];
	int n = snprintf(line, sizeof(line) - 2, "%03d %s%s%.*s", code,
	    enhanced != NULL ? enhanced : "", enhanced != NULL ? " " : "", REPLY_TEXT_MAX, text);

	for (int i = 0; i < n; i++)
		if ((unsigned char)line[i] < 32 || line[i] == 127)
			line[i] = '?';
	memcpy(line + n, "\r\n", 2);
	s->progress = true;
	if (channel_write(s->channel, (struct slice){ line, (size_t)n + 2 }) == -1)
		session_close(s);
}

static void reply_v(struct session *s, int code, const char *enhanced, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));

static void
reply_v(struct session *s, int code, const char *enhanced, const char *fmt, va_list ap)
{
	char text[REPLY_TEXT_MAX + 1];

	vsnprintf(text, sizeof(text), fmt, ap);
	write_line(s, code, enhanced, text);
}

void
session_reply(struct session *s, int code, const char *enhanced, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	reply_v(s, code, enhanced, fmt, ap);
	va_end(ap);
}

void
session_bad(struct session *s, int code, const char *enhanced, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	reply_v(s, code, enhanced, fmt, ap);
	va_end(ap);
	session_mistake(s);
}

void
session_mistake(struct session *s)
{
	rates_error(s);
	if (++s->errors < (unsigned)role_conf()->limits.errors || s->state == SESSION_CLOSING)
		return;
	session_reply(s, 421, "4.7.0", "Too many commands in error; goodbye");
	session_refused(s, NULL, "too many commands in error");
	session_close(s);
}

bool
session_idle_command(struct session *s)
{
	static const char why[] = "Too many commands and no message; please come back with one";

	if (++s->idle <= (unsigned)role_conf()->limits.commands)
		return true;
	session_reply(s, 421, "4.7.0", "%s", why);
	session_refused(s, NULL, why);
	session_close(s);
	return false;
}

void
session_no_memory(struct session *s)
{
	session_reply(s, 451, "4.3.0", "This server is short of memory; please try again later");
}

void
session_refused(const struct session *s, const char *to, const char *text)
{
	struct event_note note = {
		.event = EVENT_REFUSED, .text = text, .to = to, .ip = s->ip, .user = s->user
	};

	if (s->tx != NULL) {
		note.qid = s->tx->qid;
		note.from = s->tx->from;
		note.msgid = s->tx->head.msgid;
	}
	role_event(&note);
}
