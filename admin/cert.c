/* cert - certificates: making a self-signed one, and looking at one as a peer would
 *
 * A new key goes to disk before its certificate, and both are complete and durable or not there at
 * all. */
#include "admin/cert.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAYS 3650
#define COMMON_NAME_MAX 64

static int
ssl_error(struct err *err, const char *what)
{
	char text[120] = "out of memory";
	unsigned long e = ERR_get_error();

	if (e != 0)
		ERR_error_string_n(e, text, sizeof(text));
	ERR_clear_error();
	return err_set(err, ERR_PERMANENT, "%s: %s", what, text);
}

/* -- making one */

static bool
extend(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	bool ok = e != NULL && X509_add_ext(x, e, -1) == 1;

	X509_EXTENSION_free(e);
	return ok;
}

static bool
fill(X509 *x, EVP_PKEY *key, const char *hostname)
{
	unsigned char serial[16];
	X509_NAME *name = X509_get_subject_name(x);
	char cn[COMMON_NAME_MAX + 1], san[300];
	BIGNUM *number = NULL;
	X509V3_CTX ctx;
	bool ok;

	snprintf(cn, sizeof(cn), "%s", hostname);
	snprintf(san, sizeof(san), "DNS:%.255s", hostname);
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	ok = RAND_bytes(serial, sizeof(serial)) == 1 && (serial[0] &= 0x7f, serial[0] |= 1) != 0 &&
	     (number = BN_bin2bn(serial, sizeof(serial), NULL)) != NULL &&
	     BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x)) != NULL &&
	     X509_set_version(x, 2) == 1 &&
	     X509_gmtime_adj(X509_getm_notBefore(x), -3600) != NULL &&
	     X509_time_adj_ex(X509_getm_notAfter(x), DAYS, 0, NULL) != NULL &&
	     X509_set_pubkey(x, key) == 1 &&
	     X509_NAME_add_entry_by_txt(
		 name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0) == 1 &&
	     X509_set_issuer_name(x, name) == 1 && extend(x, &ctx, NID_subject_alt_name, san) &&
	     extend(x, &ctx, NID_basic_constraints, "critical,CA:FALSE") &&
	     extend(x, &ctx, NID_key_usage, "critical,digitalSignature") &&
	     extend(x, &ctx, NID_ext_key_usage, "serverAuth") &&
	     X509_sign(x, key, EVP_sha256()) != 0;
	BN_free(number);
	return ok;
}

static FILE *
create(const char *path, mode_t mode, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;

	if (f == NULL) {
		err_sys(err, "%s", path);
		if (fd >= 0)
			close(fd);
	} else
		fchmod(fd, mode); /* whatever the umask is */
	return f;
}

/* Flush, make durable, close; removes the file when that failed. */
static int
finish(FILE *f, const char *path, bool written, struct err *err)
{
	bool ok = written && fflush(f) == 0 && fsync(fileno(f)) == 0;
	int saved = errno;

	ok = fclose(f) == 0 && ok;
	if (ok)
		return 0;
	unlink(path);
	errno = saved;
	return written ? err_sys(err, "%s", path) : ssl_error(err, path);
}

static int
write_both(X509 *x, EVP_PKEY *pkey, const char *certificate, const char *key, struct err *err)
{
	FILE *f = create(key, 0600, err);

	if (f == NULL ||
	    finish(f, key, PEM_write_PrivateKey(f, pkey, NULL, NULL, 0, NULL, NULL) == 1, err) ==
		-1)
		return -1;
	f = create(certificate, 0644, err);
	if (f == NULL || finish(f, certificate, PEM_write_X509(f, x) == 1, err) == -1) {
		unlink(key);
		return -1;
	}
	return 0;
}

int
cert_make(const char *hostname, const char *certificate, const char *key, struct err *err)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	int rc = -1;

	if (pkey == NULL || x == NULL || !fill(x, pkey, hostname))
		ssl_error(err, "the certificate could not be made");
	else
		rc = write_both(x, pkey, certificate, key, err);
	X509_free(x);
	EVP_PKEY_free(pkey);
	return rc;
}

