/* role - what every long-running process of the server does alike
 *
 * Started by tegamid with its uid already changed, one link to it on descriptor 3, its own folder
 * as working directory. main reads: acquire, confine, serve.
 *   1. take set-up frames (config, links, listeners, files) until SETUP_GO
 *   2. ops->open: open every database and file
 *   3. confine: landlock and system-call filter of the role's row (process.c)
 *   4. ops->start: threads, timers, first work
 *   5. ROLE_READY; event loop until SETUP_STOP or the supervisor is gone */
#ifndef BASE_ROLE_H
#define BASE_ROLE_H

#include <event2/event.h>

#include "base/err.h"
#include "base/link.h"
#include "base/log.h"

#define FD_SUPERVISOR 3
/* exit status: the program and tegamid do not have the same table of messages */
#define ROLE_OTHER_VERSION 4

struct conf;			/* conf/conf.h */

struct role_ops {
	enum role role;
	const struct msg_handler *handlers;
	int (*open)(struct err *err);		/* may be NULL, like all below */
	int (*start)(struct err *err);
	void (*link_up)(struct link *l);	/* a peer is there (also at start, before `open`) */
	void (*link_down)(struct link *l);	/* answers waiting were told already */
	/* role_conf() is the new one; -1: it refuses (and logs why); the old one comes back */
	int (*reload)(struct err *err);
	/* new files with the old configuration; `notes`: (log level, line)* for the log */
	int (*renew)(struct buf *notes, struct err *err);
	/* another process takes over: finish, then role_exit() */
	void (*drain)(void);
	/* finish what is under way, then role_exit(); NULL: exit at once */
	void (*stop)(void);
	void (*listener)(int fd, enum listener_kind kind, const char *name, const char *address);
};

/* How the harness, which stands below conf, makes a configuration: defined in conf/role_conf.c. */
struct role_conf_ops {
	struct conf *(*fresh)(void);
	int (*hear)(struct conf *c, const char *path, const char *value, struct err *err);
	void (*free)(struct conf *c);
	enum log_level (*level)(const struct conf *c);
	const char *(*hostname)(const struct conf *c);
};
extern const struct role_conf_ops role_conf_ops;

/* The whole life of a role; returns main()'s exit status. */
int role_main(const struct role_ops *ops);

/* For code inside a role: */
struct event_base *role_base(void);
const struct conf *role_conf(void);
/* Which of its kind this process is: 0, 1, ... */
unsigned role_number(void);
/* A live link to the role, the one with the fewest unanswered requests if there are several; NULL
 * when none. Also to tegamid. */
struct link *role_link(enum role peer);
/* The i-th live link to the role, or NULL. */
struct link *role_link_at(enum role peer, unsigned i);
/* The descriptor of a file handed over at start (or by the last reload); -1 when it was not.
 * Borrowed. */
int role_file(enum setup_file kind, const char *name);
/* Walk all files of a kind: i = 0, 1, ...; -1 at the end. *name is borrowed. */
int role_file_at(enum setup_file kind, unsigned i, const char **name);
void role_exit(int status);
/* Is SETUP_STOP under way? */
bool role_stopping(void);

/* Tell history and log about a message; see msg.h EVENT. NULL texts are "". Dropped and counted
 * under overload. */
struct event_note {
	uint64_t qid;
	enum trace_event event;
	const char *text, *from, *to, *ip, *msgid, *user;
};
void role_event(const struct event_note *note);

#endif
