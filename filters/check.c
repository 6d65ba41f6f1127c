/* check - the table of checks, and how they are run
 *
 * Antivirus stands first so that its request leaves before DNS is asked; dmarc needs the results of
 * spf, dkim and arc, but stands before arc: a chain of fifty seals must not use up the questions that
 * one message may ask before the policy's are asked. */
#include "filters/check.h"

#include <stdlib.h>
#include <string.h>

static bool
for_antivirus(const struct judge *j)
{
	return j->conf->antivirus.enabled;
}

/* Mail of our own users is scanned and nothing else. */
static bool
for_spf(const struct judge *j)
{
	return j->conf->spf.enabled && j->outside;
}

static bool
for_dkim(const struct judge *j)
{
	return j->conf->dkim.enabled && j->outside;
}

static bool
for_dmarc(const struct judge *j)
{
	return j->conf->dmarc.enabled && j->outside;
}

static bool
for_arc(const struct judge *j)
{
	return j->conf->arc.enabled && j->outside;
}

static bool
for_spam(const struct judge *j)
{
	return j->spam_asked;
}

/*    name         applies        function */
const struct check checks[] = {
	{ "antivirus", for_antivirus, check_antivirus },
	{ "rdns", for_spam, check_rdns },
	{ "dnsbl", for_spam, check_dnsbl },
	{ "spf", for_spf, check_spf },
	{ "dkim", for_dkim, check_dkim },
	{ "dmarc", for_dmarc, check_dmarc },
	{ "arc", for_arc, check_arc },
	{ "helo", for_spam, check_helo },
	{ "header", for_spam, check_header },
	{ "content", for_spam, check_content },
	{ "bayes", for_spam, check_bayes },
	{ 0 },
};

bool
check_is_done(const struct judge *j, const char *name)
{
	for (unsigned i = 0; checks[i].name != NULL; i++)
		if (strcmp(checks[i].name, name) == 0)
			return (j->checks_done & 1u << i) != 0;
	return true;
}

/* Answers come in any order; what is told does not depend on it. */
static int
hit_order(const void *a, const void *b)
{
	const struct hit *x = a, *y = b;

	return x->row != y->row        ? (x->row < y->row ? -1 : 1)
	       : x->number < y->number ? -1
				       : x->number > y->number;
}

static int
method_order(const void *a, const void *b)
{
	const struct method *x = a, *y = b;

	return x->row != y->row        ? (x->row < y->row ? -1 : 1)
	       : x->number < y->number ? -1
				       : x->number > y->number;
}

enum check_status
checks_run(struct judge *j)
{
	enum check_status all = CHECK_DONE;

	for (unsigned i = 0; checks[i].name != NULL; i++) {
		size_t hits = j->n_hits, methods = j->n_methods;

		if ((j->checks_done & 1u << i) != 0)
			continue;
		j->row = i;
		if (checks[i].applies(j) && checks[i].run(j) == CHECK_WAIT) {
			/* it will say it all again */
			j->n_hits = hits;
			j->n_methods = methods;
			all = CHECK_WAIT;
			continue;
		}
		j->checks_done |= 1u << i;
	}
	if (all == CHECK_DONE) {
		qsort(j->hits, j->n_hits, sizeof(j->hits[0]), hit_order);
		qsort(j->methods, j->n_methods, sizeof(j->methods[0]), method_order);
	}
	return all;
}
