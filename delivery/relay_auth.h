/* relay_auth - our login at a host that wants one (AUTH, RFC 4954), between TLS and the first mail */
#ifndef DELIVERY_RELAY_AUTH_H
#define DELIVERY_RELAY_AUTH_H

#include "delivery/relay_session.h"

struct auth;

/* Log in as the session's route says: session_become_ready() follows, or session_fail(). */
void auth_begin(struct session *s);
/* A reply arrived in SESSION_AUTH. */
void auth_reply(struct session *s);
/* Sets *auth to NULL; accepts NULL. */
void auth_end(struct auth **auth);

#endif
