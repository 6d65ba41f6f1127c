/* signer_keys - the DKIM private keys, in the one process that has them
 *
 * They come as descriptors named "DOMAIN SELECTOR STATE SINCE SEEN STOPPED" from the supervisor (dkim_state.h). Memory that
 * held a private key is wiped before it is given back. */
#include "filters/signer_keys.h"

#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/role.h"

#define PEM_MAX (16 * 1024)

struct signer_keys signer_keys;

static void
key_free(struct signer_key *k)
{
	if (k == NULL)
		return;
	free(k->domain);
	free(k->selector);
	EVP_PKEY_free(k->sealing);
	if (k->pem != NULL) {
		explicit_bzero(k->pem, strlen(k->pem));
		free(k->pem);
	}
	free(k);
}

void
signer_keys_free(struct signer_keys *all)
{
	for (size_t i = 0; i < all->n; i++)
		key_free(all->at[i]);
	all->n = 0;
}

static char *
read_pem(int fd)
{
	char *text = calloc(1, PEM_MAX + 1);
	size_t n = 0;
	ssize_t got = 0;

	if (text == NULL || lseek(fd, 0, SEEK_SET) == -1) {
		free(text);
		return NULL;
	}
	while (n < PEM_MAX && (got = read(fd, text + n, PEM_MAX - n)) > 0)
		n += (size_t)got;
	if (got < 0 || n == PEM_MAX) {
		free(text);
		return NULL;
	}
	return text;
}

/* What follows the selector, none of it: active. */
static struct dkim_standing
standing_of(struct slice rest)
{
	struct dkim_standing s = { DKIM_ACTIVE, 0, false, false };
	uint64_t since = 0;
	char state[16];

	if (slice_copy(slice_cut(&rest, ' '), state, sizeof(state)))
		dkim_state_read(state, &s.state);
	slice_to_u64(slice_cut(&rest, ' '), &since);
	s.since = (int64_t)since;
	s.seen = slice_eq(slice_cut(&rest, ' '), SLICE("1"));
	s.stopped = slice_eq(rest, SLICE("1"));
	return s;
}

static struct signer_key *
key_read(int fd, const char *name, struct err *err)
{
	struct signer_key *k = calloc(1, sizeof(*k));
	struct slice rest = slice_of(name), domain = slice_cut(&rest, ' '), selector = slice_cut(&rest, ' ');

	if (k == NULL || domain.len == 0 || selector.len == 0) {
		err_set(err, ERR_BUG, "its name is not \"DOMAIN SELECTOR\"");
		free(k);
		return NULL;
	}
	k->domain = slice_dup(domain);
	k->selector = slice_dup(selector);
	k->standing = standing_of(rest);
	k->stopped = k->standing.stopped;
	if (dkim_key_record(fd, &k->algorithm, k->record, err) == -1)
		goto bad;
	/* what never signs again is not kept */
	k->pem = k->standing.state == DKIM_RETIRING ? NULL : read_pem(fd);
	if (k->domain != NULL && k->selector != NULL && (k->pem != NULL || k->standing.state == DKIM_RETIRING))
		return k;
	err_sys(err, "it cannot be read");
bad:
	key_free(k);
	return NULL;
}

void
signer_keys_read(struct signer_keys *all)
{
	const char *name;
	int fd;

	for (unsigned i = 0; (fd = role_file_at(SETUP_FILE_DKIM_KEY, i, &name)) != -1; i++) {
		struct err err = { 0 };
		struct signer_key *k = all->n < SIGNER_KEYS_MAX ? key_read(fd, name, &err) : NULL;

		if (k != NULL)
			all->at[all->n++] = k;
		else
			log_error("the DKIM key %s is not used: %s", name,
			    err.kind == ERR_NONE ? "there are too many" : err.text);
	}
}

bool
signer_keys_signs(const struct signer_key *k, const char *domain)
{
	return k->standing.state == DKIM_ACTIVE && !k->stopped && strcmp(k->domain, domain) == 0;
}

bool
signer_keys_have(const char *domain)
{
	for (size_t i = 0; i < signer_keys.n; i++)
		if (signer_keys_signs(signer_keys.at[i], domain))
			return true;
	return false;
}

bool
signer_keys_rsa(const char *domain, struct arc_sealer *out)
{
	for (size_t i = 0; i < signer_keys.n; i++) {
		struct signer_key *k = signer_keys.at[i];
		BIO *text;

		if (!signer_keys_signs(k, domain) || k->algorithm != DKIM_RSA)
			continue;
		if (k->sealing == NULL && (text = BIO_new_mem_buf(k->pem, -1)) != NULL) {
			k->sealing = PEM_read_bio_PrivateKey(text, NULL, NULL, NULL);
			BIO_free(text);
		}
		*out = (struct arc_sealer){ k->domain, k->selector, k->sealing };
		return k->sealing != NULL;
	}
	return false;
}

struct signer_key *
signer_keys_find(const struct signer_keys *all, const char *domain, const char *selector)
{
	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->at[i]->domain, domain) == 0 && strcmp(all->at[i]->selector, selector) == 0)
			return all->at[i];
	return NULL;
}
