/* dkim - verifies DKIM signatures, key by key as DNS answers come
 *
 * The library asks for a key through our function, which answers from what is known or says
 * "later": the handle is thrown away and all is done again. The body is hashed only when all keys
 * are there.
 *
 * What libopendkim lets pass and we do not: rsa-sha1, and an l= that leaves text behind it
 * unsigned. */
#include "filters/dkim.h"

#include <opendkim/dkim.h>
#include <stdio.h>
#include <string.h>

#include "filters/check.h"

#define KEY_RECORD_MAX 1023
#define IDENTITY_MAX 320

static struct {
	struct judge *judge;
	bool waits;
} running;

/* The answer about a signature's key; NULL: not yet. */
static const struct answer *
key_answer(struct judge *j, const char *selector, const char *domain)
{
	char name[600];

	snprintf(name, sizeof(name), "%s._domainkey.%s", selector, domain);
	return judge_dns(j, name, RR_TXT);
}

static DKIM_CBSTAT
find_key(DKIM *d, DKIM_SIGINFO *sig, u_char *out, size_t size)
{
	const char *selector = (const char *)dkim_sig_getselector(sig),
		   *domain = (const char *)dkim_sig_getdomain(sig);
	const struct answer *a;
	struct slice text;

	(void)d;
	if (running.judge == NULL || selector == NULL || domain == NULL)
		return DKIM_CBSTAT_NOTFOUND;
	a = key_answer(running.judge, selector, domain);
	if (a == NULL) {
		running.waits = true;
		return DKIM_CBSTAT_TRYAGAIN;
	}
	/* trouble with DNS is found again in signature_result(); here it must not end the other
	 * signatures */
	if (a->status != DNS_OK || a->n != 1)
		return DKIM_CBSTAT_NOTFOUND;
	text = rdata_text(running.judge, a->rdata[0]);
	if (text.len > KEY_RECORD_MAX || text.len >= size ||
	    memchr(text.at, '\0', text.len) != NULL)
		return DKIM_CBSTAT_NOTFOUND;
	memcpy(out, text.at, text.len);
	out[text.len] = '\0';
	return DKIM_CBSTAT_CONTINUE;
}

static DKIM_LIB *
library(void)
{
	static DKIM_LIB *lib;
	u_int flags = DKIM_LIBFLAGS_FIXCRLF;

	if (lib == NULL && (lib = dkim_init(NULL, NULL)) != NULL) {
		dkim_set_key_lookup(lib, find_key);
		dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_FLAGS, &flags, sizeof(flags));
	}
	return lib;
}

static enum dkim_result
set(const char **why, enum dkim_result r, const char *text)
{
	*why = text;
	return r;
}

static enum dkim_result
passed(DKIM *d, DKIM_SIGINFO *sig, const char **why)
{
	ssize_t length = 0, covered = 0, limit = -1;
	dkim_alg_t algorithm;

	if (dkim_sig_getsignalg(sig, &algorithm) != DKIM_STAT_OK || algorithm == DKIM_SIGN_RSASHA1)
		return set(why, DKIM_IS_POLICY, "rsa-sha1 is not accepted any more");
	if (dkim_sig_getcanonlen(d, sig, &length, &covered, &limit) == DKIM_STAT_OK && limit >= 0 &&
	    covered < length)
		return set(why, DKIM_IS_POLICY, "text follows what was signed (l=)");
	return set(why, DKIM_IS_PASS, "");
}

static enum dkim_result
signature_result(
    struct judge *j, DKIM *d, DKIM_SIGINFO *sig, const struct dkim_signature *s, const char **why)
{
	unsigned flags = dkim_sig_getflags(sig);
	const struct answer *key;
	const char *text;
	int error = dkim_sig_geterror(sig);

