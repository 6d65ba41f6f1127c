/* relay_session - a connection to a peer's SMTP server, from the greeting to QUIT
 *
 * It greets, says EHLO, goes over to TLS as the policy says, and then is ready for one mail after another (relay_mail.c). Whoever uses
 * it is told by callbacks; a session without a user is idle (relay_pool.c). */
#ifndef DELIVERY_RELAY_SESSION_H
#define DELIVERY_RELAY_SESSION_H

#include <event2/event.h>

#include "delivery/relay_caps.h"
#include "delivery/relay_hosts.h"
#include "smtp/proto/reply.h"
#include "smtp/proto/channel.h"

enum session_state {
	SESSION_CONNECT, SESSION_GREETING, SESSION_EHLO, SESSION_HELO, SESSION_STARTTLS, SESSION_HANDSHAKE,
	SESSION_AUTH,	/* relay_auth.c */
	SESSION_READY,
	/* relay_mail.c */
	SESSION_ENVELOPE, SESSION_BODY, SESSION_FINAL
};

/* How far a mail had come when its session failed. */
enum session_progress {
	PROGRESS_NONE,		/* not one reply to it was seen */
	PROGRESS_TLS,		/* the TLS handshake failed: in plain text it might work */
	PROGRESS_SOME,		/* the peer cannot have taken it */
	PROGRESS_SENT		/* the final dot has left: the peer may have taken it */
};

#define SESSION_KEY 700

struct session;
struct mail;

struct session_user {
	/* Ready for a mail: session_send(). */
	void (*ready)(void *arg);
	/* The mail's transaction is over, each recipient of it is decided. `usable`: session is ready for the next mail; otherwise it is
	 * gone. */
	void (*sent)(void *arg, bool usable);
	/* The session is gone; recipients already decided stay so. */
	void (*failed)(void *arg, const struct result *why, enum session_progress progress);
};

struct session {
	struct session *next, **at;	/* pool's list when idle */
	struct channel *channel;
	enum session_state state;
	const struct session_user *user;	/* NULL: idle */
	void *arg;
	struct target target;
	struct tls_policy *policy;	/* target's, held */
	enum proof proof;		/* what the certificate is asked for */
	char key[700];			/* of the route it was opened for */
	char login[LOGIN_NAME];		/* of that route, or "" */
	char named[LOGIN_NAME];		/* what names the host: a login's name, though it may have none; "": the recipients' domain does */
	struct auth *auth;		/* the exchange under way (relay_auth.c) */
	bool logged_in;
	char peer_key[SESSION_KEY];	/* host, port and TLS policy */
	char tls[160];			/* what was negotiated, in words; "" until it is known */
	char who[400];			/* "mx.peer.test[192.0.2.1]:25" */
	struct caps caps;
	struct reply reply;		/* the one that is coming in */
	bool plain_only, secured;
	bool lmtp;			/* it speaks LMTP (RFC 2033) */
	bool checked, by_mx;		/* see struct route */
	bool reused;			/* a mail went over it before */
	bool dirty;			/* needs RSET before the next mail */
	bool busy, dead;		/* inside a channel callback; to be freed at its end */
	unsigned mails;
	int64_t born;			/* clock_mono */
	struct mail *mail;		/* the one under way; borrowed from the user */
};

/* How all sessions behave; set at start and by a reload. */
struct session_settings {
	struct event_base *base;
	char helo[256];
	int64_t connect_timeout, command_timeout, data_timeout;	/* ms */
};
extern struct session_settings session_settings;

/* Over a connection that was made (relay_connect.c); takes `fd` over. NULL: no memory. */
struct session *session_open(int fd, const struct target *target, const struct route *route, bool plain_only,
    const struct session_user *user, void *arg);
/* The peer_key a session to this target would have. */
void session_peer_key(const struct target *target, const struct route *route, char key[static SESSION_KEY]);
/* Say QUIT if that can go out, and close. No callback. */
void session_close(struct session *s);
/* Send a mail over a ready session (relay_mail.c). */
void session_send(struct session *s, struct mail *mail);

/* -- between relay_session.c, relay_auth.c and relay_mail.c */
/* The session ends: gone before the user is told. */
void session_fail(struct session *s, enum session_progress progress, const struct result *why);
/* The same from the reply just read; `command` is what it answered. */
void session_fail_reply(struct session *s, const char *command);
void session_enter(struct session *s, enum session_state state, int64_t deadline);
/* Its TLS is as it must be; ready for mail once the login it needs is done. */
void session_become_ready(struct session *s);
/* A reply arrived in SESSION_ENVELOPE, BODY or FINAL. */
void mail_reply(struct session *s);
/* Output has drained in SESSION_BODY. */
void mail_go_on(struct session *s);
/* The progress to report if the session broke now. */
enum session_progress mail_progress(const struct session *s);

#endif
