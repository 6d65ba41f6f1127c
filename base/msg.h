/* msg - every message that may pass between processes, in one table
 *
 * Written as text for a reader and a checker alike. Fields, in order: u number, t text (no NUL), b
 * bytes; a group in parentheses at the end may repeat. "fd" says whether a descriptor rides along:
 * NO, MUST or MAY. link_in.c refuses a frame whose sender, receiver, fields or descriptor differ
 * from its row, so handlers need no checks of shape. The names behind each row are the fields'
 * meanings; the put/get pairs live in msg.c or in the file named after the thing (envelope.c). */
#ifndef BASE_MSG_H
#define BASE_MSG_H

#include "base/slice.h"

/* In the order in which they are started. */
enum role {
	ROLE_TEGAMID,
	ROLE_CONTROL,
	ROLE_RESOLVER,
	ROLE_DIRECTORY,
	ROLE_AUTH,
	ROLE_MDA,
	ROLE_RELAY,
	ROLE_SCAN,
	ROLE_SIGNER,
	ROLE_FILTER,
	ROLE_QUEUE,
	ROLE_SMTPD,
	ROLE_COUNT
};

/* Role sets. */
#define R(x) (1u << ROLE_##x)
#define R_ALL ((1u << ROLE_COUNT) - 1)
#define R_ROLES (R_ALL & ~R(TEGAMID))
#define R_OWNERS (R(DIRECTORY) | R(AUTH) | R(QUEUE) | R(RELAY) | R(SIGNER) | R(FILTER) | \
	R(RESOLVER) | R(SMTPD) | R(TEGAMID) | R(CONTROL))

enum msg_fd { FD_NO, FD_MUST, FD_MAY };