	if (error == DKIM_SIGERROR_OK && (flags & DKIM_SIGFLAG_PASSED) != 0 &&
	    dkim_sig_getbh(sig) == DKIM_SIGBH_MATCH)
		return passed(d, sig, why);
	key = s->selector[0] == '\0' || s->domain[0] == '\0'
		  ? NULL
		  : key_answer(j, s->selector, s->domain);
	if (key != NULL && key->status == DNS_TEMPORARY)
		return set(why, DKIM_IS_TEMPERROR, "DNS did not answer for the key");
	switch (error) {
	case DKIM_SIGERROR_OK:
	case DKIM_SIGERROR_UNKNOWN:
	case DKIM_SIGERROR_BADSIG:
		return set(why, DKIM_IS_FAIL,
		    dkim_sig_getbh(sig) == DKIM_SIGBH_MISMATCH ? "the text was changed"
							       : "the signature does not fit");
	case DKIM_SIGERROR_EXPIRED:
	case DKIM_SIGERROR_FUTURE:
		return set(why, DKIM_IS_FAIL, "the signature is not valid at this time");
	case DKIM_SIGERROR_KEYTOOSMALL:
		return set(why, DKIM_IS_POLICY, "the key is too short");
	case DKIM_SIGERROR_NOKEY:
		return set(why, DKIM_IS_PERMERROR,
		    key != NULL && key->n > 1 ? "there are several keys" : "there is no such key");
	case DKIM_SIGERROR_KEYREVOKED:
		return set(why, DKIM_IS_PERMERROR, "the key was revoked");
	}
	text = dkim_sig_geterrorstr(error);
	return set(why, DKIM_IS_PERMERROR, text != NULL ? text : "the signature is malformed");
}

static const char *
kept(struct judge *j, const u_char *text)
{
	const char *copy = text == NULL ? "" : pool_text(j->pool, slice_of((const char *)text));

	return copy == NULL ? "" : copy;
}

/* Of i= (RFC 6376 3.5); "" when it cannot be read. */
static const char *
identity(struct judge *j, DKIM *d, DKIM_SIGINFO *sig)
{
	u_char text[IDENTITY_MAX + 1] = "";

	if (dkim_sig_getidentity(d, sig, text, sizeof(text)) != DKIM_STAT_OK)
		return "";
	return kept(j, text);
}

static int
read_results(struct judge *j, DKIM *d, struct dkim_signature *out)
{
	DKIM_SIGINFO **sigs = NULL;
	int n = 0, filled = 0;

	if (dkim_getsiglist(d, &sigs, &n) != DKIM_STAT_OK)
		return 0;
	for (int i = 0; i < n && filled < DKIM_SIGNATURES_MAX; i++) {
		struct dkim_signature *s = &out[filled++];

		*s = (struct dkim_signature){ .domain = kept(j, dkim_sig_getdomain(sigs[i])),
			.selector = kept(j, dkim_sig_getselector(sigs[i])),
			.algorithm = kept(j, dkim_sig_getalgorithm(sigs[i])),
			.identity = identity(j, d, sigs[i]) };
		s->result = signature_result(j, d, sigs[i], s, &s->why);
	}
	return filled;
}

/* All fields but what is no field, and the signatures past the limit. The library copies a field up
 * to its first NUL and then reads it at its full length: none with a NUL is given to it. */
static bool
give_header(struct judge *j, DKIM *d)
{
	unsigned signatures = 0;

	for (size_t i = 0; i < j->n_fields; i++) {
		struct slice f = j->fields[i].whole;

		if (j->fields[i].name.len == 0)
			continue;
		if (slice_eq_nocase(j->fields[i].name, SLICE("DKIM-Signature")) &&
		    ++signatures > DKIM_SIGNATURES_MAX)
			continue;
		while (f.len > 0 && (f.at[f.len - 1] == '\n' || f.at[f.len - 1] == '\r'))
			f.len--;
		if (memchr(f.at, '\0', f.len) != NULL ||
		    dkim_header(d, (u_char *)f.at, f.len) != DKIM_STAT_OK)
			return false;
	}
	return true;
}

