/* mda_batch - stage and publish many messages behind one barrier
 *
 * Where a file is, what makes that durable, and what a crash before it means:
 *
 *	step     what is done                  what its barrier makes durable
 *	stage    .stage/STEM,S=SIZE is written  the file's content, the names in .stage
 *	(queue)  commits `staged`              the row
 *	publish  rename .stage/F -> new/F      the names in new and .stage
 *	(queue)  commits `done`                the row
 *
 *	a crash before     finds                         and so
 *	`staged` is there  perhaps a stage file          it is swept at start, delivered afresh
 *	publish's barrier  `staged`, F in .stage         F is renamed again
 *	`done` is there    `staged`, F not in .stage     it was delivered
 *
 *	barrier                                  when
 *	fsync of each file, .stage and new/      up to BATCH_FEW files, long messages, and
 *	                                         always on file systems that we do not know
 *	one syncfs for each device               else (ext4, xfs, btrfs); and for any number of
 *	                                         files after a start, a failure, a new folder
 *
 * The descriptor for syncfs is opened before the batch's first write to the device, so it sees
 * every write error since then, and belongs to this batch alone. When a barrier fails nothing is
 * synced again: staged files are removed and all is answered STEP_TEMPORARY; queue stages such
 * mail under a new name later. A name that was published all the same is found absent when queue
 * asks again, and is answered after a barrier of its own. */
#include "delivery/mda_batch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/quota.h"

static atomic_uint quotas_made;

void
batch_quota_made(void)
{
	atomic_fetch_add(&quotas_made, 1);
}

/* -- items */

static unsigned
fields_count(struct wire in)
{
	unsigned n = 0;

	for (; wire_more(&in); n++)
		wire_bytes(&in);
	return n;
}

struct item *
item_new(struct frame *f)
{
	size_t len = (size_t)(f->in.end - f->in.at);
	struct item *item = malloc(sizeof(*item) + len);

	if (item == NULL)
		return NULL;
	*item = (struct item){ .type = f->type, .to = reply_later(f), .fd = -1, .len = len };
	memcpy(item->fields, f->in.at, len);
	item->n = fields_count(f->in);
	item->n = f->type == MSG_MDA_STAGE ? (item->n - 5) / 5 : item->n / 5;
	item->results = calloc(item->n > 0 ? item->n : 1, sizeof(struct result));
	if (item->results == NULL) {
		free(item);
		return NULL;
	}
	if (f->type == MSG_MDA_STAGE) {
		struct wire in = f->in;

		item->qid = wire_u64(&in);
	}
	if (f->fd != -1)
		item->fd = frame_take_fd(f);
	return item;
}

void
item_free(struct item *item)
{
	if (item->fd != -1)
		close(item->fd);
	free(item->results);
	free(item);
}

static void
refuse(struct result *r, const struct err *err)
{
	r->status = err->kind == ERR_PERMANENT ? STEP_PERMANENT : STEP_TEMPORARY;
	slice_copy(slice_of(err->text), r->text, sizeof(r->text));
}

void
item_refuse(struct item *item, const struct err *err)
{
	bool stage = item->type == MSG_MDA_STAGE;
	struct wire in;

	wire_init(&in, (struct slice){ item->fields, item->len });
	for (int skip = 0; skip < 5 && stage; skip++)
		wire_bytes(&in);
	for (unsigned i = 0; i < item->n; i++) {
		struct result *r = &item->results[i];

		r->qid = stage ? item->qid : wire_u64(&in);
		r->rcpt = wire_u64(&in);
		for (int skip = stage ? 4 : 3; skip > 0; skip--)
			wire_bytes(&in);
		refuse(r, err);
	}
}

/* -- what a batch touches */

struct run {
	struct batch *batch;
	bool few;
};

