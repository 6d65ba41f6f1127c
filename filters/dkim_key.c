/* dkim_key - the private keys that sign our users' mail, as files
 *
 * A key appears under its name only when it is whole and durable. Old keys stay: mail on its way is
 * still checked with them.
 *
 * Errors: ERR_USAGE for a domain that is none; those of the file system. */
#include "filters/dkim_key.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RSA_BITS 2048
#define PATH_SIZE 512
#define KEY_FILE_MAX (64 * 1024)

const char *
dkim_algorithm_name(enum dkim_algorithm algorithm)
{
	return algorithm == DKIM_ED25519 ? "ed25519" : "rsa";
}

static int
ssl_error(struct err *err, const char *what)
{
	unsigned long e = ERR_get_error();
	char text[120] = "out of memory";

	if (e != 0)
		ERR_error_string_n(e, text, sizeof(text));
	ERR_clear_error();
	return err_set(err, ERR_PERMANENT, "%s: %s", what, text);
}

/* -- making one */

static bool
is_domain(const char *domain)
{
	size_t len = strlen(domain);

	return len > 0 && len < 254 && domain[0] != '.' && domain[0] != '-' &&
	       strstr(domain, "..") == NULL &&
	       domain[strspn(domain, "abcdefghijklmnopqrstuvwxyz0123456789.-_")] == '\0';
}

static int
write_key(EVP_PKEY *key, const char *path, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	bool written, synced;

	if (f == NULL)
		return err_sys(err, "%s", path);
	written = PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1;
	synced = fflush(f) == 0 && fsync(fd) == 0;
	fclose(f);
	if (!written)
		return ssl_error(err, path);
	return synced ? 0 : err_sys(err, "%s", path);
}

/* Under its name if that is free: 1 done, 0 taken, -1 + err. How it stands is written down first. */
static int
publish(int keys, const char *temporary, const char *domain, const char *selector, enum dkim_state state,
    struct err *err)
{
	struct dkim_standing standing = { state, (int64_t)time(NULL), false, false };
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), DKIM_KEYS_DIR "/%s.%s.pem", domain, selector);
	if (access(path, F_OK) == 0)
		return 0;
	if (dkim_standing_put(keys, domain, selector, &standing, err) == -1)
		return -1;
	return link(temporary, path) == 0 ? 1 : err_sys(err, "%s", path);
}

static int
name_key(int keys, const char *temporary, const char *domain, enum dkim_state state,
    char selector[static DKIM_SELECTOR_SIZE], struct err *err)
{
	time_t now = time(NULL);
	char day[16];
	struct tm tm;
	int rc;

	strftime(day, sizeof(day), "%Y%m%d", gmtime_r(&now, &tm));
	snprintf(selector, DKIM_SELECTOR_SIZE, "%s", day);
	rc = publish(keys, temporary, domain, selector, state, err);
	for (char c = 'a'; rc == 0 && c <= 'z'; c++) {
		snprintf(selector, DKIM_SELECTOR_SIZE, "%s%c", day, c);
		rc = publish(keys, temporary, domain, selector, state, err);
	}
	if (rc == 0)
		return err_set(err, ERR_EXISTS, "%s has 27 keys of today already", domain);
	return rc == 1 ? 0 : -1;
}

