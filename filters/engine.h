/* engine - libclamav, made to fail closed */
#ifndef FILTERS_ENGINE_H
#define FILTERS_ENGINE_H

#include "base/err.h"
#include "base/msg.h"

struct engine;

#define ENGINE_TEXT 256

struct engine_limits {
	uint64_t size;        /* bytes scanned of one message, unpacked */
	int64_t depth, files; /* archives in archives; files of one message */
	int64_t timeout;      /* ms */
};

/* Once per process, before anything else. */
int engine_init(struct err *err);
/* Load all signatures of the folder `dir` and prove that the canary is found. Uses the working
 * directory for temporary files. May take minutes. NULL + err. */
struct engine *engine_load(const char *dir, const struct engine_limits *limits, struct err *err);
void engine_free(struct engine **e);
unsigned engine_signatures(const struct engine *e);
/* Has the folder changed since? */
bool engine_is_stale(const struct engine *e);

/* Scan a message. `text` is the virus's name, or why it was not scanned. One thread at a time. */
enum scan_status engine_scan(struct engine *e, struct slice message, char text[static ENGINE_TEXT]);
/* Is the canary still found? false: this engine must not be used any more. */
bool engine_is_alive(struct engine *e);
/* Did the last scan make the library report errors? Then ask engine_is_alive. */
bool engine_complained(const struct engine *e);

#endif