static void
sync_open(struct device *d)
{
	d->sync_fd = openat(d->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d->failed = d->sync_fd == -1;
}

/* Before the first write to a device. */
static int
touch(struct run *run, struct place *place, struct err *err)
{
	struct device *d = place->device;

	if (d->batch != run->batch->number) {
		d->batch = run->batch->number;
		d->sync_fd = -1;
		d->dir_fd = place->stage->fd;
		if (d->known && (!run->few || d->must_syncfs))
			sync_open(d);
	}
	return d->failed ? err_set(err, ERR_TEMPORARY, "the stage folder cannot be opened") : 0;
}

static struct place *
place_get(struct run *run, struct slice home, struct slice folder, struct err *err)
{
	struct place *place = places_get(run->batch->places, home, folder, err);

	return place != NULL && touch(run, place, err) == 0 ? place : NULL;
}

/* -- stage */

struct message {
	struct mda_text text;
	struct slice converted; /* of short ones: prefix and body with LF */
	char *room;             /* its memory, or NULL */
};

static int
create(int dir, const char *name)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dir, name, flags, 0600);

	/* left behind by an attempt that failed; a new inode, so nothing old is ever synced again */
	if (fd == -1 && errno == EEXIST && unlinkat(dir, name, 0) == 0)
		fd = openat(dir, name, flags, 0600);
	return fd;
}

static int
finish(int fd, bool sync, int rc)
{
	int saved;

	if (rc == 0 && sync)
		rc = fsync(fd);
	saved = errno;
	if (close(fd) == -1 && rc == 0)
		return -1;
	errno = saved;
	return rc;
}

/* The size is known beforehand, and with it the name. */
static int
stage_short(struct run *run, const struct message *m, struct place *place, struct slice stem,
    struct slice head, struct result *r)
{
	char *own = run->batch->work;
	struct lf lf = { false };
	size_t len = lf_copy(&lf, own, slice_first(head, MDA_CHUNK));
	const char *name = r->text + STAGE_ID;
	int fd;

	len += lf_end(&lf, own + len);
	r->size = len + m->converted.len;
	snprintf(r->text, sizeof(r->text), "%s/%.*s,S=%llu", place->stage->id, SLICE_ARG(stem),
	    (unsigned long long)r->size);
	fd = create(place->stage->fd, name);
	if (fd == -1)
		return -1;
	if (finish(fd, place->device->sync_fd == -1,
		mda_write(fd, (struct slice){ own, len }, m->converted)) == 0)
		return 0;
	return -1;
}

/* Written under its stem, named when the size is known. */
static int
stage_long(struct run *run, const struct message *m, struct place *place, struct slice stem,
    struct slice head, struct result *r)
{
	int dir = place->stage->fd, fd;
	char name[MAILDIR_NAME];

	slice_copy(stem, name, sizeof(name));
	snprintf(r->text, sizeof(r->text), "%s/%.*s", place->stage->id, SLICE_ARG(stem));
	fd = create(dir, name);
	if (fd == -1 || finish(fd, place->device->sync_fd == -1,
			    mda_text_long(&m->text, head, fd, run->batch->work, &r->size)) == -1)
		return -1;
	snprintf(r->text, sizeof(r->text), "%s/%.*s,S=%llu", place->stage->id, SLICE_ARG(stem),
	    (unsigned long long)r->size);
	return renameat(dir, name, dir, r->text + STAGE_ID);
}

static void
stage_one(struct run *run, const struct message *m, struct wire *in, struct result *r)
{
	struct slice home, folder, stem, head;
	struct err err = { 0 };

	r->rcpt = wire_u64(in);
	home = wire_bytes(in);
	folder = wire_bytes(in);
	stem = wire_bytes(in);
	head = wire_bytes(in);
	if (!maildir_name_ok(stem)) {
		err_set(&err, ERR_PERMANENT, "this file name cannot be");
		refuse(r, &err);
		return;
	}
	r->place = place_get(run, home, folder, &err);
	if (r->place == NULL) {
		refuse(r, &err);
		return;
	}
	r->place->dirty_stage = true;
	r->staged =
	    (m->room != NULL ? stage_short : stage_long)(run, m, r->place, stem, head, r) == 0;
	if (r->staged)
		return;
	err_sys(&err, "cannot write mail for %.*s", SLICE_ARG(home));
	unlinkat(r->place->stage->fd, r->text + STAGE_ID, 0);
	refuse(r, &err);
}

