/* refusal - what a mail server means by its refusal, in plain words
 *
 * Reply codes say little and their texts are written by strangers; this is the one table that sorts
 * them, for the report to the sender, `tegami queue` and `tegami trace` alike. */
#ifndef BASE_REFUSAL_H
#define BASE_REFUSAL_H

#include <stddef.h>

enum refusal {
	REFUSAL_OTHER, /* nothing that the table knows */
	REFUSAL_UNKNOWN_USER,
	REFUSAL_DISABLED,
	REFUSAL_FULL,
	REFUSAL_GREYLISTED,
	REFUSAL_RATE,
	REFUSAL_BLOCK_LIST,
	REFUSAL_OUR_NAME, /* PTR, HELO */
	REFUSAL_AUTHENTICATION, /* SPF, DKIM, DMARC of our mail */
	REFUSAL_LOGIN,          /* our login at a smarthost */
	REFUSAL_RELAYING,
	REFUSAL_TLS,
	REFUSAL_SIZE,
	REFUSAL_CONTENT,
	REFUSAL_POLICY,
	REFUSAL_DOMAIN,
	REFUSAL_LOOP,
	REFUSAL_DNS,
	REFUSAL_NETWORK,
	REFUSAL_TROUBLE,
	REFUSAL_FEATURE, /* an extension that the mail needs is not there */
	REFUSALS
};

struct refusal_words {
	const char *name;   /* for programs: "unknown-user" */
	const char *means;  /* a sentence */
	const char *sender; /* what who wrote the mail can do */
	const char *admin;  /* what the administrator of this server can do */
};

/* Sort it: `code` is the SMTP reply (0: there was none, the words are ours), `enhanced` "5.1.1" or
 * "", `text` the rest. */
enum refusal refusal_of(unsigned code, const char *enhanced, const char *text);
/* The same from a line as the queue keeps it: "mx.peer.test[192.0.2.1]:25 said: 550 5.1.1 no such
 * user". */
enum refusal refusal_of_line(const char *line);
/* Words for each but REFUSAL_OTHER, whose are empty. */
const struct refusal_words *refusal_words(enum refusal refusal);

#endif
