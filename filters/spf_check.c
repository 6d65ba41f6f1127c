/* spf_check - SPF of both names that a client gives: its HELO, and the sender (RFC 7208 2.3, 2.4)
 *
 * The sender's result is the one that counts, for the score and for DMARC. That of the HELO name is told
 * beside it and changes nothing: it says something of the host, not of whose mail this is. Both are
 * looked up at the same time. The HELO's zone may ask few questions, so that it can never use up those
 * that the sender's, the keys' and the policy's need. */
#include <string.h>

#include "filters/check.h"
#include "filters/spf.h"

#define HELO_QUESTIONS_MAX 12 /* to DNS, of the 50 that one message has */

static const struct {
	const char *name, *rule;
	int64_t score;
	const char *text;
} results[] = {
	[SPF_IS_NONE] = { "none", NULL, 0, "publishes no SPF record" },
	[SPF_IS_NEUTRAL] = { "neutral", "SPF_NEUTRAL", 200, "says nothing about this client" },
	[SPF_IS_PASS] = { "pass", "SPF_PASS", -100, "lets this client send its mail" },
	[SPF_IS_FAIL] = { "fail", "SPF_FAIL", 3000, "does not let this client send its mail" },
	[SPF_IS_SOFTFAIL] = { "softfail", "SPF_SOFTFAIL", 1000,
	    "probably does not let this client send its mail" },
	[SPF_IS_TEMPERROR] = { "temperror", NULL, 0, "could not be asked about SPF now" },
	[SPF_IS_PERMERROR] = { "permerror", "SPF_PERMERROR", 500, "has a broken SPF record" },
};

const char *
spf_result_name(enum spf_result r)
{
	return r == SPF_IS_WAITING ? "waiting" : results[r].name;
}

struct identity {
	const char *check; /* its row */
	const char *what, *property; /* words before its domain; in Authentication-Results */
	const char *shown, *sender;
	enum spf_result result;
	const char *why; /* of spf_evaluate */
};

/* -- what is checked */

/* MAIL FROM, or postmaster at the HELO name for a bounce (RFC 7208 2.4). */
static void
name_sender(struct judge *j, struct identity *who)
{
	const char *from = j->facts.from, *text = from;

	*who = (struct identity){ .check = "spf", .what = "", .property = "smtp.mailfrom", .shown = from };
	if (from[0] == '\0') {
		who->property = "smtp.helo";
		who->shown = j->facts.helo;
		text = pool_printf(j->pool, "postmaster@%s", j->facts.helo);
	} else if (from[0] == '@') {
		text = pool_printf(j->pool, "postmaster%s", from);
	}
	who->sender = text == NULL ? "" : text;
}

/* false: it has no result of its own. */
static bool
name_helo(struct judge *j, struct identity *who)
{
	const char *helo = j->facts.helo, *text = "";

	if (j->facts.from[0] == '\0' || helo[0] == '\0')
		return false;
	if (strchr(helo, '@') == NULL)
		text = pool_printf(j->pool, "postmaster@%s", helo);
	*who = (struct identity){ .check = "spf-helo", .what = "As HELO name, ", .property = "smtp.helo",
		.shown = helo, .sender = text == NULL ? "" : text };
	return true;
}

static void
evaluate(struct judge *j, const struct ip *client, struct identity *who)
{
	who->result = spf_evaluate(j, client, j->facts.helo, who->sender, &who->why);
}

static void
evaluate_helo(struct judge *j, const struct ip *client, struct identity *who)
{
	size_t before = j->n_questions, most = before + HELO_QUESTIONS_MAX - j->helo_questions;

	j->questions_most = most < JUDGE_QUESTIONS_MAX ? most : JUDGE_QUESTIONS_MAX;
	evaluate(j, client, who);
	j->questions_most = JUDGE_QUESTIONS_MAX;
	j->helo_questions += j->n_questions - before;
}

/* -- what is told */

static void
tell(struct judge *j, const struct identity *who, bool counts)
{
	enum spf_result r = who->result;
	/* what the domain itself says to a fail is told as its word */
	bool says = r == SPF_IS_FAIL && who->why[0] != '\0', ours = !says && who->why[0] != '\0';
	const char *domain = address_domain(who->sender), *method;

	judge_hit(j, who->check, results[r].name, counts ? results[r].rule : NULL,
	    counts ? results[r].score : 0, "%s%.255s %s%s%.200s%s", who->what,
	    domain[0] != '\0' ? domain : who->shown, results[r].text,
	    says   ? ", and says: "
	    : ours ? " ("
		   : "",
	    who->why, ours ? ")" : "");
	method = pool_printf(j->pool, "spf=%s%s%s%s%s%s", results[r].name,
	    judge_reason(j, ours ? who->why : ""), who->shown[0] != '\0' ? " " : "",
	    who->shown[0] != '\0' ? who->property : "", who->shown[0] != '\0' ? "=" : "",
	    who->shown[0] != '\0' ? judge_quote(j, who->shown) : "");
	if (method != NULL)
		judge_method(j, method);
}

/* For DMARC and its reports. */
static void
note(struct judge *j, const struct identity *who)
{
	const char *domain = address_domain(who->sender);

	if (who->result == SPF_IS_PASS || who->result == SPF_IS_TEMPERROR)
		judge_prove(j, "spf", domain, who->result == SPF_IS_TEMPERROR);
	judge_result(j,
	    &(struct auth_result){ "spf", domain, "", results[who->result].name, who->why });
}

enum check_status
check_spf(struct judge *j)
{
	struct identity sender, helo;
	bool has_helo = name_helo(j, &helo);
	struct ip client;

	if (!ip_parse(j->facts.ip, &client)) {
		judge_hit(j, "spf", "none", NULL, 0, "The client has no IP address");
		judge_method(j, "spf=none");
		return CHECK_DONE;
	}
	name_sender(j, &sender);
	evaluate(j, &client, &sender);
	if (has_helo)
		evaluate_helo(j, &client, &helo);
	if (sender.result == SPF_IS_WAITING || (has_helo && helo.result == SPF_IS_WAITING))
		return CHECK_WAIT;
	tell(j, &sender, true);
	if (has_helo)
		tell(j, &helo, false);
	note(j, &sender);
	return CHECK_DONE;
}
