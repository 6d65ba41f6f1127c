/* dmarc_sources - who sends in a domain's name, by what DMARC reports say: ours, services, forwarders,
 * strangers; and whether the policy could be stricter */
#ifndef ADMIN_DMARC_SOURCES_H
#define ADMIN_DMARC_SOURCES_H

#include "admin/cli_reports.h"

enum source_kind { SOURCE_OURS, SOURCE_SERVICE, SOURCE_FORWARDER, SOURCE_STRANGER, SOURCE_KINDS };
enum source_state { SOURCE_OK, SOURCE_WARNING, SOURCE_ERROR };

struct dmarc_source { /* an address that mail came from; texts belong to the rows */
	const char *ip;
	enum source_kind kind;
	enum source_state state;
	int64_t messages, pass; /* pass: DKIM or SPF, for the domain itself */
	int64_t dkim, spf;      /* each of them */
	int64_t quarantine, reject, forwarded; /* what was done; told to be forwarded or of a list */
	int64_t foreign;        /* messages that prove another domain */
	const char *proves;     /* one of these domains' results, "other.test=pass"; "" */
	const char *signed_as;  /* a DKIM result of what failed: "example.test/s1=fail"; "" */
	const char *envelope;   /* domain of the sender's address; "" */
	char text[400], advice[400];
};

struct dmarc_view {
	struct dmarc_source *at; /* most messages first */
	size_t n;
	int64_t messages, pass;
	int64_t own_failing;     /* messages of SOURCE_OURS and SOURCE_SERVICE that pass neither */
	int64_t own_unsigned;    /* ... where DKIM fails */
	int64_t strangers;       /* messages of strangers */
	struct reports_seen seen;
	char policy[20];         /* p as the newest report saw it, "" when there is none */
	enum source_state state;
	bool safe;               /* the next stricter policy hits no mail that is known to be ours */
	char text[600];          /* in words, with what to do */
};

/* From the rows of dmarc.show; `own` are addresses of ours. -1: out of memory. */
int dmarc_view_make(struct dmarc_view *v, const struct rows *rows, const char *domain,
    const char *const *own, size_t n_own);
void dmarc_view_free(struct dmarc_view *v);
const char *source_kind_word(enum source_kind kind);
const char *source_state_word(enum source_state state);

#endif
