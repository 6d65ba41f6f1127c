/* report_mail - the attachments of a message that may be reports, decoded */
#ifndef FILTERS_REPORT_MAIL_H
#define FILTERS_REPORT_MAIL_H

#include "base/buf.h"

#define REPORT_PARTS_MAX 4
#define REPORT_PACKED_MAX (10u << 20) /* bytes of one of them */

struct report_mail {
	struct {
		char file[256]; /* its name, "" when it has none */
		struct buf bytes; /* .failed: it is too large */
	} part[REPORT_PARTS_MAX];
	size_t n, left; /* left: beyond REPORT_PARTS_MAX */
};

/* Which parts: by media type, or by the end of the file name where the type says nothing. */
void report_mail_find(struct slice message, struct report_mail *m);
void report_mail_free(struct report_mail *m);
/* The domain in the name that reporters give their files: "receiver!DOMAIN!begin!end.xml.gz" (RFC 9990,
 * RFC 8460 5.3). "" when it is no such name. `out` holds 256 bytes. */
void report_mail_domain(const char *file, char out[static 256]);

#endif
