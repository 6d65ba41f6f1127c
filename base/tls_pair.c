/* tls_pair - a certificate chain and its private key, read from PEM */
#include "base/tls_pair.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/tls.h"

/* The file's bytes, mapped: descriptors are shared with other processes, so no read may move their
 * offset. */
static BIO *
pem_map(int fd, void **map, size_t *len)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) == -1 || st.st_size <= 0 || st.st_size > TLS_PEM_MAX)
		return NULL;
	*len = (size_t)st.st_size;
	*map = mmap(NULL, *len, PROT_READ, MAP_PRIVATE, fd, 0);
	return *map != MAP_FAILED ? BIO_new_mem_buf(*map, (int)*len) : NULL;
}

/* The first is the server's, the others lead from it to an authority. */
static int
chain_read(struct tls_pair *p, BIO *bio)
{
	X509 *cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
	bool ok = cert != NULL && (p->issuers = sk_X509_new_null()) != NULL;

	p->certificate = cert;
	while (ok && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		ok = sk_X509_push(p->issuers, cert) > 0;
		if (!ok)
			X509_free(cert);
	}
	if (ok)
		ERR_clear_error(); /* "no start line": the end of the file */
	return ok ? 0 : -1;
}

/* An encrypted key must not make us ask a terminal. */
static int
no_password(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static int
key_read(struct tls_pair *p, BIO *bio)
{
	p->key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	return p->key != NULL ? 0 : -1;
}

static int
pem_load(struct tls_pair *p, int fd, int (*take)(struct tls_pair *, BIO *))
{
	void *map = MAP_FAILED;
	size_t len = 0;
	BIO *bio = pem_map(fd, &map, &len);
	int rc = bio != NULL ? take(p, bio) : -1;

	BIO_free(bio);
	if (map != MAP_FAILED)
		munmap(map, len);
	return rc;
}

static int
read_both(struct tls_pair *p, int certificate_fd, int key_fd, struct err *err)
{
	ERR_clear_error();
	if (pem_load(p, certificate_fd, chain_read) == -1)
		return tls_error(err, "the certificate cannot be read");
	if (pem_load(p, key_fd, key_read) == -1)
		return tls_error(err, "the private key cannot be read");
	if (X509_check_private_key(p->certificate, p->key) == 1)
		return 0;
	ERR_clear_error();
	return err_set(err, ERR_PERMANENT, "certificate and private key do not belong together");
}

int
tls_pair_read(struct tls_pair *p, int certificate_fd, int key_fd, struct err *err)
{
	int rc;

	*p = (struct tls_pair){ 0 };
	rc = read_both(p, certificate_fd, key_fd, err);
	if (rc == -1)
		tls_pair_free(p);
	return rc;
}

struct tls_pair
tls_pair_share(const struct tls_pair *p)
{
	struct tls_pair again = *p;

	X509_up_ref(again.certificate);
	EVP_PKEY_up_ref(again.key);
	if (p->issuers != NULL)
		again.issuers = X509_chain_up_ref(p->issuers);
	return again;
}

int
tls_pair_use(const struct tls_pair *p, SSL_CTX *ctx, struct err *err)
{
	if (SSL_CTX_use_cert_and_key(ctx, p->certificate, p->key, p->issuers, 0) == 1)
		return 0;
	if (ERR_GET_REASON(ERR_peek_last_error()) != SSL_R_NOT_REPLACING_CERTIFICATE)
		return tls_error(err, "the certificate cannot be used");
	ERR_clear_error();
	return err_set(err, ERR_PERMANENT,
	    "two certificates have the same kind of key; of one name, give one with an EC and one with an RSA key");
}

void
tls_pair_free(struct tls_pair *p)
{
	X509_free(p->certificate);
	EVP_PKEY_free(p->key);
	sk_X509_pop_free(p->issuers, X509_free);
	*p = (struct tls_pair){ 0 };
}
