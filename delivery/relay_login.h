/* relay_login - names and passwords for the hosts that want a login: relay.smarthost, and hosts of routes */
#ifndef DELIVERY_RELAY_LOGIN_H
#define DELIVERY_RELAY_LOGIN_H

#include "delivery/relay_result.h"
#include "delivery/route.h"

struct login {
	char name[LOGIN_NAME];
	const char *user;	/* the configuration's */
	char *password;		/* NULL: its file was not there, or holds none */
	int64_t paused_until;	/* clock_mono; 0: it is not */
	struct result refusal;	/* why */
};

/* Read all of them anew, from the configuration and the files that the supervisor gave; pauses are over. */
void logins_read(void);
/* Borrowed until logins_read. NULL: the configuration has none of this name. */
const struct login *login_find(const char *name);
/* The host refused it: it is not tried again for a while, since many hosts shut an account after some wrong passwords. */
void login_refused(const char *name, const struct result *why);
/* Is it paused? `why` is then what the host said. */
bool login_paused(const char *name, struct result *why);
/* The options that make it up, for sentences: "relay.username and the password in relay.password_file". */
void login_options(const char *name, char *out, size_t size);

#endif
