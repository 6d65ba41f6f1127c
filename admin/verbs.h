/* verbs - which role owns a request of the administrator, and the steps it takes
 *
 * One table for `control` (which asks the roles) and for the CLI while the server is down (which
 * opens the files). Most requests go to one owner by their first word; those that touch users and
 * passwords take two steps, ordered so that a failure between them never leaves a login that should
 * not work: passwords are written last and taken away first. */
#ifndef ADMIN_VERBS_H
#define ADMIN_VERBS_H

#include "base/admin.h"
#include "base/msg.h"

#define VERB_STEPS_MAX 2

struct verb_step {
	enum role role;
	const char *verb; /* as the owner knows it */
	bool may_miss;    /* ERR_NOT_FOUND is no failure */
	bool quiet;       /* only asked whether the thing is there: its rows are dropped */
	const char *undo; /* asked of the step before when this one fails; NULL: nothing */
};

struct verb_plan {
	struct verb_step step[VERB_STEPS_MAX];
	size_t n;
};

/* -1 + ERR_USAGE: there is no such request. The plan's texts belong to the table or are `verb`
 * itself. */
int verb_plan(const char *verb, struct verb_plan *plan, struct err *err);
/* Is the word told to this owner? A password goes to nobody but auth. */
bool verb_word_goes(const struct admin_word *word, enum role role);

#endif
