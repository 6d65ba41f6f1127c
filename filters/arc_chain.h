/* arc_chain - the ARC sets that a message bears (RFC 8617 4): read and checked for their form */
#ifndef FILTERS_ARC_CHAIN_H
#define FILTERS_ARC_CHAIN_H

#include "filters/mime.h"
#include "filters/tags.h"

#define ARC_SETS_MAX 50 /* RFC 8617 4.2.1 */

struct arc_set {                                             /* all point into the message */
	const struct mime_field *results, *signature, *seal; /* AAR, AMS, AS */
	struct tags signature_tags, seal_tags;
};

enum arc_form {
	ARC_NO_CHAIN,
	ARC_WELL_FORMED,
	ARC_ENDED, /* its last seal says that the chain broke before */
	ARC_MALFORMED,
	ARC_NO_MEMORY /* to read it */
};

struct arc_chain {
	struct arc_set sets[ARC_SETS_MAX];
	size_t n;
	enum arc_form form;
	const char *why; /* what is malformed */
};

/* Collect the sets of a header; the chain is big and belongs on the heap or in a pool. */
enum arc_form arc_chain_read(const struct mime_field *all, size_t n, struct arc_chain *out);
/* The highest instance that any field of a set names, however broken the chain is; 0: there is none.
 * *ended: a seal of it says cv=fail. */
unsigned arc_chain_last(const struct mime_field *all, size_t n, bool *ended);

/* Did the sealer of that set see DMARC pass (with `author` as the domain in From, where it names one)? */
bool arc_saw_dmarc_pass(const struct arc_set *set, const char *author);

#endif
