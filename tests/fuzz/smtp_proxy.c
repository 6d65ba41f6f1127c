/* fuzz: PROXY headers; one that is whole is whole at its last byte and not before, and names an address that can be read */
#include <arpa/inet.h>
#include <stdlib.h>

#include "smtp/proto/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_whole(struct slice in, const struct proxy_header *h)
{
	unsigned char bytes[16];
	struct proxy_header part;

	if (h->length > in.len || h->length > PROXY_MAX)
		abort();
	for (size_t n = 0; n < h->length; n++)
		if (proxy_read(slice_first(in, n), &part) != PROXY_MORE)
			abort();
	if (proxy_read(slice_first(in, h->length), &part) != PROXY_DONE || part.length != h->length)
		abort();
	if (h->source == PROXY_CLIENT && inet_pton(AF_INET, h->ip, bytes) != 1 &&
	    inet_pton(AF_INET6, h->ip, bytes) != 1)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { (const char *)data, size };
	struct proxy_header h;

	switch (proxy_read(in, &h)) {
	case PROXY_DONE:
		check_whole(in, &h);
		break;
	case PROXY_MORE:
		if (size >= PROXY_MAX)
			abort();
		break;
	default:
		break;
	}
	return 0;
}
