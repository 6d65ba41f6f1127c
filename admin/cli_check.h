/* cli_check - what the checks of `tegami check` share: each adds rows */
#ifndef ADMIN_CLI_CHECK_H
#define ADMIN_CLI_CHECK_H

#include "admin/cli_findings.h"

struct check {
	struct cli *cli;
	const struct conf *conf;
	struct findings found;
	bool up;		/* the server runs */
};

/* -- cli_check_host.c: what can be seen from outside the server */
void check_state_dir(struct check *c);
void check_databases(struct check *c);
void check_ports(struct check *c);
void check_certificates(struct check *c);
void check_antivirus(struct check *c);
void check_clock(struct check *c);
void check_disk(struct check *c);

#endif
