/* cli_dns_look - questions to DNS through the running server's resolver, for `tegami dns check` */
#include "admin/cli_dns_look.h"

#include <string.h>

#define SILENT_MAX 2 /* questions without any answer, after which no more are asked */

/* Each silent question costs the whole time-out of the resolver: when nothing at all answers, the
 * administrator wants to know that, not to wait for thirty of them. */
static bool
dns_is_dead(struct look *l)
{
	if (l->heard || l->silent < SILENT_MAX)
		return false;
	if (!l->broken)
		finding(l->found, "dns", FINDING_ERROR,
		    "see whether this machine reaches its name servers (resolver.servers, or the "
		    "root servers without it), then try again",
		    "DNS answers nothing here, so the rest was not asked");
	l->broken = true;
	return true;
}

bool
look_ask(struct look *l, const char *name, const char *type, const char *zone, struct answer *a)
{
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;

	if (dns_is_dead(l))
		return false;
	rows_init(&a->rows);
	cli_rq(&rq, "dns.ask");
	cli_rq_word(&rq, "name", name);
	cli_rq_word(&rq, "type", type);
	cli_rq_word(&rq, "zone", zone);
	if (cli_ask(l->cli, &rq, &a->rows, &err) == -1 || a->rows.n == 0) {
		if (!l->broken)
			finding(l->found, "server", FINDING_WARNING, "try again in a moment", "%s",
			    err.text);
		l->broken = true;
		rows_free(&a->rows);
		return false;
	}
	a->status = row_text(&a->rows.at[0], "status");
	a->answered = strcmp(row_text(&a->rows.at[0], "answered"), "no") != 0;
	a->secure = strcmp(row_text(&a->rows.at[0], "secure"), "yes") == 0;
	l->heard = l->heard || a->answered;
	l->silent += !a->answered;
	return true;
}

size_t
look_count(const struct answer *a)
{
	return a->rows.n - 1;
}

const char *
look_value(const struct answer *a, size_t i)
{
	return row_text(&a->rows.at[i + 1], "value");
}

bool
look_unanswered(struct look *l, const char *what, const char *name, const struct answer *a)
{
	if (a->answered)
		return false;
	finding(l->found, what, FINDING_WARNING,
	    "see whether the domain's name servers, and ours (resolver.servers), can be reached",
	    "%s could not be looked up: %s", name, a->status);
	return true;
}
