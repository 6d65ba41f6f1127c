/* cmd_auth - AUTH: who the client's user is (RFC 4954)
 *
 * Only inside TLS and only where users call. What mechanisms mean is the business of `auth`: here
 * their challenges and responses are carried to and fro, in base64 on the wire. Passwords pass
 * through one buffer, which is wiped after each line. */
#include <stdlib.h>
#include <string.h>

#include "base/role.h"
#include "base/tls_binding.h"
#include "smtp/command.h"
#include "base/base64.h"
#include "smtp/proto/line.h"

#define MECHANISMS "SCRAM-SHA-256-PLUS, SCRAM-SHA-256, PLAIN and LOGIN"
#define RESPONSE_MAX 12288 /* a line of base64, RFC 4954 4 */

static uint64_t last_id;
static char room[RESPONSE_MAX]; /* the decoded response */

static void auth_is(void *arg, struct frame *answer);

/* Decode into `room`; "=" is the empty response. -1: it is not base64. */
static int
decode(struct slice text, struct slice *out)
{
	struct buf b;
	int rc;

	*out = (struct slice){ room, 0 };
	if (slice_eq(text, SLICE("=")))
		return 0;
	buf_init(&b, sizeof(room));
	rc = base64_decode(&b, text);
	if (rc == 0 && b.len > 0)
		memcpy(room, b.at, b.len);
	out->len = b.len;
	if (b.at != NULL)
		explicit_bzero(b.at, b.len);
	buf_free(&b);
	return rc;
}

/* Send what was begun to auth; from now on it speaks. */
static void
ask(struct session *s, struct buf *b)
{
	s->token = link_request(role_link(ROLE_AUTH), -1, auth_is, s);
	if (b->at != NULL)
		explicit_bzero(b->at, b->len);
	explicit_bzero(room, sizeof(room));
	if (s->token != 0)
		return;
	s->auth_id = 0;
	session_reply(s, 454, "4.7.0", "Nobody can log in now; please try again later");
	if (s->state == SESSION_AUTH)
		session_enter(s, SESSION_IDLE);
}

static void
logged_in(struct session *s, struct slice user, struct slice ticket)
{
	if (ticket.len != TICKET_LEN || user.len == 0 || (s->user = slice_dup(user)) == NULL) {
		session_reply(s, 454, "4.7.0", "Nobody can log in now; please try again later");
		return;
	}
	memcpy(s->ticket, ticket.at, TICKET_LEN);
	session_reply(s, 235, "2.7.0", "Welcome");
}

static void
challenge(struct session *s, struct slice bytes)
{
	struct buf line;

	buf_init(&line, 2 * RESPONSE_MAX);
	buf_text(&line, "334 ");
	base64_encode(&line, bytes);
	buf_text(&line, "\r\n");
	if (line.failed || channel_write(s->channel, buf_all(&line)) == -1)
		session_close(s);
	s->progress = true;
	buf_free(&line);
}

static void
auth_is(void *arg, struct frame *answer)
{
	struct session *s = arg;
	enum auth_status status = AUTH_TEMPORARY;
	struct slice bytes = { NULL, 0 }, user = bytes, ticket = bytes;
	char why[200] = "";

	session_answered(s);
	if (answer != NULL) {
		status = (enum auth_status)wire_u64(&answer->in);
		bytes = wire_bytes(&answer->in);
		user = wire_bytes(&answer->in);
		ticket = wire_bytes(&answer->in);
		wire_text_to(&answer->in, why, sizeof(why));
	}
	if (status != AUTH_CONTINUE) {
		s->auth_id = 0;
		session_enter(s, SESSION_IDLE);
	}
	switch (status) {
	case AUTH_OK:
		logged_in(s, user, ticket);
		break;
	case AUTH_CONTINUE:
		challenge(s, bytes);
		break;
	case AUTH_BAD:
		session_bad(
		    s, 535, "5.7.8", "%s", why[0] != '\0' ? why : "User name or password is wrong");
		break;
	case AUTH_NO_MECHANISM:
		session_bad(s, 504, "5.5.4", "That mechanism is not offered; " MECHANISMS " are");
		break;
	default:
		session_reply(s, 454, "4.7.0", "%s",
		    why[0] != '\0' ? why : "Nobody can log in now; please try again later");
		break;
	}
	session_run(s);
}

