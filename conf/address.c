/* address - host and port, and networks, as they stand in the configuration */
#include "conf/conf.h"

#include <arpa/inet.h>
#include <string.h>

struct ip {
	unsigned char bytes[16];
	unsigned bits;		/* 32 or 128 */
};

/* Port digits behind the colon. */
static bool
port_of(struct slice s, uint16_t *port)
{
	uint64_t v;

	if (!slice_to_u64(s, &v) || v == 0 || v > 65535 || s.len > 5)
		return false;
	*port = (uint16_t)v;
	return true;
}

/* "[IPV6]" or "[IPV6]:PORT". */
static bool
bracketed(struct slice s, uint16_t default_port, char *host, uint16_t *port)
{
	ptrdiff_t end = slice_find(s, ']');
	struct slice rest;

	if (end < 2 || !slice_copy(slice_skip(slice_first(s, (size_t)end), 1), host, 256))
		return false;
	rest = slice_skip(s, (size_t)end + 1);
	*port = default_port;
	return rest.len == 0 || (rest.at[0] == ':' && port_of(slice_skip(rest, 1), port));
}

bool
conf_host_port(const char *text, uint16_t default_port, char *host, uint16_t *port)
{
	struct slice s = slice_of(text);
	ptrdiff_t colon = slice_find(s, ':');

	if (s.len == 0)
		return false;
	if (s.at[0] == '[')
		return bracketed(s, default_port, host, port);
	*port = default_port;
	if (colon == -1 || slice_find_last(s, ':') != colon) /* none, or a bare IPv6 address */
		return slice_copy(s, host, 256);
	return slice_copy(slice_first(s, (size_t)colon), host, 256) && port_of(slice_skip(s, (size_t)colon + 1), port);
}

static bool
ip_of(struct slice s, struct ip *ip)
{
	static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	char text[INET6_ADDRSTRLEN + 1];

	if (s.len == 0 || !slice_copy(s, text, sizeof text))
		return false;
	ip->bits = 32;
	if (inet_pton(AF_INET, text, ip->bytes) == 1)
		return true;
	if (inet_pton(AF_INET6, text, ip->bytes) != 1)
		return false;
	ip->bits = 128;
	if (memcmp(ip->bytes, mapped, sizeof mapped) == 0) {
		memmove(ip->bytes, ip->bytes + 12, 4);
		ip->bits = 32;
	}
	return true;
}

static bool
same_bits(const struct ip *a, const struct ip *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	unsigned char mask = (unsigned char)(0xff00 >> rest);

	return memcmp(a->bytes, b->bytes, whole) == 0 &&
	    (rest == 0 || ((a->bytes[whole] ^ b->bytes[whole]) & mask) == 0);
}

static bool
network_holds(const char *network, const struct ip *ip)
{
	struct slice rest = slice_of(network), host = slice_cut(&rest, '/');
	struct ip net;
	uint64_t bits;

	if (!ip_of(host, &net) || net.bits != ip->bits)
		return false;
	bits = net.bits;
	if (rest.at && (!slice_to_u64(rest, &bits) || bits > net.bits))
		return false;
	return same_bits(&net, ip, (unsigned)bits);
}

bool
conf_networks_hold(const struct conf_strings *networks, const char *text)
{
	struct ip ip;

	if (!ip_of(slice_of(text), &ip))
		return false;
	for (size_t i = 0; i < networks->n; i++)
		if (network_holds(networks->at[i], &ip))
			return true;
	return false;
}
