/* spf_record - the grammar of SPF records (RFC 7208), and their translation into what libspf2 does
 * right
 *
 * libspf2 takes many broken records for good ones and some good ones for broken, and it counts
 * look-ups per record instead of per message. So every record is checked here first and rewritten:
 * `a`, `mx`, `ptr` and `exists` become `exists` terms whose name ends in a number of ours; libspf2
 * expands the macros and walks the tree, and the look-up function in spf.c, which sees the number,
 * does the term itself. What cannot matter (unknown modifiers, terms behind `all`) is left out;
 * redirect= goes last, behind a term of ours that tells spf.c whose record comes next; exp= is kept
 * for spf_explain.h. */
#ifndef FILTERS_SPF_RECORD_H
#define FILTERS_SPF_RECORD_H

#include "base/buf.h"
#include "filters/judge.h"

#define SPF_TERMS_MAX 400 /* of one message; a record of 4 KiB has less */
#define SPF_TERM_ZONE "._term"

enum spf_term_kind { SPF_TERM_A, SPF_TERM_MX, SPF_TERM_PTR, SPF_TERM_EXISTS, SPF_TERM_LEAVE };
struct spf_term {
	enum spf_term_kind kind;
	unsigned bits4, bits6;
	unsigned record; /* the number of the record it stands in, from 1 */
};
struct spf_terms {
	struct spf_term at[SPF_TERMS_MAX];
	size_t n;
	unsigned records;	/* translated so far */
	struct slice explain;	/* exp= of the last one; at == NULL: it has none */
};

/* "v=spf1" alone or before a blank? */
bool spf_record_is(struct slice text);
/* Check and translate for this client. -1: it is no good, *why says so. */
int spf_record_translate(struct slice record, const struct ip *client, struct spf_terms *terms,
    struct buf *out, const char **why);

#endif
