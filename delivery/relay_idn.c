/* relay_idn - a domain as DNS knows it
 *
 * A file of its own: the stores' addresses and the relay's are two different things of one name. */
#include "delivery/relay_idn.h"

#include "storage/address.h"

bool
idn_ascii(struct slice domain, char out[static IDN_SIZE])
{
	struct err err;

	return domain_read(domain, out, &err) == 0;
}
