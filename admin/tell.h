/* tell - the reports that other domains ask us for, as files and as mails
 *
 * Pure functions: control collects what they are made of and sends them. */
#ifndef ADMIN_TELL_H
#define ADMIN_TELL_H

#include "base/buf.h"
#include "base/err.h"
#include "storage/history_dmarc.h"
#include "storage/history_tls_report.h"

#define TELL_ID_TEXT 80
#define TELL_XML_MAX (4 * 1024 * 1024)
/* of the compressed file; as base64 and with its header it is a mail that fits into a frame */
#define TELL_FILE_MAX (20 * 1024)

struct reporter {
	const char *hostname; /* ours */
	const char *from;     /* the address that reports come from */
};

/* What tells this report from every other about the same domain: letters and digits only, the same whenever
 * it is made of the same rows. */
void tell_id(char out[static TELL_ID_TEXT], const char *hostname, int64_t start, char kind, int64_t first);

/* The first `n` rows as XML by the schema of RFC 9990. -1: too long, or memory is gone. */
int tell_dmarc_xml(struct buf *out, const struct reporter *by, const struct dmarc_report *r, size_t n,
    const char *id);
/* As a gzip file (RFC 1952) without a name or time, so that equal reports are equal files. */
int tell_gzip(struct buf *out, struct slice text);
/* As many rows of the report as fit into TELL_FILE_MAX, compressed; *n says how many. -1 + err. */
int tell_dmarc_file(struct buf *out, const struct reporter *by, const struct dmarc_report *r,
    const char *id, size_t *n, struct err *err);

/* The first `policies` policies with `details` failures of them as JSON by RFC 8460 4.4. -1: as above. */
int tell_tls_json(struct buf *out, const struct reporter *by, const struct tls_report *r, size_t policies,
    size_t details, const char *id);
/* As much of it as fits into TELL_FILE_MAX, compressed. -1 + err. */
int tell_tls_file(struct buf *out, const struct reporter *by, const struct tls_report *r, const char *id,
    struct err *err);

struct tell_mail {
	const struct reporter *by;
	const char *to;
	const char *subject;   /* may hold CR LF and a blank where it is folded */
	const char *msgid;     /* with its <> */
	const char *fields;    /* more header fields, whole lines; "" for none */
	const char *multipart; /* "mixed", or "report; report-type=tlsrpt" */
	const char *text;      /* for people, lines end with CR LF */
	const char *type;      /* of the file: "application/gzip" */
	const char *name;      /* of the file */
	struct slice file;
	int64_t now;           /* us since 1970 */
};
/* The whole message with CR LF. A failed buffer: it does not fit. */
void tell_mail_write(struct buf *out, const struct tell_mail *m);

#endif
