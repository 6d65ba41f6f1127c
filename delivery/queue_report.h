/* queue_report - tell a sender what became of his mail
 *
 * A report collects what one event said about recipients of one message. When it goes, it is
 * written as a new message of the queue, from <> to the sender, by the same commit that ends the
 * recipients it speaks of. */
#ifndef DELIVERY_QUEUE_REPORT_H
#define DELIVERY_QUEUE_REPORT_H

#include "delivery/queue.h"

struct report;

/* The recipient failed for good (its state is ENTRY_FAILED from now on); *r is made when NULL. */
void report_failed(struct report **r, struct entry *e, const struct outcome *o);
/* The recipient has it, and the sender asked to hear so (NOTIFY_SUCCESS); `relayed`: another host has it that will
 * not report. Its state is ENTRY_FAILED until the report is committed. */
void report_succeeded(struct report **r, struct entry *e, const struct outcome *o, bool relayed);
/* It is late; the entry is not touched. */
void report_delayed(struct report **r, struct entry *e, const struct outcome *o, int64_t until);
/* What has failed of a message so far (it->failed) goes, unless others of it are being sent just now. */
void report_when_done(struct item *it);
/* Send it off and set *r to NULL. Accepts NULL. */
void report_go(struct report **r);
/* The time of an ENTRY_OWED has come: its report is begun anew from its row. */
void owed_ready(struct entry *e);
/* Reports that wait for the directory are tried again. */
void report_retry(void);
/* Reports being made that wait for nobody who is away. */
unsigned report_in_flight(void);

#endif
