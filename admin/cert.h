/* cert - certificates: making a self-signed one, and looking at one as a peer would */
#ifndef ADMIN_CERT_H
#define ADMIN_CERT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Write a new key (EC P-256, mode 0600) and a self-signed certificate for `hostname` (ten years).
 * Neither file may exist. */
int cert_make(const char *hostname, const char *certificate, const char *key, struct err *err);

struct cert_look {
	int64_t until;   /* seconds since 1970 */
	bool started;    /* not before is past */
	bool names_host; /* it is for `hostname` */
	bool self_signed;
	bool key_fits;
};
/* Read both and compare. -1 + err: one cannot be read. `key` may be NULL: not looked at. */
int cert_look(const char *certificate, const char *key, const char *hostname, struct cert_look *out,
    struct err *err);

#define CERT_PIN_SIZE 65
/* The SHA-256 of a certificate's public key in hexadecimal: what follows "3 1 1" in a TLSA record (RFC
 * 6698 2.1, 7671 5.1). */
int cert_pin(const char *certificate, char out[static CERT_PIN_SIZE], struct err *err);
/* The same of a private key whose certificate is not there yet. */
int cert_key_pin(const char *key, char out[static CERT_PIN_SIZE], struct err *err);
#define CERT_NEXT ".next" /* behind tls.key: the key that comes after it */

#endif
