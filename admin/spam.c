/* spam - learning: the verbs on score.db, for `control` and the CLI alike */
#include "admin/spam.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool
spam_class(const char *word, enum score_class *out)
{
	if (word != NULL && strcmp(word, "spam") == 0)
		*out = SCORE_SPAM;
	else if (word != NULL && strcmp(word, "ham") == 0)
		*out = SCORE_HAM;
	else
		return false;
	return true;
}

static int
spam_stats(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	struct score_totals t;
	char spam[24], ham[24], tokens[24];

	(void)rq;
	if (score_totals(owner, true, &t, err) == -1)
		return -1;
	snprintf(spam, sizeof(spam), "%" PRIu64, t.spam);
	snprintf(ham, sizeof(ham), "%" PRIu64, t.ham);
	snprintf(tokens, sizeof(tokens), "%" PRIu64, t.tokens);
	admin_row(out, "spam", spam, "ham", ham, "tokens", tokens, NULL);
	return 0;
}

const struct admin_verb spam_admin_verbs[] = { { "spam.stats", spam_stats }, { NULL, NULL } };
