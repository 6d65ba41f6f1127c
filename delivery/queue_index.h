/* queue_index - what is queued, in memory: small, without texts
 *
 * About 200 bytes for a message with one recipient (and a destination's own 150 or so, shared by
 * its mail). Texts and bodies are in queue.db and come into memory only while a message is in
 * flight (queue_content.h). */
#ifndef DELIVERY_QUEUE_INDEX_H
#define DELIVERY_QUEUE_INDEX_H

#include <sys/queue.h>

#include "base/slice.h"

struct content;
struct load;
struct report;

/* Where a recipient is; see the picture in queue.c. */
enum entry_state {
	ENTRY_NEW,        /* the message's commit is running */
	ENTRY_WAITING,    /* until `due` */
	ENTRY_READY,      /* may be sent as soon as there is room */
	ENTRY_PICKED,     /* chosen; the message is being loaded */
	ENTRY_STAGING,    /* with mda */
	ENTRY_COMMITTING, /* its staged name is being committed */
	ENTRY_STAGED,     /* to be published (at `due`, after a failure) */
	ENTRY_PUBLISHING, /* with mda */
	ENTRY_SENDING,    /* with relay */
	ENTRY_FAILED,     /* the report to its sender is being made */
	ENTRY_OWED,       /* another host has it; the report is made at `due` */
	ENTRY_SETTLING,   /* what became of it is being committed */
	ENTRY_HELD,
	ENTRY_DONE,
	ENTRY_STATES
};
const char *entry_state_name(enum entry_state state);

struct item;
struct dest;

/* Why one is held whose row says nothing of it: after a start it is tried again. */
enum entry_why { WHY_IN_ROW, WHY_ROW_DAMAGED, WHY_NO_BODY, WHY_NO_MEMORY };
const char *entry_why_text(enum entry_why why);

struct entry { /* a recipient */
	struct item *item;
	struct dest *dest;       /* NULL: local */
	TAILQ_ENTRY(entry) link; /* in the list of its state */
	int64_t due;
	char *file;       /* staged name while there may be such a file */
	uint32_t heap_at; /* place in the heap of due times, from 1; 0: not in it */
	uint32_t n;       /* its number in the store */
	uint16_t attempts;
	uint8_t state; /* enum entry_state */
	bool warned : 1;
	bool restage : 1; /* it was staged before: under another name now */
	uint8_t why : 3;  /* enum entry_why */
	bool flying : 1;  /* it counts among those with mda, and holds a use of the content */
};
TAILQ_HEAD(entry_list, entry);

struct item { /* a message */
	uint64_t qid, size;
	struct item *hash_next;
	struct content *content; /* NULL: not in memory */
	struct load *load;       /* being read */
	TAILQ_ENTRY(item) link;  /* among those with local recipients to stage */
	uint32_t n, alive;       /* entries, and those not ENTRY_DONE */
	uint32_t left;           /* entries whose end was not yet given to the writer */
	uint32_t users;          /* who needs the content now */
	uint32_t staging;        /* entries with mda to be staged */
	uint16_t flags;          /* enum envelope_flag */
	uint8_t crashes;         /* of a role that had it */
	uint8_t unread;          /* times in a row that its content could not be read */
	bool linked;             /* `link` is in use */
	bool warning;            /* its sender is being told, or was, that it is late */
	struct report *failed;   /* recipients that failed, until no other one is being sent */
	struct entry entries[];
};
TAILQ_HEAD(item_list, item);

struct dest { /* a destination: the domain of remote recipients; its rules are in queue_dest.c */
	struct dest *hash_next;
	TAILQ_ENTRY(dest)
	link; /* in the ring of those that have something to do, or among the paused */
	struct entry_list ready;
	uint32_t entries;           /* that name it */
	uint32_t active;            /* sessions now */
	uint32_t window, threshold; /* sessions allowed, and where growth slows down; in 64ths, 0: not yet known */
	uint32_t failures;          /* sessions in a row that did not come about */
	int64_t paused_until, shrunk_at;
	int64_t suspended_since;
	char *suspended; /* by the administrator, why ("": did not say); NULL: it is not */
	char *said;      /* the last words of one that failed, or NULL */
	uint8_t pauses;  /* in a row */
	uint8_t ring;
	bool linked, paused;
	bool proven; /* it answered when we spoke to it last */
	uint16_t len;
	char domain[]; /* lower case, NUL-terminated */
};
TAILQ_HEAD(dest_list, dest);

struct index;

struct index *index_new(void);
void index_free(struct index **ix);
struct item *index_find(struct index *ix, uint64_t qid);
/* A message with n recipients, all ENTRY_NEW and numbered from 0. NULL when memory is gone or the
 * id is taken. */
struct item *index_add(struct index *ix, uint64_t qid, uint16_t flags, uint64_t size, uint32_t n);
/* Its content must be gone; destinations no longer named go too. */
void index_remove(struct index *ix, struct item *it);
/* Every message; fn must not remove any but the one it is given. */
void index_each(struct index *ix, void (*fn)(void *arg, struct item *it), void *arg);
/* The next few of them; begin with *at = 0. false: that was all. Items may come and go between two calls: one that is there all
 * the time is seen at least once. */
bool index_each_some(
    struct index *ix, size_t *at, void (*fn)(void *arg, struct item *it), void *arg);
uint64_t index_items(const struct index *ix);
/* Those in memory, done ones of messages that are still there included; and those that are not done. */
uint64_t index_entries(const struct index *ix);
uint64_t index_alive(const struct index *ix);
/* It is ENTRY_DONE from here on. */
void index_done(struct index *ix, struct entry *e);
/* Bytes of memory it takes. */
uint64_t index_memory(const struct index *ix);

/* Name the destination of a remote recipient (its address's domain). -1: no memory. */
int index_set_dest(struct index *ix, struct entry *e, struct slice address);
/* The destination of this domain; NULL: there is none (when asked to make it: no memory). */
struct dest *index_dest(struct index *ix, struct slice domain, bool make);
/* Every destination; fn must not remove any. */
void index_each_dest(struct index *ix, void (*fn)(void *arg, struct dest *d), void *arg);
/* It left a list or ended a session: forget it when nothing names it. */
void index_settle_dest(struct index *ix, struct dest *d);
uint64_t index_dests(const struct index *ix);

/* Wake it at `when`; and no more. Room was made by index_add: neither can fail. */
void due_set(struct index *ix, struct entry *e, int64_t when);
void due_clear(struct index *ix, struct entry *e);
/* The earliest, or NULL. */
struct entry *due_first(struct index *ix);

#endif
