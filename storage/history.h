/* history - what happened to every message, kept for the trace
 *
 * history.db has one table of events with an index for each thing an administrator may know of a
 * message: its queue id, Message-ID, an address, the client's IP. Only `control` writes it, a batch
 * a transaction; it is not part of the way to 250, so a power cut may cost the last second of it.
 */
#ifndef STORAGE_HISTORY_H
#define STORAGE_HISTORY_H

#include "base/msg.h"
#include "storage/db.h"

#define HISTORY_TEXT_MAX 1000  /* bytes kept of any one text */
#define HISTORY_ROWS_MAX 20000 /* events that one question may yield */

extern const struct db_schema history_schema;

struct history;

struct history_event {
	int64_t seq;  /* grows by age; 0 when not stored yet */
	int64_t time; /* us since 1970 */
	uint64_t qid; /* 0: belongs to no message */
	enum trace_event event;
	enum role role;                                   /* who told */
	const char *text, *from, *to, *ip, *msgid, *user; /* "" when unknown */
};

/* Open history.db in the working directory. NULL + err when it cannot. */
struct history *history_open(enum db_mode mode, struct err *err);
/* Sets *h to NULL; accepts NULL. */
void history_close(struct history **h);
/* For the other tables of the file: history_tls.c. */
sqlite3 *history_db(struct history *h);
/* All of them or none. */
int history_add(struct history *h, const struct history_event *events, size_t n, struct err *err);
/* Of the `most` oldest events, forget those from before `before` (us). Says how many went, or -1 + err. */
int history_forget(struct history *h, int64_t before, unsigned most, struct err *err);

enum history_key { HISTORY_QID, HISTORY_MAIL /* an address or a Message-ID */, HISTORY_IP };

struct history_query {
	enum history_key key;
	uint64_t qid;
	char text[400]; /* HISTORY_MAIL, HISTORY_IP */
	int64_t since;  /* us since 1970; 0: all */
	int64_t after;  /* only events whose seq is larger; 0: all */
};

/* What does the administrator mean: queue id, Message-ID (with or without <>), address or IP? -1 +
 * ERR_USAGE: none of them. */
int history_query_of(const char *what, struct history_query *q, struct err *err);
/* Every event that names the thing, and every other event of the messages they belong to, oldest
 * first. Texts are borrowed until fn returns. At most HISTORY_ROWS_MAX, the newest ones. Says how
 * many, or -1 + err. */
int history_find(struct history *h, const struct history_query *q,
    void (*fn)(void *arg, const struct history_event *e), void *arg, struct err *err);

#endif
