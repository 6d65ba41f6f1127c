/* session - one client's connection, from accept to close, and the mail transaction inside it
 *
 * Private to smtpd. One struct per lifetime: the session outlives its transactions, and ending one
 * frees all that belongs to it. A session does one thing at a time: while `token` is set it waits
 * for another process, and what the client sent ahead stays in the channel, so replies are in order
 * by nature. */
#ifndef SMTP_SESSION_H
#define SMTP_SESSION_H

#include <netinet/in.h>
#include <sys/types.h>

#include "base/envelope.h"
#include "base/link.h"
#include "base/pool.h"
#include "smtp/head.h"
#include "smtp/proto/channel.h"
#include "smtp/proto/dot.h"

#define TICKET_LEN 16
#define LMTP_RCPTS_MAX 400 /* of one message: each gets a reply, all at once */

enum session_state {
	SESSION_NEW,     /* no banner yet: TLS comes first */
	SESSION_GREETED, /* banner sent, no EHLO yet */
	SESSION_IDLE,    /* between messages */
	SESSION_MAIL,    /* MAIL was accepted */
	SESSION_RCPT,    /* a recipient was accepted */
	SESSION_DATA,    /* the body comes in */
	SESSION_CHUNK,   /* a part of it, of known length (BDAT) */
	SESSION_BDAT,    /* between its chunks */
	SESSION_END,     /* the body is here; its fate is being decided */
	SESSION_AUTH,    /* in a SASL exchange */
	SESSION_TLS,     /* STARTTLS was accepted */
	SESSION_CLOSING, /* the last reply is on its way out */
	SESSION_STATES
};
#define IN(state) (1u << SESSION_##state)

struct spool;

struct transaction { /* MAIL .. the reply to the end of data */
	struct pool *pool;
	uint64_t qid;   /* 0 until DATA */
	unsigned flags; /* enum envelope_flag */
	const char *from;
	const char *envid;  /* ENVID=, xtext; NULL: not given */
	uint64_t declared;  /* SIZE= */
	struct rcpt *rcpts; /* after expansion, no two alike */
	uint32_t *hashes;   /* of their addresses */
	size_t n_rcpts, rcpts_size;
	size_t accepted;   /* RCPT commands answered with 250 */
	size_t surplus;    /* those past the limit */
	const char *first; /* the first of them, or one that takes reports; as the client wrote it */
	/* of the RCPT under way; all that the address leads to get them */
	unsigned notify;   /* enum notify; 0: not given */
	const char *orcpt; /* NULL: not given */
	/* the body */
	struct dot dot;
	uint64_t raw, raw_mark; /* bytes read since DATA; and when the deadline was last moved */
	int64_t due_from;       /* clock_mono() from which limits.data_rate counts; 0: no DATA yet */
	int64_t stalled;        /* since when we, not the client, keep it from going on; or 0 */
	uint64_t size;          /* of the body */
	struct buf body;        /* all of it while it is short */
	struct spool *spool;    /* else */
	int64_t began;          /* clock_now() at the end of data */
	bool too_big;
	bool over;          /* a chunk was refused, and so will be the others */
	bool put;           /* queue was asked to store it: only queue's own answer may be told */
	const char *failed; /* why it cannot be taken now, or NULL */
	struct head head;
	/* what stands in front of it, from the top */
	struct slice signature; /* the field, and maybe one for seven bits (prefix_seven) */
	struct slice judged;
	enum chain_state chain; /* of ARC seals, as the filter found it */
	bool sealing;           /* the signer is asked for a set of our own */
	struct slice set, set_seven; /* prefix_set */
	struct buf trace;
	struct cut *cuts;
	size_t n_cuts;
	struct author *authors; /* whom the header names as such, still to be asked for: submit.c */
	size_t n_authors;
};

struct session {
	struct session *next, *prev; /* all of them */
	struct channel *channel;
	struct transaction *tx; /* NULL between messages */
	uint64_t token;         /* the request under way, 0: none */
	char *helo;             /* what the client calls itself, or NULL */
	char *name;             /* what a proxy says its host name is, or NULL */
	char *user;             /* who logged in, or NULL */
	char ticket[TICKET_LEN];
	uint64_t auth_id; /* of the SASL exchange under way, or 0 */
	int64_t ends;     /* clock_mono() when the session is over in any case */
	unsigned errors, unknown; /* commands in error since the last message; recipients that nobody is */
	unsigned idle;            /* commands since the last message that brought none on */
	uint32_t hold_ms; /* the tarpit: no command is looked at for so long; 0: at once */
	uint16_t faults;  /* errors and unknown recipients in all */
	uint32_t client; /* its slot in clients.c */
	uid_t uid;       /* LISTEN_LOCAL */
	in_port_t port;
	enum listener_kind kind;
	enum session_state state;
	struct {
		uint64_t size, left; /* bytes; left: still to come */
		bool last;
		const char *refused;     /* why it is not taken, or NULL */
		enum session_state back; /* in which state it was refused */
	} chunk;
	bool esmtp, tls, trusted, proxy, helo_fixed;
	bool header_due;  /* at this listener proxies name their clients, and it is none of ours */
	bool eof;         /* the client closed its side */
	bool skipping;    /* the rest of a line that was too long */
	uint32_t skipped; /* bytes of it */
	bool progress;    /* something happened that moves the deadline */
	bool counted;
	bool waiting; /* for limits.greet_delay to pass */
	bool linger; /* read on for a moment when closing, or the last reply may be lost */
	bool lingering;
	uint32_t swallowed; /* bytes, while lingering */
	char ip[INET6_ADDRSTRLEN];
};

