/* dkim - verifies DKIM signatures, once all keys are there
 *
 * Each signature is read by our own strict code first (dkim_field.h), and so is the record of its key
 * (pubkey.h): what is malformed, too long or too weak gets its result there. The library never sees a
 * malformed field nor a bad key; a well-formed signature without a good key it sees as a field that
 * others may be over. All keys are asked for at once; only when every answer is there does libopendkim
 * hash and verify what is left. It takes the keys through our function, from what is known.
 *
 * What libopendkim lets pass and we do not: rsa-sha1, and an l= that leaves text behind it
 * unsigned. */
#include "filters/dkim.h"

#include <opendkim/dkim.h>
#include <stdio.h>
#include <string.h>

#include "filters/check.h"
#include "filters/dkim_field.h"
#include "filters/pubkey.h"

#define KEY_RECORD_MAX 1023 /* the library's buffer; an RSA key of 4096 bits takes 750 */

struct looked_at { /* signatures, from the top */
	const struct mime_field *field[DKIM_SIGNATURES_MAX];
	bool left[DKIM_SIGNATURES_MAX];  /* for the library to verify */
	bool given[DKIM_SIGNATURES_MAX]; /* to it, since others may sign it */
	struct dkim_signature *out;
	int n;
};

static struct {
	struct judge *judge;
	const struct looked_at *all;
	bool waits;
} running;

/* -- keys */

/* The answer about a signature's key; NULL: not yet. */
static const struct answer *
key_answer(struct judge *j, const char *selector, const char *domain)
{
	char name[600];

	snprintf(name, sizeof(name), "%s._domainkey.%s", selector, domain);
	return judge_dns(j, name, RR_TXT);
}

static bool
is_of(const struct dkim_signature *s, const char *selector, const char *domain)
{
	return strcasecmp(domain, s->domain) == 0 && strcasecmp(selector, s->selector) == 0;
}

/* Was this key found good for any signature? The library shall have no other. */
static bool
is_good_key(const struct looked_at *all, const char *selector, const char *domain)
{
	for (int i = 0; i < all->n; i++)
		if (all->left[i] && is_of(&all->out[i], selector, domain))
			return true;
	return false;
}

static DKIM_CBSTAT
find_key(DKIM *d, DKIM_SIGINFO *sig, u_char *out, size_t size)
{
	const char *selector = (const char *)dkim_sig_getselector(sig),
		   *domain = (const char *)dkim_sig_getdomain(sig);
	const struct answer *a;
	struct slice text;

	(void)d;
	if (running.judge == NULL || selector == NULL || domain == NULL ||
	    !is_good_key(running.all, selector, domain))
		return DKIM_CBSTAT_NOTFOUND;
	a = key_answer(running.judge, selector, domain);
	if (a == NULL) {
		running.waits = true;
		return DKIM_CBSTAT_TRYAGAIN;
	}
	if (a->status != DNS_OK || a->n != 1)
		return DKIM_CBSTAT_NOTFOUND;
	text = a->rdata[0];
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
	uint64_t drift = DKIM_CLOCK_SKEW;

	if (lib == NULL && (lib = dkim_init(NULL, NULL)) != NULL) {
		dkim_set_key_lookup(lib, find_key);
		dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_FLAGS, &flags, sizeof(flags));
		dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_CLOCKDRIFT, &drift, sizeof(drift));
	}
	return lib;
}

static enum dkim_result
set(const char **why, enum dkim_result r, const char *text)
{
	*why = text;
	return r;
}

/* -- before the library */

static const char *
kept(struct judge *j, struct slice text)
{
	const char *copy = text.at == NULL ? "" : pool_text(j->pool, text);

	return copy == NULL ? "" : copy;
}

/* What is wrong with the key; DKIM_IS_NONE: nothing. false: it is not known yet. */
static bool
judge_key(struct judge *j, const struct tags *tags, enum dkim_result *r, const char **why)
{
	static const enum dkim_result results[] = {
		[PUBKEY_WAITS] = DKIM_IS_NONE,
		[PUBKEY_OK] = DKIM_IS_NONE,
		[PUBKEY_TEMPERROR] = DKIM_IS_TEMPERROR,
		[PUBKEY_WEAK] = DKIM_IS_POLICY,
		[PUBKEY_NONE] = DKIM_IS_PERMERROR,
	};
	EVP_PKEY *key;
	enum pubkey_status status =
	    pubkey_get(j, tags_get(tags, "s"), tags_get(tags, "d"), tags_get(tags, "a"), &key, why);

	EVP_PKEY_free(key);
	*r = results[status];
	return status != PUBKEY_WAITS;
}

