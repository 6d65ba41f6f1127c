/* cli_domain - the domains that mail is received for */
#include <stdio.h>

#include "admin/cli.h"

static const struct column columns[] = {
	{ "domain", "DOMAIN", COLUMN_TEXT, false },
	{ "users", "USERS", COLUMN_NUMBER, false },
	{ "aliases", "ALIASES", COLUMN_NUMBER, false },
	{ "created", "ADDED", COLUMN_TIME, true },
	{ NULL, NULL, COLUMN_TEXT, false },
};

static const struct column card[] = {
	{ "domain", "Domain", COLUMN_TEXT, false },
	{ "users", "Users", COLUMN_NUMBER, false },
	{ "aliases", "Aliases", COLUMN_NUMBER, false },
	{ "created", "Added", COLUMN_TIME, true },
	{ NULL, NULL, COLUMN_TEXT, false },
};

static int
domain_add(struct cli *cli, const struct cli_args *args)
{
	const char *domain = args->operand[0];
	struct admin_request rq;

	cli_rq(&rq, "domain.add");
	cli_rq_word(&rq, "domain", domain);
	return cli_do(cli, &rq,
	    "Added %s. Next:\n"
	    "  tegami user add NAME@%s\n"
	    "  tegami dkim create %s\n"
	    "  tegami dns show %s    (the records to publish)",
	    domain, domain, domain, domain);
}

static int
domain_remove(struct cli *cli, const struct cli_args *args)
{
	struct admin_request rq;

	cli_rq(&rq, "domain.remove");
	cli_rq_word(&rq, "domain", args->operand[0]);
	return cli_do(
	    cli, &rq, "Removed %s. Mail already delivered stays on disk.", args->operand[0]);
}

static int
domain_list(struct cli *cli, const struct cli_args *args)
{
	struct admin_request rq;

	(void)args;
	cli_rq(&rq, "domain.list");
	return cli_list(
	    cli, &rq, columns, "No domains yet; `tegami domain add example.org` makes one.");
}

static int
domain_show(struct cli *cli, const struct cli_args *args)
{
	struct admin_request rq;

	cli_rq(&rq, "domain.show");
	cli_rq_word(&rq, "domain", args->operand[0]);
	return cli_show(cli, &rq, card);
}

const struct cli_command cli_domain_commands[] = {
	{ "domain", "add", domain_add, "DOMAIN", 1, 1, NULL, "receive mail for this domain" },
	{ "domain", "remove", domain_remove, "DOMAIN", 1, 1, NULL,
	    "stop receiving for it (its users must be gone; its aliases go with it)" },
	{ "domain", "list", domain_list, NULL, 0, 0, NULL, "all domains" },
	{ "domain", "show", domain_show, "DOMAIN", 1, 1, NULL, "one domain" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
