/* sts_text - what a domain publishes for MTA-STS (RFC 8461), as text: its TXT record and its policy */
#ifndef DELIVERY_STS_TEXT_H
#define DELIVERY_STS_TEXT_H

#include "base/slice.h"

#define STS_ID 33		/* with the NUL */
#define STS_MX_MAX 100		/* patterns kept */
#define STS_TEXT_MAX 8192	/* of a policy as it is kept */
#define STS_MAX_AGE 31557600	/* s: a year (RFC 8461 3.2) */

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };

/* The id in a TXT record "v=STSv1; id=..."; false: it is none, or a broken one. */
bool sts_record(struct slice txt, char id[static STS_ID]);

struct sts_policy {
	enum sts_mode mode;
	uint32_t max_age;		/* s */
	char text[STS_TEXT_MAX];	/* the lines that count, with LF between them */
};
/* NULL, or what is wrong with it. */
const char *sts_parse(struct slice text, struct sts_policy *p);
/* Does the policy name the host? A pattern "*.example.org" stands for one label (RFC 8461 4.1). */
bool sts_names(const char *text, const char *host);

#endif
