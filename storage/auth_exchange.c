/* auth_exchange - the SASL side of one login
 *
 * The library asks for a verdict in the middle of a step, but ours takes a thread and a while. So
 * its question is only noted and answered with yes; the step then ends, and the real check follows
 * with what was noted. That is right for PLAIN and LOGIN, which end with that question.
 *
 * LOGIN has no standard; the prompts "Username:" and "Password:" are what old clients wait for. */
#include "storage/auth_exchange.h"

#include <gsasl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static Gsasl *library;

static const struct mechanism {
	const char *name;
	bool initial_at_once;   /* the first step takes the initial response */
	const char *prompts[2]; /* instead of the library's */
} mechanisms[] = {
	{ "PLAIN", true, { NULL, NULL } },
	{ "LOGIN", false, { "Username:", "Password:" } },
};

struct exchange {
	const struct mechanism *mechanism;
	Gsasl_session *session;
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

struct exchange *
exchange_new(const char *name, struct err *err)
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
	if (x == NULL || gsasl_server_start(library, mechanisms[i].name, &x->session) != GSASL_OK) {
		err_set(err, ERR_TEMPORARY, "out of memory");
		free(x);
		return NULL;
	}
	x->mechanism = &mechanisms[i];
	gsasl_session_hook_set(x->session, x);
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
	gsasl_finish((*x)->session);
	wipe(&(*x)->user);
	wipe(&(*x)->password);
	free(*x);
	*x = NULL;
}

enum exchange_state
exchange_step(struct exchange *x, struct slice response, struct buf *out)
{
	const char *prompt = x->steps < 2 ? x->mechanism->prompts[x->steps] : NULL;
	char *challenge = NULL;
	size_t len = 0;
	int rc;

	buf_reset(out);
	/* a NUL inside would cut a name or password of LOGIN short; PLAIN has exactly two */
	if (response.len > EXCHANGE_INPUT_MAX ||
	    (x->mechanism->prompts[0] != NULL && slice_find(response, '\0') >= 0))
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
exchange_start(struct exchange *x, bool has_initial, struct slice initial, struct buf *out)
{
	enum exchange_state state;

	if (x->mechanism->initial_at_once)
		return exchange_step(x, has_initial ? initial : (struct slice){ "", 0 }, out);
	state = exchange_step(x, (struct slice){ "", 0 }, out);
	if (state == EXCHANGE_MORE && has_initial)
		state = exchange_step(x, initial, out);
	return state;
}

const char *
exchange_user(const struct exchange *x)
{
	return x->user;
}

const char *
exchange_password(const struct exchange *x)
{
	return x->password;
}
