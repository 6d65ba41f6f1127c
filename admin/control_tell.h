/* control_tell - reports to other domains, inside control
 *
 *   control_dmarc.c       takes filter's notes
 *   control_tell.c        what is due, and to whom; what is done with it afterwards
 *   control_tell_dmarc.c  the two kinds of reports
 *   control_tell_tls.c
 *   control_post.c        one report to one destination: may it go there, sign, queue */
#ifndef ADMIN_CONTROL_TELL_H
#define ADMIN_CONTROL_TELL_H

#include "admin/control.h"
#include "admin/tell.h"
#include "base/rua.h"

/* A DMARC_SEEN frame. */
void dmarc_take(struct frame *f);

int tell_start(struct err *err);

/* -- one destination */

enum post_end {
	POST_SENT,  /* the queue has it, or who wanted it */
	POST_NEVER, /* this destination gets none */
	POST_LATER, /* somebody who is needed does not answer just now */
	POST_STOP   /* no report can be sent as things are */
};

struct post { /* all but the last part is the asker's, and stays his */
	struct tell_mail mail;    /* `to` is set here; of it all an https: URL gets is the file and its type */
	struct rua to;
	const char *domain;       /* the report is about */
	const char *organization; /* hosts of it need no permission; NULL: none is needed at all */
	unsigned flags;           /* ENVELOPE_* */
	/* called once, later or at once; `why` is words for the log */
	void (*done)(struct post *p, enum post_end end, const char *why);

	struct pool *pool;
	struct rcpt *rcpts;
	size_t n_rcpts;
	struct buf message;
};
void post_start(struct post *p);

/* -- one report */

struct telling {
	struct job job; /* first */
	struct pool *pool;
	const struct tell_kind *kind;
	struct reporter by;
	char from[320];
	int64_t now; /* s: of the job that runs */
	bool wanted[2]; /* kinds, as the configuration says */
	bool at_once;   /* reports of less than a day */
	int rc;
	struct err err;

	/* what its kind says of it */
	struct dmarc_report dmarc;
	struct tls_report tls;
	size_t rows; /* of the DMARC report that are in the file */
	const char *domain, *organization;
	int64_t start, until; /* s since 1970 */
	char id[TELL_ID_TEXT];
	char ask[300]; /* where in DNS its destinations stand; "": in `to` already */
	struct buf file;
	char subject[800], name[800], msgid[400], text[1200], fields[700];

	struct rua to[RUA_MAX];
	bool has[RUA_MAX]; /* what was sent before a crash */
	size_t n, at;
	bool later, no_mail;   /* some wait; mails cannot be signed */
	int64_t tries;         /* that were made before */
	char why[700];         /* why it waits: of the last one */
	struct post post;
};

struct tell_kind {
	const char *name;
	/* In the keeper's thread. 1: one is due and made, 0: none is, -1 + t->err. */
	int (*load)(struct telling *t);
	/* Is the text the record that was asked for? *rua is its list. */
	bool (*record)(struct slice text, struct slice *rua);
	/* Set name, text and fields. */
	void (*texts)(struct telling *t);
	/* In the keeper's thread: it is told; it is due again at `next` (s). 0, -1 + t->err. */
	int (*told)(struct telling *t);
	int (*later)(struct telling *t, int64_t next);
	const char *multipart, *type; /* as in struct tell_mail */
	unsigned flags;               /* of the envelope */
	bool https;                   /* it may go to https: URLs, too */
};
extern const struct tell_kind tell_dmarc, tell_tls;

#endif
