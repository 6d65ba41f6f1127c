/* params - ESMTP parameters behind the path of MAIL and RCPT (RFC 5321 4.1.2, 1870, 6152, 4954) */
#ifndef SMTP_PROTO_PARAMS_H
#define SMTP_PROTO_PARAMS_H

#include "base/slice.h"

enum params_for { PARAMS_MAIL = 1, PARAMS_RCPT = 2 };
enum params_status {
	PARAMS_OK,
	PARAMS_SYNTAX,  /* 501 5.5.4 */
	PARAMS_TWICE,   /* 501 5.5.4 */
	PARAMS_UNKNOWN, /* 555 5.5.4 */
	PARAMS_VALUE    /* 501 5.5.4: the value is none of that parameter's */
};

struct params {
	bool has_size, has_body, has_auth;
	uint64_t size;  /* SIZE=, 0 when absent */
	bool eight_bit; /* BODY=8BITMIME */
};

/* Read them all. *culprit is the parameter that is wrong (into `args`). */
enum params_status params_read(
    struct slice args, enum params_for where, struct params *out, struct slice *culprit);
const char *params_why(enum params_status status);

#endif
