/* ip - addresses of clients as text, in one form each */
#include "smtp/proto/ip.h"

#include <arpa/inet.h>
#include <string.h>

bool
ip_text_of(int family, const void *bytes, char out[static INET6_ADDRSTRLEN])
{
	static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	if (family == AF_INET6 && memcmp(bytes, mapped, sizeof(mapped)) == 0) {
		bytes = (const unsigned char *)bytes + sizeof(mapped);
		family = AF_INET;
	}
	out[0] = '\0';
	return (family == AF_INET || family == AF_INET6) &&
	       inet_ntop(family, bytes, out, INET6_ADDRSTRLEN) != NULL;
}

bool
ip_text_again(int family, const char *text, char out[static INET6_ADDRSTRLEN])
{
	unsigned char bytes[16];

	out[0] = '\0';
	return inet_pton(family, text, bytes) == 1 && ip_text_of(family, bytes, out);
}
