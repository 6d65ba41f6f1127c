/* msg - the table of messages, and the check of a frame's shape against its row */
#include "base/msg.h"

#include <string.h>

#include "base/wire.h"

const struct msg_row msg_rows[MSG_COUNT] = {
	[MSG_NONE] = { "NONE", 0, 0, "", FD_NO },
#define X(name, from, to, fields, fd) [MSG_##name] = { #name, from, to, fields, fd },
	MSG_TABLE(X)
#undef X
};

static const char *const role_names[ROLE_COUNT] = {
	[ROLE_TEGAMID] = "tegamid", [ROLE_CONTROL] = "control", [ROLE_RESOLVER] = "resolver",
	[ROLE_DIRECTORY] = "directory", [ROLE_AUTH] = "auth", [ROLE_MDA] = "mda",
	[ROLE_RELAY] = "relay", [ROLE_SCAN] = "scan", [ROLE_SIGNER] = "signer",
	[ROLE_FILTER] = "filter", [ROLE_QUEUE] = "queue", [ROLE_SMTPD] = "smtpd",
};

static const char *const event_names[EVENT_COUNT] = {
	[EVENT_CONNECT] = "connect", [EVENT_REFUSED] = "refused", [EVENT_ACCEPTED] = "accepted",
	[EVENT_FILTERED] = "filtered", [EVENT_DELIVERED] = "delivered", [EVENT_RELAYED] = "relayed",
	[EVENT_DEFERRED] = "deferred", [EVENT_BOUNCED] = "bounced", [EVENT_HELD] = "held",
	[EVENT_DELETED] = "deleted", [EVENT_AUTH_FAILED] = "auth-failed",
	[EVENT_AUTH_OK] = "auth-ok", [EVENT_EXPANDED] = "expanded",
	[EVENT_SEALED] = "sealed",
};

const char *
role_name(enum role role)
{
	return role < ROLE_COUNT ? role_names[role] : "?";
}

enum role
role_of(struct slice name)
{
	unsigned i;

	for (i = 0; i < ROLE_COUNT; i++)
		if (slice_eq(name, slice_of(role_names[i])))
			break;
	return (enum role)i;
}

const char *
trace_event_name(enum trace_event event)
{
	return event < EVENT_COUNT ? event_names[event] : "?";
}

bool
msg_is_partial(enum msg type)
{
	return type == MSG_ADMIN_ROW;
}

static uint32_t
hash_on(uint32_t hash, const char *text)
{
	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	return (hash ^ '\n') * 16777619u;
}

uint32_t
msg_table_id(void)
{
	uint32_t hash = 2166136261u + ROLE_COUNT;

	for (unsigned i = 0; i < MSG_COUNT; i++)
		hash = hash_on(hash_on(hash, msg_rows[i].name), msg_rows[i].fields);
	return hash;
}

static bool
field_ok(struct wire *w, char kind)
{
	struct slice s = wire_bytes(w);

	if (w->failed)
		return false;
	switch (kind) {
	case 'u': return s.len == 8;
	case 't': return slice_find(s, '\0') < 0;
	default: return true;
	}
}

bool
msg_shape_ok(enum msg type, struct slice fields)
{
	const char *spec, *group = NULL;
	struct wire w;

	if (type <= MSG_NONE || type >= MSG_COUNT)
		return false;
	wire_init(&w, fields);
	for (spec = msg_rows[type].fields; *spec != '\0'; spec++) {
		if (*spec == '(') {
			group = spec;
			if (!wire_more(&w))
				return wire_end(&w) == 0;
		} else if (*spec == ')') {
			if (!wire_more(&w))
				break;
			spec = group;
		} else if (!field_ok(&w, *spec)) {
			return false;
		}
	}
	return wire_end(&w) == 0;
}