/* Read one signature; its result stays DKIM_IS_NONE when the library is to verify it. *formed: there is
 * nothing wrong with its form. false: its key is not known yet. */
static bool
look_at(struct judge *j, const struct mime_field *f, struct dkim_signature *s, bool *formed)
{
	struct tags tags;
	struct slice identity;

	*s = (struct dkim_signature){ .result = DKIM_IS_NONE, .why = "" };
	s->result = dkim_field_read(f->value, j->facts.now / 1000000, &tags, &s->why);
	*formed = s->result != DKIM_IS_PERMERROR;
	identity = tags_get(&tags, "i");
	s->domain = kept(j, tags_get(&tags, "d"));
	s->selector = kept(j, tags_get(&tags, "s"));
	s->algorithm = kept(j, tags_get(&tags, "a"));
	s->identity = kept(j, identity);
	if (identity.at == NULL && s->domain[0] != '\0')
		s->identity = pool_printf(j->pool, "@%s", s->domain);
	if (s->identity == NULL)
		s->identity = "";
	return s->result != DKIM_IS_NONE || judge_key(j, &tags, &s->result, &s->why);
}

/* -1: keys are missing; else how many signatures are left for the library. */
static int
look_at_all(struct judge *j, struct looked_at *all)
{
	bool waits = false;
	int left = 0;

	for (size_t i = 0; i < j->n_fields && all->n < DKIM_SIGNATURES_MAX; i++) {
		int n = all->n;

		if (!slice_eq_nocase(j->fields[i].name, SLICE("DKIM-Signature")))
			continue;
		all->field[n] = &j->fields[i];
		if (!look_at(j, &j->fields[i], &all->out[n], &all->given[n]))
			waits = true;
		all->left[n] = all->out[n].result == DKIM_IS_NONE;
		left += all->left[n];
		all->n++;
	}
	return waits ? -1 : left;
}

/* -- what the library says */

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
signature_result(DKIM *d, DKIM_SIGINFO *sig, const char **why)
{
	const char *text;
	int error = dkim_sig_geterror(sig);

	if (error == DKIM_SIGERROR_OK && (dkim_sig_getflags(sig) & DKIM_SIGFLAG_PASSED) != 0 &&
	    dkim_sig_getbh(sig) == DKIM_SIGBH_MATCH)
		return passed(d, sig, why);
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
		return set(why, DKIM_IS_PERMERROR, "the key record is too long");
	case DKIM_SIGERROR_SUBDOMAIN:
		return set(why, DKIM_IS_PERMERROR,
		    "its key (t=s) is not for an identity (i=) below the domain");
	}
	text = dkim_sig_geterrorstr(error);
	return set(why, DKIM_IS_PERMERROR, text != NULL ? text : "the signature is malformed");
}

/* The library leaves out what it cannot read; the others are in order. */
static void
read_results(DKIM *d, struct looked_at *all)
{
	DKIM_SIGINFO **sigs = NULL;
	int n = 0, k = 0;

	if (dkim_getsiglist(d, &sigs, &n) != DKIM_STAT_OK)
		n = 0;
	for (int i = 0; i < all->n; i++) {
		struct dkim_signature *s = &all->out[i];
		const char *domain, *selector;

		if (!all->given[i])
			continue;
		domain = k < n ? (const char *)dkim_sig_getdomain(sigs[k]) : NULL;
		selector = k < n ? (const char *)dkim_sig_getselector(sigs[k]) : NULL;
		if (domain == NULL || selector == NULL || !is_of(s, selector, domain)) {
			if (all->left[i])
				s->result = set(&s->why, DKIM_IS_PERMERROR, "the signature is malformed");
			continue;
		}
		if (!all->left[i]) { /* it has its result */
			k++;
			continue;
		}
		s->testing = (dkim_sig_getflags(sigs[k]) & DKIM_SIGFLAG_TESTKEY) != 0;
		s->result = signature_result(d, sigs[k++], &s->why);
	}
}

