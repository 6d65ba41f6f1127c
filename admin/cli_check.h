/* cli_check - what the checks of `tegami check` share: each adds rows */
#ifndef ADMIN_CLI_CHECK_H
#define ADMIN_CLI_CHECK_H

#include "admin/cli.h"

enum check_state { CHECK_OK, CHECK_WARNING, CHECK_ERROR };

struct check {
	struct cli *cli;
	const struct conf *conf;
	struct rows rows;
	bool up;		/* the server runs */
};

/* A row: what, how it is, in words; and the next step, when it is not OK. */
void check_add(struct check *c, const char *name, enum check_state state, const char *advice,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* -- cli_check_host.c: what can be seen from outside the server */
void check_state_dir(struct check *c);
void check_databases(struct check *c);
void check_ports(struct check *c);
void check_certificates(struct check *c);
void check_antivirus(struct check *c);
void check_clock(struct check *c);
void check_disk(struct check *c);

#endif
