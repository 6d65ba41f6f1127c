/* tls_server - certificates by name, tickets and ALPN
 *
 * Each name has a context of its own, with one certificate for each kind of key; the name call-back of the default one moves a
 * handshake to another. Sessions are resumed by tickets only, so nothing is kept per session here.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/tickets.h"
#include "base/tls.h"
#include "base/tls_binding.h"
#include "base/tls_pair.h"

#define NAMES_MAX 512

struct named {
	char *name; /* "" is the default */
	SSL_CTX *ctx;
	struct tls_pair pair[TLS_PAIRS_MAX]; /* those of `ctx`, in the order in which they came */
	unsigned n;
};

struct tls_server {
	struct named *named;
	size_t n;
};

static EVP_CIPHER *ticket_cipher; /* fetched once: it costs as much as a handshake's mathematics */

void
tls_server_setup(void)
{
	if (ticket_cipher == NULL)
		ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
}

/* -- what a server has: tickets, ALPN */

static int
ticket_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
		OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, sizeof(digest) - 1),
		OSSL_PARAM_END,
	};

	return EVP_MAC_CTX_set_params(mac, params);
}

/* The first is in use, a ticket of the one before is taken and replaced; others are as good as
 * none. */
static int
on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int seal)
{
	struct ticket_key key;
	int rc = 0;

	(void)ssl;
	if (seal) {
		if (tickets_get(0, &key) && RAND_bytes(iv, EVP_MAX_IV_LENGTH) == 1 &&
		    EVP_EncryptInit_ex2(cipher, ticket_cipher, key.cipher, iv, NULL) == 1 &&
		    ticket_mac(mac, &key) == 1) {
			memcpy(name, key.name, sizeof(key.name));
			rc = 1;
		}
		explicit_bzero(&key, sizeof(key));
		return rc;
	}
	for (unsigned i = 0; rc == 0 && tickets_get(i, &key); i++)
		if (memcmp(name, key.name, sizeof(key.name)) == 0)
			rc = EVP_DecryptInit_ex2(cipher, ticket_cipher, key.cipher, iv, NULL) == 1 &&
				     ticket_mac(mac, &key) == 1
				 ? (i == 0 ? 1 : 2)
				 : -1;
	explicit_bzero(&key, sizeof(key));
	return rc;
}

/* A resumed session shows no certificate: its ticket tells which one the client once saw. */
static int
on_ticket_made(SSL *ssl, void *arg)
{
	unsigned char hash[TLS_BINDING_MAX];
	size_t len = tls_binding_end_point(ssl, hash);

	(void)arg;
	return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), hash, len);
}

