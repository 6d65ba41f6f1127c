/* cli_findings - what a check found: a row each, ok, warning or error, and what to do about it */
#ifndef ADMIN_CLI_FINDINGS_H
#define ADMIN_CLI_FINDINGS_H

#include "admin/cli.h"

enum finding_state { FINDING_OK, FINDING_WARNING, FINDING_ERROR };

struct findings {
	struct rows
	    rows; /* {name, state, text, advice}; the server's own may be added as they come */
};

void findings_init(struct findings *f);
/* Add a row; `advice` is dropped for what is ok. */
void finding(struct findings *f, const char *name, enum finding_state state, const char *advice,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Print all, with a sum at the end, or as JSON, and free them. Exit status: CLI_FAILED when one is an
 * error. */
int findings_finish(struct cli *cli, struct findings *f);

#endif
