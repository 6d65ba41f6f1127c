/* mda_place - where mail goes: Maildirs, their stage folders, their devices
 *
 * Mail is staged in mail_dir/.stage, and for a home on another device in home/.stage, since
 * rename does not cross devices. Each stage folder has an id, which is part of the names that
 * queue keeps: so a file system that is not mounted is an error, not a stage folder without that
 * file, which would mean "delivered". */
#include "delivery/mda_place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#define KEEP_OPEN (2 * CLOCK_SECOND)
#define DEVICES_MAX 64
#define KEY_MAX (512 + 256)
#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* -- stage folders */

static bool
id_ok(const char *id, ssize_t n)
{
	if (n != STAGE_ID - 1)
		return false;
	for (ssize_t i = 0; i < n; i++)
		if (!((id[i] >= 'a' && id[i] <= 'z') || (id[i] >= '2' && id[i] <= '7')))
			return false;
	return true;
}

static int
id_read(struct stage *stage)
{
	int fd = openat(stage->fd, ".id", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n;

	if (fd == -1)
		return -1;
	n = read(fd, stage->id, STAGE_ID - 1);
	close(fd);
	stage->id[STAGE_ID - 1] = 0;
	return id_ok(stage->id, n) ? 0 : -1;
}

/* Linked under its name only when it is whole and durable, so two makers agree on the first. */
static int
id_make(struct stage *stage, struct err *err)
{
	unsigned char random[STAGE_ID - 1];
	char tmp[32];
	int fd;
	bool good;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return err_sys(err, "no random numbers");
	for (size_t i = 0; i < sizeof(random); i++)
		stage->id[i] = "abcdefghijklmnopqrstuvwxyz234567"[random[i] & 31];
	snprintf(tmp, sizeof(tmp), ".id.%.8s", stage->id);
	fd = openat(stage->fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1)
		return err_sys(err, "cannot make %s", tmp);
	good = write(fd, stage->id, STAGE_ID - 1) == STAGE_ID - 1 && fsync(fd) == 0;
	if (good && linkat(stage->fd, tmp, stage->fd, ".id", 0) == -1)
		good = errno == EEXIST;
	if (!good)
		err_sys(err, "cannot write the id of the stage folder");
	close(fd);
	unlinkat(stage->fd, tmp, 0);
	if (!good)
		return -1;
	if (fsync(stage->fd) == -1 || id_read(stage) == -1)
		return err_sys(err, "the id of the stage folder is not readable");
	return 0;
}

int
stage_open(struct stage *stage, int root, const char *path, bool make, struct err *err)
{
	stage->fd = maildir_open(root, path, DIR_FLAGS);
	if (stage->fd == -1 && errno == ENOENT && make) {
		if (mkdirat(root, path, 0700) == -1 && errno != EEXIST)
			return err_sys(err, "cannot make %s", path);
		stage->fd = maildir_open(root, path, DIR_FLAGS);
	}
	if (stage->fd == -1)
		return err_sys(err, "cannot open %s", path);
	if (id_read(stage) == 0 || (make && id_make(stage, err) == 0))
		return 0;
	if (!make)
		err_set(err, ERR_TEMPORARY, "%s has no id", path);
	stage_close(stage);
	return -1;
}

void
stage_close(struct stage *stage)
{
	if (stage->fd != -1)
		close(stage->fd);
	stage->fd = -1;
}

/* -- the cache */

struct places {
	int root;
	const struct stage *common;
	struct device *common_device;
	struct device devices[DEVICES_MAX];
	unsigned n_devices;
	unsigned batch;
	struct place **slots; /* all places, in no order */
	unsigned n, most, hand;
	struct place **hash;
	unsigned n_hash;
};

static struct device *
device_of(struct places *p, int fd, uint64_t dev, struct err *err)
{
	struct device *d;
	struct statfs fs;

	for (unsigned i = 0; i < p->n_devices; i++)
		if (p->devices[i].dev == dev)
			return &p->devices[i];
	if (p->n_devices == DEVICES_MAX || fstatfs(fd, &fs) == -1) {
		err_set(err, ERR_TEMPORARY, "too many file systems below mail_dir");
		return NULL;
	}
	d = &p->devices[p->n_devices++];
	*d = (struct device){ .dev = dev, .sync_fd = -1 };
	d->known = fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC ||
		   fs.f_type == BTRFS_SUPER_MAGIC;
	/* who was here before us may have died before its barrier */
	d->must_syncfs = d->known;
	return d;
}

static bool
common_device_find(struct places *p)
{
	struct stat st;

	if (fstat(p->common->fd, &st) == 0)
		p->common_device = device_of(p, p->common->fd, st.st_dev, NULL);
	return p->common_device != NULL;
}

struct places *
places_new(int root, const struct stage *common, unsigned most)
{
	struct places *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	*p = (struct places){ .root = root, .common = common, .most = most, .n_hash = 2 * most };
	p->slots = calloc(p->most, sizeof(struct place *));
	p->hash = calloc(p->n_hash, sizeof(struct place *));
	if (p->slots == NULL || p->hash == NULL || !common_device_find(p))
		places_free(&p);
	return p;
}

static unsigned
hash_of(const struct places *p, const char *key)
{
	uint32_t h = 2166136261u;

	for (; *key != 0; key++)
		h = (h ^ (unsigned char)*key) * 16777619u;
	return h % p->n_hash;
}

static void
place_close(struct place *place)
{
	if (place->new_fd != -1)
		close(place->new_fd);
	stage_close(&place->own);
	free(place->key);
	free(place);
}

/* Out of the hash: places_get does not find it any more. */
static void
unhash(struct places *p, struct place *place)
{
	struct place **at = &p->hash[hash_of(p, place->key)];

	while (*at != NULL && *at != place)
		at = &(*at)->next;
	if (*at != NULL)
		*at = place->next;
}

void
places_free(struct places **pp)
{
	struct places *p = *pp;

	if (p == NULL)
		return;
	for (unsigned i = 0; p->slots != NULL && i < p->n; i++)
		place_close(p->slots[i]);
	free(p->slots);
	free(p->hash);
	free(p);
	*pp = NULL;
}

void
places_begin(struct places *p, unsigned batch)
{
	p->batch = batch;
	for (unsigned i = 0; i < p->n; i++)
		p->slots[i]->dirty_new = p->slots[i]->dirty_stage = false;
	for (unsigned i = 0; i < p->n_devices; i++)
		p->devices[i].failed = false;
}

/* A slot for a new place: the next free one, or one that this batch does not use. */
static struct place **
slot_take(struct places *p)
{
	if (p->n < p->most)
		return &p->slots[p->n];
	for (unsigned i = 0; i < p->most; i++) {
		struct place **slot = &p->slots[p->hand];

		p->hand = (p->hand + 1) % p->most;
		if ((*slot)->batch != p->batch)
			return slot;
	}
	return NULL;
}

static int
key_make(struct slice home, struct slice folder, char out[static KEY_MAX])
{
	return snprintf(out, KEY_MAX, "%.*s\n%.*s", SLICE_ARG(home), SLICE_ARG(folder)) < KEY_MAX
		   ? 0
		   : -1;
}

/* -- opening one */

struct want {
	struct slice home, folder;
	char home_text[KEY_MAX], dir[MAILDIR_NAME], path[MAILDIR_PATH];
};

static int
want_check(struct want *w, struct err *err)
{
	if (!maildir_home_ok(w->home))
		return err_set(err, ERR_PERMANENT, "this mailbox name cannot be a folder");
	if (maildir_folder_dir(w->folder, w->dir, sizeof(w->dir)) == -1)
		return err_set(err, ERR_PERMANENT, "this folder name cannot be");
	slice_copy(w->home, w->home_text, sizeof(w->home_text));
	snprintf(w->path, sizeof(w->path), "%s/Maildir%s/new", w->home_text, w->dir);
	return 0;
}

/* The stage folder in the home, for a Maildir on a device of its own. */
static int
own_stage(struct places *p, struct place *place, const struct want *w, struct err *err)
{
	char path[MAILDIR_PATH];
	struct stat st;

	snprintf(path, sizeof(path), "%s/" STAGE_DIR, w->home_text);
	if (stage_open(&place->own, p->root, path, true, err) == -1)
		return -1;
	if (fstat(place->own.fd, &st) == -1)
		return err_sys(err, "cannot ask for the device of %s", path);
	if (st.st_dev != place->device->dev)
		return err_set(err, ERR_TEMPORARY,
		    "%s/Maildir is on another file system than %s: mount the home, not the Maildir",
		    w->home_text, w->home_text);
	place->stage = &place->own;
	return 0;
}

static int
place_open(struct places *p, struct place *place, struct want *w, struct err *err)
{
	struct stat st;
	bool made = false;

	place->new_fd = maildir_open(p->root, w->path, DIR_FLAGS);
	if (place->new_fd == -1 && errno == ENOENT) {
		if (maildir_make(p->root, w->home_text, w->dir, err) == -1)
			return -1;
		made = true;
		place->new_fd = maildir_open(p->root, w->path, DIR_FLAGS);
	}
	if (place->new_fd == -1 || fstat(place->new_fd, &st) == -1)
		return err_sys(err, "cannot open %s", w->path);
	place->device = device_of(p, place->new_fd, st.st_dev, err);
	if (place->device == NULL)
		return -1;
	place->stage = p->common;
	if (place->device != p->common_device && own_stage(p, place, w, err) == -1)
		return -1;
	if (made)
		place->device->must_syncfs = true;
	return 0;
}

/* On file systems that we do not know, every folder on the way is made durable by itself, once. */
static int
sync_way(struct places *p, const struct want *w, struct err *err)
{
	char path[MAILDIR_PATH];
	char *slash;

	snprintf(path, sizeof(path), "%s", w->path);
	while ((slash = strrchr(path, '/')) != NULL) {
		int fd, rc;

		*slash = 0;
		fd = maildir_open(p->root, path, DIR_FLAGS);
		rc = fd == -1 ? -1 : fsync(fd);
		if (rc == -1)
			err_sys(err, "cannot make %s durable", path);
		if (fd != -1)
			close(fd);
		if (rc == -1)
			return -1;
	}
	return fsync(p->root) == -1 && errno != EBADF ? err_sys(err, "mail_dir") : 0;
}

static struct place *
place_new(struct places *p, struct want *w, struct err *err)
{
	struct place *place = calloc(1, sizeof(*place));

	if (place == NULL) {
		err_set(err, ERR_TEMPORARY, "no memory");
		return NULL;
	}
	place->new_fd = place->own.fd = -1;
	place->opened = clock_mono();
	if (place_open(p, place, w, err) == 0 &&
	    (place->device->known || sync_way(p, w, err) == 0)) {
		snprintf(place->quota_path, sizeof(place->quota_path), "%s/Maildir/maildirsize",
		    w->home_text);
		return place;
	}
	place_close(place);
	return NULL;
}

static struct place *
cached(struct places *p, const char *key)
{
	struct place *place = p->hash[hash_of(p, key)];

	while (place != NULL && strcmp(place->key, key) != 0)
		place = place->next;
	if (place != NULL && place->batch != p->batch && clock_mono() - place->opened > KEEP_OPEN) {
		places_stale(p, place);
		return NULL;
	}
	return place;
}

/* Put it into a slot and the hash. The place is gone when there is no slot. */
static struct place *
keep(struct places *p, struct place *place, const char *key, struct err *err)
{
	struct place **slot = slot_take(p);
	unsigned h = hash_of(p, key);

	place->key = slice_dup(slice_of(key));
	if (slot == NULL || place->key == NULL) {
		place_close(place);
		err_set(err, ERR_TEMPORARY, "too many mailboxes at once");
		return NULL;
	}
	if (slot == &p->slots[p->n]) {
		p->n++;
	} else {
		unhash(p, *slot);
		place_close(*slot);
	}
	*slot = place;
	place->next = p->hash[h];
	p->hash[h] = place;
	return place;
}

struct place *
places_get(struct places *p, struct slice home, struct slice folder, struct err *err)
{
	struct want w = { .home = home, .folder = folder };
	struct place *place;
	char key[KEY_MAX];

	if (key_make(home, folder, key) == -1) {
		err_set(err, ERR_PERMANENT, "this mailbox name is too long");
		return NULL;
	}
	place = cached(p, key);
	if (place == NULL) {
		if (want_check(&w, err) == -1 || (place = place_new(p, &w, err)) == NULL)
			return NULL;
		place = keep(p, place, key, err);
	}
	if (place != NULL)
		place->batch = p->batch;
	return place;
}

/* It stays in its slot, unfindable, until the slot is wanted. */
void
places_stale(struct places *p, struct place *place)
{
	unhash(p, place);
}

struct place *
places_at(struct places *p, unsigned i)
{
	return i < p->n ? p->slots[i] : NULL;
}

struct device *
places_device_at(struct places *p, unsigned i)
{
	return i < p->n_devices ? &p->devices[i] : NULL;
}

struct device *
places_common(struct places *p)
{
	return p->common_device;
}

int
places_root(const struct places *p)
{
	return p->root;
}
