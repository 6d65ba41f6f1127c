/* auth_exchange - the SASL side of one login
 *
 * PLAIN and LOGIN are libgsasl's, SCRAM is auth_scram.c's (which says why).
 *
 * The library asks for a verdict in the middle of a step, but ours takes a thread and a while. So
 * its question is only noted and answered with yes; the step then ends, and the real check follows
 * with what was noted. That is right for PLAIN and LOGIN, which end with that question.
 *
 * LOGIN has no standard; the prompts "Username:" and "Password:" are what old clients wait for. */
#include "storage/auth_exchange.h"

#include <gsasl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static Gsasl *library;

static const struct mechanism {
	const char *name;
	bool initial_at_once;   /* the first step takes the initial response */
	const char *prompts[2]; /* instead of the library's */
	bool scram, plus;
} mechanisms[] = {
	{ "PLAIN", true, { NULL, NULL }, false, false },
	{ "LOGIN", false, { "Username:", "Password:" }, false, false },
	{ "SCRAM-SHA-256", true, { NULL, NULL }, true, false },
	{ "SCRAM-SHA-256-PLUS", true, { NULL, NULL }, true, true },
};

struct exchange {
	const struct mechanism *mechanism;
	Gsasl_session *session;
	struct scram *scram; /* instead */
	unsigned steps;
	char *user, *password;
};

/* The library's question: note it. */
static int
on_question(Gsasl *ctx, Gsasl_session *session, Gsasl_property what)
{
	struct exchange *x = gsasl_session_hook_get(session);
	const char *user, *password, *other;

	(void)ctx;
	if (what != GSASL_VALIDATE_SIMPLE || x == NULL)
		return GSASL_NO_CALLBACK;
	user = gsasl_property_fast(session, GSASL_AUTHID);
	password = gsasl_property_fast(session, GSASL_PASSWORD);
	other = gsasl_property_fast(session, GSASL_AUTHZID);
	if (user == NULL || password == NULL || *user == '\0' || *password == '\0')
		return GSASL_AUTHENTICATION_ERROR;
	if (other != NULL && *other != '\0' && strcasecmp(other, user) != 0)
		return GSASL_AUTHENTICATION_ERROR;
	free(x->user);
	free(x->password);
	x->user = strdup(user);
	x->password = strdup(password);
	return x->user != NULL && x->password != NULL ? GSASL_OK : GSASL_MALLOC_ERROR;
}

int
exchange_setup(struct err *err)
{
	int rc = library != NULL ? GSASL_OK : gsasl_init(&library);

	if (rc != GSASL_OK)
		return err_set(err, ERR_TEMPORARY, "libgsasl cannot start: %s", gsasl_strerror(rc));
	gsasl_callback_set(library, on_question);
	return 0;
}

static bool
begin(struct exchange *x, const struct scram_bindings *bindings)
{
	if (x->mechanism->scram)
		return (x->scram = scram_new(x->mechanism->plus, bindings)) != NULL;
	if (gsasl_server_start(library, x->mechanism->name, &x->session) != GSASL_OK)
		return false;
	gsasl_session_hook_set(x->session, x);
	return true;
}

struct exchange *
exchange_new(const char *name, const struct scram_bindings *bindings, struct err *err)
{
	struct exchange *x;
	size_t i = 0;

	while (i < COUNT(mechanisms) && strcasecmp(mechanisms[i].name, name) != 0)
		i++;
	if (i == COUNT(mechanisms)) {
		err_set(
		    err, ERR_USAGE, "the mechanism is not offered; there are " EXCHANGE_MECHANISMS);
		return NULL;
	}
	x = calloc(1, sizeof(*x));
	if (x != NULL)
		x->mechanism = &mechanisms[i];
	if (x == NULL || !begin(x, bindings)) {
		err_set(err, ERR_TEMPORARY, "out of memory");
		free(x);
		return NULL;
	}
	return x;
}

