/* cli_dns_look - questions to DNS through the running server's resolver, for `tegami dns check` */
#ifndef ADMIN_CLI_DNS_LOOK_H
#define ADMIN_CLI_DNS_LOOK_H

#include "admin/cli_findings.h"

#define ADDRESSES_MAX 8
#define ADDRESS_SIZE 46

struct look {
	struct cli *cli;
	struct findings *found;
	const char *domain, *hostname;
	char address[ADDRESSES_MAX][ADDRESS_SIZE]; /* of the host name */
	size_t n_addresses;
	bool heard;	 /* DNS answered something */
	unsigned silent; /* questions that DNS did not answer */
	bool broken;	 /* no use to go on: told once */
};

struct answer { /* to one question */
	struct rows rows;
	bool answered, secure;
	const char *status;
};

/* false: nobody can be asked (told once). Else free a->rows. `zone`: for addresses, a block list. */
bool look_ask(struct look *l, const char *name, const char *type, const char *zone, struct answer *a);
/* Records in the answer, and the i-th as text. */
size_t look_count(const struct answer *a);
const char *look_value(const struct answer *a, size_t i);
/* DNS itself failed: nobody knows. true: that was told. */
bool look_unanswered(struct look *l, const char *what, const char *name, const struct answer *a);

/* -- cli_dns_records.c */
/* What belongs to TLS between servers and to mail programs: MTA-STS, TLSRPT, TLSA, SRV and names. */
void look_at_records(struct look *l);

#endif
