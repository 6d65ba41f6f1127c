/* control_dkim - control's part in the life of DKIM keys: it looks for their records in DNS and says what follows
 *
 * control_dkim_look.c asks `signer` which keys there are and DNS for the record of each; dkim_rule.c decides;
 * control_dkim.c has it done: by tegamid (which writes states down and hands keys out) and by signer (which stops and goes
 * on), and answers the administrator. */
#ifndef ADMIN_CONTROL_DKIM_H
#define ADMIN_CONTROL_DKIM_H

#include "admin/control.h"
#include "admin/dkim_rule.h"

#define DKIM_LOOKS_MAX 512

struct dkim_looks {
	struct dkim_look at[DKIM_LOOKS_MAX];
	size_t n;
};

/* Ask for all keys and their records; `done` comes once, later or at once: 0, or -1 + err (the keys are not known). One at a
 * time. What DNS does not say this time is DKIM_DNS_UNKNOWN. */
void dkim_looks_start(struct dkim_looks *out, void (*done)(int rc, const struct err *err));
/* What the last pass that ended saw of a key; DKIM_DNS_UNKNOWN for one it did not know. */
enum dkim_dns dkim_seen(const char *domain, const char *selector);

/* Every dkim.check_every, from now on. */
int dkim_watch_start(struct err *err);
/* Look again soon: the signer is new, or has new keys. */
void dkim_watch_soon(void);

/* "dkim.list", "dkim.activate" */
void dkim_list_start(struct request *r);
void dkim_activate_start(struct request *r);

#endif
