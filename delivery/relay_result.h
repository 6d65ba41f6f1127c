/* relay_result - what became of a recipient (or of a whole try), in status, codes and words */
#ifndef DELIVERY_RELAY_RESULT_H
#define DELIVERY_RELAY_RESULT_H

#include "base/msg.h"
#include "smtp/proto/reply.h"

#define RESULT_TEXT 400

struct result {
	enum step_status status;
	unsigned code;			/* the peer's reply code, or 0: then the words are ours */
	char enhanced[12];		/* "5.1.1" (RFC 3463) */
	char text[RESULT_TEXT];		/* printable ASCII, one line; without the codes and without the host's name */
};

void result_set(struct result *r, enum step_status status, const char *enhanced, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* From a peer's reply: 2yz fine, 4yz temporary, 5yz permanent, anything else temporary. The enhanced code is the peer's when its class
 * fits, else made from the reply's. */
void result_from_reply(struct result *r, const struct reply *reply);
/* Keep in `strongest` what counts when several hosts failed: the first temporary reason, else the first permanent one. true: `r` was
 * kept. */
bool result_keep(struct result *strongest, const struct result *r);

#endif
