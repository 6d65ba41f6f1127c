/* proxy - the header with which a load balancer names its client: PROXY protocol, versions 1 and 2 */
#include "smtp/proto/proxy.h"

#include <string.h>
#include <sys/socket.h>

#include "smtp/proto/ip.h"

#define LINE_MAX_1 107 /* with its CR LF */
#define FIXED_2 16     /* signature, command, family, length */
#define INET_2 12      /* two addresses and two ports */
#define INET6_2 36

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
#define SIGNATURE ((struct slice){ signature, sizeof(signature) - 1 })

/* Do both begin alike, as far as they go? */
static bool
same_start(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;

	return memcmp(a.at, b.at, n) == 0;
}

/* -- version 1 */

static bool
port_of(struct slice s, in_port_t *port)
{
	uint64_t v;

	if (s.len > 5 || (s.len > 1 && s.at[0] == '0') || !slice_to_u64(s, &v) || v > 65535)
		return false;
	*port = (in_port_t)v;
	return true;
}

static bool
address_of(int family, struct slice s, char ip[static INET6_ADDRSTRLEN])
{
	char text[INET6_ADDRSTRLEN];

	/* a NUL would hide what follows it */
	return slice_find(s, '\0') < 0 && slice_copy(s, text, sizeof(text)) &&
	       ip_text_again(family, text, ip);
}

/* "192.0.2.1 192.0.2.9 51000 25" */
static bool
addresses(int family, struct slice rest, struct proxy_header *out)
{
	char theirs[INET6_ADDRSTRLEN];
	in_port_t port;

	return address_of(family, slice_cut(&rest, ' '), out->ip) &&
	       address_of(family, slice_cut(&rest, ' '), theirs) &&
	       port_of(slice_cut(&rest, ' '), &out->port) && rest.at != NULL &&
	       port_of(rest, &port);
}

static bool
line_read(struct slice line, struct proxy_header *out)
{
	struct slice rest = line, family;

	slice_cut(&rest, ' '); /* "PROXY" */
	family = slice_cut(&rest, ' ');
	out->source = PROXY_CLIENT;
	if (slice_eq(family, SLICE("TCP4")))
		return addresses(AF_INET, rest, out);
	if (slice_eq(family, SLICE("TCP6")))
		return addresses(AF_INET6, rest, out);
	out->source = PROXY_UNNAMED;
	return slice_eq(family, SLICE("UNKNOWN"));
}

static enum proxy_status
read_1(struct slice in, struct proxy_header *out)
{
	struct slice line = slice_first(in, LINE_MAX_1);
	ptrdiff_t lf = slice_find(line, '\n');

	if (lf < 0)
		return in.len < LINE_MAX_1 ? PROXY_MORE : PROXY_BAD;
	if (line.at[lf - 1] != '\r')
		return PROXY_BAD;
	out->length = (size_t)lf + 1;
	line = slice_first(line, (size_t)lf - 1);
	return slice_find(line, '\r') < 0 && line_read(line, out) ? PROXY_DONE : PROXY_BAD;
}

/* -- version 2 */

static unsigned
u16(const char *at)
{
	return (unsigned)(unsigned char)at[0] << 8 | (unsigned char)at[1];
}

static bool
source_2(unsigned family, const char *at, size_t len, struct proxy_header *out)
{
	switch (family) {
	case 0x11: /* TCP over IPv4: source, destination, their ports */
		out->source = PROXY_CLIENT;
		out->port = len >= INET_2 ? (in_port_t)u16(at + 8) : 0;
		return len >= INET_2 && ip_text_of(AF_INET, at, out->ip);
	case 0x21: /* TCP over IPv6 */
		out->source = PROXY_CLIENT;
		out->port = len >= INET6_2 ? (in_port_t)u16(at + 32) : 0;
		return len >= INET6_2 && ip_text_of(AF_INET6, at, out->ip);
	case 0x00: /* it does not say */
	case 0x31: /* a socket in its file system */
		out->source = PROXY_UNNAMED;
		return true;
	default: /* datagrams bring no mail */
		return false;
	}
}

static enum proxy_status
read_2(struct slice in, struct proxy_header *out)
{
	const char *at = in.at;
	unsigned command, length;

	if (in.len > 12 && ((unsigned char)at[12] >> 4 != 2 || (at[12] & 15) > 1))
		return PROXY_BAD;
	if (in.len < FIXED_2)
		return PROXY_MORE;
	command = at[12] & 15;
	length = u16(at + 14);
	if (length > PROXY_MAX - FIXED_2)
		return PROXY_BAD;
	out->length = FIXED_2 + length;
	if (in.len < out->length)
		return PROXY_MORE;
	out->source = PROXY_ITSELF;
	if (command == 1 && !source_2((unsigned char)at[13], at + FIXED_2, length, out))
		return PROXY_BAD;
	return PROXY_DONE;
}

bool
proxy_signature(struct slice in)
{
	return slice_starts(in, SIGNATURE);
}

enum proxy_status
proxy_read(struct slice in, struct proxy_header *out)
{
	memset(out, 0, sizeof(*out));
	if (in.len == 0)
		return PROXY_MORE;
	if (same_start(in, SLICE("PROXY ")))
		return read_1(in, out);
	return same_start(in, SIGNATURE) ? read_2(in, out) : PROXY_BAD;
}