static int
message_read(struct message *m, struct wire *in, int fd, struct err *err)
{
	struct stat st;

	wire_u64(in); /* queue id */
	wire_u64(in); /* time: it is in the stems */
	*m = (struct message){ .text = { .fd = fd } };
	m->text.prefix = wire_bytes(in);
	if (cuts_get(wire_bytes(in), m->text.cuts, &m->text.n_cuts) == -1)
		return err_set(err, ERR_PERMANENT, "the list of cuts is damaged");
	m->text.body = wire_bytes(in);
	if (fd != -1)
		return fstat(fd, &st) == 0 && S_ISREG(st.st_mode)
			   ? 0
			   : err_set(err, ERR_TEMPORARY, "the body is no regular file");
	m->room = malloc(m->text.prefix.len + m->text.body.len + 2);
	if (m->room == NULL)
		return err_set(err, ERR_TEMPORARY, "no memory");
	m->converted = (struct slice){ m->room, mda_text_short(&m->text, m->room) };
	return 0;
}

static void
stage_item(struct run *run, struct item *item)
{
	struct err err = { 0 };
	struct message m;
	struct wire in;

	wire_init(&in, (struct slice){ item->fields, item->len });
	if (message_read(&m, &in, item->fd, &err) == -1)
		item_refuse(item, &err);
	else
		for (unsigned i = 0; i < item->n; i++)
			stage_one(run, &m, &in, &item->results[i]);
	free(m.room);
}

/* -- publish */

static void
quota_note(struct place *place, const char *name, int root)
{
	const char *s = strstr(name, ",S=");
	unsigned round = atomic_load(&quotas_made);

	if (s == NULL || (place->no_quota && place->quota_round == round))
		return;
	place->quota_round = round;
	place->no_quota = !quota_add(root, place->quota_path, strtoull(s + 3, NULL, 10));
}