/* Does the library see this signature? Also one that it is not to verify, as long as its form is good: a
 * signature above may be over it (h=...:dkim-signature). */
static bool
is_given(const struct looked_at *all, const struct mime_field *f)
{
	for (int i = 0; i < all->n; i++)
		if (all->field[i] == f)
			return all->given[i];
	return false;
}

/* All fields but what is no field, and the signatures that are not for it. The library copies a field
 * up to its first NUL and then reads it at its full length: none with a NUL is given to it. */
static bool
give_header(struct judge *j, DKIM *d, const struct looked_at *all)
{
	for (size_t i = 0; i < j->n_fields; i++) {
		struct slice f = j->fields[i].whole;

		if (j->fields[i].name.len == 0 ||
		    (slice_eq_nocase(j->fields[i].name, SLICE("DKIM-Signature")) &&
			!is_given(all, &j->fields[i])))
			continue;
		while (f.len > 0 && (f.at[f.len - 1] == '\n' || f.at[f.len - 1] == '\r'))
			f.len--;
		if (memchr(f.at, '\0', f.len) != NULL ||
		    dkim_header(d, (u_char *)f.at, f.len) != DKIM_STAT_OK)
			return false;
	}
	return true;
}

/* false: it waits for a key after all. */
static bool
verify(struct judge *j, DKIM *d, struct looked_at *all)
{
	DKIM_STAT status;

	if (give_header(j, d, all)) {
		status = dkim_eoh(d);
		if (running.waits)
			return false;
		if (status == DKIM_STAT_OK && j->content.len > 0)
			status = dkim_body(d, (u_char *)j->content.at, j->content.len);
		if (status == DKIM_STAT_OK)
			dkim_eom(d, NULL);
		read_results(d, all);
	}
	for (int i = 0; i < all->n; i++)
		if (all->out[i].result == DKIM_IS_NONE)
			all->out[i].result = set(&all->out[i].why, DKIM_IS_PERMERROR,
			    "the header is too broken to verify it");
	return true;
}

int
dkim_evaluate(struct judge *j, struct dkim_signature out[static DKIM_SIGNATURES_MAX])
{
	struct looked_at all = { .out = out };
	uint64_t now = (uint64_t)(j->facts.now / 1000000);
	DKIM_LIB *lib;
	DKIM_STAT status;
	DKIM *d;
	bool done;
	int left = look_at_all(j, &all);

	if (left <= 0)
		return left == -1 ? -1 : all.n;
	lib = library();
	if (lib == NULL)
		return 0;
	dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_FIXEDTIME, &now, sizeof(now));
	d = dkim_verify(lib, (const u_char *)"message", NULL, &status);
	if (d == NULL)
		return 0;
	running.judge = j;
	running.all = &all;
	running.waits = false;
	done = verify(j, d, &all);
	running.judge = NULL;
	running.all = NULL;
	dkim_free(d);
	return done ? all.n : -1;
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
	const char *domain = s->domain[0] == '\0' ? "nobody" : s->domain;
	const char *test = s->testing ? " (its key is in test mode, t=y)" : "", *line;

	if (s->result == DKIM_IS_PASS)
		judge_hit(j, "dkim", "pass", rule, score, "The signature of %s is good%s", domain, test);
	else
		judge_hit(j, "dkim", names[s->result], rule, score,
		    "The signature of %s does not count: %s%s", domain, s->why, test);
	line = pool_printf(j->pool, "dkim=%s%s%s%s%s%s%s", names[s->result],
	    s->testing ? " (test mode)" : "", judge_reason(j, s->why), property(j, "d", s->domain),
	    property(j, "s", s->selector), property(j, "a", s->algorithm),
	    property(j, "i", s->identity));
	if (line != NULL)
		judge_method(j, line);
	if (s->result == DKIM_IS_PASS || s->result == DKIM_IS_TEMPERROR)
		judge_prove(j, "dkim", s->domain, s->result == DKIM_IS_TEMPERROR);
	judge_result(j, &(struct auth_result){ "dkim", s->domain, s->selector, names[s->result], s->why });
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

		/* who only tests loses nothing by a broken one (RFC 6376 3.6.1) */
		bad = !good && sigs[i].result != DKIM_IS_TEMPERROR && !sigs[i].testing;
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