/* name, from, to, fields, fd; below each row: what the fields are */
#define MSG_TABLE(X)                                                                              \
	/* -- the supervisor and its roles (link 0 of each role) */                               \
	X(SETUP_CONFIG,   R(TEGAMID),     R_ROLES,         "(tt)",   FD_NO)                       \
		/* (option path, value)*: see conf/told.h */                                      \
	X(SETUP_LINK,     R(TEGAMID),     R_ROLES,         "uu",     FD_MUST)                     \
		/* peer role, peer's number; every link has a request id of its own */            \
	X(LINK_LOST,      R_ROLES,        R(TEGAMID),      "uu",     FD_NO)                       \
		/* peer role, peer's number; bears the id of its SETUP_LINK */                    \
	X(SETUP_LISTENER, R(TEGAMID),     R(SMTPD),        "utt",    FD_MUST)                     \
		/* kind, name, address */                                                         \
	X(SETUP_FILE,     R(TEGAMID),     R_ROLES,         "ut",     FD_MUST)                     \
		/* enum setup_file, name (domain, selector...) */                                 \
	X(SETUP_GO,       R(TEGAMID),     R_ROLES,         "u",      FD_NO)                       \
		/* 0 start, 1 this was a reload */                                                \
	X(SETUP_STOP,     R(TEGAMID),     R_ROLES,         "",       FD_NO)                       \
		/* finish what is under way, then exit */                                         \
	X(SETUP_DRAIN,    R(TEGAMID),     R(SMTPD),        "",       FD_NO)                       \
		/* another takes over: accept no more, let sessions end, then exit */             \
	X(ROLE_READY,     R_ROLES,        R(TEGAMID),      "(ut)",   FD_NO)                       \
		/* (log level, line)*: what renewed files brought; said once when several say     \
		 * it */                                                                          \
	X(ROLE_FAILED,    R_ROLES,        R(TEGAMID),      "t",      FD_NO)                       \
		/* why it cannot start or take the reload */                                      \
	/* -- made and read by the link itself: a request that was not taken (its descriptor got  \
	 * lost, the receiver is full); the asker's answer_fn gets NULL */                        \
	X(FAILED,         R_ALL,          R_ALL,           "t",      FD_NO)                       \
	/* -- log and history */                                                                  \
	X(LOG,            R_ROLES,        R(CONTROL),      "ut",     FD_NO)                       \
		/* level, line */                                                                 \
	X(EVENT,          R_ROLES,        R(CONTROL),      "(uuutttttt)", FD_NO)                  \
		/* (time us, qid, enum trace_event, text, from, to, ip, msgid, user)* */          \
	X(TLS_COUNT,      R(RELAY),       R(CONTROL),      "(uttttttttu)", FD_NO)                 \
		/* (day since 1970, domain, policy type, policy lines, host, its ip, our ip, RFC  \
		 * 8460 result or "", why, sessions)* */                                          \
	X(DMARC_SEEN,     R(FILTER),      R(CONTROL),      "(utttttttttttt)", FD_NO)              \
		/* (time us, policy domain, organization, policy, rua, ip, disposition, dkim, spf,\
		 * reasons, header From's domain, sender's domain, results)*: see                 \
		 * storage/history_dmarc.h */                                                     \
	X(STS_PUT,        R(RELAY),       R(CONTROL),      "ttuut",  FD_NO)               \
		/* keep: domain, id, fetched us, expires us, policy ("": none any more) */ \
	X(STS_GET,        R(RELAY),       R(CONTROL),      "t",      FD_NO)               \
		/* domain */                                                              \
	X(STS_IS,         R(CONTROL),     R(RELAY),        "utuut",  FD_NO)               \
		/* 1 kept, id, fetched us, expires us, policy */                          \
	X(REPORT_PUT,     R(FILTER),      R(CONTROL),      "uututtttuuttuu(uttttttttt)", FD_NO)   \
		/* a report that we got, or a part of it: see base/report.h */                    \
	X(REPORT_BAD,     R(FILTER),      R(CONTROL),      "uutttt",  FD_NO)                      \
		/* one that could not be read: enum report_kind, qid, domain of its sender,       \
		 * domain that it is about ("": not known), file name, why */                     \
	X(REPORT_IS,      R(CONTROL),     R(FILTER),       "ut",     FD_NO)                       \
		/* 1 kept, why not */                                                             \
	X(REPORT_POST,    R(CONTROL),     R(RELAY),        "ttb",    FD_NO)                       \
		/* hand a report in: https URL, media type, file */                               \
	X(REPORT_POSTED,  R(RELAY),       R(CONTROL),      "ut",     FD_NO)                       \
		/* enum put_status, why */                                                        \
	/* -- directory */                                                                        \
	X(DIR_RCPT,       R(SMTPD)|R(CONTROL)|R(QUEUE), R(DIRECTORY), "t", FD_NO)                 \
		/* address (queue: of a sender who gets a report) */                              \
	X(DIR_RCPT_IS,    R(DIRECTORY),   R(SMTPD)|R(CONTROL)|R(QUEUE), "ut(uttttu)", FD_NO)      \
		/* enum rcpt_status, why; (enum rcpt_kind, address, home, folder, original,       \
		 * quota)* */                                                                     \
	X(DIR_SENDER,     R(SMTPD)|R(SIGNER), R(DIRECTORY), "tt",    FD_NO)                       \
		/* user, address: may this user send as it? */                                    \
	X(DIR_SENDER_IS,  R(DIRECTORY),   R(SMTPD)|R(SIGNER), "ut",  FD_NO)                       \
		/* enum sender_status, why */                                                     \
	X(DIR_FORWARD,    R(QUEUE),       R(DIRECTORY),    "tt",     FD_NO)                       \
		/* sender, our address that mail of theirs was sent to: under which sender does it\
		 * go on? */                                                                      \
	X(DIR_FORWARD_IS, R(DIRECTORY),   R(QUEUE),        "ut",     FD_NO)                       \
		/* 1 this one, 0 as it is, 2 cannot say now; sender */                            \
	X(DIR_CHANGED,    R(DIRECTORY),   R(SMTPD),        "",       FD_NO)                       \
		/* something is about to change: forget what was answered */                      \
	X(MDA_USAGE,      R(DIRECTORY),   R(MDA),          "tu",     FD_NO)                       \
		/* home, quota bytes (what maildirsize says) */                                   \
	X(MDA_USAGE_IS,   R(MDA),         R(DIRECTORY),    "uuu",    FD_NO)                       \
		/* 1 known, bytes, messages */                                                    \
	/* -- auth */                                                                             \
	X(AUTH_START,     R(SMTPD),       R(AUTH),         "uttbbub", FD_NO)                      \
		/* session, mechanism, client ip, its TLS as tls-exporter and tls-server-end-point\
		 * see it, 1 if an initial response, it */                                        \
	X(AUTH_STEP,      R(SMTPD),       R(AUTH),         "ub",     FD_NO)                       \
		/* session, client's response (decoded) */                                        \
	X(AUTH_ABORT,     R(SMTPD),       R(AUTH),         "u",      FD_NO)                       \
		/* session; no answer */                                                          \
	X(AUTH_IS,        R(AUTH),        R(SMTPD),        "ubtbt",  FD_NO)                       \
		/* enum auth_status, challenge, user, ticket (16 bytes), why */                   \
	X(AUTH_END,       R(SMTPD),       R(AUTH),         "b",      FD_NO)                       \
		/* ticket: its session is over; no answer */                                      \
	X(TICKET_CHECK,   R(QUEUE)|R(SIGNER), R(AUTH),     "b",      FD_NO)                       \
		/* ticket */                                                                      \
	X(TICKET_IS,      R(AUTH),        R(QUEUE)|R(SIGNER), "ut",  FD_NO)                       \
		/* 1 good, user */                                                                \
	/* -- filter, scan, signer */                                                             \
	X(FILTER_CHECK,   R(SMTPD)|R(CONTROL), R(FILTER),  "uuttttutubt", FD_MAY)                 \
		/* qid, enum listener_kind, ip, helo, from, user, tls 0/1, first rcpt, now us (0: \
		 * the clock), body (or fd), rdns hint */                                         \
	X(FILTER_IS,      R(FILTER),      R(SMTPD)|R(CONTROL), "uttbbuutu(ttut)", FD_NO)          \
		/* enum verdict, reply, why, prefix, cuts, score/1000, required/1000,             \
		 * authentication_results, enum chain_state; (check, result, score/1000, text)* */ \
	X(SCAN,           R(FILTER),      R(SCAN),         "ub",     FD_MAY)                      \
		/* qid, body (or fd) */                                                           \
	X(SCAN_IS,        R(SCAN),        R(FILTER),       "ut",     FD_NO)                       \
		/* enum scan_status, virus name or why */                                         \
	X(SIGN,           R(SMTPD),       R(SIGNER),       "ubbbu",  FD_MAY)                      \
		/* qid, ticket, prefix, body (or fd), 1: for seven bits, too */                   \
	X(SIGN_IS,        R(SIGNER),      R(SMTPD)|R(CONTROL), "ubt",    FD_NO)                       \
		/* enum sign_status, DKIM-Signature fields (as in a prefix: envelope.h), why */   \
	X(SEAL,           R(SMTPD),       R(SIGNER),       "ubbbutu", FD_MAY)                     \
		/* qid, the filter's prefix, body (or fd), cuts, enum chain_state, domain of the  \
		 * alias that sends it on, 1: for seven bits, too */                              \
	X(SEAL_IS,        R(SIGNER),      R(SMTPD),        "ubbt",   FD_NO)                       \
		/* enum sign_status, ARC set, that for seven bits, in words: whose it is, or why  \
		 * there is none */                                                               \
	X(SIGN_REPORT,    R(CONTROL),     R(SIGNER),       "b",      FD_NO)                       \
		/* a message from the address of reports; the answer is SIGN_IS */                \
	/* -- resolver */                                                                         \
	X(DNS_ASK,        R(FILTER)|R(RELAY)|R(SMTPD)|R(CONTROL), R(RESOLVER), "tu", FD_NO)       \
		/* name, rr type */                                                               \
	X(DNS_IS,         R(RESOLVER),    R(FILTER)|R(RELAY)|R(SMTPD)|R(CONTROL),                 \
	    "uuut(b)", FD_NO)                                                                     \
		/* enum dns_status, secure 0/1, ttl s, canonical name or why; (rdata, names       \
		 * uncompressed)* */                                                              \
	/* -- queue: an envelope may span QUEUE_RCPTS frames before its QUEUE_PUT */              \
	X(SPOOL_DATA,     R(SMTPD),       R(QUEUE),        "ub",     FD_NO)                       \
		/* qid, next bytes; opens the spool file */                                       \
	X(SPOOL_CREDIT,   R(QUEUE),       R(SMTPD),        "uut",    FD_NO)                       \
		/* qid, bytes more that may be sent (0: it failed), why */                        \
	X(SPOOL_END,      R(SMTPD),       R(QUEUE),        "uu",     FD_NO)                       \
		/* qid, size */                                                                   \
	X(SPOOL_IS,       R(QUEUE),       R(SMTPD),        "uut",    FD_MAY)                      \
		/* qid, enum put_status, why; O_RDONLY descriptor when 0 */                       \
	X(SPOOL_DROP,     R(SMTPD),       R(QUEUE),        "u",      FD_NO)                       \
		/* qid: forget it; no answer */                                                   \
	X(QUEUE_RCPTS,    R(SMTPD),       R(QUEUE),        "u(uttttut)", FD_NO)                   \
		/* qid; recipients as in envelope.c */                                            \
	X(QUEUE_PUT,      R(SMTPD)|R(CONTROL), R(QUEUE),   "uuttttbbbub(uttttut)", FD_NO)         \
		/* envelope: see envelope.c; control: from <>, a report to another domain */      \
	X(QUEUE_IS,       R(QUEUE),       R(SMTPD)|R(CONTROL), "ut",     FD_NO)                       \
		/* enum put_status, why */                                                        \
	/* -- delivery */                                                                         \
	X(MDA_STAGE,      R(QUEUE),       R(MDA),          "uubbb(utttb)", FD_MAY)                \
		/* qid, time us, prefix, cuts, body (or fd); (rcpt, home, folder, name stem, own  \
		 * head)* */                                                                      \
	X(MDA_STAGED,     R(MDA),         R(QUEUE),        "u(uutu)", FD_NO)                      \
		/* qid; (rcpt, enum step_status, staged name or why, size)*: the staged name is   \
		 * opaque, "STAGE/FILE"; keep it whole */                                         \
	X(MDA_PUBLISH,    R(QUEUE),       R(MDA),          "(uuttt)", FD_NO)                      \
		/* (qid, rcpt, home, folder, staged name)* */                                     \
	X(MDA_PUBLISHED,  R(MDA),         R(QUEUE),        "(uuut)", FD_NO)                       \
		/* (qid, rcpt, enum step_status, why)* */                                         \
	X(MDA_KEEP,       R(QUEUE),       R(MDA),          "(t)",    FD_NO)                       \
		/* staged names in use; as many frames as it takes, before MDA_UNSTAGE; no        \
		 * answer */                                                                      \
	X(MDA_UNSTAGE,    R(QUEUE),       R(MDA),          "(t)",    FD_NO)                       \
		/* the last of them: remove all other stage files (once, first thing on a new     \
		 * link) */                                                                       \
	X(MDA_UNSTAGED,   R(MDA),         R(QUEUE),        "u",      FD_NO)                       \
		/* files removed */                                                               \
	X(RELAY_SEND,     R(QUEUE),       R(RELAY),        "uutttbbb(utut)", FD_MAY)              \
		/* job, ENVELOPE_ flags, destination domain, from, envid, prefix, cuts, body (or  \
		 * fd); (rcpt, to, enum notify, orcpt)* */                                        \
	X(RELAY_SENT,     R(RELAY),       R(QUEUE),        "utt(uuuttu)", FD_NO)                  \
		/* job, host, its TLS in words; (rcpt, enum step_status, reply code or 0, enhanced\
		 * code, text, 1: the host will report success itself)* */                        \
	/* -- administration: verb and words from the CLI, rows of (key, value) back */           \
	X(ADMIN,          R(CONTROL),     R_OWNERS,        "t(tt)",  FD_MAY)                      \
		/* verb "user.add"; (key, value)* */                                              \
	X(ADMIN_ROW,      R_OWNERS,       R(CONTROL),      "(tt)",   FD_NO)                       \
		/* (key, value)*: one row of the answer */                                        \
	X(ADMIN_END,      R_OWNERS,       R(CONTROL),      "ut",     FD_NO)                       \
		/* enum err_kind (0 done), why */

