/* reports - reads the reports of other servers that come with accepted mail, beside the judging
 *
 * For `filter` alone. The verdict has been given when reading begins: a bad report delays and refuses
 * nothing. Reading goes on piece by piece between other work; what was read goes to `control`. */
#ifndef FILTERS_REPORTS_H
#define FILTERS_REPORTS_H

#include "filters/judge.h"

/* A message that is accepted: is it for a report address? Then take what is attached (the message may go
 * when this returns). */
void reports_look(const struct judge *j);
/* Nothing is being read. */
bool reports_idle(void);
/* `fn` is called whenever nothing is left to read. */
void reports_on_idle(void (*fn)(void));

#endif
