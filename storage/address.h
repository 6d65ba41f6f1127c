/* address - a mail address in the one form in which the stores keep and compare it
 *
 * The domain is lower-case ASCII (U-labels become A-labels, RFC 5890), the local part lower-case in
 * its ASCII letters and without quoting (RFC 5321 4.1.2). Two spellings of one mailbox give the
 * same struct. */
#ifndef STORAGE_ADDRESS_H
#define STORAGE_ADDRESS_H

#include "base/buf.h"
#include "base/err.h"

#define LOCAL_MAX 64                                          /* octets, RFC 5321 4.5.3.1.1 */
#define DOMAIN_MAX 255                                        /* RFC 5321 4.5.3.1.2 */
#define ADDRESS_SIZE (2 * LOCAL_MAX + 2 + 1 + DOMAIN_MAX + 1) /* as text, quoted, with the NUL */

struct address {
	char local[LOCAL_MAX + 1];   /* "" when the address was "@domain" */
	char domain[DOMAIN_MAX + 1]; /* "" when there was none; "[...]" for an address literal */
};

/* Read "local@domain", "\"lo cal\"@domain", "@domain" or "local". ERR_USAGE says what is wrong with
 * it. */
int address_read(struct slice text, struct address *out, struct err *err);
/* Only the domain; ERR_USAGE. `out` holds DOMAIN_MAX + 1 bytes. */
int domain_read(struct slice text, char *out, struct err *err);
/* As text, with quotes where the local part needs them. `out` holds ADDRESS_SIZE bytes. */
void address_text(const struct address *a, char *out);
/* May it name a mailbox of ours? Its local part becomes the name of a folder and of a login:
 * letters, digits and
 * !#$&'*+-=?^_`{}~ with single dots between them. ERR_USAGE says why not. */
int address_is_mailbox(const struct address *a, struct err *err);

#endif
