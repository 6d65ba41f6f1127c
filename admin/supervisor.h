/* supervisor - starts the roles, links them to each other, brings back what dies, reloads and stops
 * them
 *
 * The only process with root's rights (five capabilities of them). It reads no byte from the
 * network and opens nothing by a name that came from outside. */
#ifndef ADMIN_SUPERVISOR_H
#define ADMIN_SUPERVISOR_H

#include <event2/event.h>
#include <sys/types.h>

#include "base/link.h"
#include "base/process.h"
#include "conf/conf.h"
#include "storage/prepare.h"

#define CHILDREN_MAX 128

enum child_state {
	CHILD_DOWN,
	CHILD_STARTING,
	CHILD_READY,
	CHILD_FAILED,
	CHILD_LEAVING,	/* another has its seat; it ends when its sessions have */
	CHILD_UNUSED	/* a free place in the table */
};

struct child {			/* one process of a role, over all its lives */
	enum role role;
	unsigned number;	/* of its kind; no two processes that run have the same */
	unsigned seat;		/* of its kind: whose listeners it has */
	bool fresh;		/* it will take the place of the one that has its seat: replace.c */
	bool asked;		/* its answer to a reload is awaited */
	unsigned renewing;	/* answers about renewed certificates that it owes */
	pid_t pid;		/* 0: not running */
	struct link *link;
	enum child_state state;
	unsigned restarts;
	unsigned pause_ms;	/* before the next start; doubles while it keeps dying young */
	int64_t started;	/* clock_mono */
	struct event *timer;	/* the pause; or the patience with a process whose link ended */
	bool told_go;
};

struct supervisor {
	struct event_base *base;
	const char *conf_file;
	struct conf *conf;
	struct prepare_owner owners[ROLE_COUNT];
	int programs[ROLE_COUNT];	/* descriptors, opened before any right is given up */
	int state_dir, mail_dir, scan_dir;
	int clients;			/* smtpd's shared counts */
	int control_socket;
	struct child children[CHILDREN_MAX];
	unsigned n_children;
	bool announced;			/* "ready" was said */
	bool stopping;
	bool notes_told;		/* what renewed certificates brought was logged */
	int tickets;			/* smtpd's keys of session tickets, read-only */
	unsigned smtpds;		/* seats */
};

extern struct supervisor supervisor;

/* -- supervisor.c */
/* Make the table of children and start them all. */
int supervisor_start(struct err *err);
/* Tell those to go that need not wait for others any more. */
void supervisor_go(void);
/* What the roles may say. */
extern const struct msg_handler supervisor_handlers[];

/* -- child.c: the processes of the roles */
/* Make the table from base/process.c, and hear of their deaths. */
int child_table(struct err *err);
/* A free place in the table, state CHILD_UNUSED, with its timer; NULL + err when it is full. */
struct child *child_add(enum role role, struct err *err);
void child_start(struct child *c);
struct child *child_of_link(const struct link *l);
/* "smtpd 1", or "queue" when there is one only; valid until the next call. */
const char *child_name(const struct child *c);

/* -- reload.c */
/* Read the file again and hand it out; -1 + err: the old configuration stays. */
int reload_begin(struct err *err);
bool reload_under_way(void);
/* Do it once more when this one has ended. */
void reload_again(void);
/* Whom to tell how it went. */
void reload_tell(struct reply_to to);
/* One of the roles took it, or refused it and says why. */
void reload_answer(const char *name, const char *refused);

/* -- stop.c */
/* Safe to call twice. */
void stop_begin(void);
/* On to the next phase when nothing of this one runs any more: a process has ended. */
void stop_next(void);

/* -- replace.c: new processes of smtpd for old ones */
/* 1: they have to be replaced, and everything for it is ready; 0: no need; -1 + err: it cannot be,
 * and nothing changed. */
int replace_prepare(const struct conf *old, const struct conf *new, struct err *err);
/* Start the new ones; returns how many there are. Each ends in replace_ready or replace_failed. */
unsigned replace_start(void);
bool replace_under_way(void);
/* One of the new ones is ready. */
void replace_ready(void);
/* One of the new ones ended before all were ready: all of them go. */
void replace_failed(void);
/* What to tell of the exit status of one that never was ready. */
const char *replace_why(int status);

/* -- watch.c: certificates that change on the disk; the keys of session tickets */
int watch_start(struct err *err);
/* What lies there now is about to be handed out. */
void watch_forget(void);
/* Log what smtpd says of renewed certificates, unless another one said it. */
void watch_notes(struct frame *f);

/* -- dkim_keys.c: what becomes of DKIM keys */
/* "server.dkim": change them, hand them to `signer`, and answer. */
void dkim_keys_change(struct frame *f, struct reply_to to);
/* The signer has taken them, or died and will get them at its start. */
void dkim_keys_taken(void);

/* -- relink.c: the links between the roles */
/* Link a role that was just started with all that run. */
void relink_all(struct child *c);
/* A role says that the link of that id to a peer has ended. If the peer lives, both get a new one,
 * after a pause that grows. */
void relink_lost(struct child *c, uint64_t peer, uint64_t number, uint32_t id);

/* -- spawn.c */
/* Open the programs of all roles: in the build directory when tegamid runs there, else ROLEDIR. */
int spawn_open_programs(struct err *err);
/* The role's program when another one lies there than the one in use; else -1. */
int spawn_new_program(enum role role);
/* Fork, become the role's user, run its program with one end of a socketpair on descriptor 3.
 * Returns the other end, or -1. */
int spawn_role(enum role role, unsigned number, pid_t *pid, struct err *err);

/* -- setup.c: what a role is given over its link */
/* Options, files and listeners. */
void setup_send(struct child *c);
/* Only the files. */
void setup_send_files(struct child *c);
void setup_go(struct child *c, bool reload);
/* A socketpair between two running roles whose rows name each other. Returns the id that both sides
 * know it by; 0: they are not to be linked; -1: they are, and it failed. */
int64_t setup_link(struct child *a, struct child *b);
/* Open every certificate, key and folder that the configuration names, to see that it can be
 * had. */
int setup_check_files(const struct conf *conf, struct err *err);

/* -- listen.c */
/* Bind all listeners of the configuration (a socket per smtpd and address) and the control
 * socket. */
int listen_open(const struct conf *conf, unsigned smtpds, struct err *err);
/* Open what the new configuration wants besides what is open, and keep both; -1 + err: nothing
 * changed. */
int listen_change(const struct conf *conf, unsigned smtpds, struct err *err);
/* Close what only the old configuration wanted, or (`changed` false) only the new one. */
void listen_settle(bool changed);
/* Hand the sockets of one smtpd over its link; `fresh`: those of the new configuration. */
void listen_send(struct link *l, unsigned seat, bool fresh);

/* -- privilege.c */
/* Keep only what a supervisor needs: SETUID, SETGID, KILL, NET_BIND_SERVICE, DAC_READ_SEARCH. No-op
 * when not root. */
int privilege_drop(struct err *err);
/* Tell systemd, when it asked ($NOTIFY_SOCKET): "READY=1" and so on. */
void service_notify(const char *text);

#endif
