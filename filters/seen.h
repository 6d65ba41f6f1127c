/* seen - tells control how messages fared under DMARC, for the reports that their domains want */
#ifndef FILTERS_SEEN_H
#define FILTERS_SEEN_H

#include "base/err.h"
#include "filters/judge.h"

int seen_start(struct err *err);
/* The message was decided upon: note it when its domain wants reports. Never waits. */
void seen_note(const struct judge *j, enum verdict verdict);
/* Send what was noted now. */
void seen_flush(void);

#endif
