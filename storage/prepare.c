/* prepare - the state directory as the server needs it
 *
 * Made from two tables: folders and databases, each with the role that owns it. Running it again
 * changes nothing that is right already; after it, no role has to create a file in state_dir
 * itself, which none of them could.
 *
 * Every entry is opened without following a symbolic link, and owner and mode are set through
 * that descriptor, so that what root changes is what it looked at. */
#include "storage/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/process.h"
#include "storage/credentials.h"
#include "storage/db.h"
#include "storage/directory.h"
#include "storage/history.h"
#include "storage/queue_store.h"
#include "storage/rescue.h"
#include "storage/score.h"

/* -- who */

static int
owner_of(enum role role, struct prepare_owner *owner, struct err *err)
{
	struct passwd entry, *found = NULL;
	char space[4096];

	if (getpwnam_r(processes[role].user, &entry, space, sizeof(space), &found) != 0 ||
	    found == NULL)
		return err_set(err, ERR_USAGE,
		    "there is no account \"%s\" for the role %s; make all accounts with: "
		    "sh conf/accounts (installed: sh " PKGDATADIR "/accounts)",
		    processes[role].user, processes[role].name);
	owner->uid = found->pw_uid;
	owner->gid = found->pw_gid;
	return 0;
}

int
state_owners(struct prepare_owner owners[static ROLE_COUNT], struct err *err)
{
	int i;

	for (i = 0; i < ROLE_COUNT; i++) {
		owners[i].uid = geteuid();
		owners[i].gid = getegid();
		if (geteuid() == 0 && owner_of((enum role)i, &owners[i], err) == -1)
			return -1;
	}
	return 0;
}

/* -- folders */

static int
set_owner(int fd, const char *name, struct prepare_owner owner, mode_t mode, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return err_sys(err, "cannot look at %s", name);
	if (geteuid() == 0 && (st.st_uid != owner.uid || st.st_gid != owner.gid) &&
	    fchown(fd, owner.uid, owner.gid) == -1)
		return err_sys(err, "cannot give %s to uid %u", name, (unsigned)owner.uid);
	if ((st.st_mode & 07777) != mode && fchmod(fd, mode) == -1)
		return err_sys(err, "cannot set the mode of %s to %o", name, (unsigned)mode);
	return 0;
}

/* Make a folder and those above it that are missing. */
static int
make_all(const char *path, mode_t mode, bool *made, struct err *err)
{
	char part[PATH_MAX];
	char *slash;

	if (path[0] == '\0' || strlen(path) >= sizeof(part))
		return err_set(err, ERR_USAGE, "\"%.60s\" is not the name of a folder", path);
	strcpy(part, path);
	for (slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0755) == -1 && errno != EEXIST)
			return err_sys(err, "cannot make the folder %s", part);
		*slash = '/';
	}
	*made = mkdir(path, mode) == 0;
	if (!*made && errno != EEXIST)
		return err_sys(err, "cannot make the folder %s", path);
	return 0;
}

/* `follow`: the administrator named it, so it may be a symbolic link. `keep_mode`: only when it
 * is new. */
static int
own_folder(const char *path, struct prepare_owner owner, mode_t mode, bool follow, bool keep_mode,
    struct err *err)
{
	struct stat st;
	bool made;
	int fd, rc;

	if (make_all(path, mode, &made, err) == -1)
		return -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
	if (fd == -1)
		return err_sys(err, "cannot open the folder %s", path);
	if (keep_mode && !made && fstat(fd, &st) == 0)
		mode = st.st_mode & 07777;
	rc = set_owner(fd, path, owner, mode, err);
	if (rc == 0 && made && fsync(fd) == -1)
		rc = err_sys(err, "cannot make the folder %s durable", path);
	close(fd);
	return rc;
}

static const struct {
	const char *path; /* below state_dir */
	enum role owner;
	mode_t mode;
} folders[] = {
	{ "spool", ROLE_QUEUE, 0700 },
	{ "keys", ROLE_TEGAMID, 0700 },
	{ "tmp", ROLE_TEGAMID, 0711 },
	{ "tmp/scan", ROLE_SCAN, 0700 },
};

/* -- databases */

static const struct {
	const struct db_schema *schema;
	enum role owner, group;
	mode_t mode;
} databases[] = {
	{ &directory_schema, ROLE_DIRECTORY, ROLE_DIRECTORY, 0640 },
	{ &credentials_schema, ROLE_AUTH, ROLE_AUTH, 0600 },
	{ &queue_schema, ROLE_QUEUE, ROLE_QUEUE, 0600 },
	{ &history_schema, ROLE_CONTROL, ROLE_CONTROL, 0600 },
	{ &score_schema, ROLE_CONTROL, ROLE_FILTER, 0640 },
};

