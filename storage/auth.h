/* auth - what the files of the `auth` role share */
#ifndef STORAGE_AUTH_H
#define STORAGE_AUTH_H

#include "base/link.h"
#include "base/worker.h"
#include "storage/auth_limit.h"
#include "storage/auth_ticket.h"
#include "storage/credentials.h"

struct auth {
	struct credentials *credentials;
	struct auth_limit *limit;
	struct tickets *tickets;
	struct workers *workers;
};
extern struct auth auth;

/* -- auth_login.c: handlers of AUTH_START, AUTH_STEP, AUTH_ABORT */
void auth_on_start(struct frame *f);
void auth_on_step(struct frame *f);
void auth_on_abort(struct frame *f);
/* The process behind this link is gone: so are its exchanges. */
void auth_forget_link(uint64_t serial);
/* Drop exchanges that have waited too long for their client (`now`: clock_mono()). */
void auth_forget_old(int64_t now);

/* -- auth_used.c: when each password was last used, written in bundles */
void auth_used(const char *address, int slot, int64_t now);
void auth_used_write(void);

/* -- auth_admin.c: handler of ADMIN */
void auth_on_admin(struct frame *f);

#endif
