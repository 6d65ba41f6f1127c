/* dkim_key - the private keys that sign our users' mail, as files
 *
 * keys/DOMAIN.SELECTOR.pem below state_dir (a selector has no dot): PKCS#8, mode 0600, root's. The
 * supervisor hands them to `signer` as SETUP_FILE_DKIM_KEY named "DOMAIN SELECTOR STATE SINCE SEEN"
 * (dkim_state.h; the last three may be missing: active); nobody else reads them. Linked by programs of root only. */
#ifndef FILTERS_DKIM_KEY_H
#define FILTERS_DKIM_KEY_H

#include <stddef.h>

#include "filters/dkim_state.h"

#define DKIM_RECORD_SIZE 1024 /* holds the record of a 4096-bit RSA key */

enum dkim_algorithm { DKIM_RSA, DKIM_ED25519 };

/* Make a key (RSA of 2048 bits, or Ed25519) under DKIM_KEYS_DIR of the working directory and say
 * its selector (today's date, with a letter behind it if there is one of that name). `domain` in
 * lower case; `state` is how it begins. Durable when it returns 0. */
int dkim_key_create(const char *domain, enum dkim_algorithm algorithm, enum dkim_state state,
    char selector[static DKIM_SELECTOR_SIZE], struct err *err);

/* Call fn for every key file (sorted by domain, then selector) until it returns non-zero; returns
 * that, 0 at the end, -1 + err when DKIM_KEYS_DIR cannot be read (a missing one is empty). `path`
 * is relative to the working directory. */
int dkim_key_each(int (*fn)(void *arg, const char *domain, const char *selector, const char *path),
    void *arg, struct err *err);

/* The text to publish at SELECTOR._domainkey.DOMAIN ("v=DKIM1; k=rsa; p=...", RFC 6376 3.6.1, RFC
 * 8463) of the private key in this open file (read from its start; the descriptor stays yours), and
 * which kind it is. */
int dkim_key_record(
    int fd, enum dkim_algorithm *algorithm, char record[static DKIM_RECORD_SIZE], struct err *err);

/* "rsa", "ed25519". */
const char *dkim_algorithm_name(enum dkim_algorithm algorithm);

#endif
