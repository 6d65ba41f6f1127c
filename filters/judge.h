/* judge - one message under judgement: what is known of it, what DNS said so far, what the checks
 * found
 *
 * Checks are plain functions over this struct. A check that needs a DNS answer asks judge_dns();
 * when the answer is not there yet, the question is noted and the check returns CHECK_WAIT, to be
 * run again from its start when answers have come. So no check keeps a state, and all of them can
 * be tested with a table of answers. */
#ifndef FILTERS_JUDGE_H
#define FILTERS_JUDGE_H

#include "base/msg.h"
#include "base/pool.h"
#include "conf/conf.h"
#include "filters/mime.h"
#include "storage/score.h"

#define JUDGE_QUESTIONS_MAX 50 /* DNS questions of one message */
#define JUDGE_HITS_MAX 96
#define JUDGE_METHODS_MAX 32
#define JUDGE_PROOFS_MAX 16
#define JUDGE_RESULTS_MAX 12 /* of SPF and DKIM, for reports */
#define JUDGE_RECORDS_MAX 100 /* of one DNS answer; the rest is left out */
/* Bytes of one DNS answer, a larger one counts as none: all answers together must leave the pool room, or
 * a sender's zone could keep out the policy of another that he pretends to be. */
#define JUDGE_ANSWER_MAX (24 * 1024)
#define JUDGE_POOL_MAX (4 * 1024 * 1024)

/* Resource record types that the checks ask for. */
enum { RR_A = 1, RR_PTR = 12, RR_MX = 15, RR_TXT = 16, RR_AAAA = 28 };

struct facts { /* of the connection and the envelope; texts are borrowed */
	uint64_t qid;
	enum listener_kind kind;
	const char *ip, *helo, *from, *user, *rcpt;
	bool tls;
	int64_t now; /* us since 1970 */
	struct slice message;
};

struct answer { /* to a DNS question */
	enum dns_status status;
	size_t n;
	/* names in them uncompressed; the strings of TXT joined, which may hold NUL bytes */
	struct slice *rdata;
};

enum question_state { QUESTION_NEW, QUESTION_SENT, QUESTION_ANSWERED };
struct question {
	const char *name; /* lower case, no dot at the end */
	unsigned type;
	enum question_state state;
	struct answer answer;
};

struct hit {                  /* a row of the result */
	const char *check;    /* "spf", or the rule's name */
	const char *result;   /* "pass", "fail", "hit"... */
	const char *rule;     /* its name in X-Spam-Status, or NULL: none */
	int64_t score;        /* thousandths of a point */
	const char *text;     /* a sentence */
	unsigned row, number; /* of the check that says it, and its place there */
};

struct method { /* a result for Authentication-Results: "spf=pass smtp.mailfrom=a@b" */
	const char *text;
	unsigned row, number;
};

struct proof { /* a domain that a check has proven to stand behind the message */
	const char *by; /* "spf", "dkim" */
	const char *domain;
	bool unknown; /* DNS did not answer; it may be so */
};

struct auth_result { /* of SPF or of one signature, as reports tell it (RFC 9990) */
	const char *by;       /* "spf", "dkim" */
	const char *domain, *selector, *result, *why;
};

struct policy_seen { /* what a DMARC report says of the message */
	bool known;           /* a policy was found and applied */
	const char *from;     /* the domain in From */
	const char *domain, *organization;
	char policy[64];      /* as in storage/history_dmarc.h */
	const char *rua;      /* as published, only bytes of ASCII that can be printed */
	const char *disposition;
	bool dkim, spf;       /* aligned and good */
	const char *reason, *comment; /* why not what the domain wants; NULL: none */
};

/* What a check wants done whatever the score is: the domain's policy, a rule that knows no exception. */
struct demand {
	enum verdict verdict; /* VERDICT_ACCEPT: nothing */
	const char *reply, *why;
};

enum scan_state { SCAN_NOT_WANTED, SCAN_WANTED, SCAN_ASKED, SCAN_ANSWERED };

struct judge {
	struct facts facts;
	const struct conf *conf;
	struct pool *pool;
	struct score *learned; /* may be NULL */

	struct mime_field *fields; /* the message's header */
	size_t n_fields;
	struct slice content; /* behind the header */
	bool header_cut;      /* it was longer than we read */

	struct question questions[JUDGE_QUESTIONS_MAX];
	size_t n_questions, questions_most; /* no more of them now */
	size_t helo_questions;              /* those that SPF of the HELO name asked first */
	bool asked_too_much;
	bool dns_over; /* time is up: every new question is DNS_TEMPORARY */

