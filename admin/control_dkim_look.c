/* control_dkim_look - which DKIM keys there are, and whether their records are in DNS
 *
 * A few questions at a time, so that many keys neither flood the resolver nor wait for one dead name server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control_dkim.h"
#include "base/dns/client.h"

#define AT_ONCE 8
#define TEXT_MAX 4096

static struct {
	struct dkim_looks *out;
	void (*done)(int rc, const struct err *err);
	size_t asked, answered;
} pass;

static void go_on(void);

/* -- DNS */

static enum dkim_dns
judge(const struct dns_answer *a, const char *record)
{
	char text[TEXT_MAX];
	size_t len;

	if (a->status == DNS_TEMPORARY || a->status == DNS_BOGUS)
		return DKIM_DNS_UNKNOWN;
	if (a->status != DNS_OK)
		return DKIM_DNS_ABSENT;
	/* of several, receivers take any one (RFC 6376 3.6.2.2) */
	return a->n == 1 && dns_rdata_txt(a->rdata[0], text, sizeof(text), &len) && strlen(text) == len &&
		       dkim_record_same(text, record)
		   ? DKIM_DNS_RIGHT
		   : DKIM_DNS_WRONG;
}

static void
got(void *arg, const struct dns_answer *a)
{
	struct dkim_look *k = arg;

	k->dns = judge(a, k->record);
	pass.answered++;
	go_on();
}

static void
go_on(void)
{
	struct dkim_looks *all = pass.out;
	char name[400];

	while (pass.asked < all->n && pass.asked - pass.answered < AT_ONCE) {
		struct dkim_look *k = &all->at[pass.asked++];

		k->dns = DKIM_DNS_UNKNOWN;
		snprintf(name, sizeof(name), "%s._domainkey.%s", k->selector, k->domain);
		if (!dns_name_ok(slice_of(name)) || dns_ask(name, DNS_TXT, got, k) == NULL)
			pass.answered++;
	}
	if (pass.answered == all->n && pass.done != NULL) {
		void (*done)(int, const struct err *) = pass.done;

		pass.done = NULL;
		done(0, NULL);
	}
}

/* -- the signer */

static void
take_word(struct dkim_look *k, const char *key, const char *value)
{
	const struct {
		const char *key;
		char *to;
		size_t size;
	} texts[] = { { "domain", k->domain, sizeof(k->domain) }, { "selector", k->selector, sizeof(k->selector) },
		{ "algorithm", k->algorithm, sizeof(k->algorithm) }, { "record", k->record, sizeof(k->record) } };

	for (size_t i = 0; i < COUNT(texts); i++)
		if (strcmp(key, texts[i].key) == 0)
			snprintf(texts[i].to, texts[i].size, "%s", value);
	if (strcmp(key, "state") == 0)
		dkim_state_read(value, &k->state);
	else if (strcmp(key, "seen") == 0)
		k->seen = strcmp(value, "yes") == 0;
	else if (strcmp(key, "stopped") == 0)
		k->stopped = strcmp(value, "yes") == 0;
	else if (strcmp(key, "stop_kept") == 0)
		k->stop_kept = strcmp(value, "yes") == 0;
}

static void
take_row(struct frame *f)
{
	struct dkim_look *k = &pass.out->at[pass.out->n];
	char key[32], value[1100];

	if (pass.out->n == DKIM_LOOKS_MAX)
		return;
	memset(k, 0, sizeof(*k));
	k->state = DKIM_ACTIVE;
	while (wire_more(&f->in) && !f->in.failed) {
		wire_text_to(&f->in, key, sizeof(key));
		wire_text_to(&f->in, value, sizeof(value));
		take_word(k, key, value);
	}
	if (!f->in.failed)
		pass.out->n++;
}

static void
on_row(void *arg, struct frame *f)
{
	void (*done)(int, const struct err *) = pass.done;
	struct err err = { 0 };

	(void)arg;
	if (f != NULL && f->type == MSG_ADMIN_ROW) {
		take_row(f);
	} else if (request_outcome(f, ROLE_SIGNER, &err) == -1) {
		pass.done = NULL;
		done(-1, &err);
	} else {
		go_on();
	}
}

void
dkim_looks_start(struct dkim_looks *out, void (*done)(int rc, const struct err *err))
{
	struct admin_request rq = { .verb = "dkim.list", .fd = -1 };
	struct err err = { 0 };

	memset(&pass, 0, sizeof(pass));
	pass.out = out;
	pass.done = done;
	out->n = 0;
	if (request_ask(ROLE_SIGNER, &rq, -1, on_row, NULL, &err) == 0)
		return;
	pass.done = NULL;
	done(-1, &err);
}
