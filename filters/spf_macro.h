/* spf_macro - macros of SPF records and explanations (RFC 7208 7) */
#ifndef FILTERS_SPF_MACRO_H
#define FILTERS_SPF_MACRO_H

#include "base/buf.h"
#include "filters/judge.h"

struct spf_names {                          /* what the letters stand for */
	const char *sender, *helo, *domain; /* s l o; h; d: the domain whose record it is */
	const char *validated;              /* p: the client's name, or "unknown" */
	const char *receiver;               /* r */
	const struct ip *client;            /* i c v */
	int64_t now;                        /* t: seconds since 1970 */
};

/* A macro at the front of `s`, which begins with '%': its length, or 0. The letters c, r and t stand
 * in explanations only. */
size_t spf_macro_length(struct slice s, bool in_text);
/* Does the text hold the macro %{p}, which costs questions? */
bool spf_macro_wants_name(struct slice text);
/* Expand all macros of `text`. false: one is malformed, or the result does not fit into `out`. */
bool spf_macro_expand(
    struct slice text, bool in_text, const struct spf_names *names, struct buf *out);

/* A name that is too long for DNS loses labels on the left (RFC 7208 7.3). */
const char *spf_macro_fit(const char *name);

#endif
