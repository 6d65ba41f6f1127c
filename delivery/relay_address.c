/* relay_address - addresses to connect to, and those that a stranger's DNS may not send us to
 *
 * Without this, anyone who can send mail through us could make us talk to services on our own
 * machine or network by publishing an MX that points there. */
#include "delivery/relay_address.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/dns/client.h"

bool
address_parse(const char *text, uint16_t port, struct address *a)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a->sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a->sa;

	memset(a, 0, sizeof(*a));
	if (strncasecmp(text, "::ffff:", 7) == 0 &&
	    inet_pton(AF_INET, text + 7, &v4->sin_addr) == 1)
		text += 7;
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		a->len = sizeof(*v4);
		return inet_ntop(AF_INET, &v4->sin_addr, a->text, sizeof(a->text)) != NULL;
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
		return false;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	a->len = sizeof(*v6);
	return inet_ntop(AF_INET6, &v6->sin6_addr, a->text, sizeof(a->text)) != NULL;
}

bool
address_from_rdata(struct slice rdata, uint16_t port, struct address *a)
{
	char text[DNS_ADDRESS_TEXT];

	return dns_rdata_address(rdata, text) && address_parse(text, port, a);
}

struct net {
	unsigned char bytes[16];
	unsigned bits;
};

static bool
in_net(const unsigned char *address, const struct net *net)
{
	unsigned whole = net->bits / 8, rest = net->bits % 8;
	unsigned char mask = (unsigned char)(0xff << (8 - rest));

	if (memcmp(address, net->bytes, whole) != 0)
		return false;
	return rest == 0 || (address[whole] & mask) == (net->bytes[whole] & mask);
}

/* The IPv4 address within: itself, mapped (::ffff:a.b.c.d) or translated (NAT64, RFC 6052). NULL: a
 * true IPv6 address. */
static const unsigned char *
v4_bytes(const struct address *a)
{
	static const struct net wrapped[] = { { { [10] = 0xff, [11] = 0xff }, 96 },
		{ { 0x00, 0x64, 0xff, 0x9b }, 96 } };
	const unsigned char *six;

	if (a->sa.ss_family == AF_INET)
		return (const unsigned char *)&((const struct sockaddr_in *)&a->sa)->sin_addr;
	six = ((const struct sockaddr_in6 *)&a->sa)->sin6_addr.s6_addr;
	return in_net(six, &wrapped[0]) || in_net(six, &wrapped[1]) ? six + 12 : NULL;
}

static bool
in_nets(const struct address *a, const struct net *v4, size_t n4, const struct net *v6, size_t n6)
{
	const unsigned char *four = v4_bytes(a);
	const struct net *nets = four != NULL ? v4 : v6;
	const unsigned char *bytes =
	    four != NULL ? four : ((const struct sockaddr_in6 *)&a->sa)->sin6_addr.s6_addr;

	for (size_t i = 0; i < (four != NULL ? n4 : n6); i++)
		if (in_net(bytes, &nets[i]))
			return true;
	return false;
}

bool
address_is_inside(const struct address *a)
{
	static const struct net v4[] = { { { 127 }, 8 }, { { 10 }, 8 }, { { 172, 16 }, 12 },
		{ { 192, 168 }, 16 }, { { 169, 254 }, 16 }, { { 100, 64 }, 10 } };
	static const struct net v6[] = { { { [15] = 1 }, 128 }, { { 0xfc }, 7 },
		{ { 0xfe, 0x80 }, 10 } };

	return in_nets(a, v4, COUNT(v4), v6, COUNT(v6));
}

bool
address_is_nobody(const struct address *a)
{
	static const struct net v4[] = { { { 0 }, 8 }, { { 224 }, 4 }, { { 240 }, 4 } };
	static const struct net v6[] = { { { 0 }, 128 }, { { 0xff }, 8 } };

	return in_nets(a, v4, COUNT(v4), v6, COUNT(v6));
}