static int
own_file(const char *name, struct prepare_owner owner, mode_t mode, struct err *err)
{
	int fd = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	int rc;

	if (fd == -1)
		return err_sys(err, "cannot make %s", name);
	rc = set_owner(fd, name, owner, mode, err);
	close(fd);
	return rc;
}

/* The database and its two companions. Closed again before owners change: closing a descriptor
 * of an open database would drop SQLite's locks on it. */
static int
own_database(
    const struct db_schema *schema, struct prepare_owner owner, mode_t mode, struct err *err)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char name[256];
	sqlite3 *db = db_open(schema, DB_CREATE, err);
	size_t i;

	if (db == NULL)
		return -1;
	db_close(&db);
	for (i = 0; i < COUNT(ends); i++) {
		snprintf(name, sizeof(name), "%s%s", schema->file, ends[i]);
		if (own_file(name, owner, mode, err) == -1)
			return -1;
	}
	return 0;
}

/* An empty database in place of one that was there would make every user unknown, and the first
 * hour's mail bounce. The last of the table is there: so all were made once. */
static int
users_are_there(const char *state_dir, struct err *err)
{
	static const struct db_schema *const users[] = { &directory_schema, &credentials_schema };
	const char *last = databases[COUNT(databases) - 1].schema->file;

	for (size_t i = 0; i < COUNT(users); i++)
		if (access(users[i]->file, F_OK) == -1 && errno == ENOENT &&
		    access(last, F_OK) == 0)
			return err_set(err, ERR_USAGE,
			    "%s/%s is missing, but the other databases are there; put it back from "
			    "a "
			    "backup, or remove %s too to begin without users",
			    state_dir, users[i]->file, last);
	return 0;
}

/* What SQLite would not notice, or not say. */
static int
queue_is_sound(struct err *err)
{
	int db, wal, damaged;

	if (access("queue.rescue", F_OK) == 0)
		return err_set(err, ERR_USAGE,
		    "a rescue of queue.db was begun and not finished; run `tegami queue rescue` again, then start");
	db = open(queue_schema.file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	wal = open("queue.db-wal", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	damaged = db != -1 && wal != -1 && rescue_journal_damaged(db, wal);
	if (db != -1)
		close(db);
	if (wal != -1)
		close(wal);
	return damaged ? err_set(err, ERR_USAGE,
			     "queue.db-wal is damaged in the middle: mail behind that place would be lost without a "
			     "word; save it with `tegami queue rescue`, then start") : 0;
}

/* -- all of it */

static int
prepare_state(const struct prepare_owner *owners, struct err *err)
{
	struct prepare_owner owner;
	size_t i;
	int fd, rc;

	for (i = 0; i < COUNT(folders); i++)
		if (own_folder(folders[i].path, owners[folders[i].owner], folders[i].mode, false,
			false, err) == -1)
			return -1;
	for (i = 0; i < COUNT(databases); i++) {
		owner.uid = owners[databases[i].owner].uid;
		owner.gid = owners[databases[i].group].gid;
		if (own_database(databases[i].schema, owner, databases[i].mode, err) == -1)
			return -1;
	}
	fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd == -1 ? -1 : fsync(fd);
	if (fd != -1)
		close(fd);
	return rc == -1 ? err_sys(err, "cannot make the state directory durable") : 0;
}

static int
prepare_mail(const char *mail_dir, const struct prepare_owner *owners, struct err *err)
{
	char stage[PATH_MAX];

	if (snprintf(stage, sizeof(stage), "%s/.stage", mail_dir) >= (int)sizeof(stage))
		return err_set(err, ERR_USAGE, "the name of mail_dir is too long");
	if (own_folder(mail_dir, owners[ROLE_MDA], 0711, true, true, err) == -1)
		return -1;
	return own_folder(stage, owners[ROLE_MDA], 0700, false, false, err);
}

int
state_prepare(
    const struct conf *conf, const struct prepare_owner owners[static ROLE_COUNT], struct err *err)
{
	mode_t mask = umask(022);
	int rc = own_folder(conf->state_dir, owners[ROLE_TEGAMID], 0711, true, false, err);

	if (rc == 0)
		rc = prepare_mail(conf->mail_dir, owners, err);
	if (rc == 0 && chdir(conf->state_dir) == -1)
		rc = err_sys(err, "cannot enter %s", conf->state_dir);
	if (rc == 0)
		rc = users_are_there(conf->state_dir, err);
	if (rc == 0)
		rc = queue_is_sound(err);
	if (rc == 0)
		rc = prepare_state(owners, err);
	umask(mask);
	return rc;
}
