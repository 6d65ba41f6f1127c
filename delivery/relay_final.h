/* relay_final - the replies from the message on: they decide the recipients that the peer had accepted
 *
 * Between relay_mail.c and relay_final.c. */
#ifndef DELIVERY_RELAY_FINAL_H
#define DELIVERY_RELAY_FINAL_H

#include "delivery/relay_mail.h"

/* -- relay_final.c */
/* A reply after the whole message: one for all, in LMTP one for each accepted recipient (RFC 2033 4.2). */
void mail_final_reply(struct session *s);
/* A reply before the message is fully sent. */
void mail_early_reply(struct session *s);

/* -- relay_mail.c */
void mail_decide(struct mail *m, size_t i, const struct result *r);
/* All in `state` get the same result. */
void mail_decide_all(struct mail *m, enum rcpt_state state, const struct result *r);
/* The transaction is over; `clean`: the session needs no RSET. */
void mail_over(struct session *s, bool clean);
/* Over, and the peer is out of step: it must not get another byte. */
void mail_over_closed(struct session *s);

#endif
