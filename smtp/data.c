/* data - DATA: the body comes in, up to a dot alone in a line (RFC 5321 4.1.1.4) */
#include "smtp/body.h"
#include "smtp/command.h"

void
cmd_data(struct session *s, struct slice args)
{
	(void)args;
	if (s->tx->flags & ENVELOPE_BINARY) {
		session_bad(
		    s, 503, "5.5.1", "A message with BODY=BINARYMIME comes by BDAT, not by DATA");
		return;
	}
	body_begin(s, 0);
	s->idle--;
	session_reply(s, 354, NULL, "Send the message; end it with a line that has only a dot");
	session_enter(s, SESSION_DATA);
}

/* More than any honest client sends: answer what would be answered at the end, and hang up. */
static bool
swallowed_enough(struct session *s)
{
	if (!body_is_bad(s->tx) || s->tx->raw < body_read_max())
		return false;
	body_end(s);
	session_close(s);
	return true;
}

bool
data_input(struct session *s)
{
	if (body_feed(s, UINT64_MAX) == 0)
		return false;
	if (dot_ended(&s->tx->dot))
		body_end(s);
	else if (swallowed_enough(s))
		return false;
	return true;
}
