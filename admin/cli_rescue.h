/* cli_rescue - `tegami queue rescue` */
#ifndef ADMIN_CLI_RESCUE_H
#define ADMIN_CLI_RESCUE_H

#include "admin/cli.h"

/* Save what a damaged queue.db holds. With --dry-run only says what it would. */
int cli_queue_rescue(struct cli *cli, const struct cli_args *args);

#endif
