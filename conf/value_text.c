/* value_text - is a text of the configuration of the form that its row wants? */
#include <arpa/inet.h>
#include <string.h>

#include "conf/value_form.h"

#define TEXT_MAX_LEN 4096

static bool
printable(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] < 0x20 || s.at[i] == 0x7f)
			return false;
	return s.len <= TEXT_MAX_LEN;
}

static bool
label_ok(struct slice label)
{
	if (label.len == 0 || label.len > 63 || label.at[0] == '-' ||
	    label.at[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++) {
		unsigned char c = (unsigned char)label.at[i];

		if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') &&
		    c != '-' && c != '_')
			return false;
	}
	return true;
}

static bool
hostname_ok(struct slice s)
{
	if (s.len == 0 || s.len > 253)
		return false;
	for (struct slice rest = s; rest.at;)
		if (!label_ok(slice_cut(&rest, '.')))
			return false;
	return true;
}

/* An IP address, as text of either family. */
static bool
ip_ok(const char *host)
{
	unsigned char ip[16];

	return inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
}

/* HOST:PORT, "any" for an empty host. */
static bool
host_port_ok(const char *text, bool any)
{
	char host[256];
	uint16_t port;

	if (!conf_host_port(text, 25, host, &port) || port == 0)
		return false;
	return host[0] ? ip_ok(host) || hostname_ok(slice_of(host)) : any;
}

static bool
listen_ok(const char *text)
{
	char host[256];
	uint16_t port;

	if (text[0] == '/')
		return strlen(text) < 108; /* sun_path */
	return conf_host_port(text, 0, host, &port) && port != 0 && (!host[0] || ip_ok(host));
}

static bool
network_ok(const char *text)
{
	char *one[] = { (char *)(uintptr_t)text };
	const struct conf_strings networks = { one, 1 };
	char ip[64];
	struct slice rest = slice_of(text);

	/* It is one when it holds its own address. */
	return slice_copy(slice_cut(&rest, '/'), ip, sizeof ip) &&
	    conf_networks_hold(&networks, ip);
}

bool
value_text_ok(const struct conf_row *row, struct slice s, const char *text)
{
	if (!printable(s))
		return false;
	if (s.len == 0 && !row->list && row->type != CONF_TEXT)
		/* empty is "none" where that is the default */
		return row->fallback && !row->fallback[0];
	switch (row->type) {
	case CONF_HOSTNAME:
		return hostname_ok(s);
	case CONF_PATH:
		return text[0] == '/';
	case CONF_HOST_PORT:
		return host_port_ok(text, false);
	case CONF_LISTEN:
		return listen_ok(text);
	case CONF_NETWORK:
		return network_ok(text);
	default:
		return row->max == 0 || ((int64_t)s.len >= row->min && (int64_t)s.len <= row->max);
	}
}