/* May it log in here and now? Refuses if not. */
static bool
may_start(struct session *s)
{
	if (s->kind != LISTEN_SUBMISSION && s->kind != LISTEN_SUBMISSIONS)
		session_bad(s, 502, "5.5.1", "Nobody logs in here; users send on port 587 or 465");
	else if (!s->tls)
		session_bad(s, 538, "5.7.11", "Passwords are taken in TLS only: STARTTLS first");
	else if (s->user != NULL)
		session_bad(s, 503, "5.5.1", "You are logged in already");
	else
		return true;
	return false;
}

/* How both ends can name this TLS connection, for the mechanisms that want to; it costs some hashing,
 * so for others it is left out. */
static void
put_bindings(struct buf *out, struct session *s, const char *mechanism)
{
	unsigned char exporter[TLS_BINDING_MAX], end_point[TLS_BINDING_MAX];
	size_t exporter_len = 0, end_point_len = 0;
	SSL *ssl = channel_ssl(s->channel);

	if (ssl != NULL && slice_ends_nocase(slice_of(mechanism), SLICE("-PLUS"))) {
		exporter_len = tls_binding_exporter(ssl, exporter);
		end_point_len = tls_binding_end_point(ssl, end_point);
	}
	wire_put_bytes(out, (struct slice){ (char *)exporter, exporter_len });
	wire_put_bytes(out, (struct slice){ (char *)end_point, end_point_len });
	explicit_bzero(exporter, sizeof(exporter));
}

void
cmd_auth(struct session *s, struct slice args)
{
	char mechanism[24];
	struct slice word, initial, response = { room, 0 };
	struct buf *b;

	if (!may_start(s))
		return;
	line_split(args, &word, &initial);
	if (word.len == 0) {
		session_bad(
		    s, 501, "5.5.4", "Say AUTH and a mechanism; " MECHANISMS " are offered");
		return;
	}
	if (!slice_copy(word, mechanism, sizeof(mechanism))) {
		session_bad(s, 504, "5.5.4", "That mechanism is not offered; " MECHANISMS " are");
		return;
	}
	for (char *p = mechanism; *p != '\0'; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 32);
	if (initial.len > 0 && decode(initial, &response) == -1) {
		session_bad(s, 501, "5.5.2", "The response is not base64");
		return;
	}
	s->auth_id = ++last_id;
	b = request_begin(MSG_AUTH_START);
	wire_put_u64(b, s->auth_id);
	wire_put_text(b, mechanism);
	wire_put_text(b, s->ip);
	put_bindings(b, s, mechanism);
	wire_put_u64(b, initial.len > 0);
	wire_put_bytes(b, response);
	session_enter(s, SESSION_AUTH);
	ask(s, b);
}

void
auth_abort(struct session *s)
{
	wire_put_u64(frame_begin(MSG_AUTH_ABORT, 0), s->auth_id);
	link_send(role_link(ROLE_AUTH), -1);
	s->auth_id = 0;
}

static void
give_up(struct session *s, int code, const char *enhanced, const char *why)
{
	auth_abort(s);
	session_enter(s, SESSION_IDLE);
	session_bad(s, code, enhanced, "%s", why);
}

static void
respond(struct session *s, struct slice line)
{
	struct slice response;
	struct buf *b;

	if (slice_eq(line, SLICE("*"))) {
		give_up(s, 501, "5.7.0", "You gave up");
		return;
	}
	if (decode(line, &response) == -1) {
		give_up(s, 501, "5.5.2", "The response is not base64");
		return;
	}
	b = request_begin(MSG_AUTH_STEP);
	wire_put_u64(b, s->auth_id);
	wire_put_bytes(b, response);
	ask(s, b);
}

bool
auth_input(struct session *s)
{
	struct slice line;
	size_t used;

	switch (line_next(channel_input(s->channel), RESPONSE_MAX + 2, &line, &used)) {
	case LINE_MORE:
		return false;
	case LINE_OK:
		respond(s, line);
		break;
	case LINE_BARE_LF:
		give_up(s, 500, "5.5.2", "A line must end with CR LF, not with LF alone; goodbye");
		session_close(s);
		break;
	case LINE_BAD:
		give_up(s, 501, "5.5.2", "The response is not base64");
		break;
	case LINE_TOO_LONG:
		give_up(s, 500, "5.5.6", "The response is too long");
		session_close(s); /* what follows is the rest of a secret, not a command */
		break;
	}
	channel_consume(s->channel, used);
	return true;
}