static void
wipe(char **text)
{
	if (*text != NULL)
		OPENSSL_cleanse(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

void
exchange_free(struct exchange **x)
{
	if (*x == NULL)
		return;
	if ((*x)->session != NULL)
		gsasl_finish((*x)->session);
	scram_free(&(*x)->scram);
	wipe(&(*x)->user);
	wipe(&(*x)->password);
	free(*x);
	*x = NULL;
}

/* -- SCRAM: an empty challenge if the client did not begin, two messages, and an empty response to
 * our proof, since SMTP has no place for it in 235 (RFC 4954 4) */

static enum exchange_state
scram_step(struct exchange *x, struct slice message)
{
	switch (x->steps++) {
	case 0:
		return scram_first(x->scram, message) == 0 ? EXCHANGE_NAMED : EXCHANGE_BAD;
	case 1:
		return scram_final(x->scram, message) == 0 ? EXCHANGE_PROOF : EXCHANGE_BAD;
	case 2:
		return message.len == 0 ? EXCHANGE_DONE : EXCHANGE_BAD;
	default:
		return EXCHANGE_BAD;
	}
}

enum exchange_state
exchange_salt(struct exchange *x, const struct verifier *salt, struct buf *out)
{
	unsigned char bytes[18];
	char nonce[25];

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return EXCHANGE_BAD;
	EVP_EncodeBlock((unsigned char *)nonce, bytes, sizeof(bytes));
	return scram_challenge(x->scram, salt, nonce, out) == 0 ? EXCHANGE_MORE : EXCHANGE_BAD;
}

int
exchange_prove(struct exchange *x, const struct password_set *set, struct buf *out)
{
	return scram_prove(x->scram, set, out);
}

/* -- PLAIN and LOGIN */

static enum exchange_state
library_step(struct exchange *x, struct slice response, struct buf *out)
{
	const char *prompt = x->steps < 2 ? x->mechanism->prompts[x->steps] : NULL;
	char *challenge = NULL;
	size_t len = 0;
	int rc;

	/* a NUL inside would cut a name or password of LOGIN short; PLAIN has exactly two */
	if (x->mechanism->prompts[0] != NULL && slice_find(response, '\0') >= 0)
		return EXCHANGE_BAD;
	rc = gsasl_step(
	    x->session, response.at != NULL ? response.at : "", response.len, &challenge, &len);
	x->steps++;
	if (rc == GSASL_NEEDS_MORE && prompt != NULL)
		rc = buf_text(out, prompt) == 0 ? rc : GSASL_MALLOC_ERROR;
	else if (rc == GSASL_NEEDS_MORE)
		rc = buf_append(out, challenge, len) == 0 ? rc : GSASL_MALLOC_ERROR;
	gsasl_free(challenge);
	if (rc == GSASL_NEEDS_MORE)
		return EXCHANGE_MORE;
	return rc == GSASL_OK && x->user != NULL ? EXCHANGE_ASKED : EXCHANGE_BAD;
}

enum exchange_state
exchange_step(struct exchange *x, struct slice response, struct buf *out)
{
	buf_reset(out);
	if (response.len > EXCHANGE_INPUT_MAX)
		return EXCHANGE_BAD;
	return x->scram != NULL ? scram_step(x, response) : library_step(x, response, out);
}

enum exchange_state
exchange_start(struct exchange *x, bool has_initial, struct slice initial, struct buf *out)
{
	enum exchange_state state;

	buf_reset(out);
	if (has_initial && initial.len == 0) /* "=": no mechanism here begins with nothing */
		return EXCHANGE_BAD;
	if (x->mechanism->initial_at_once)
		return has_initial ? exchange_step(x, initial, out) : EXCHANGE_MORE;
	state = exchange_step(x, (struct slice){ "", 0 }, out);
	if (state == EXCHANGE_MORE && has_initial)
		state = exchange_step(x, initial, out);
	return state;
}

const char *
exchange_user(const struct exchange *x)
{
	return x->scram != NULL ? scram_user(x->scram) : x->user;
}

const char *
exchange_password(const struct exchange *x)
{
	return x->password;
}
