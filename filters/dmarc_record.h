/* dmarc_record - a domain's policy for mail that bears its name (RFC 9989 4.7, and what RFC 7489 wrote) */
#ifndef FILTERS_DMARC_RECORD_H
#define FILTERS_DMARC_RECORD_H

#include "base/slice.h"

enum dmarc_policy { DMARC_NONE, DMARC_QUARANTINE, DMARC_REJECT };
enum dmarc_psd { DMARC_PSD_UNKNOWN, DMARC_PSD_YES, DMARC_PSD_NO };

struct dmarc_record {
	/* for the domain itself, for its subdomains, for names that do not exist; those left out are
	 * filled from the one before */
	enum dmarc_policy p, sp, np;
	bool strict_dkim, strict_spf; /* adkim=s, aspf=s */
	bool testing;                 /* t=y, or pct=0 of old records: one step milder */
	enum dmarc_psd psd;
	/* A policy tag is missing or makes no sense. With an address for reports the record asks for
	 * p=none then, without one for nothing at all (RFC 9989 4.7 "p"). */
	bool broken;
	struct slice rua; /* as written; points into the text */
};

/* Read a TXT record. false: it is no DMARC record. Unknown tags are passed over, wrong values are as
 * if not given. */
bool dmarc_record_read(struct slice text, struct dmarc_record *out);
const char *dmarc_policy_name(enum dmarc_policy p);

#endif
