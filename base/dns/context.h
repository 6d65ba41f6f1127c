/* context - libunbound, set up as the configuration says */
#ifndef BASE_DNS_CONTEXT_H
#define BASE_DNS_CONTEXT_H

#include <event2/event.h>
#include <unbound.h>

struct conf;
struct err;

/* Read what must be read before confinement (trust anchor; generated configuration file). -1 +
 * err. */
int context_prepare(const struct conf *conf, int anchor_fd, struct err *err);
/* A context on `base` for these options: forwards to resolver.servers when there are any (and then
 * asks them about every zone), else resolves from the root. Finished: it opens no more files. Free
 * it with ub_ctx_delete(). NULL + err. */
struct ub_ctx *context_new(struct event_base *base, const struct conf *conf, struct err *err);

#endif