/* -- looking at one */

static int
seconds_left(const ASN1_TIME *t)
{
	int days = 0, seconds = 0;

	ASN1_TIME_diff(&days, &seconds, NULL, t);
	if (days > 20000)
		return 20000 * 86400;
	return days * 86400 + seconds;
}

static bool
fits(X509 *x, const char *key, struct err *err)
{
	FILE *f = fopen(key, "re");
	EVP_PKEY *pkey =
	    f != NULL ? PEM_read_PrivateKey(f, NULL, NULL, (void *)(uintptr_t) "") : NULL;
	bool ok = false;

	if (f == NULL)
		err_sys(err, "%s", key);
	else if (pkey == NULL)
		ssl_error(err, key);
	else
		ok = X509_check_private_key(x, pkey) == 1;
	if (f != NULL)
		fclose(f);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return ok;
}

int
cert_look(const char *certificate, const char *key, const char *hostname, struct cert_look *out,
    struct err *err)
{
	FILE *f = fopen(certificate, "re");
	X509 *x = f != NULL ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
	struct err own = { .kind = ERR_NONE };

	memset(out, 0, sizeof(*out));
	if (f == NULL)
		return err_sys(err, "%s", certificate);
	fclose(f);
	if (x == NULL)
		return ssl_error(err, certificate);
	out->until = (int64_t)time(NULL) + seconds_left(X509_get0_notAfter(x));
	out->started = seconds_left(X509_get0_notBefore(x)) <= 0;
	out->names_host = X509_check_host(x, hostname, 0, 0, NULL) == 1;
	out->self_signed = X509_self_signed(x, 0) == 1;
	if (key != NULL)
		out->key_fits = fits(x, key, &own);
	X509_free(x);
	ERR_clear_error();
	if (own.kind != ERR_NONE) {
		*err = own;
		return -1;
	}
	return 0;
}

/* -- TLSA */

/* Of an encoded public key; len < 1: there is none. */
static int
pin_of(const unsigned char *der, int len, char out[static CERT_PIN_SIZE])
{
	unsigned char hash[32];

	if (len <= 0 || EVP_Digest(der, (size_t)len, hash, NULL, EVP_sha256(), NULL) != 1)
		return -1;
	for (size_t i = 0; i < sizeof(hash); i++)
		snprintf(out + 2 * i, 3, "%02x", hash[i]);
	return 0;
}

/* The pin of that key in DER, which is freed; `f` (NULL: it could not be opened) is closed. */
static int
pin_read(FILE *f, const char *path, unsigned char *der, int len, char out[static CERT_PIN_SIZE], struct err *err)
{
	int rc = pin_of(der, len, out);

	OPENSSL_free(der);
	if (f == NULL)
		return err_sys(err, "%s", path);
	fclose(f);
	if (rc == -1)
		ssl_error(err, path);
	return rc;
}

int
cert_pin(const char *certificate, char out[static CERT_PIN_SIZE], struct err *err)
{
	FILE *f = fopen(certificate, "re");
	X509 *x = f != NULL ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
	unsigned char *der = NULL;
	int len = x != NULL ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der) : -1;

	X509_free(x);
	return pin_read(f, certificate, der, len, out, err);
}

int
cert_key_pin(const char *key, char out[static CERT_PIN_SIZE], struct err *err)
{
	FILE *f = fopen(key, "re");
	/* a key with a password is not asked for it */
	EVP_PKEY *pkey = f != NULL ? PEM_read_PrivateKey(f, NULL, NULL, (void *)(uintptr_t) "") : NULL;
	unsigned char *der = NULL;
	int len = pkey != NULL ? i2d_PUBKEY(pkey, &der) : -1;

	EVP_PKEY_free(pkey);
	return pin_read(f, key, der, len, out, err);
}
