/* dkim_state - how far each DKIM key is on its way, kept beside the key files
 *
 * Errors: those of the file system; see dkim_change(). */
#include "filters/dkim_state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define LINES_MAX 64 /* keys of one domain */
#define FILE_SIZE (16 * 1024)
#define PATH_SIZE 400

struct line {
	char selector[DKIM_SELECTOR_SIZE];
	struct dkim_standing s;
	bool gone; /* its file is to be removed */
};
struct lines {
	struct line at[LINES_MAX];
	size_t n;
};

static const char *const names[] = {
	[DKIM_NEXT] = "next",
	[DKIM_ACTIVE] = "active",
	[DKIM_RETIRING] = "retiring",
};

const char *
dkim_state_name(enum dkim_state state)
{
	return names[state];
}

bool
dkim_state_read(const char *name, enum dkim_state *out)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], name) != 0)
			continue;
		*out = (enum dkim_state)i;
		return true;
	}
	return false;
}

bool
dkim_key_parts(const char *file, char domain[static 256], char selector[static 256])
{
	struct slice s = slice_of(file);
	ptrdiff_t dot;

	if (s.len > 250 || file[0] == '.' || !slice_ends_nocase(s, SLICE(".pem")))
		return false;
	s.len -= 4;
	dot = slice_find_last(s, '.');
	if (dot <= 0 || (size_t)dot + 1 == s.len)
		return false;
	slice_copy(slice_first(s, (size_t)dot), domain, 256);
	slice_copy(slice_skip(s, (size_t)dot + 1), selector, 256);
	return true;
}

/* -- the file */

static struct line *
find(struct lines *all, const char *selector)
{
	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->at[i].selector, selector) == 0)
			return &all->at[i];
	return NULL;
}

static void
take_line(struct lines *all, const char *text)
{
	struct line *l = &all->at[all->n];
	char state[16];
	int seen = 0, stopped = 0;

	if (all->n == LINES_MAX || sscanf(text, "%63s %15s %" SCNd64 " %d %d", l->selector, state, &l->s.since, &seen, &stopped) < 2 ||
	    !dkim_state_read(state, &l->s.state) || find(all, l->selector) != NULL)
		return;
	l->s.seen = seen == 1;
	l->s.stopped = stopped == 1;
	all->n++;
}