static int
verify(struct judge *j, DKIM *d, struct dkim_signature *out)
{
	DKIM_STAT status;

	if (!give_header(j, d))
		return 0;
	status = dkim_eoh(d);
	if (running.waits)
		return -1;
	if (status == DKIM_STAT_OK && j->content.len > 0)
		status = dkim_body(d, (u_char *)j->content.at, j->content.len);
	if (status == DKIM_STAT_OK)
		dkim_eom(d, NULL);
	return read_results(j, d, out);
}

int
dkim_evaluate(struct judge *j, struct dkim_signature out[static DKIM_SIGNATURES_MAX])
{
	DKIM_LIB *lib = library();
	uint64_t now = (uint64_t)(j->facts.now / 1000000);
	DKIM_STAT status;
	DKIM *d;
	int n;

	if (lib == NULL || judge_field(j, "DKIM-Signature", NULL) == 0)
		return 0;
	dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_FIXEDTIME, &now, sizeof(now));
	d = dkim_verify(lib, (const u_char *)"message", NULL, &status);
	if (d == NULL)
		return 0;
	running.judge = j;
	running.waits = false;
	n = verify(j, d, out);
	running.judge = NULL;
	dkim_free(d);
	return n;
}

/* -- the check */

static const char *const names[] = {
	[DKIM_IS_NONE] = "none",
	[DKIM_IS_PASS] = "pass",
	[DKIM_IS_FAIL] = "fail",
	[DKIM_IS_POLICY] = "policy",
	[DKIM_IS_TEMPERROR] = "temperror",
	[DKIM_IS_PERMERROR] = "permerror",
};

const char *
dkim_result_name(enum dkim_result r)
{
	return names[r];
}

/* " header.NAME=VALUE", or "" without one. */
static const char *
property(struct judge *j, const char *name, const char *value)
{
	const char *text = value[0] == '\0' ? "" : pool_printf(j->pool, " header.%s=%s", name, judge_quote(j, value));

	return text == NULL ? "" : text;
}

static void
tell_signature(struct judge *j, const struct dkim_signature *s, const char *rule, int64_t score)
{
	const char *line;

	if (s->result == DKIM_IS_PASS)
		judge_hit(j, "dkim", "pass", rule, score, "The signature of %s is good", s->domain);
	else
		judge_hit(j, "dkim", names[s->result], rule, score,
		    "The signature of %s does not count: %s", s->domain, s->why);
	line = pool_printf(j->pool, "dkim=%s%s%s%s%s%s", names[s->result], judge_reason(j, s->why),
	    property(j, "d", s->domain), property(j, "s", s->selector), property(j, "a", s->algorithm),
	    property(j, "i", s->identity));
	if (line != NULL)
		judge_method(j, line);
	if (s->result == DKIM_IS_PASS || s->result == DKIM_IS_TEMPERROR)
		judge_prove(j, "dkim", s->domain, s->result == DKIM_IS_TEMPERROR);
}

enum check_status
check_dkim(struct judge *j)
{
	struct dkim_signature sigs[DKIM_SIGNATURES_MAX];
	bool good = false, bad = false;
	int n = dkim_evaluate(j, sigs);

	if (n == -1)
		return CHECK_WAIT;
	if (n == 0) {
		bool there = judge_field(j, "DKIM-Signature", NULL) > 0;

		judge_hit(j, "dkim", there ? "permerror" : "none", NULL, 0,
		    there ? "The header is too broken to verify its signature"
			  : "The message bears no DKIM signature");
		judge_method(j, there ? "dkim=permerror" : "dkim=none");
		return CHECK_DONE;
	}
	for (int i = 0; i < n; i++)
		good = good || sigs[i].result == DKIM_IS_PASS;
	for (int i = 0, told = 0; i < n; i++) {
		bool pass = sigs[i].result == DKIM_IS_PASS, first;

		bad = !good && sigs[i].result != DKIM_IS_TEMPERROR;
		first = told == 0 && (pass || bad);
		told += first;
		tell_signature(j, &sigs[i],
		    !first ? NULL
		    : pass ? "DKIM_PASS"
			   : "DKIM_INVALID",
		    !first ? 0
		    : pass ? -200
			   : 500);
	}
	return CHECK_DONE;
}
