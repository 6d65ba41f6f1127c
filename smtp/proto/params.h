/* params - ESMTP parameters behind the path of MAIL and RCPT (RFC 5321 4.1.2)
 *
 * SIZE (RFC 1870), BODY (6152, 3030), SMTPUTF8 (6531), RET, ENVID, NOTIFY and ORCPT (3461), REQUIRETLS
 * (8689) and AUTH (4954). Each may be given once; its value is checked whole. */
#ifndef SMTP_PROTO_PARAMS_H
#define SMTP_PROTO_PARAMS_H

#include "base/envelope.h"

enum params_for { PARAMS_MAIL = 1, PARAMS_RCPT = 2 };
enum params_status {
	PARAMS_OK,
	PARAMS_SYNTAX,  /* 501 5.5.4 */
	PARAMS_TWICE,   /* 501 5.5.4 */
	PARAMS_UNKNOWN, /* 555 5.5.4 */
	PARAMS_VALUE,   /* 501 5.5.4: the value is none of that parameter's */
	PARAMS_LONG     /* 501 5.5.4 */
};

enum params_body { BODY_7BIT, BODY_8BIT, BODY_BINARY };
enum params_ret { RET_NONE, RET_FULL, RET_HDRS };

struct params {
	bool has_size, has_body, has_auth, has_utf8, has_requiretls, has_ret, has_envid, has_notify,
	    has_orcpt;
	uint64_t size; /* 0 when absent */
	enum params_body body;
	enum params_ret ret;
	unsigned notify;           /* enum notify; 0 when absent */
	struct slice envid, orcpt; /* as written, into `args`; checked */
};

/* Read them all. `utf8`: the values of this message's parameters may hold UTF-8 (SMTPUTF8 was given;
 * the parameter itself counts for the rest of its line). *culprit is the parameter that is wrong
 * (into `args`). */
enum params_status params_read(
    struct slice args, enum params_for where, bool utf8, struct params *out, struct slice *culprit);
const char *params_why(enum params_status status);

#endif