/* What is written; none when there is no file, or none that can be read. */
static void
read_lines(int keys, const char *domain, struct lines *all)
{
	char path[PATH_SIZE], text[FILE_SIZE], *line, *rest = NULL;
	ssize_t n;
	int fd;

	memset(all, 0, sizeof(*all));
	snprintf(path, sizeof(path), "%.255s.states", domain);
	fd = openat(keys, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
		take_line(all, line);
}

static int
write_text(int keys, const char *path, const char *text, struct err *err)
{
	int fd = openat(keys, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	size_t len = strlen(text);
	bool good = fd >= 0 && write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;

	if (!good)
		err_sys(err, DKIM_KEYS_DIR "/%s", path);
	if (fd >= 0)
		close(fd);
	return good ? 0 : -1;
}

/* All lines but those of keys that are gone. */
static int
write_lines(int keys, const char *domain, const struct lines *all, struct err *err)
{
	char path[PATH_SIZE], fresh[PATH_SIZE], text[FILE_SIZE];
	int n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < all->n && n < (int)sizeof(text) - 200; i++)
		if (!all->at[i].gone)
			n += snprintf(text + n, sizeof(text) - (size_t)n, "%s %s %" PRId64 " %d %d\n",
			    all->at[i].selector, names[all->at[i].s.state], all->at[i].s.since, all->at[i].s.seen,
			    all->at[i].s.stopped);
	snprintf(path, sizeof(path), "%.255s.states", domain);
	snprintf(fresh, sizeof(fresh), ".%.255s.states", domain);
	if (write_text(keys, fresh, text, err) == -1)
		return -1;
	if (renameat(keys, fresh, keys, path) == -1 || fsync(keys) == -1)
		return err_sys(err, DKIM_KEYS_DIR "/%s", path);
	return 0;
}

/* -- what is there */

struct dkim_standing
dkim_standing(int keys, const char *domain, const char *selector)
{
	struct lines *all = malloc(sizeof(*all));
	struct dkim_standing s = { DKIM_ACTIVE, 0, false, false };
	struct line *l;

	if (all == NULL)
		return s;
	read_lines(keys, domain, all);
	l = find(all, selector);
	if (l != NULL)
		s = l->s;
	free(all);
	return s;
}

static void
take_key(struct lines *all, const struct lines *written, const char *selector)
{
	struct line *l = &all->at[all->n];
	size_t len = strlen(selector);

	if (all->n == LINES_MAX || len >= sizeof(l->selector))
		return;
	*l = (struct line){ .s = { DKIM_ACTIVE, 0, false, false } };
	for (size_t i = 0; i < written->n; i++)
		if (strcmp(written->at[i].selector, selector) == 0)
			*l = written->at[i];
	memcpy(l->selector, selector, len + 1);
	all->n++;
}

/* The keys of a domain whose files are there, in no order. */
static int
read_keys(int keys, const char *domain, struct lines *all, struct err *err)
{
	int fd = openat(keys, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct lines *written = malloc(sizeof(*written));
	char owner[256], selector[256];
	struct dirent *e;

	memset(all, 0, sizeof(*all));
	if (written != NULL && dir != NULL) {
		read_lines(keys, domain, written);
		while ((e = readdir(dir)) != NULL)
			if (dkim_key_parts(e->d_name, owner, selector) && strcmp(owner, domain) == 0)
				take_key(all, written, selector);
	} else {
		err_sys(err, DKIM_KEYS_DIR);
	}
	if (dir != NULL)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	free(written);
	return written != NULL && dir != NULL ? 0 : -1;
}

int
dkim_lock(int keys, bool wait, struct err *err)
{
	if (flock(keys, wait ? LOCK_EX : LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return err_set(err, ERR_TEMPORARY, "somebody else changes the keys just now; try again in a moment");
	return err_sys(err, DKIM_KEYS_DIR);
}

int
dkim_standing_put(int keys, const char *domain, const char *selector, const struct dkim_standing *s,
    struct err *err)
{
	struct lines *all = malloc(sizeof(*all));
	int rc = all != NULL ? read_keys(keys, domain, all, err) : err_sys(err, "memory");

	if (rc == 0 && all->n == LINES_MAX)
		rc = err_set(err, ERR_PERMANENT, "%s has %d keys; retire the old ones first", domain, LINES_MAX);
	if (rc == 0) {
		struct line *l = &all->at[all->n++];

		snprintf(l->selector, sizeof(l->selector), "%s", selector);
		l->s = *s;
		rc = write_lines(keys, domain, all, err);
	}
	free(all);
	return rc;
}

/* -- one step */

static void
activate(struct line *l, const struct dkim_terms *terms)
{
	if (l->s.state != DKIM_ACTIVE)
		l->s.since = terms->now;
	l->s.state = DKIM_ACTIVE;
	l->s.stopped = false;
	l->s.seen = l->s.seen || !terms->force;
}

static int
retire(struct line *l, const struct dkim_terms *terms, struct err *err)
{
	int64_t until = l->s.since + terms->keep;
	char day[32];
	time_t at = (time_t)until;
	struct tm tm;

	if (l->s.state == DKIM_ACTIVE) {
		l->s.state = DKIM_RETIRING;
		l->s.stopped = false;
		l->s.since = terms->now;
		return 0;
	}
	if (l->s.state == DKIM_RETIRING && terms->now < until && !terms->force) {
		strftime(day, sizeof(day), "%Y-%m-%d %H:%M UTC", gmtime_r(&at, &tm));
		return err_set(err, ERR_PERMANENT,
		    "%s signs no more, but mail with its signature is still on its way: leave its record in DNS "
		    "until %s and retire it once more then, or use --force",
		    l->selector, day);
	}
	l->gone = true;
	return 0;
}

static int
step(struct lines *all, const char *domain, const struct dkim_change *c, const struct dkim_terms *terms,
    struct err *err)
{
	struct line *l = find(all, c->selector);

	if (l == NULL || l->gone)
		return err_set(err, ERR_NOT_FOUND, "%s has no key %.63s; `tegami dkim list` shows them", domain,
		    c->selector);
	if (c->step == DKIM_RETIRE)
		return retire(l, terms, err);
	if (c->step == DKIM_ACTIVATE)
		activate(l, terms);
	else if (c->step == DKIM_SEE)
		l->s.seen = true;
	else
		l->s.stopped = c->step == DKIM_STOP;
	return 0;
}

static unsigned
signing(const struct lines *all)
{
	unsigned n = 0;

	for (size_t i = 0; i < all->n; i++)
		n += !all->at[i].gone && all->at[i].s.state == DKIM_ACTIVE;
	return n;
}

static int
remove_gone(int keys, const char *domain, const struct lines *all, struct err *err)
{
	char path[PATH_SIZE];

	for (size_t i = 0; i < all->n; i++) {
		snprintf(path, sizeof(path), "%.255s.%s.pem", domain, all->at[i].selector);
		if (all->at[i].gone && unlinkat(keys, path, 0) == -1 && errno != ENOENT)
			return err_sys(err, DKIM_KEYS_DIR "/%s", path);
	}
	return fsync(keys) == 0 ? 0 : err_sys(err, DKIM_KEYS_DIR);
}

static int
change_all(int keys, const char *domain, const struct dkim_change *change, size_t n,
    const struct dkim_terms *terms, struct lines *all, struct err *err)
{
	unsigned before;

	if (read_keys(keys, domain, all, err) == -1)
		return -1;
	before = signing(all);
	for (size_t i = 0; i < n; i++)
		if (step(all, domain, &change[i], terms, err) == -1)
			return -1;
	if (before > 0 && signing(all) == 0 && !terms->force)
		return err_set(err, ERR_PERMANENT,
		    "no other key signs the mail of %s: `tegami dkim rotate %s` makes the next one, which takes its "
		    "place by itself; --force leaves the mail unsigned",
		    domain, domain);
	/* the files first: a line without a key is nothing, a key without a line would sign */
	return remove_gone(keys, domain, all, err) == 0 ? write_lines(keys, domain, all, err) : -1;
}

int
dkim_change(int keys, const char *domain, const struct dkim_change *change, size_t n,
    const struct dkim_terms *terms, struct err *err)
{
	struct lines *all = malloc(sizeof(*all));
	int rc;

	if (all == NULL)
		return err_sys(err, "memory");
	rc = dkim_lock(keys, terms->wait, err);
	if (rc == 0) {
		rc = change_all(keys, domain, change, n, terms, all, err);
		flock(keys, LOCK_UN);
	}
	free(all);
	return rc;
}
