/* relay_policy - what TLS has to achieve on the way to one host, and what it did achieve
 *
 * What a kind means stands in one table. DANE outweighs MTA-STS (RFC 8461 2), both outweigh a
 * weaker configuration, and a configuration that demands more than they do stays in force. */
#include "delivery/relay_policy.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static const struct {
	bool mandatory;
	enum proof proof;
	const char *words, *type;
} kinds[] = {
	[POLICY_NONE] = { false, PROOF_NONE, "switched off", "no-policy-found" },
	[POLICY_OPPORTUNISTIC] = { false, PROOF_NONE, "opportunistic", "no-policy-found" },
	[POLICY_REQUIRED] = { true, PROOF_NONE, "required", "no-policy-found" },
	[POLICY_VERIFIED] = { true, PROOF_PKIX, "by configuration", "no-policy-found" },
	[POLICY_STS_TESTING] = { false, PROOF_PKIX, "MTA-STS in testing", "sts" },
	[POLICY_STS] = { true, PROOF_PKIX, "MTA-STS", "sts" },
	[POLICY_DANE_UNUSABLE] = { true, PROOF_NONE, "DANE without a usable record", "tlsa" },
	[POLICY_DANE] = { true, PROOF_DANE, "DANE", "tlsa" },
};

static const char *const results[TLS_RESULTS] = {
	[TLS_FINE] = "",
	[TLS_NOT_SUPPORTED] = "starttls-not-supported",
	[TLS_HOST_MISMATCH] = "certificate-host-mismatch",
	[TLS_EXPIRED] = "certificate-expired",
	[TLS_NOT_TRUSTED] = "certificate-not-trusted",
	[TLS_VALIDATION_FAILURE] = "validation-failure",
	[TLS_TLSA_INVALID] = "tlsa-invalid",
	[TLS_DNSSEC_INVALID] = "dnssec-invalid",
	[TLS_DANE_REQUIRED] = "dane-required",
	[TLS_STS_FETCH_ERROR] = "sts-policy-fetch-error",
	[TLS_STS_INVALID] = "sts-policy-invalid",
	[TLS_STS_WEBPKI] = "sts-webpki-invalid",
};

static const enum policy_kind of_conf[] = {
	[TLS_NONE] = POLICY_NONE,
	[TLS_OPPORTUNISTIC] = POLICY_OPPORTUNISTIC,
	[TLS_REQUIRED] = POLICY_REQUIRED,
	[TLS_VERIFIED] = POLICY_VERIFIED,
};

static char none[] = "";

/* -- life */

static void
set_kind(struct tls_policy *p, enum policy_kind kind)
{
	p->mandatory = p->mandatory || kinds[kind].mandatory;
	p->kind = kind;
	snprintf(p->key, sizeof(p->key), "%s%s", kinds[kind].words, p->mandatory ? "!" : "");
}

struct tls_policy *
policy_new(const struct route *route)
{
	struct tls_policy *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->refs = 1;
	p->lines = none;
	slice_copy(slice_of(route->domain), p->domain, sizeof(p->domain));
	set_kind(p, of_conf[route->tls]);
	return p;
}

struct tls_policy *
policy_hold(struct tls_policy *p)
{
	p->refs++;
	return p;
}

void
policy_drop(struct tls_policy **p)
{
	if (*p != NULL && --(*p)->refs == 0) {
		free((*p)->tlsa);
		if ((*p)->lines != none)
			free((*p)->lines);
		free(*p);
	}
	*p = NULL;
}

/* Without memory the reports lack it. */
static void
set_lines(struct tls_policy *p, struct slice text)
{
	char *lines = slice_dup(slice_first(text, POLICY_LINES));

	if (lines != NULL)
		p->lines = lines;
}

/* -- DANE */

/* RFC 7672 3.1: only usages 2 and 3 mean anything between mail servers; RFC 6698 2.1 for the rest. */
static bool
tlsa_usable(const struct tlsa *t)
{
	static const size_t lengths[] = { 0, 32, 64 };

	return (t->usage == 2 || t->usage == 3) && t->selector <= 1 && t->matching <= 2 &&
	       (t->matching == 0 ? t->data.len > 0 : t->data.len == lengths[t->matching]);
}