/* RFC 7301: whoever asks for protocols and not for this one means another server (a browser that
 * was led here, say). */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
    unsigned in_len, void *arg)
{
	static const char wanted[] = "smtp";

	(void)ssl;
	(void)arg;
	for (unsigned i = 0; i < in_len && in[i] < in_len - i; i += 1u + in[i]) {
		if (in[i] != sizeof(wanted) - 1 || memcmp(in + i + 1, wanted, in[i]) != 0)
			continue;
		*out = in + i + 1;
		*out_len = in[i];
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *
server_context(void)
{
	struct ticket_key key;
	SSL_CTX *ctx = tls_context_new(TLS_server_method());

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_timeout(ctx, TICKETS_LIFE_S);
	SSL_CTX_set_max_early_data(ctx, 0);
	SSL_CTX_set_recv_max_early_data(ctx, 0);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	SSL_CTX_set_session_ticket_cb(ctx, on_ticket_made, NULL, NULL);
	if (ticket_cipher != NULL && tickets_get(0, &key))
		SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
	explicit_bzero(&key, sizeof(key));
	return ctx;
}

/* -- which certificate */

/* "*.x" serves one label below x (RFC 6125 6.4.3). */
static bool
wildcard_matches(const char *pattern, const char *name)
{
	const char *dot = strchr(name, '.');

	return pattern[0] == '*' && pattern[1] == '.' && dot != NULL && dot > name &&
	       slice_eq_nocase(slice_of(pattern + 1), slice_of(dot));
}

/* The exact name counts more than one with a star; NULL: none of ours. */
static SSL_CTX *
context_of(const struct tls_server *t, const char *name)
{
	SSL_CTX *found = NULL;

	for (size_t i = 0; i < t->n; i++) {
		if (slice_eq_nocase(slice_of(t->named[i].name), slice_of(name)))
			return t->named[i].ctx;
		if (found == NULL && wildcard_matches(t->named[i].name, name))
			found = t->named[i].ctx;
	}
	return found;
}

static int
on_name(SSL *ssl, int *alert, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	SSL_CTX *ctx;

	(void)alert;
	if (name == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	/* a name that we do not know gets the default certificate: the client decides */
	if ((ctx = context_of(arg, name)) != NULL)
		SSL_set_SSL_CTX(ssl, ctx);
	return SSL_TLSEXT_ERR_OK;
}

struct tls_server *
tls_server_new(struct err *err)
{
	struct tls_server *t = calloc(1, sizeof(*t));

	if (t == NULL)
		err_set(err, ERR_TEMPORARY, "memory is gone");
	return t;
}

static struct named *
find(const struct tls_server *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->named[i].name, name) == 0)
			return &t->named[i];
	return NULL;
}

/* A name without any certificate yet. */
static struct named *
name_new(struct tls_server *t, const char *name, struct err *err)
{
	struct named *more = reallocarray(t->named, t->n + 1, sizeof(*more));
	struct named made = { 0 };

	if (more != NULL)
		t->named = more;
	made.name = strdup(name);
	made.ctx = server_context();
	if (more == NULL || made.name == NULL || made.ctx == NULL) {
		free(made.name);
		SSL_CTX_free(made.ctx);
		err_set(err, ERR_TEMPORARY, "memory is gone");
		return NULL;
	}
	if (name[0] == '\0') {
		SSL_CTX_set_tlsext_servername_callback(made.ctx, on_name);
		SSL_CTX_set_tlsext_servername_arg(made.ctx, t);
	}
	more[t->n] = made;
	return &more[t->n++];
}

static void
name_free(struct named *d)
{
	for (unsigned i = 0; i < d->n; i++)
		tls_pair_free(&d->pair[i]);
	/* handshakes under way hold the context, not us */
	SSL_CTX_set_tlsext_servername_callback(d->ctx, NULL);
	SSL_CTX_free(d->ctx);
	free(d->name);
}

/* Takes the pair over. */
static int
put(struct tls_server *t, const char *name, struct tls_pair *pair, struct err *err)
{
	struct named *d = find(t, name);
	bool fresh = d == NULL;
	int rc = -1;

	if (d == NULL && t->n < NAMES_MAX)
		d = name_new(t, name, err);
	else if (d == NULL)
		err_set(err, ERR_USAGE, "there are certificates for more than %d names", NAMES_MAX);
	if (d != NULL && d->n == TLS_PAIRS_MAX)
		err_set(err, ERR_USAGE, "more than %d certificates", TLS_PAIRS_MAX);
	else if (d != NULL)
		rc = tls_pair_use(pair, d->ctx, err);
	if (rc == 0) {
		d->pair[d->n++] = *pair;
		return 0;
	}
	tls_pair_free(pair);
	if (fresh && d != NULL)
		name_free(&t->named[--t->n]);
	return -1;
}

int
tls_server_add(
    struct tls_server *t, const char *name, int certificate_fd, int key_fd, struct err *err)
{
	struct tls_pair pair;

	if (tls_pair_read(&pair, certificate_fd, key_fd, err) == 0 && put(t, name, &pair, err) == 0)
		return 0;
	return name[0] != '\0' ? err_context(err, "sni \"%s\"", name) : -1;
}

/* -- renewal */

int
tls_server_renew(struct tls_server *t, const struct tls_server *old, const char *name,
    int certificate_fd, int key_fd, struct err *err)
{
	const struct named *was = find(old, name), *is = find(t, name);
	unsigned i = is != NULL ? is->n : 0;
	struct tls_pair pair;
	struct err why = { 0 };

	if (was == NULL || i >= was->n)
		return tls_server_add(t, name, certificate_fd, key_fd, err);
	if (tls_pair_read(&pair, certificate_fd, key_fd, &why) == 0 && put(t, name, &pair, &why) == 0)
		return X509_cmp(was->pair[i].certificate, find(t, name)->pair[i].certificate) != 0;
	pair = tls_pair_share(&was->pair[i]);
	if (put(t, name, &pair, err) == -1)
		return -1;
	return err_set(err, why.kind, "%s", why.text);
}

const char *
tls_server_name(const struct tls_server *t, size_t i)
{
	return i < t->n ? t->named[i].name : NULL;
}

bool
tls_server_until(const struct tls_server *t, const char *name, unsigned i, char day[static 16])
{
	const struct named *d = find(t, name);
	struct tm tm;

	if (d == NULL || i >= d->n ||
	    ASN1_TIME_to_tm(X509_get0_notAfter(d->pair[i].certificate), &tm) != 1)
		return false;
	return strftime(day, 16, "%Y-%m-%d", &tm) > 0;
}

SSL_CTX *
tls_server_ctx(const struct tls_server *t)
{
	const struct named *d = t != NULL ? find(t, "") : NULL;

	return d != NULL ? d->ctx : NULL;
}

void
tls_server_free(struct tls_server **tp)
{
	struct tls_server *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++)
		name_free(&t->named[i]);
	free(t->named);
	free(t);
}
