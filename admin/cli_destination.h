/* cli_destination - the verbs of `queue` that are about destinations: suspend, resume, destinations */
#ifndef ADMIN_CLI_DESTINATION_H
#define ADMIN_CLI_DESTINATION_H

#include "admin/cli.h"

int cli_queue_suspend(struct cli *cli, const struct cli_args *args);
int cli_queue_resume(struct cli *cli, const struct cli_args *args);
int cli_queue_list_destinations(struct cli *cli, const struct cli_args *args);
extern const struct cli_option cli_suspend_options[];
extern const struct column cli_destination_columns[];

/* Their rows in the table of `queue`. */
#define CLI_DESTINATION_COMMANDS                                                                   \
	{ "queue", "suspend", cli_queue_suspend, "DOMAIN", 1, 1, cli_suspend_options,              \
	    "send nothing to this domain until it is resumed" },                                   \
	    { "queue", "resume", cli_queue_resume, "DOMAIN", 1, 1, NULL, "undo suspend" },         \
	{                                                                                          \
		"queue", "destinations", cli_queue_list_destinations, "[DOMAIN]", 0, 1, NULL,      \
		    "domains that mail waits for: suspended, out of reach, sessions"               \
	}

/* For people: a line for each that gets nothing just now. Silent when there is none or it cannot be asked. */
void cli_queue_destinations(struct cli *cli);
/* Those that get nothing just now, as rows. */
int cli_notable_destinations(struct cli *cli, struct rows *rows, struct err *err);

#endif
