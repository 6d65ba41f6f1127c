/* received - the trace field that says how a message came to us (RFC 5321 4.4, 3848)
 *
 * "from" is what the client called itself and where it really was; a proxy's word for its host name
 * is added. Users' own programs may leave out Date and Message-ID: then they are made here (RFC
 * 6409 8). */
#include <openssl/rand.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/qid.h"
#include "base/role.h"
#include "base/tls.h"
#include "conf/conf.h"
#include "smtp/session.h"

/* "with" of RFC 3848 and 6531 4.3: ESMTP or UTF8SMTP, LMTP or UTF8LMTP, S for TLS, A for AUTH. */
static const char *
protocol(const struct session *s)
{
	static const char *const names[2][2][2] = {
		{ { "ESMTP", "ESMTPA" }, { "ESMTPS", "ESMTPSA" } },
		{ { "UTF8SMTP", "UTF8SMTPA" }, { "UTF8SMTPS", "UTF8SMTPSA" } },
	};
	static const char *const lmtp[2][2] = { { "LMTP", "LMTPS" }, { "UTF8LMTP", "UTF8LMTPS" } };
	bool utf8 = s->tx->flags & ENVELOPE_UTF8;

	if (s->kind == LISTEN_LMTP)
		return lmtp[utf8][s->tls];
	return s->esmtp ? names[utf8][s->tls][s->user != NULL] : "SMTP";
}

static void
put_from(struct buf *out, const struct session *s)
{
	bool v6 = slice_find(slice_of(s->ip), ':') >= 0;

	if (s->kind == LISTEN_LMTP && s->ip[0] == '\0') {
		buf_printf(out, "Received: from %s (on this machine)\r\n",
		    s->helo != NULL ? s->helo : "localhost");
		return;
	}
	if (s->kind == LISTEN_LOCAL) {
		buf_printf(out, "Received: from %s (local user, uid %u)\r\n",
		    s->helo != NULL ? s->helo : "localhost", (unsigned)s->uid);
		return;
	}
	buf_printf(out, "Received: from %s (%s%s[%s%s])\r\n", s->helo != NULL ? s->helo : "unknown",
	    s->name != NULL ? s->name : "", s->name != NULL ? " " : "", v6 ? "IPv6:" : "", s->ip);
}

static void
put_received(struct buf *out, const struct session *s, const char *date)
{
	SSL *ssl = channel_ssl(s->channel);
	char tls[100], id[QID_TEXT];

	put_from(out, s);
	buf_printf(out, " by %s (Tegami) with %s", role_conf()->hostname, protocol(s));
	if (ssl != NULL) {
		tls_describe(ssl, tls, sizeof(tls));
		buf_printf(out, "\r\n (%s)", tls);
	}
	qid_text(s->tx->qid, id);
	buf_printf(out, "\r\n id %s", id);
	/* with several, one would learn of the others */
	if (s->tx->accepted == 1)
		buf_printf(out, "\r\n for <%s>", s->tx->first);
	buf_printf(out, "; %s\r\n", date);
}

static void
put_missing(struct buf *out, const struct session *s, const char *date)
{
	struct head *h = &s->tx->head;
	char id[QID_TEXT];
	uint32_t salt = 0;

	if (!h->complete)
		return;
	if (!h->has_date)
		buf_printf(out, "Date: %s\r\n", date);
	/* programs on this machine, mail(1) for one, leave it to sendmail */
	if (!h->has_from && s->kind == LISTEN_LOCAL && s->tx->from[0] != '\0')
		buf_printf(out, "From: %s\r\n", s->tx->from);
	if (h->has_msgid)
		return;
	qid_text(s->tx->qid, id);
	RAND_bytes((unsigned char *)&salt, sizeof(salt));
	snprintf(h->msgid, sizeof(h->msgid), "<%s.%08x@%.200s>", id, salt, role_conf()->hostname);
	buf_printf(out, "Message-ID: %s\r\n", h->msgid);
}

int
received_write(struct buf *out, const struct session *s, int64_t now)
{
	char date[40];

	clock_rfc5322(now, date);
	put_received(out, s, date);
	if (session_may_relay(s))
		put_missing(out, s, date);
	return out->failed ? -1 : 0;
}
