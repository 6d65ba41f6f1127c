/* role_conf - how the role harness (below this library) makes a configuration out of what it is told */
#include "base/role.h"
#include "conf/told.h"

static enum log_level
level(const struct conf *c)
{
	return (enum log_level)c->log.level;
}

static const char *
hostname(const struct conf *c)
{
	return c->hostname != NULL ? c->hostname : "";
}

static void
release(struct conf *c)
{
	conf_free(&c);
}

const struct role_conf_ops role_conf_ops = {
	.fresh = conf_defaults,
	.hear = conf_hear,
	.free = release,
	.level = level,
	.hostname = hostname,
};
