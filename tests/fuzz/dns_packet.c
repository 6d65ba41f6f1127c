/* dns_packet - any bytes as a DNS answer, asked for each type that has its own layout */
#include "base/dns/client.h"
#include "base/dns/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned types[] = { DNS_A, DNS_CNAME, DNS_SOA, DNS_MX, DNS_TXT, DNS_SRV };
	struct slice packet = { (const char *)data, size };

	for (size_t i = 0; i < COUNT(types); i++) {
		struct dns_reply reply;

		dns_packet_read(packet, types[i], &reply);
		dns_reply_free(&reply);
	}
	return 0;
}
