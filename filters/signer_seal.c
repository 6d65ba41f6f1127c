/* signer_seal - ARC sets for mail that an alias of ours sends on
 *
 * The sealer is arc.domain; else the domain of this host: a receiver trusts sealers by name, and one name for all that this
 * server sends on, the one that its Authentication-Results bear, is what it can come to know; else that of the alias. The
 * key is RSA, since not every verifier of ARC knows another kind.
 *
 * smtpd says what the filter found; it is the one who decides what the filter gets to see, so a detour by the filter would
 * not make it more true. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/role.h"
#include "conf/conf.h"
#include "filters/signer.h"
#include "filters/signer_keys.h"

#define SET_MAX ENVELOPE_PREFIX_MAX
#define SEVEN_STEP (1024 * 1024)

struct request {
	struct arc_message message;
	struct body body;
	struct cut cuts[ENVELOPE_CUTS_MAX];
	char alias[256]; /* its domain */
	bool seven;
	int fd;
};

static bool
find_key(const char *name, struct arc_sealer *out)
{
	char lower[256] = "";

	for (size_t i = 0; name[i] != '\0' && i + 1 < sizeof(lower); i++)
		lower[i] = (char)tolower((unsigned char)name[i]);
	return signer_keys_rsa(lower, out);
}

/* arc.domain, or NULL. */
static const char *
chosen(void)
{
	const char *domain = role_conf()->arc.domain;

	return domain != NULL && domain[0] != '\0' ? domain : NULL;
}

static bool
find_sealer(const char *alias, struct arc_sealer *out)
{
	const char *domain = role_conf()->hostname;

	if (chosen() != NULL)
		return find_key(chosen(), out);
	for (; domain != NULL; domain = strchr(domain, '.')) {
		domain += domain[0] == '.';
		if (find_key(domain, out))
			return true;
	}
	return find_key(alias, out);
}

/* The set for what the relay makes of the message where only seven bits pass. Without it, it goes there with none. */
static void
seal_seven(const struct request *r, const struct arc_sealer *with, struct buf *out)
{
	struct seven *seven = seven_new(r->message.message, SEVEN_FOR_7BIT);
	enum seven_status status = SEVEN_CANNOT;
	struct err err = { 0 };

	while (seven != NULL && (status = seven_step(seven, SEVEN_STEP)) == SEVEN_MORE)
		;
	if (status == SEVEN_CHANGED &&
	    arc_seal(with, &r->message, seven, clock_now(), out, &err) <= 0) {
		log_warning("no second ARC set for hosts without 8BITMIME: %s", err.text);
		buf_reset(out);
	}
	seven_free(&seven);
}

static const char *
chain_in_words(enum chain_state chain)
{
	return chain == CHAIN_NONE   ? "the first"
	       : chain == CHAIN_PASS ? "the chain is whole"
				     : "the chain is broken";
}

static enum sign_status
seal(const struct request *r, struct buf *set, struct buf *set7, char *why, size_t size)
{
	struct arc_sealer with;
	struct err err = { 0 };
	int instance;

	if (!find_sealer(r->alias, &with)) {
		snprintf(why, size, "no RSA key is there for %s",
		    chosen() != NULL ? chosen() : r->alias);
		return SIGN_NO_KEY;
	}
	instance = arc_seal(&with, &r->message, NULL, clock_now(), set, &err);
	if (instance <= 0) {
		snprintf(why, size, "%s", err.text);
		return instance == 0 ? SIGN_REFUSED : SIGN_LATER;
	}
	if (r->seven)
		seal_seven(r, &with, set7);
	snprintf(why, size, "set %d of %s (%s), selector %s", instance, with.domain,
	    chain_in_words(r->message.chain), with.selector);
	return SIGN_DONE;
}

/* false: the message cannot be read. */
static bool
read_request(struct frame *f, struct request *r)
{
	struct slice body;
	uint64_t chain;

	wire_u64(&f->in);
	r->message.prefix = wire_bytes(&f->in);
	body = wire_bytes(&f->in);
	if (cuts_get(wire_bytes(&f->in), r->cuts, &r->message.n_cuts) == -1)
		return false;
	r->message.cuts = r->cuts;
	chain = wire_u64(&f->in);
	r->message.chain = chain <= CHAIN_ENDED ? (enum chain_state)chain : CHAIN_UNKNOWN;
	wire_text_to(&f->in, r->alias, sizeof(r->alias));
	r->seven = wire_u64(&f->in) == 1;
	r->fd = frame_take_fd(f);
	if (body_open(&r->body, body, r->fd) == -1)
		return false;
	r->message.message = r->body.bytes;
	return true;
}

void
signer_on_seal(struct frame *f)
{
	static struct request r;
	struct reply_to to = reply_later(f);
	enum sign_status status = SIGN_LATER;
	char why[400] = "the message cannot be read";
	struct buf set, set7, *b;

	r = (struct request){ .fd = -1 };
	buf_init(&set, SET_MAX);
	buf_init(&set7, SET_MAX);
	if (read_request(f, &r))
		status = seal(&r, &set, &set7, why, sizeof(why));
	b = reply_begin(to, MSG_SEAL_IS);
	wire_put_u64(b, status);
	wire_put_bytes(b, status == SIGN_DONE ? buf_all(&set) : (struct slice){ NULL, 0 });
	wire_put_bytes(b, buf_all(&set7));
	wire_put_text(b, why);
	reply_send(to, -1);
	body_close(&r.body);
	if (r.fd >= 0)
		close(r.fd);
	buf_free(&set);
	buf_free(&set7);
}