/* -- session*.c: life and rules */

struct peer { /* who was accepted */
	enum listener_kind kind;
	char ip[INET6_ADDRSTRLEN]; /* "" for a local one */
	in_port_t port;
	uid_t uid;
	bool proxied; /* a proxy spoke first */
	bool header_due; /* it is at a listener with proxy_protocol, but no trusted proxy */
	bool unnamed; /* a proxy has a client whose address it does not know: `ip` is the proxy's */
};
/* Takes the descriptor over; it lives until the client goes. */
void session_start(int fd, const struct peer *peer, uint32_t client);
/* Refuse a connection: one reply if nothing was begun yet, and close. */
void session_turn_away(int fd, const struct peer *peer, const char *enhanced, const char *why);
unsigned session_count(void);
/* After a flood its memory goes back to the system: to be called every second. */
void session_give_back(void);
/* 421 to all that are idle; the others follow when their message is done. */
void session_stop_all(void);
/* There is overload: the deadlines of strangers become short. */
void session_hurry_all(void);
/* Call `fn` for each; it may end that one. */
void session_each(void (*fn)(struct session *s, void *arg), void *arg);
/* Bytes of memory that it holds. */
size_t session_memory(const struct session *s);
/* Is it a stranger that may be sent away now, so that nothing is lost? */
bool session_may_shed(const struct session *s);
/* Send it away: 421 4.3.2 and the reason. The session may be gone then. */
void session_shed(struct session *s, const char *why);
/* It was a command that brought no message on. False: it was one too many, and the session ends. */
bool session_idle_command(struct session *s);
/* 421 to all that are between messages, from now on; the others go on. */
void session_drain_all(void);
/* The one door for states. */
void session_enter(struct session *s, enum session_state next);
/* "CODE ENHANCED text"; `enhanced` may be NULL. Control characters in the text become '?', long
 * text is cut. */
void session_reply(struct session *s, int code, const char *enhanced, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same for a command in error: counts towards limits.errors. */
void session_bad(struct session *s, int code, const char *enhanced, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A command in error that has no reply. */
void session_mistake(struct session *s);
/* Close after what was written has left; the client may still be sending. */
void session_close(struct session *s);
/* For the functions that get answers: call the first at once, the second at the very end (the
 * session may be gone then). */
void session_answered(struct session *s);
void session_run(struct session *s);
/* Forget all that was said in plain text or by the proxy before. */
void session_forget(struct session *s);
void session_greet(struct session *s);
/* Begin the handshake; -1: it cannot be. */
int session_start_tls(struct session *s);
/* Write into history that mail was refused. `to` may be NULL. */
void session_refused(const struct session *s, const char *to, const char *text);
/* May it send to anywhere? */
bool session_may_relay(const struct session *s);
/* RCPT commands that one message may have here. */
size_t session_rcpts_max(const struct session *s);
/* 451 4.3.0, in words. */
void session_no_memory(struct session *s);

/* -- transaction.c */

struct transaction *transaction_new(void);
/* Frees it all, also what was spooled. Sets *t to NULL; accepts NULL. */
void transaction_free(struct transaction **t);
/* Bytes of memory that it holds. */
size_t transaction_memory(const struct transaction *t);
/* -1: memory is gone or there are too many. A recipient that is there already is not added again.
 */
int transaction_add(struct transaction *t, const struct rcpt *r);

/* -- data.c, bdat.c, submit.c, deliver.c, received.c */

/* The next bytes of a body; false when there is nothing to do for now. */
bool data_input(struct session *s);
bool bdat_input(struct session *s);
/* The next line of a SASL exchange; the exchange is given up (the client left). */
bool auth_input(struct session *s);
void auth_abort(struct session *s);
/* The body is complete and good: for a user's message first submit_begin, then judge, sign, store,
 * answer. */
void submit_begin(struct session *s);
void deliver_judge(struct session *s);
/* The end of a transaction that was refused: reply, history, back to idle. */
void deliver_refuse(struct session *s, int code, const char *enhanced, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* All that is added is there: store and answer. */
void deliver_store(struct session *s);
/* Will it be sent on by an alias, with a seal? seal.c */
bool seal_wanted(const struct session *s);
/* Ask for the set, then deliver_store, with it or not. */
void seal_begin(struct session *s);
/* The signer takes too long: go on without. */
void seal_give_up(struct session *s);
/* May the relay have to convert it to seven bits? */
bool deliver_may_convert(const struct transaction *t);
/* A short body rides in frames, of a longer one this is the descriptor; or -1. */
int deliver_body_fd(const struct transaction *t);
/* Write Received (and Date and Message-ID when a user's program left them out). -1: too long. */
int received_write(struct buf *out, const struct session *s, int64_t now);

/* -- the server */

/* NULL without a certificate. */
SSL_CTX *smtpd_tls(void);

#endif
