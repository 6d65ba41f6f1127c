/* relay_idn - a domain as DNS knows it */
#ifndef DELIVERY_RELAY_IDN_H
#define DELIVERY_RELAY_IDN_H

#include "base/slice.h"

#define IDN_SIZE 256

/* Lower-case A-labels (RFC 5890) of a domain in either form; a literal stays one. false: it is no domain name. */
bool idn_ascii(struct slice domain, char out[static IDN_SIZE]);

#endif
