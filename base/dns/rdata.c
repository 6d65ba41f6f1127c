/* rdata - what stands in the records, as C values
 *
 * Input is rdata as DNS_IS carries it (names uncompressed); it was checked once by packet.c, but is
 * checked again here, because it came through another process. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/dns/client.h"

bool
dns_rdata_address(struct slice rdata, char out[static DNS_ADDRESS_TEXT])
{
	int family = rdata.len == 4 ? AF_INET : AF_INET6;

	out[0] = '\0';
	if (rdata.len != 4 && rdata.len != 16)
		return false;
	return inet_ntop(family, rdata.at, out, DNS_ADDRESS_TEXT) != NULL;
}

bool
dns_rdata_name(struct slice rdata, char out[static DNS_NAME_TEXT])
{
	struct dns_name name;

	out[0] = '\0';
	if (dns_name_read(rdata, 0, &name) != (ptrdiff_t)rdata.len)
		return false;
	return dns_name_text(&name, out);
}

bool
dns_rdata_mx(struct slice rdata, unsigned *preference, char host[static DNS_NAME_TEXT])
{
	host[0] = '\0';
	if (rdata.len < 3)
		return false;
	*preference = (unsigned)(unsigned char)rdata.at[0] << 8 | (unsigned char)rdata.at[1];
	return dns_rdata_name(slice_skip(rdata, 2), host);
}

bool
dns_rdata_txt(struct slice rdata, char *out, size_t size, size_t *len)
{
	size_t n = 0;

	*len = 0;
	while (rdata.len > 0) {
		size_t part = (unsigned char)rdata.at[0];

		if (1 + part > rdata.len || n + part + 1 > size)
			return false;
		memcpy(out + n, rdata.at + 1, part);
		n += part;
		rdata = slice_skip(rdata, 1 + part);
	}
	if (n >= size)
		return false;
	out[n] = '\0';
	*len = n;
	return true;
}

/* The address's bytes; v4-mapped v6 becomes v4. 0 when it is none. */
static size_t
address_bytes(const char *ip, unsigned char bytes[static 16])
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (inet_pton(AF_INET, ip, bytes) == 1)
		return 4;
	if (inet_pton(AF_INET6, ip, bytes) != 1)
		return 0;
	if (memcmp(bytes, mapped, 12) != 0)
		return 16;
	memmove(bytes, bytes + 12, 4);
	return 4;
}

bool
dns_reverse_name(const char *ip, const char *zone, char out[static DNS_NAME_TEXT])
{
	unsigned char b[16];
	size_t n = address_bytes(ip, b), at = 0;

	if (n == 0)
		return false;
	if (zone == NULL)
		zone = n == 4 ? "in-addr.arpa" : "ip6.arpa";
	if (strlen(zone) + 64 + 1 > DNS_NAME_TEXT)
		return false;
	for (size_t i = n; i-- > 0;) {
		if (n == 4)
			at += (size_t)sprintf(out + at, "%u.", b[i]);
		else
			at += (size_t)sprintf(out + at, "%x.%x.", b[i] & 15, b[i] >> 4);
	}
	snprintf(out + at, DNS_NAME_TEXT - at, "%s", zone);
	return true;
}

const char *
dns_status_text(enum dns_status status)
{
	static const char *const words[] = { [DNS_OK] = "found",
		[DNS_NO_DATA] = "the name has no such record",
		[DNS_NXDOMAIN] = "no such name",
		[DNS_TEMPORARY] = "DNS gave no answer",
		[DNS_BOGUS] = "the DNS answer's signature is wrong" };

	return words[status];
}