	enum scan_state scan;
	enum scan_status scan_status;
	const char *scan_text;

	bool outside;         /* it came from outside, not from a user or a trusted network */
	bool spam_asked;      /* the rules that score were applied */
	unsigned checks_done; /* bit per row of the check table */
	struct hit hits[JUDGE_HITS_MAX];
	size_t n_hits;
	struct method methods[JUDGE_METHODS_MAX];
	size_t n_methods;
	struct proof proofs[JUDGE_PROOFS_MAX];
	size_t n_proofs;
	struct demand demand;
	struct auth_result results[JUDGE_RESULTS_MAX];
	size_t n_results;
	struct policy_seen seen;
	struct arc_chain *arc; /* arc_chain.h; NULL: not read yet */
	bool arc_passed;
	enum chain_state chain; /* for who sends it on */
	unsigned row; /* of the check that runs now */
};

/* Starts to judge. The facts, conf and score store are borrowed until judge_free. NULL: out of
 * memory. */
struct judge *judge_new(const struct facts *facts, const struct conf *conf, struct score *learned);
void judge_free(struct judge **j);

/* The answer, or NULL: it is not known yet and the question is noted. Names that cannot be asked
 * are NXDOMAIN, questions past the limit DNS_TEMPORARY. */
const struct answer *judge_dns(struct judge *j, const char *name, unsigned type);
/* Make the answer to a question known; data is copied, as it stands in DNS. What is too large or finds no
 * memory is DNS_TEMPORARY. */
void judge_answer(
    struct judge *j, size_t question, enum dns_status status, const struct slice *rdata, size_t n);
/* Does it wait for anything? */
bool judge_waits(const struct judge *j);
/* Give up on DNS: what is not answered, and every later question, is DNS_TEMPORARY. */
void judge_give_up_dns(struct judge *j);

/* Add a row. `rule` may be NULL. Texts other than `text` must be constants or in the pool; text is
 * formatted into it. */
void judge_hit(struct judge *j, const char *check, const char *result, const char *rule,
    int64_t score, const char *text, ...) __attribute__((format(printf, 6, 7)));
/* Add a method result to Authentication-Results; the text must be a constant or in the pool. */
void judge_method(struct judge *j, const char *text);

/* Note a domain proven (or perhaps so) by "spf" or "dkim". Texts must be constants or in the pool. */
void judge_prove(struct judge *j, const char *by, const char *domain, bool unknown);
/* Note a result for reports: texts must be constants or in the pool. */
void judge_result(struct judge *j, const struct auth_result *r);
/* Demand a verdict; the hardest one demanded counts. `reply` ("" when it is not refused) and `why`
 * must be constants or in the pool; NULL, for want of memory, defers the message. */
void judge_demand(struct judge *j, enum verdict verdict, const char *reply, const char *why);

/* Fields of that name: how many; *first (may be NULL) is the first. */
size_t judge_field(const struct judge *j, const char *name, const struct mime_field **first);
/* Text for a log line or a header: printable ASCII, the rest as '?', at most `max` bytes; in the
 * pool. */
const char *judge_clean(struct judge *j, struct slice text, size_t max);
/* A value for Authentication-Results: as it is when it is a plain token, else quoted (RFC
 * 8601 2.2). */
const char *judge_quote(struct judge *j, const char *value);
/* " reason=\"...\"" for Authentication-Results (RFC 8601 2.2), in the pool; "" for an empty text. */
const char *judge_reason(struct judge *j, const char *text);
/* The part behind the last @; "" when there is none. */
const char *address_domain(const char *address);

/* Reading rdata; false when it is malformed. */
bool rdata_name(struct slice rdata, size_t skip, char out[static 256]);

struct ip { /* v4-mapped v6 addresses are v4 */
	bool v6;
	uint8_t bytes[16];
};
bool ip_parse(const char *text, struct ip *ip);
/* Loopback, private, link-local, documentation excluded: does asking DNS about it make sense? */
bool ip_is_loopback(const struct ip *ip);
bool ip_is_private(const struct ip *ip);
/* "4.3.2.1" or the nibbles of a v6 address, for DNSBL and reverse zones. `out` holds 80 bytes. */
void ip_reverse(const struct ip *ip, char out[static 80]);
/* The same first `bits`? */
bool ip_in(const struct ip *ip, const uint8_t *network, unsigned bits);
bool ip_text(const struct ip *ip, char *out, size_t size);

#endif
