/* relay_caps - what a peer says it can do, in its answer to EHLO (RFC 5321 4.1.1.1)
 *
 * Pure; cannot fail. A SIZE that is no number counts as no limit. */
#include "delivery/relay_caps.h"

static const struct {
	const char *keyword;
	enum cap cap;
} keywords[] = {
	{ "STARTTLS", CAP_STARTTLS },
	{ "SIZE", CAP_SIZE },
	{ "8BITMIME", CAP_8BITMIME },
	{ "PIPELINING", CAP_PIPELINING },
	{ "SMTPUTF8", CAP_SMTPUTF8 },
	{ "DSN", CAP_DSN },
	{ "CHUNKING", CAP_CHUNKING },
	{ "BINARYMIME", CAP_BINARYMIME },
	{ "REQUIRETLS", CAP_REQUIRETLS },
};

static unsigned
mechanisms(struct slice names)
{
	static const struct {
		const char *name;
		enum auth_mechanism mechanism;
	} known[] = { { "PLAIN", AUTH_PLAIN }, { "LOGIN", AUTH_LOGIN }, { "SCRAM-SHA-256", AUTH_SCRAM } };
	unsigned set = 0;

	while (names.at != NULL) {
		struct slice name = slice_cut(&names, ' ');

		for (size_t i = 0; i < COUNT(known); i++)
			if (slice_eq_nocase(name, slice_of(known[i].name)))
				set |= known[i].mechanism;
	}
	return set;
}

void
caps_read(struct caps *caps, const struct reply *ehlo)
{
	struct slice auth;

	caps->set = 0;
	caps->size = 0;
	caps->auth = reply_keyword(ehlo, SLICE("AUTH"), &auth) ? mechanisms(auth) : 0;
	for (size_t i = 0; i < COUNT(keywords); i++) {
		struct slice args;

		if (!reply_keyword(ehlo, slice_of(keywords[i].keyword), &args))
			continue;
		caps->set |= keywords[i].cap;
		if (keywords[i].cap == CAP_SIZE && !slice_to_u64(args, &caps->size))
			caps->size = 0;
	}
}