static bool
absent(const struct stage *stage, const char *name)
{
	struct stat st;

	return fstatat(stage->fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1 && errno == ENOENT;
}

/* 0: it is in new/ now, or was delivered before. */
static int
publish_file(struct run *run, struct place **place, struct slice home, struct slice folder,
    const char *name, struct err *err)
{
	for (int tries = 0; tries < 2; tries++) {
		const struct stage *stage = (*place)->stage;

		if (renameat(stage->fd, name, (*place)->new_fd, name) == 0) {
			quota_note(*place, name, places_root(run->batch->places));
			return 0;
		}
		if (errno != ENOENT)
			return err_sys(err, "cannot put the mail into %.*s", SLICE_ARG(home));
		if (absent(stage, name))
			return 0;
		/* then it is the Maildir that is gone: someone removed or renamed it */
		places_stale(run->batch->places, *place);
		*place = place_get(run, home, folder, err);
		if (*place == NULL)
			return -1;
	}
	return err_set(err, ERR_TEMPORARY, "the Maildir of %.*s keeps vanishing", SLICE_ARG(home));
}

static int
publish_named(struct run *run, struct result *r, struct slice home, struct slice folder,
    struct slice staged, struct err *err)
{
	struct slice id = slice_cut(&staged, '/');
	char name[MAILDIR_NAME];

	if (!maildir_name_ok(staged) || !slice_copy(staged, name, sizeof(name)))
		return err_set(err, ERR_PERMANENT, "this file name cannot be");
	r->place = place_get(run, home, folder, err);
	if (r->place == NULL)
		return -1;
	if (!slice_eq(id, slice_of(r->place->stage->id)))
		return err_set(err, ERR_TEMPORARY,
		    "the mail for %.*s lies in the stage folder %.*s, this one is %s: "
		    "is its file system mounted?",
		    SLICE_ARG(home), SLICE_ARG(id), r->place->stage->id);
	if (publish_file(run, &r->place, home, folder, name, err) == -1)
		return -1;
	r->place->dirty_new = r->place->dirty_stage = true;
	return 0;
}

static void
publish_item(struct run *run, struct item *item)
{
	struct wire in;

	wire_init(&in, (struct slice){ item->fields, item->len });
	for (unsigned i = 0; i < item->n; i++) {
		struct result *r = &item->results[i];
		struct err err = { 0 };
		struct slice home, folder;

		r->qid = wire_u64(&in);
		r->rcpt = wire_u64(&in);
		home = wire_bytes(&in);
		folder = wire_bytes(&in);
		if (publish_named(run, r, home, folder, wire_bytes(&in), &err) == -1)
			refuse(r, &err);
	}
}

/* -- the barrier */

static void
fail(struct run *run, struct device *d, const char *what)
{
	d->failed = true;
	d->must_syncfs = d->known;
	snprintf(run->batch->trouble, sizeof(run->batch->trouble),
	    "%s: %s; the mail will be written again", what, strerror(errno));
}

static void
sync_folders(struct run *run)
{
	struct device *common = places_common(run->batch->places);
	bool common_dirty = false;
	int common_fd = -1;
	struct place *p;

	for (unsigned i = 0; (p = places_at(run->batch->places, i)) != NULL; i++) {
		if (p->batch != run->batch->number || p->device->sync_fd != -1)
			continue;
		if (p->dirty_new && fsync(p->new_fd) == -1)
			fail(run, p->device, "cannot make names in a Maildir durable");
		if (p->dirty_stage && p->stage != &p->own) {
			common_dirty = true;
			common_fd = p->stage->fd;
		} else if (p->dirty_stage && fsync(p->own.fd) == -1) {
			fail(run, p->device, "cannot make names in a stage folder durable");
		}
	}
	if (common_dirty && fsync(common_fd) == -1)
		fail(run, common, "cannot make names in the stage folder durable");
}

/* Each file of a small batch is durable by itself already, but a folder was made on the way. */
static void
sync_late(struct run *run)
{
	struct device *d;

	for (unsigned i = 0; (d = places_device_at(run->batch->places, i)) != NULL; i++)
		if (d->batch == run->batch->number && d->must_syncfs && d->sync_fd == -1) {
			sync_open(d);
			if (d->failed)
				fail(run, d, "cannot open a stage folder");
		}
}

static void
sync_devices(struct run *run)
{
	struct device *d;

	for (unsigned i = 0; (d = places_device_at(run->batch->places, i)) != NULL; i++) {
		if (d->batch != run->batch->number || d->sync_fd == -1)
			continue;
		if (syncfs(d->sync_fd) == -1)
			fail(run, d, "cannot make mail durable");
		else
			d->must_syncfs = false;
		close(d->sync_fd);
		d->sync_fd = -1;
	}
}

/* What stood behind a failed barrier counts for nothing. */
static void
take_back(struct item *item, const char *why)
{
	for (unsigned i = 0; i < item->n; i++) {
		struct result *r = &item->results[i];

		if (r->status != STEP_OK || r->place == NULL || !r->place->device->failed)
			continue;
		if (r->staged)
			unlinkat(r->place->stage->fd, r->text + STAGE_ID, 0);
		r->status = STEP_TEMPORARY;
		slice_copy(slice_of(why), r->text, sizeof(r->text));
	}
}

void
batch_run(struct batch *b)
{
	struct run run = { .batch = b };
	unsigned files = 0;

	places_begin(b->places, ++b->number);
	b->trouble[0] = 0;
	for (struct item *i = b->items; i != NULL; i = i->next)
		files += i->n;
	run.few = b->spooled || files <= BATCH_FEW;
	for (struct item *i = b->items; i != NULL; i = i->next)
		(i->type == MSG_MDA_STAGE ? stage_item : publish_item)(&run, i);
	sync_late(&run);
	sync_folders(&run);
	sync_devices(&run);
	for (struct item *i = b->items; i != NULL && b->trouble[0] != 0; i = i->next)
		take_back(i, b->trouble);
}
