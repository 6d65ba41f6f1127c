/* explain - the options in words: for `tegami config explain`, `config show`, the sample file and the manual page
 *
 * Only programs that read the file link it. */
#ifndef CONF_EXPLAIN_H
#define CONF_EXPLAIN_H

#include "base/buf.h"
#include "conf/options.h"

struct conf_explained {		/* one option, in words; texts are borrowed from the table or from the caller's buffers */
	const char *path;	/* "limits.recipients", "listen.NAME.kind" */
	const char *sentence;
	char type[64];		/* "time", "list of sizes", "mx | submission" */
	char fallback[120];	/* as written in the file; "" when there is none */
	char range[80];		/* "1 to 10000", "" when any */
};

/* The i-th option; false behind the last. `path_room` holds 128 bytes. */
bool conf_explain_at(size_t i, struct conf_explained *out, char *path_room);
/* In words: one option ("limits.recipients", also "listen.mx.kind"), all of a section ("limits"), or with NULL a line for each.
 * -1 + ERR_NOT_FOUND with the nearest name. */
int conf_explain(const char *path, struct buf *out, struct err *err);
/* Every option with its value as written in the file; `changed`: it is not the default. */
void conf_each(const struct conf *c, void (*fn)(void *arg, const char *path, const char *value, bool changed), void *arg);
/* A file with every option, commented out, with its sentence; the four that must be there stand on top as given. */
void conf_sample(const char *hostname, const char *state_dir, const char *certificate, const char *key, struct buf *out);

#endif
