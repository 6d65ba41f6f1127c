/* verbs - which role owns a request of the administrator, and the steps it takes */
#include "admin/verbs.h"

#include <string.h>

#define STEP(owner, name, ...)                                                                     \
	{                                                                                          \
		.role = ROLE_##owner, .verb = name, ##__VA_ARGS__                                  \
	}

static const struct {
	const char *verb;
	struct verb_step step[VERB_STEPS_MAX];
} in_steps[] = {
	{ "user.add",
	    { STEP(DIRECTORY, "user.add"), STEP(AUTH, "cred.add", .undo = "user.remove") } },
	{ "user.remove",
	    { STEP(AUTH, "cred.remove", .may_miss = true), STEP(DIRECTORY, "user.remove") } },
	{ "user.disable",
	    { STEP(AUTH, "cred.disable", .may_miss = true), STEP(DIRECTORY, "user.disable") } },
	{ "user.enable",
	    { STEP(DIRECTORY, "user.enable"), STEP(AUTH, "cred.enable", .undo = "user.disable") } },
	{ "user.show",
	    { STEP(DIRECTORY, "user.show"), STEP(AUTH, "cred.show", .may_miss = true) } },
	{ "user.passwd",
	    { STEP(DIRECTORY, "user.show", .quiet = true), STEP(AUTH, "cred.passwd") } },
	{ "user.app-add", { STEP(DIRECTORY, "user.show", .quiet = true), STEP(AUTH, "app.add") } },
};

static const struct {
	const char *prefix;
	enum role role;
} owners[] = {
	{ "domain.", ROLE_DIRECTORY },
	{ "user.", ROLE_DIRECTORY },
	{ "alias.", ROLE_DIRECTORY },
	{ "directory.", ROLE_DIRECTORY },
	{ "cred.", ROLE_AUTH },
	{ "app.", ROLE_AUTH },
	{ "queue.", ROLE_QUEUE },
	{ "relay.", ROLE_RELAY },
	{ "dkim.", ROLE_CONTROL },
	{ "filter.", ROLE_FILTER },
	{ "clients.", ROLE_SMTPD },
	{ "dns.", ROLE_CONTROL },
	{ "role.", ROLE_TEGAMID },
	{ "server.", ROLE_TEGAMID },
	{ "trace", ROLE_CONTROL },
	{ "dmarc.", ROLE_CONTROL },
	{ "tlsrpt.", ROLE_CONTROL },
	{ "spam.", ROLE_CONTROL },
	{ "status", ROLE_CONTROL },
};

static bool
begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

int
verb_plan(const char *verb, struct verb_plan *plan, struct err *err)
{
	memset(plan, 0, sizeof(*plan));
	for (size_t i = 0; i < COUNT(in_steps); i++) {
		if (strcmp(verb, in_steps[i].verb) != 0)
			continue;
		memcpy(plan->step, in_steps[i].step, sizeof(plan->step));
		plan->n = VERB_STEPS_MAX;
		return 0;
	}
	for (size_t i = 0; i < COUNT(owners); i++) {
		if (!begins(verb, owners[i].prefix))
			continue;
		plan->step[0] = (struct verb_step){ owners[i].role, verb, false, false, NULL };
		plan->n = 1;
		return 0;
	}
	return err_set(err, ERR_USAGE, "no such request: %.60s", verb);
}

bool
verb_word_goes(const struct admin_word *word, enum role role)
{
	return role == ROLE_AUTH || strcmp(word->key, "password") != 0;
}
