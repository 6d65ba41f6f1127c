/* cmd_starttls - go on in TLS (RFC 3207)
 *
 * What the client sent behind the command came in plain text, from anyone: it is thrown away before
 * the handshake, and so is all that was said before (who it is, what it began). */
#include "base/log.h"
#include "smtp/command.h"

void
cmd_starttls(struct session *s, struct slice args)
{
	size_t ahead;

	(void)args;
	if (s->tls) {
		session_bad(s, 503, "5.5.1", "This connection is in TLS already");
		return;
	}
	if (s->ip[0] == '\0' || smtpd_tls() == NULL) { /* a socket of this machine needs none */
		session_bad(s, 502, "5.5.1", "TLS is not offered here");
		return;
	}
	session_reply(s, 220, "2.0.0", "Go on in TLS");
	ahead = channel_discard(s->channel);
	if (ahead > 0)
		log_warning("%s: %zu bytes sent behind STARTTLS in plain text were thrown away",
		    s->ip, ahead);
	session_enter(s, SESSION_TLS);
	if (session_start_tls(s) == -1)
		session_close(s);
}
