/* relay_report - hands TLS reports in over HTTPS (RFC 8460, "HTTPS Transport") */
#ifndef DELIVERY_RELAY_REPORT_H
#define DELIVERY_RELAY_REPORT_H

#include "base/link.h"

/* A REPORT_POST frame; answered with REPORT_POSTED when the other side has spoken. */
void report_post(struct frame *f);

#endif