enum msg {
	MSG_NONE,
#define X(name, from, to, fields, fd) MSG_##name,
	MSG_TABLE(X)
#undef X
	MSG_COUNT
};

struct msg_row {
	const char *name;
	unsigned from, to;	/* role sets */
	const char *fields;
	enum msg_fd fd;
};
extern const struct msg_row msg_rows[MSG_COUNT];

/* Is it one part of an answer, with more to come under the same request id? */
bool msg_is_partial(enum msg type);

/* A number that differs when the table does: two programs with the same one understand each
 * other. */
uint32_t msg_table_id(void);

/* Do the fields have the shape of their row? */
bool msg_shape_ok(enum msg type, struct slice fields);

/* -- values that stand in the fields */

enum setup_file {		/* SETUP_FILE */
	SETUP_FILE_STATE_DIR,	/* the state directory, O_PATH */
	SETUP_FILE_MAIL_DIR,
	SETUP_FILE_SPOOL_DIR,
	/* PEM chain, read-only; name: "" or the SNI name, and of a further one "/2" behind it */
	SETUP_FILE_TLS_CERT,
	SETUP_FILE_TLS_KEY,
	SETUP_FILE_DKIM_KEY,	/* PEM; name: "domain selector" */
	SETUP_FILE_SIGNATURES,	/* antivirus database directory */
	SETUP_FILE_SCAN_TMP,
	SETUP_FILE_CONTROL_SOCKET, /* a listening socket */
	SETUP_FILE_TRUST_ANCHOR,
	SETUP_FILE_HOSTS,
	SETUP_FILE_CA_BUNDLE,
	SETUP_FILE_TICKETS,	/* smtpd: shared memory, read-only: base/tickets.h */
	/* smtpd: shared memory (memfd, CLIENTS_BYTES; smtp/clients.c lays it out), the same for
	 * all of them */
	SETUP_FILE_CLIENTS,
	/* relay: a password in the first line; name: "" of relay.smarthost, or the route's title */
	SETUP_FILE_PASSWORD
};

