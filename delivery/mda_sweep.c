/* mda_sweep - remove staged files that no row of the queue names
 *
 * A file whose row says `staged` is mail that somebody got a 250 for, so when in doubt a file
 * stays: after an overflow of the list, for names with a leading dot, and in stage folders
 * without an id. */
#include "delivery/mda_sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEP_NAMES_MAX (2 * 1000 * 1000)
#define KEEP_BYTES_MAX (256u * 1024 * 1024)

void
keep_add(struct keep *k, struct slice name)
{
	if (k->n == k->room && k->n < KEEP_NAMES_MAX) {
		size_t room = k->room == 0 ? 256 : 2 * k->room;
		char **names = reallocarray(k->names, room, sizeof(*names));

		if (names != NULL) {
			k->names = names;
			k->room = room;
		}
	}
	if (k->n == k->room || k->bytes + name.len > KEEP_BYTES_MAX ||
	    (k->names[k->n] = slice_dup(name)) == NULL) {
		k->overflow = true;
		return;
	}
	k->n++;
	k->bytes += name.len;
}

void
keep_free(struct keep *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->names[i]);
	free(k->names);
	*k = (struct keep){ 0 };
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool
keep_has(const struct keep *k, const char *id, const char *file)
{
	char name[STAGE_ID + MAILDIR_NAME];
	const char *key = name;

	snprintf(name, sizeof(name), "%s/%s", id, file);
	return k->n > 0 && bsearch(&key, k->names, k->n, sizeof(*k->names), compare) != NULL;
}

static DIR *
dir_at(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);

	if (d == NULL && fd != -1)
		close(fd);
	return d;
}

struct sweep {
	int root;
	const struct keep *keep;
	uint64_t dev; /* mail_dir's */
	uint64_t removed;
	struct err *err;
	int rc;
};

static void
sweep_stage(struct sweep *s, const struct stage *stage)
{
	DIR *d = dir_at(stage->fd, ".");
	struct dirent *e;

	if (d == NULL) {
		s->rc = err_sys(s->err, "cannot read a stage folder");
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' || keep_has(s->keep, stage->id, e->d_name))
			continue;
		if (unlinkat(stage->fd, e->d_name, 0) == 0)
			s->removed++;
		else
			s->rc = err_sys(s->err, "cannot remove the staged file %s", e->d_name);
	}
	closedir(d);
}

static void
sweep_home(struct sweep *s, int domain, const char *user)
{
	struct stage stage;
	struct stat st;
	char path[MAILDIR_NAME + 8];

	if (fstatat(domain, user, &st, AT_SYMLINK_NOFOLLOW) == -1 || !S_ISDIR(st.st_mode) ||
	    st.st_dev == s->dev)
		return;
	snprintf(path, sizeof(path), "%s/" STAGE_DIR, user);
	if (stage_open(&stage, domain, path, false, NULL) == -1)
		return;
	sweep_stage(s, &stage);
	stage_close(&stage);
}

static void
sweep_domain(struct sweep *s, const char *domain)
{
	DIR *d = dir_at(s->root, domain);
	struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' && (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN))
			sweep_home(s, dirfd(d), e->d_name);
	closedir(d);
}

static void
sweep_homes(struct sweep *s)
{
	DIR *d = dir_at(s->root, ".");
	struct dirent *e;

	if (d == NULL) {
		s->rc = err_sys(s->err, "cannot read mail_dir");
		return;
	}
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' && (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN))
			sweep_domain(s, e->d_name);
	closedir(d);
}

int
sweep(int root, const struct stage *common, struct keep *k, uint64_t *removed, struct err *err)
{
	struct sweep s = { .root = root, .keep = k, .err = err };
	struct stat st;

	*removed = 0;
	if (k->overflow)
		return err_set(
		    err, ERR_TEMPORARY, "too many staged files to remember: none was removed");
	if (fstat(common->fd, &st) == -1)
		return err_sys(err, "cannot ask for the stage folder's device");
	s.dev = st.st_dev;
	if (k->n > 0)
		qsort(k->names, k->n, sizeof(*k->names), compare);
	sweep_stage(&s, common);
	sweep_homes(&s);
	*removed = s.removed;
	return s.rc;
}
