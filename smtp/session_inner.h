/* session_inner - what the files of a session (session*.c) share and nobody else needs */
#ifndef SMTP_SESSION_INNER_H
#define SMTP_SESSION_INNER_H

#include "smtp/session.h"

/* session.c */

/* The end of it: all that it holds is given back, and nobody may touch it any more. */
void session_free(struct session *s);
/* After all steps: the session waits, or is over. May free it. */
void session_settle(struct session *s);

/* session_time.c */

/* The client is sending a message. */
bool session_in_body(const struct session *s);
/* Something happened: count the time from now. */
void session_move_deadline(struct session *s);
/* The deadline has passed. May free it. */
void session_timed_out(struct session *s);
/* 421, counted as one that overload sent away. */
void session_shed_reply(struct session *s, const char *why);

/* session_all.c */

void sessions_add(struct session *s);
void sessions_drop(struct session *s);

#endif
