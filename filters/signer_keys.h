/* signer_keys - the DKIM private keys, in the one process that has them */
#ifndef FILTERS_SIGNER_KEYS_H
#define FILTERS_SIGNER_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "filters/arc_seal.h"
#include "filters/dkim_key.h"
#include "filters/dkim_state.h"

#define SIGNER_KEYS_MAX 512

struct signer_key {
	char *domain, *selector, *pem;
	enum dkim_algorithm algorithm;
	struct dkim_standing standing;
	bool stopped; /* its record is missing or wrong: so control says, or said before a restart */
	char record[DKIM_RECORD_SIZE];
	EVP_PKEY *sealing; /* made of it when the first message is sealed */
};
struct signer_keys {
	struct signer_key *at[SIGNER_KEYS_MAX];
	size_t n;
};
extern struct signer_keys signer_keys; /* those that are in force */

/* All keys that were handed over, behind those that are there; one that is no good is left out and told. */
void signer_keys_read(struct signer_keys *all);
void signer_keys_free(struct signer_keys *all);
/* NULL: there is none. */
struct signer_key *signer_keys_find(const struct signer_keys *all, const char *domain, const char *selector);
/* Does it sign for the domain (lower case)? It is active, and control has not stopped it. */
bool signer_keys_signs(const struct signer_key *k, const char *domain);
bool signer_keys_have(const char *domain);
/* The first RSA key of the domain (lower case) that signs; borrowed until the next reload. false: none. */
bool signer_keys_rsa(const char *domain, struct arc_sealer *out);

#endif
