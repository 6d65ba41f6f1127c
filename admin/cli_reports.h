/* cli_reports - what `tegami dmarc` and `tegami tlsrpt` share */
#ifndef ADMIN_CLI_REPORTS_H
#define ADMIN_CLI_REPORTS_H

#include "admin/cli.h"

#define REPORTS_SINCE "30d" /* when --since is not given */

extern const struct cli_option cli_reports_options[];

/* Ask for the domain's reports. CLI_DONE, or it was told why not. */
int cli_reports_ask(struct cli *cli, const struct cli_args *args, const char *verb, struct rows *rows);
struct reports_seen { /* of the rows "report" */
	size_t n, unproven;
	int64_t begins, ends; /* s since 1970, of all */
};
void cli_reports_see(struct reports_seen *seen, const struct row *report);
/* "as 3 reports saw it from 1 Nov 2026 to 4 Nov 2026" */
void cli_reports_period(const struct reports_seen *seen, char out[static 100]);
/* How many of them nobody vouches for; nothing when there are none. */
void cli_reports_unproven(struct cli *cli, const struct reports_seen *seen);
/* How many rows of that kind. */
size_t cli_reports_count(const struct rows *rows, const char *what);
/* "22 Nov 2026"; UTC. `out` holds 24 bytes. */
void cli_reports_day(int64_t seconds, char out[static 24]);
/* Why there is nothing to see, and what to do. */
void cli_reports_none(struct cli *cli, const char *domain, const char *record);
/* Those that could not be read, below the rest. */
void cli_reports_bad(struct cli *cli, const struct rows *rows);
/* Members "domain", "advice" (how to get some; "" when there are), "reports" and "broken" of an open object. */
void cli_reports_json(struct cli *cli, struct json *j, const char *domain, const char *record, const struct rows *rows);

#endif
