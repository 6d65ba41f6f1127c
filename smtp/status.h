/* status - what `tegami status` tells of clients and overload */
#ifndef SMTP_STATUS_H
#define SMTP_STATUS_H

#include "base/link.h"

/* MSG_ADMIN: the numbers are those of all processes, so any of them may be asked. */
void status_serve(struct frame *f);

#endif
