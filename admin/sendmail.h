/* sendmail - the classic door for local programs: message on stdin, handed to smtpd over its local
 * socket
 *
 *   sendmail.c         the command line, and what each mode does
 *   sendmail_head.c    the header of the message: recipients for -t, Bcc taken out
 *   sendmail_talk.c    the conversation with smtpd */
#ifndef ADMIN_SENDMAIL_H
#define ADMIN_SENDMAIL_H

#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"

#define HEAD_MAX (1u << 20) /* bytes of a header that is read into memory */
#define RECIPIENTS_MAX 10000
#define ADDRESS_TEXT_MAX 320

struct recipients {
	char **at;
	size_t n;
};

/* A copy is kept. -1: too many, too long, with blanks or control characters, or no memory. "bob"
 * becomes "bob@host". */
int recipients_add(struct recipients *r, struct slice address, const char *host, struct err *err);
void recipients_free(struct recipients *r);

/* The addresses in the value of To, Cc or Bcc (RFC 5322 3.4: comments, quoted names, groups,
 * <...>). -1 + err. */
int head_addresses(struct slice value, struct recipients *r, const char *host, struct err *err);
/* Go through a header (lines end in LF, without the empty line): add the addresses of To, Cc and
 * Bcc to `r` when it is not NULL, and copy all but Bcc to `out`. */
int head_take(
    struct slice head, struct recipients *r, const char *host, struct buf *out, struct err *err);
/* Does a message that begins with this line have a header at all? "Subject: x" does, "Hello Bob,"
 * does not. */
bool head_begins(struct slice line);

struct mail {
	const char *from; /* "" is the null sender */
	const struct recipients *to;
	const char *ret, *envid, *notify; /* DSN (RFC 3461), or NULL */
	struct slice head;                /* lines end in LF; with its empty line */
	FILE *rest;                       /* what follows, until its end or a lone "." */
	bool dot_is_text;                 /* -i */
	bool verbose;                     /* show the conversation on stderr */
};

/* A connection to smtpd's socket, or -1 with errno. */
int talk_connect(const char *path);
/* Hand the mail over. 0, or an exit status of sysexits.h, told on stderr. */
int talk_send(int fd, const char *host, const struct mail *m);
/* Let stdin and stdout speak SMTP with it themselves. */
int talk_through(int fd);

#endif
