/* check - the rows of the pipeline: what is asked of every message
 *
 * A row is a name, when it applies, and a function that is run again and again until it is done
 * (see judge.h). To add a check, write its function in a file of its own and add a row in check.c.
 */
#ifndef FILTERS_CHECK_H
#define FILTERS_CHECK_H

#include "filters/judge.h"

enum check_status { CHECK_DONE, CHECK_WAIT };

struct check {
	const char *name;
	bool (*applies)(const struct judge *j);
	enum check_status (*run)(struct judge *j);
};
extern const struct check checks[];

/* Is the check of that name done, or not wanted? For those that build on its result. */
bool check_is_done(const struct judge *j, const char *name);

/* Run every check that is not done. CHECK_WAIT: some questions are new or unanswered, or the scan
 * is. */
enum check_status checks_run(struct judge *j);

/* A named rule: hit or not, without any DNS. */
struct rule {
	const char *name;
	int score; /* thousandths */
	bool (*hit)(const void *what);
	const char *text;
};

enum check_status check_antivirus(struct judge *j); /* antivirus.c */
enum check_status check_rdns(struct judge *j);      /* rdns.c: PTR and HELO facts that need DNS */
enum check_status check_dnsbl(struct judge *j);     /* dnsbl.c */
enum check_status check_spf(struct judge *j);       /* spf_check.c */
enum check_status check_dkim(struct judge *j);      /* dkim.c */
enum check_status check_dmarc(struct judge *j);     /* dmarc.c */
enum check_status check_arc(struct judge *j);       /* arc.c */
enum check_status check_helo(struct judge *j);      /* helo.c */
enum check_status check_header(struct judge *j);    /* header.c */
enum check_status check_content(struct judge *j);   /* content.c */
enum check_status check_bayes(struct judge *j);     /* bayes.c */

#endif