/* "3 1 1 0123ab..." */
static void
tlsa_line(struct buf *out, struct slice rdata)
{
	buf_printf(out, "%s%u %u %u ", out->len > 0 ? "\n" : "", (unsigned char)rdata.at[0],
	    (unsigned char)rdata.at[1], (unsigned char)rdata.at[2]);
	for (size_t i = 3; i < rdata.len && i < 3 + 64; i++)
		buf_printf(out, "%02x", (unsigned char)rdata.at[i]);
}

/* Sessions may be shared by policies of the same records; with a trust anchor the recipients' domain
 * counts too, as a name that the certificate may have. */
static void
dane_key(struct tls_policy *p, const struct slice *rdata, size_t n)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	struct buf all;

	buf_init(&all, 1024 * 1024);
	buf_text(&all, p->base);
	for (size_t i = 0; i < p->n; i++)
		if (p->tlsa[i].usage == 2)
			buf_printf(&all, " %s", p->domain);
	for (size_t i = 0; i < n; i++) {
		buf_printf(&all, "\n%zu ", rdata[i].len);
		buf_slice(&all, rdata[i]);
	}
	SHA256((const unsigned char *)all.at, all.len, digest);
	buf_free(&all);
	snprintf(p->key, sizeof(p->key), "%.20s! %02x%02x%02x%02x%02x%02x%02x%02x",
	    kinds[p->kind].type, digest[0], digest[1], digest[2], digest[3], digest[4], digest[5],
	    digest[6], digest[7]);
}

static void
take_tlsa(struct tls_policy *p, const struct slice *rdata, size_t n)
{
	char *at = (char *)(p->tlsa + n);
	struct buf lines;

	buf_init(&lines, POLICY_LINES);
	for (size_t i = 0; i < n; i++) {
		struct tlsa t;

		if (rdata[i].len < 3)
			continue;
		tlsa_line(&lines, rdata[i]);
		t = (struct tlsa){ (uint8_t)rdata[i].at[0], (uint8_t)rdata[i].at[1],
			(uint8_t)rdata[i].at[2], { at, rdata[i].len - 3 } };
		if (!tlsa_usable(&t))
			continue;
		memcpy(at, rdata[i].at + 3, t.data.len);
		at += t.data.len;
		p->tlsa[p->n++] = t;
	}
	set_lines(p, buf_all(&lines));
	buf_free(&lines);
}

bool
policy_set_dane(struct tls_policy *p, const char *base, const struct slice *rdata, size_t n)
{
	size_t all = 0;

	if (n > TLSA_MAX)
		n = TLSA_MAX;
	for (size_t i = 0; i < n; i++)
		all += rdata[i].len;
	p->tlsa = malloc(n * sizeof(*p->tlsa) + all);
	if (p->tlsa == NULL)
		return false;
	slice_copy(slice_of(base), p->base, sizeof(p->base));
	take_tlsa(p, rdata, n);
	if (p->n > 0)
		set_kind(p, POLICY_DANE);
	else if (p->kind != POLICY_VERIFIED)
		set_kind(p, POLICY_DANE_UNUSABLE);
	dane_key(p, rdata, n);
	return true;
}

/* -- MTA-STS */

void
policy_set_sts(struct tls_policy *p, bool testing, const char *text)
{
	if (testing && p->kind == POLICY_VERIFIED)
		return;
	set_lines(p, slice_of(text));
	set_kind(p, testing ? POLICY_STS_TESTING : POLICY_STS);
}

/* -- what it says */

bool
policy_wants_tls(const struct tls_policy *p)
{
	return p->kind != POLICY_NONE;
}

enum proof
policy_proof(const struct tls_policy *p)
{
	return kinds[p->kind].proof;
}

const char *
policy_words(const struct tls_policy *p)
{
	return kinds[p->kind].words;
}

const char *
policy_type(const struct tls_policy *p)
{
	return kinds[p->kind].type;
}

const char *
tls_result_name(enum tls_result result)
{
	return results[result];
}
