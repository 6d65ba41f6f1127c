/* base64 - as SASL exchanges use it (RFC 4648 4): padded, no line breaks, nothing else tolerated */
#ifndef SMTP_PROTO_BASE64_H
#define SMTP_PROTO_BASE64_H

#include "base/buf.h"

/* Append the decoded bytes. -1: not base64, or `out` is full. */
int base64_decode(struct buf *out, struct slice text);
int base64_encode(struct buf *out, struct slice bytes);

#endif
