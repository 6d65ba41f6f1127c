/* role_state - what the files of the harness share: role.c (the life of a role), role_told.c (the
 * configuration and files it was told), role_links.c (its peers) and role_events.c (its way to the
 * log). Nobody else includes it. */
#ifndef BASE_ROLE_STATE_H
#define BASE_ROLE_STATE_H

#include "base/role.h"

struct role_self {
	const struct role_ops *ops;
	struct event_base *base;
	unsigned number;	/* which of its kind */
	struct link *supervisor;
	bool running;		/* SETUP_GO was carried out */
	bool stopping;		/* SETUP_STOP came */
};
extern struct role_self role_self;

/* ---- role.c ---- */

/* Say READY or FAILED to the supervisor; `err` may be NULL. */
void role_say(enum msg type, const struct err *err);

/* ---- role_told.c ---- */

/* Kept until SETUP_GO. */
void role_on_config(struct frame *f);
void role_on_file(struct frame *f);
/* The first GO: what was told is in force. */
int role_told_first(struct err *err);
/* A later GO: it takes the place of what was in force, unless the role refuses it. Answers the
 * supervisor. */
void role_told_again(void);

/* ---- role_links.c ---- */

void role_on_link(struct frame *f);
/* The role runs: links that came before become links. */
void role_links_begin(void);

/* ---- role_events.c ---- */

/* Its timers; -1: no memory. */
int role_events_start(void);
/* From now on log lines go to control. */
void role_events_begin(void);
/* Send what waits, at the end of the process. */
void role_events_end(void);

#endif
