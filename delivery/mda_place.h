/* mda_place - where mail goes: Maildirs, their stage folders, their devices
 *
 * One `struct places` belongs to one thread (a lane of mda.c); only the common stage folder,
 * made before any thread, is shared. Open folders are kept for two seconds at most (an
 * administrator may move a home), and at most `most` of them. */
#ifndef DELIVERY_MDA_PLACE_H
#define DELIVERY_MDA_PLACE_H

#include "storage/maildir.h"

#define STAGE_DIR ".stage"
#define STAGE_ID 9 /* 8 characters and the NUL */

struct stage { /* a folder of files that no reader sees yet */
	int fd;
	char id[STAGE_ID]; /* kept in it, in the file ".id": which stage folder this is */
};
/* Open (with `make`: make, durably) the stage folder at `path` below root. -1 + err. Close it
 * with stage_close. */
int stage_open(struct stage *stage, int root, const char *path, bool make, struct err *err);
void stage_close(struct stage *stage);

struct device { /* a file system that a batch touches */
	uint64_t dev;
	bool known;       /* syncfs does there what we need */
	bool must_syncfs; /* something may be pending that fsync of single files does not reach */
	/* of the batch under way: */
	unsigned batch;
	int dir_fd;  /* a folder on it; borrowed */
	int sync_fd; /* open since before the batch's first write; -1 in batches that fsync */
	bool failed;
};

struct place {              /* one folder of one Maildir */
	struct place *next; /* same hash */
	char *key;
	int64_t opened;
	unsigned batch;              /* the last that used it; not closed while it runs */
	bool dirty_new, dirty_stage; /* names there must be made durable by this batch's barrier */
	bool no_quota;               /* there was no maildirsize ... */
	unsigned quota_round;        /* ... when this many had been made */
	int new_fd;
	struct stage own; /* when it does not lie on mail_dir's device; else fd -1 */
	const struct stage *stage;
	struct device *device;
	char quota_path[MAILDIR_PATH];
};

struct places;

/* NULL: no memory. `most` >= 8. */
struct places *places_new(int root, const struct stage *common, unsigned most);
void places_free(struct places **p);
/* A new batch begins: what the last one used may be closed. */
void places_begin(struct places *p, unsigned batch);
/* Find it, making what is missing. NULL + err: ERR_PERMANENT for names that cannot be, else
 * temporary. Valid until the next places_begin. */
struct place *places_get(struct places *p, struct slice home, struct slice folder, struct err *err);
/* It turned out to be gone: find it anew at the next places_get. The pointer stays valid until
 * the next places_begin. */
void places_stale(struct places *p, struct place *place);
/* Walk all places / devices of the batch. */
struct place *places_at(struct places *p, unsigned i);
struct device *places_device_at(struct places *p, unsigned i);
int places_root(const struct places *p);
/* The device of the common stage folder. */
struct device *places_common(struct places *p);

#endif
