/* bayes - the statistical classifier
 *
 * A token's probability is what was learned, drawn towards 1/2 while it was seen seldom. The 150
 * tokens that tell most are combined with Fisher's method, once for spam and once for wanted mail,
 * so that a message that looks like both ends near 1/2. */
#include "filters/bayes.h"

#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "filters/check.h"

#define TELLING_MAX 150
#define TELLING_LEAST 0.1 /* distance from 1/2 */
#define FAITH 0.6         /* how many sights the neutral guess is worth */

double
bayes_token(uint64_t spam, uint64_t ham, uint64_t spams, uint64_t hams)
{
	double s = spams == 0 ? 0 : (double)spam / (double)spams,
	       h = hams == 0 ? 0 : (double)ham / (double)hams;
	double n = (double)(spam + ham), p;

	if (s + h <= 0)
		return 0.5;
	p = s / (s + h);
	return (FAITH * 0.5 + n * p) / (FAITH + n);
}

/* The probability that chi-square with 2n degrees of freedom exceeds x. */
static double
chi_tail(double x, size_t n)
{
	double m = x / 2, term = exp(-m), sum = term;

	for (size_t i = 1; i < n; i++) {
		term *= m / (double)i;
		sum += term;
	}
	return sum < 1 ? sum : 1;
}

double
bayes_combine(const double *p, size_t n)
{
	double spam = 0, ham = 0;

	if (n == 0)
		return 0.5;
	for (size_t i = 0; i < n; i++) {
		spam += log(1 - p[i]);
		ham += log(p[i]);
	}
	return (1 + (1 - chi_tail(-2 * spam, n)) - (1 - chi_tail(-2 * ham, n))) / 2;
}

static int
more_telling(const void *a, const void *b)
{
	double x = fabs(*(const double *)a - 0.5), y = fabs(*(const double *)b - 0.5);

	return x < y ? 1 : x > y ? -1 : 0;
}

/* The probabilities of the tokens that tell something into `each`; how many, or -1. */
static int
telling(struct score *learned, const struct tokens *t, double *each, struct err *err)
{
	struct score_totals totals;
	uint64_t spam, ham;
	int n = 0;

	if (score_totals(learned, false, &totals, err) == -1)
		return -1;
	if (totals.spam < BAYES_LEARNED_MIN || totals.ham < BAYES_LEARNED_MIN)
		return 0;
	for (size_t i = 0; i < t->n; i++) {
		if (score_token(learned, t->at[i], &spam, &ham, err) == -1)
			return -1;
		each[n] = bayes_token(spam, ham, totals.spam, totals.ham);
		n += fabs(each[n] - 0.5) >= TELLING_LEAST;
	}
	return n;
}

int
bayes_probability(struct score *learned, const struct tokens *t, double *p, struct err *err)
{
	static double each[SCORE_TOKENS_MAX];
	int n;

	if (score_begin(learned, err) == -1)
		return -1;
	n = telling(learned, t, each, err);
	score_end(learned);
	if (n <= 0)
		return n;
	qsort(each, (size_t)n, sizeof(*each), more_telling);
	*p = bayes_combine(each, n < TELLING_MAX ? (size_t)n : TELLING_MAX);
	return 1;
}

/* -- the check */

static const struct {
	double below;
	const char *rule;
	int64_t score;
	const char *text;
} bands[] = {
	{ 0.01, "BAYES_00", -2000, "very much like wanted mail" },
	{ 0.05, "BAYES_01", -1000, "like wanted mail" },
	{ 0.20, "BAYES_05", -500, "rather like wanted mail" },
	{ 0.40, "BAYES_20", -200, "a little like wanted mail" },
	{ 0.60, NULL, 0, "like neither" },
	{ 0.80, "BAYES_60", 800, "a little like spam" },
	{ 0.95, "BAYES_80", 2000, "like spam" },
	{ 0.99, "BAYES_95", 3500, "much like spam" },
	{ 2.00, "BAYES_99", 5000, "very much like spam" },
};

enum check_status
check_bayes(struct judge *j)
{
	static struct tokens tokens;
	struct err err = { 0 };
	double p = 0.5;
	size_t i = 0;
	int is;

	if (j->learned == NULL)
		return CHECK_DONE;
	tokens_of_message(j->facts.message, &tokens);
	is = bayes_probability(j->learned, &tokens, &p, &err);
	if (is == -1)
		log_warning("the classifier cannot read score.db: %s", err.text);
	if (is != 1) {
		judge_hit(j, "bayes", "none", NULL, 0, "Too little was learned to compare it with");
		return CHECK_DONE;
	}
	while (p >= bands[i].below)
		i++;
	judge_hit(j, "bayes",
	    p >= 0.6  ? "spam"
	    : p < 0.4 ? "ham"
		      : "unsure",
	    bands[i].rule, bands[i].score, "The text is %s (%.2f)", bands[i].text, p);
	return CHECK_DONE;
}