#define CLIENTS_BYTES ((64 * (16384 + 16) + 16384 * 8) * sizeof(uint32_t))

enum listener_kind { LISTEN_MX, LISTEN_SUBMISSION, LISTEN_SUBMISSIONS, LISTEN_LMTP, LISTEN_LOCAL };

enum rcpt_status { RCPT_OK, RCPT_UNKNOWN, RCPT_NOT_OURS, RCPT_OVER_QUOTA, RCPT_TEMPORARY };
enum sender_status { SENDER_NOT_THEIRS, SENDER_OK, SENDER_LATER };
enum rcpt_kind { RCPT_LOCAL, RCPT_REMOTE };

enum auth_status { AUTH_OK, AUTH_CONTINUE, AUTH_BAD, AUTH_TEMPORARY, AUTH_NO_MECHANISM };

enum verdict { VERDICT_ACCEPT, VERDICT_JUNK, VERDICT_REFUSE, VERDICT_DEFER };
enum sign_status { SIGN_NO_KEY, SIGN_DONE, SIGN_LATER, SIGN_REFUSED };
/* The ARC seals of a message: not known, none there, whole, broken, broken before and said so. */
enum chain_state { CHAIN_UNKNOWN, CHAIN_NONE, CHAIN_PASS, CHAIN_FAIL, CHAIN_ENDED };
enum scan_status { SCAN_CLEAN, SCAN_INFECTED, SCAN_FAILED };
enum put_status { PUT_OK, PUT_TEMPORARY, PUT_FULL, PUT_REFUSED };
enum step_status { STEP_OK, STEP_TEMPORARY, STEP_PERMANENT };
enum dns_status { DNS_OK, DNS_NO_DATA, DNS_NXDOMAIN, DNS_TEMPORARY, DNS_BOGUS };

/* What happened to a message (or a client); the words are in event.c. */
enum trace_event {
	EVENT_CONNECT, EVENT_REFUSED, EVENT_ACCEPTED, EVENT_FILTERED, EVENT_DELIVERED,
	EVENT_RELAYED, EVENT_DEFERRED, EVENT_BOUNCED, EVENT_HELD, EVENT_DELETED, EVENT_AUTH_FAILED,
	EVENT_AUTH_OK, EVENT_EXPANDED, EVENT_SEALED, EVENT_COUNT
};

const char *role_name(enum role role);
/* ROLE_COUNT when there is none of that name. */
enum role role_of(struct slice name);
const char *trace_event_name(enum trace_event event);

#endif