/* Write the key and give it its name. */
static int
keep_key(EVP_PKEY *key, const char *domain, enum dkim_state state, char selector[static DKIM_SELECTOR_SIZE],
    struct err *err)
{
	int keys = open(DKIM_KEYS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;
	char temporary[PATH_SIZE];

	if (keys < 0)
		return err_sys(err, DKIM_KEYS_DIR);
	snprintf(temporary, sizeof(temporary), DKIM_KEYS_DIR "/.new.%d", (int)getpid());
	rc = dkim_lock(keys, true, err);
	if (rc == 0)
		rc = write_key(key, temporary, err);
	if (rc == 0)
		rc = name_key(keys, temporary, domain, state, selector, err);
	unlink(temporary);
	if (rc == 0 && fsync(keys) == -1)
		rc = err_sys(err, DKIM_KEYS_DIR);
	close(keys);
	return rc;
}

int
dkim_key_create(const char *domain, enum dkim_algorithm algorithm, enum dkim_state state,
    char selector[static DKIM_SELECTOR_SIZE], struct err *err)
{
	EVP_PKEY *key;
	int rc;

	if (!is_domain(domain))
		return err_set(
		    err, ERR_USAGE, "\"%.80s\" is not a domain like example.org", domain);
	if (mkdir(DKIM_KEYS_DIR, 0700) == -1 && errno != EEXIST)
		return err_sys(err, DKIM_KEYS_DIR);
	key = algorithm == DKIM_ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
					: EVP_RSA_gen(RSA_BITS);
	if (key == NULL)
		return ssl_error(err, "the key could not be made");
	rc = keep_key(key, domain, state, selector, err);
	EVP_PKEY_free(key);
	return rc;
}

/* -- finding them */

static int
not_hidden(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

int
dkim_key_each(int (*fn)(void *arg, const char *domain, const char *selector, const char *path),
    void *arg, struct err *err)
{
	char path[PATH_SIZE], domain[256], selector[256];
	struct dirent **files;
	int n = scandir(DKIM_KEYS_DIR, &files, not_hidden, alphasort), rc = 0;

	if (n == -1)
		return errno == ENOENT ? 0 : err_sys(err, DKIM_KEYS_DIR);
	for (int i = 0; i < n; i++) {
		if (rc == 0 && dkim_key_parts(files[i]->d_name, domain, selector)) {
			snprintf(path, sizeof(path), DKIM_KEYS_DIR "/%.255s", files[i]->d_name);
			rc = fn(arg, domain, selector, path);
		}
		free(files[i]);
	}
	free(files);
	return rc;
}

/* -- what to publish */

static EVP_PKEY *
read_key(int fd, struct err *err)
{
	char *text = malloc(KEY_FILE_MAX);
	/* not pread: signer's sandbox knows no files, only read() of what it was handed */
	ssize_t n = text != NULL && lseek(fd, 0, SEEK_SET) == 0 ? read(fd, text, KEY_FILE_MAX) : -1;
	BIO *bio = n > 0 ? BIO_new_mem_buf(text, (int)n) : NULL;
	EVP_PKEY *key =
	    bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(size_t) "") : NULL;

	if (n <= 0)
		err_sys(err, "the key cannot be read");
	else if (key == NULL)
		ssl_error(err, "this is no private key in PEM form");
	BIO_free(bio);
	if (text != NULL)
		explicit_bzero(text, KEY_FILE_MAX);
	free(text);
	return key;
}

/* The bytes that stand in p=: SubjectPublicKeyInfo for RSA (RFC 6376 3.6.1), the bare 32 bytes for
 * Ed25519 (RFC 8463 4). */
static int
public_bytes(EVP_PKEY *key, enum dkim_algorithm algorithm, unsigned char **bytes)
{
	size_t len = 32;
	int n;

	*bytes = NULL;
	if (algorithm == DKIM_RSA) {
		n = i2d_PUBKEY(key, bytes);
		return n > 0 ? n : -1;
	}
	*bytes = OPENSSL_malloc(len);
	return *bytes != NULL && EVP_PKEY_get_raw_public_key(key, *bytes, &len) == 1 ? (int)len
										     : -1;
}

int
dkim_key_record(
    int fd, enum dkim_algorithm *algorithm, char record[static DKIM_RECORD_SIZE], struct err *err)
{
	EVP_PKEY *key = read_key(fd, err);
	unsigned char *bytes = NULL;
	char text[DKIM_RECORD_SIZE - 64];
	int n = -1, rc = -1;

	if (key == NULL)
		return -1;
	*algorithm = EVP_PKEY_is_a(key, "ED25519") ? DKIM_ED25519 : DKIM_RSA;
	if (*algorithm == DKIM_RSA && !EVP_PKEY_is_a(key, "RSA"))
		err_set(err, ERR_PERMANENT, "DKIM keys are RSA or Ed25519");
	else if ((n = public_bytes(key, *algorithm, &bytes)) < 0)
		ssl_error(err, "the public key");
	else if ((size_t)(n + 2) / 3 * 4 >= sizeof(text))
		err_set(err, ERR_PERMANENT, "the key is too large: at most 4096 bits");
	else
		rc = EVP_EncodeBlock((unsigned char *)text, bytes, n) > 0 ? 0 : -1;
	if (rc == 0)
		snprintf(record, DKIM_RECORD_SIZE, "v=DKIM1; k=%s; p=%s",
		    dkim_algorithm_name(*algorithm), text);
	OPENSSL_free(bytes);
	EVP_PKEY_free(key);
	return rc;
}
