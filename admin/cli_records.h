/* cli_records - the DNS records that a domain of ours wants */
#ifndef ADMIN_CLI_RECORDS_H
#define ADMIN_CLI_RECORDS_H

#include "admin/cli.h"

#define POLICY_SIZE 600

/* Rows {name, ttl, type, value}: MX, SPF, DKIM for each of `keys` (cli_dkim_keys()) that is to be published, DMARC,
 * TLSRPT, MTA-STS, TLSA, SRV, and the names that mail programs and servers look for. */
void records_of(struct rows *out, const struct conf *conf, const char *domain, const struct rows *keys);
/* The MTA-STS policy to serve at https://mta-sts.DOMAIN/.well-known/mta-sts.txt (RFC 8461 3.2); lines end in LF. */
void records_policy(const struct conf *conf, char out[static POLICY_SIZE]);
/* Is our host name this domain or below it? */
bool records_host_inside(const struct conf *conf, const char *domain);

#endif
