/* conf - birth and end of struct conf, and small questions to it */
#include "conf/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/value.h"

struct conf *
conf_defaults(void)
{
	struct conf *c = calloc(1, sizeof *c);

	if (c && conf_value_defaults(c, GROUP_NONE, NULL) == -1)
		conf_free(&c);
	return c;
}

static void
free_group(struct conf *c, enum conf_group_id group)
{
	char **array = (char **)(void *)((char *)c + conf_groups[group].at);

	for (size_t i = 0; i < conf_group_count(c, group); i++) {
		char **element = conf_group_at(c, group, i);

		conf_value_free(element, group);
		free(*element); /* its title */
	}
	free(*array);
}

void
conf_free(struct conf **c)
{
	if (!*c)
		return;
	for (unsigned g = GROUP_NONE + 1; g < GROUP_COUNT; g++)
		free_group(*c, (enum conf_group_id)g);
	conf_value_free(*c, GROUP_NONE);
	free(*c);
	*c = NULL;
}

const char *
conf_default_file(void)
{
	const char *file = getenv("TEGAMI_CONFIG");

	return file && *file ? file : SYSCONFDIR "/tegami/tegami.conf";
}

bool
conf_filters_on(const struct conf *c)
{
	return c->spf.enabled || c->dkim.enabled || c->dmarc.enabled || c->arc.enabled || c->antivirus.enabled ||
	    c->spam.enabled || c->reports.address.n > 0;
}

void
conf_report_from(const struct conf *c, char out[static 320])
{
	const char *host = c->hostname, *above = strchr(host, '.');

	if (c->reports.from[0] != '\0') {
		snprintf(out, 320, "%s", c->reports.from);
		return;
	}
	/* "mx.example.org" serves example.org; "example.org" is the domain itself */
	if (above != NULL && strchr(above + 1, '.') != NULL)
		host = above + 1;
	snprintf(out, 320, "postmaster@%.255s", host);
}
