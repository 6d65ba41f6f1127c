/* cli - what every noun of the `tegami` command shares
 *
 * A noun is one file with one table of commands; a command gets its words parsed, asks the server
 * (or, while it is down, the files) and prints a table or JSON. Exit codes: 0 done, 1 failed, 2 the
 * command line is wrong. */
#ifndef ADMIN_CLI_H
#define ADMIN_CLI_H

#include <sys/types.h>

#include "admin/json.h"
#include "admin/rows.h"
#include "admin/table.h"
#include "conf/conf.h"

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };
#define CLI_ANY 100000u /* operands: as many as you like */
#define CLI_OPTIONS_MAX 16

struct cli_option {
	const char *name;  /* without "--"; NULL ends the list */
	const char *value; /* what it takes, for the usage line; NULL: nothing, it is a switch */
	const char *does;
};

struct cli_args {
	const struct cli_option *options;
	const char
	    *value[CLI_OPTIONS_MAX]; /* by option; "" for a switch that is on; NULL: not given */
	char **operand;
	unsigned n;
};

struct cli {
	const char *config_file; /* of -c, else the default */
	bool config_named;       /* -c was given */
	bool json;
	bool colour, colour_err;
	struct conf *conf;         /* see cli_conf() */
	struct cli_server *server; /* see cli_ask.c; NULL: not connected */
	bool server_tried;
	const char *counting;      /* rows of a long answer are counted on the terminal, as this ("recipients"); NULL: not */
	unsigned patience; /* seconds without a word from the server; 0: as long as work may take */
	struct buf out; /* what goes to stdout at the end */
};

struct cli_command {
	const char *noun, *verb; /* verb NULL: the noun is a command by itself; may be two words */
	int (*run)(struct cli *cli, const struct cli_args *args);
	const char *operands;             /* for the usage line: "ADDRESS TARGET..." */
	unsigned least, most;             /* operands */
	const struct cli_option *options; /* may be NULL */
	const char *does;
};

/* The tables, each ended by a NULL noun. */
extern const struct cli_command cli_init_commands[], cli_domain_commands[], cli_user_commands[],
    cli_alias_commands[], cli_queue_commands[], cli_dkim_commands[], cli_dns_commands[],
    cli_filter_commands[], cli_spam_commands[], cli_trace_commands[], cli_status_commands[],
    cli_check_commands[], cli_route_commands[], cli_config_commands[], cli_dmarc_commands[],
    cli_tlsrpt_commands[];

/* -- cli.c */

/* The value of an option, or NULL. */
const char *cli_option(const struct cli_args *args, const char *name);
/* Print "tegami: ..." on stderr; returns CLI_FAILED. */
int cli_fail(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same from an err: CLI_USAGE for ERR_USAGE, else CLI_FAILED. */
int cli_error(const struct cli *cli, const struct err *err);
/* The configuration, read at the first call. NULL: it was told why on stderr. */
const struct conf *cli_conf(struct cli *cli);
/* A line for people (nothing with --json), text escaped. */
void cli_say(struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Style for tables on this terminal. */
struct table_style cli_style(const struct cli *cli);
/* Print what waits in cli->out now (for output that goes on). */
void cli_flush(struct cli *cli);
/* Columns of the terminal; 100 when it is none. */
unsigned cli_width(void);

/* -- cli_args.c */

/* Sort argv into options and operands ("--" ends the options). argv is rearranged; operands point
 * into it. */
int cli_args_parse(const struct cli_option *options, int argc, char **argv, struct cli_args *args,
    struct err *err);
/* The nearest of `n` words to `word`, or NULL when none is near. */
const char *cli_nearest(const char *word, const char *const *words, size_t n);

/* -- cli_ask.c */

/* A request under construction; texts are borrowed. */
void cli_rq(struct admin_request *rq, const char *verb);
void cli_rq_word(
    struct admin_request *rq, const char *key, const char *value); /* NULL value: left out */
/* Is the server up (does control answer)? */
bool cli_server_up(struct cli *cli);
/* Ask the server, or, while it is down, do it on the files. Rows are added to `rows`. */
int cli_ask(struct cli *cli, const struct admin_request *rq, struct rows *rows, struct err *err);
/* The same, then print: `done` (a line, may be NULL) for people; with --json {"ok": true} or an
 * error. Exit status. */
int cli_do(struct cli *cli, const struct admin_request *rq, const char *done, ...)
    __attribute__((format(printf, 3, 4)));
/* Ask and print the rows: a table (`none` when empty) or JSON. Exit status. */
int cli_list(struct cli *cli, const struct admin_request *rq, const struct column *columns,
    const char *none);
/* The same for one thing: its rows become one card, or one JSON object. */
int cli_show(struct cli *cli, const struct admin_request *rq, const struct column *columns);
void cli_close(struct cli *cli);

/* -- cli_dns_check.c: the command, for the table of its noun */
int cli_dns_check(struct cli *cli, const struct cli_args *args);

/* -- cli_dkim_keys.c */

/* The DKIM keys there are, by domain and selector: rows {domain, selector, algorithm, name, record, state, since, until,
 * published, seen, signs}. `record` is the text to publish at `name`; states and `published` are those of
 * admin/dkim_rule.h; times are us since 1970. */
int cli_dkim_keys(struct cli *cli, struct rows *keys, struct err *err);

/* -- cli_files.c: the stores themselves, while the server is down */

/* Do one step as the owner of its files. -1 + err also when the role has no files of its own. */
int cli_files_run(struct cli *cli, enum role role, const struct admin_request *rq,
    struct admin_out *out, struct err *err);
/* Become the owner of state_dir's `name` for a while (no-op when not root); -1 + err when there is
 * no such file. */
int cli_owner_enter(const char *name, struct err *err);
void cli_owner_leave(void);

#endif
