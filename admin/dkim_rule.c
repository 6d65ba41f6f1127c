/* dkim_rule - what becomes of DKIM keys, by what DNS says of their records */
#include "admin/dkim_rule.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define RECORD_MAX 4096

static const char *const dns_names[] = {
	[DKIM_DNS_UNKNOWN] = "unknown",
	[DKIM_DNS_RIGHT] = "yes",
	[DKIM_DNS_ABSENT] = "missing",
	[DKIM_DNS_WRONG] = "wrong",
};

const char *
dkim_dns_name(enum dkim_dns dns)
{
	return dns_names[dns];
}

const char *
dkim_state_shown(enum dkim_state state, int64_t since, int64_t keep, int64_t now)
{
	return state == DKIM_RETIRING && now >= since + keep ? "retired" : dkim_state_name(state);
}

/* -- records */

struct parts { /* of a key record, without blanks; NULL: the tag is not there */
	char text[RECORD_MAX];
	char *v, *k, *p, *h, *s;
};

/* false: it is no list of tags, or one is there twice. */
static bool
parts_read(struct parts *r, const char *text)
{
	struct {
		char name;
		char **value;
	} tags[] = { { 'v', &r->v }, { 'k', &r->k }, { 'p', &r->p }, { 'h', &r->h }, { 's', &r->s } };
	char *tag, *rest = NULL;
	size_t n = 0;

	memset(r, 0, sizeof(*r));
	for (; *text != '\0'; text++) {
		if (n + 1 >= sizeof(r->text))
			return false;
		if (!isspace((unsigned char)*text))
			r->text[n++] = *text;
	}
	for (tag = strtok_r(r->text, ";", &rest); tag != NULL; tag = strtok_r(NULL, ";", &rest))
		for (size_t i = 0; i < COUNT(tags); i++) {
			if (tag[0] != tags[i].name || tag[1] != '=')
				continue;
			if (*tags[i].value != NULL)
				return false;
			*tags[i].value = tag + 2;
		}
	return r->p != NULL;
}

/* Is the word in this list, or is there no list? (RFC 6376 3.6.1: h=, s=) */
static bool
allows(const char *list, const char *word)
{
	struct slice rest = slice_of(list != NULL ? list : word);

	while (rest.len > 0) {
		struct slice one = slice_cut(&rest, ':');

		if (slice_eq_nocase(one, slice_of(word)) || slice_eq(one, SLICE("*")))
			return true;
	}
	return false;
}

bool
dkim_record_same(const char *published, const char *ours)
{
	struct parts a, b;

	return parts_read(&a, published) && parts_read(&b, ours) && strcmp(a.p, b.p) == 0 &&
	       (a.v == NULL || strcmp(a.v, "DKIM1") == 0) &&
	       strcasecmp(a.k != NULL ? a.k : "rsa", b.k != NULL ? b.k : "rsa") == 0 && allows(a.h, "sha256") &&
	       allows(a.s, "email");
}

/* -- the rule */

static bool
will_sign(const struct dkim_look *k)
{
	return (k->state == DKIM_ACTIVE || k->activate) && !k->retire;
}

static void
activate(struct dkim_look *k)
{
	bool ready = k->dns == DKIM_DNS_RIGHT;

	k->see = ready && !k->seen;
	k->activate = k->state != DKIM_ACTIVE &&
	    ((k->state == DKIM_NEXT && ready) || (k->wanted && (ready || k->force)));
}

/* Those of its kind that sign now. */
static void
retire_others(struct dkim_look *all, size_t n, const struct dkim_look *by)
{
	for (size_t i = 0; i < n; i++)
		if (&all[i] != by && all[i].state == DKIM_ACTIVE && strcmp(all[i].domain, by->domain) == 0 &&
		    strcmp(all[i].algorithm, by->algorithm) == 0)
			all[i].retire = true;
}

static bool
another_is_in_dns(const struct dkim_look *all, size_t n, const struct dkim_look *than)
{
	for (size_t i = 0; i < n; i++)
		if (&all[i] != than && will_sign(&all[i]) && all[i].dns == DKIM_DNS_RIGHT &&
		    strcmp(all[i].domain, than->domain) == 0)
			return true;
	return false;
}

static bool
stops(const struct dkim_look *all, size_t n, const struct dkim_look *k)
{
	switch (k->dns) {
	case DKIM_DNS_RIGHT: return false;
	case DKIM_DNS_WRONG: return true;
	case DKIM_DNS_ABSENT: return k->seen || another_is_in_dns(all, n, k);
	default: return k->stopped;
	}
}

void
dkim_rule(struct dkim_look *all, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		all[i].retire = all[i].stop = false;
		activate(&all[i]);
	}
	for (size_t i = 0; i < n; i++)
		if (all[i].activate)
			retire_others(all, n, &all[i]);
	for (size_t i = 0; i < n; i++)
		all[i].stop = will_sign(&all[i]) && stops(all, n, &all[i]);
}
