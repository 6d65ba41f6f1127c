/* cmd_hello - EHLO and HELO: who the client says it is, and what this server offers (RFC
 * 5321 4.1.1.1)
 *
 * The name is not checked against DNS here (the filter may), only that it can stand in a header. */
#include <stdlib.h>

#include "base/role.h"
#include "conf/conf.h"
#include "smtp/command.h"
#include "smtp/proto/path.h"

/* Takes the name; false when it was refused. */
static bool
hello(struct session *s, struct slice name, bool esmtp)
{
	char *copy;

	if (!path_is_greeting(name)) {
		session_bad(s, 501, "5.5.4",
		    "Say %s and your host name (letters, digits, '-' and '.'), or your address as "
		    "[192.0.2.1]",
		    s->kind == LISTEN_LMTP ? "LHLO" : esmtp ? "EHLO" : "HELO");
		return false;
	}
	if (!s->helo_fixed) {
		if ((copy = slice_dup(name)) == NULL) {
			session_no_memory(s);
			return false;
		}
		free(s->helo);
		s->helo = copy;
	}
	s->esmtp = esmtp;
	session_enter(s, SESSION_IDLE);
	transaction_free(&s->tx);
	return true;
}

/* LMTP has LHLO in their place, and only LMTP (RFC 2033 4.1): so nobody takes one for the other. */
static bool
other_protocol(struct session *s, bool lmtp)
{
	if ((s->kind == LISTEN_LMTP) == lmtp)
		return false;
	session_bad(s, 500, "5.5.1",
	    lmtp ? "This is SMTP: say EHLO and your host name"
		 : "This is LMTP: say LHLO and your host name");
	return true;
}

void
cmd_helo(struct session *s, struct slice args)
{
	if (!other_protocol(s, false) && hello(s, args, false))
		session_reply(s, 250, NULL, "%s", role_conf()->hostname);
}

static void
offer(struct buf *out, const char *what)
{
	buf_printf(out, "250-%s\r\n", what);
}

static void
extended_hello(struct session *s, struct slice args)
{
	const struct conf *conf = role_conf();
	struct buf out;

	if (!hello(s, args, true))
		return;
	buf_init(&out, 2048);
	buf_printf(&out, "250-%s\r\n", conf->hostname);
	offer(&out, "PIPELINING");
	buf_printf(&out, "250-SIZE %lld\r\n", (long long)conf->limits.message_size);
	offer(&out, "8BITMIME");
	offer(&out, "SMTPUTF8");
	offer(&out, "DSN");
	offer(&out, "CHUNKING");
	offer(&out, "BINARYMIME");
	if (!s->tls && s->ip[0] != '\0' && smtpd_tls() != NULL)
		offer(&out, "STARTTLS");
	if (s->tls && s->user == NULL &&
	    (s->kind == LISTEN_SUBMISSION || s->kind == LISTEN_SUBMISSIONS))
		offer(&out, "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN");
	if (s->tls)
		offer(&out, "REQUIRETLS");
	buf_printf(&out, "250-LIMITS RCPTMAX=%zu\r\n", session_rcpts_max(s));
	if (s->proxy)
		offer(&out, "XCLIENT NAME ADDR PORT HELO");
	buf_text(&out, "250 ENHANCEDSTATUSCODES\r\n");
	if (out.failed || channel_write(s->channel, buf_all(&out)) == -1)
		session_close(s);
	s->progress = true;
	buf_free(&out);
}

void
cmd_ehlo(struct session *s, struct slice args)
{
	if (!other_protocol(s, false))
		extended_hello(s, args);
}

void
cmd_lhlo(struct session *s, struct slice args)
{
	if (!other_protocol(s, true))
		extended_hello(s, args);
}
