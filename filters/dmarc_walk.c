/* dmarc_walk - the tree walk
 *
 * Names: the domain itself, then ever shorter ones; of a name with many labels those in the middle are
 * left out, so that nobody makes us ask more than eight questions. All are asked at once and then read
 * in order, as if they had been asked one by one. */
#include "filters/dmarc_walk.h"

#include <stdio.h>
#include <string.h>

#define LABELS_MAX 7 /* of the second name that is asked */

struct step {
	const char *name;
	bool found;
	struct dmarc_record record;
};

static unsigned
count_labels(const char *name)
{
	unsigned n = 1;

	for (; *name != '\0'; name++)
		n += *name == '.';
	return n;
}

static const char *
parent_of(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot == NULL ? NULL : dot + 1;
}

/* The names of the walk, longest first; returns how many. */
static size_t
list_names(const char *domain, struct step steps[static DMARC_WALK_MAX])
{
	size_t n = 0;

	for (const char *name = domain; name != NULL && n < DMARC_WALK_MAX;) {
		steps[n++] = (struct step){ .name = name };
		do
			name = parent_of(name);
		while (name != NULL && count_labels(name) > LABELS_MAX);
	}
	return n;
}

static const struct answer *
ask(struct judge *j, const char *name)
{
	char asked[300];

	snprintf(asked, sizeof(asked), "_dmarc.%s", name);
	return judge_dns(j, asked, RR_TXT);
}

/* Exactly one record counts; several are none (RFC 9989 4.10). */
static void
read_answer(const struct answer *a, struct step *step)
{
	unsigned n = 0;

	for (size_t i = 0; a->status == DNS_OK && i < a->n; i++) {
		struct dmarc_record record;

		if (!dmarc_record_read(a->rdata[i], &record))
			continue;
		step->record = record;
		n++;
	}
	step->found = n == 1;
}

/* Ask all; WALK_DONE with *n cut to those up to the one that ends the walk. */
static enum walk_status
ask_all(struct judge *j, struct step *steps, size_t *n)
{
	const struct answer *answers[DMARC_WALK_MAX];
	bool waits = false;

	for (size_t i = 0; i < *n; i++) {
		answers[i] = ask(j, steps[i].name);
		waits = waits || answers[i] == NULL;
	}
	if (waits)
		return WALK_WAITS;
	for (size_t i = 0; i < *n; i++) {
		if (answers[i]->status == DNS_TEMPORARY)
			return WALK_TEMPERROR;
		read_answer(answers[i], &steps[i]);
		if (steps[i].found && steps[i].record.psd != DMARC_PSD_UNKNOWN)
			*n = i + 1;
	}
	return WALK_DONE;
}

/* The name one label longer than that of `last` on the way to the first. */
static const char *
one_below(const char *domain, const char *name)
{
	const char *below = name;

	while (below > domain && (below == name || below[-1] != '.'))
		below--;
	return below;
}

/* The last record found is the one with the fewest labels, or the one that ended the walk. */
static const struct step *
last_found(const struct step *steps, size_t n)
{
	while (n > 0)
		if (steps[--n].found)
			return &steps[n];
	return NULL;
}

enum walk_status
dmarc_walk(struct judge *j, const char *domain, struct dmarc_walk *out)
{
	struct step steps[DMARC_WALK_MAX];
	size_t n = list_names(domain, steps);
	const struct step *top, *governs;
	enum walk_status status = ask_all(j, steps, &n);

	if (status != WALK_DONE)
		return status;
	*out = (struct dmarc_walk){ .organization = domain };
	top = last_found(steps, n);
	if (top == NULL)
		return WALK_DONE;
	/* a top-level domain's record without a word on it counts as that of a public suffix: whole
	 * countries are no organization */
	if (top != steps &&
	    (top->record.psd == DMARC_PSD_YES ||
		(top->record.psd == DMARC_PSD_UNKNOWN && strchr(top->name, '.') == NULL)))
		out->organization = one_below(domain, top->name);
	else
		out->organization = top->name;
	/* the domain's own record, then its organization's, then that of the public suffix */
	governs = steps[0].found ? &steps[0] : top;
	for (size_t i = 1; i < n && governs == top; i++)
		if (steps[i].found && strcmp(steps[i].name, out->organization) == 0)
			governs = &steps[i];
	out->has_record = true;
	out->at = governs->name;
	out->record = governs->record;
	return WALK_DONE;
}
