/* cli_rescue - `tegami queue rescue`: a new queue.db from what a damaged one still holds
 *
 * The server is down, and its lock is held. Nothing is taken away before something better is there:
 *
 *	state_dir		a power cut now, and what the next rescue or start does
 *	queue.rescue.tmp/	damaged files get a second name in it; begun again
 *	queue.rescue/		all have it: from now on the source, and no tegamid starts; begun again from there
 *	queue.rescue/new.db	is written and made durable; begun again
 *	queue.db-wal		is removed (its second name stays); begun again
 *	queue.db		new.db takes its place; begun again, with the same end
 *	queue.damaged-TIME/	the folder's new name: done, tegamid starts
 *
 * Damaged bytes are read as the owner of queue.db, never as root. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/cli_rescue.h"
#include "admin/text.h"
#include "base/envelope.h"
#include "base/qid.h"
#include "storage/rescue.h"

#define FOLDER "queue.rescue"
#define SHOWN_MOST 20

static const char *const originals[] = { "queue.db", "queue.db-wal", "queue.db-shm" };

struct rescue {
	struct cli *cli;
	bool dry_run, again; /* again: an earlier one was interrupted */
	int folder;
	FILE *report;
	struct rows lost;
	struct rescue_result result;
	int bodies, stage; /* files kept */
	char kept[80];     /* the folder in the end */
};

/* -- the folder */

static int
folder_durable(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd == -1 ? -1 : fsync(fd);

	if (rc == -1)
		err_sys(err, "cannot make %s durable", path);
	if (fd != -1)
		close(fd);
	return rc;
}

/* Of its files and folders, and then of itself: it holds second names only. */
static void
folder_remove(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *de;

	while (d != NULL && (de = readdir(d)) != NULL)
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0 &&
		    unlinkat(fd, de->d_name, 0) == -1 && errno == EISDIR)
			folder_remove(fd, de->d_name);
	if (d != NULL)
		closedir(d);
	unlinkat(at, name, AT_REMOVEDIR);
}

/* The damaged files get their second names. */
static int
folder_make(struct err *err)
{
	static const char tmp[] = FOLDER ".tmp";
	char to[64];
	struct stat st;

	folder_remove(AT_FDCWD, tmp);
	if (stat(originals[0], &st) == -1)
		return errno == ENOENT
			   ? err_set(err, ERR_NOT_FOUND,
				 "there is no queue.db in this state_dir: nothing to rescue")
			   : err_sys(err, "queue.db");
	if (mkdir(tmp, 0700) == -1 || (geteuid() == 0 && chown(tmp, st.st_uid, st.st_gid) == -1))
		return err_sys(err, "cannot make the folder %s", tmp);
	for (size_t i = 0; i < COUNT(originals); i++) {
		snprintf(to, sizeof(to), "%s/%s", tmp, originals[i]);
		if (link(originals[i], to) == -1 && (i == 0 || errno != ENOENT))
			return err_sys(err, "cannot give %s a second name", originals[i]);
	}
	if (folder_durable(tmp, err) == -1)
		return -1;
	if (rename(tmp, FOLDER) == -1)
		return err_sys(err, "cannot rename %s", tmp);
	return folder_durable(".", err);
}

/* -- reading */

static void
body_keep(struct rescue *r, const char *id, const struct rescue_lost *l)
{
	struct slice prefix = prefix_shown(l->prefix);
	char name[40];
	int fd;

	if (l->prefix.len + l->body.len == 0)
		return;
	snprintf(name, sizeof(name), "%s.eml", id);
	fd = openat(r->folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return;
	if (write(fd, prefix.at, prefix.len) != (ssize_t)prefix.len ||
	    write(fd, l->body.at, l->body.len) != (ssize_t)l->body.len)
		fprintf(r->report, "%s: only a part of it could be written\n", name);
	close(fd);
}

static void
on_lost(void *arg, const struct rescue_lost *l)
{
	struct rescue *r = arg;
	char id[QID_TEXT];
	struct buf line;

	qid_text(l->qid, id);
	body_keep(r, id, l);
	struct admin_word words[] = { { "id", id }, { "from", l->from }, { "to", l->to },
		{ "reason", l->why } };

	rows_add(&r->lost, words, COUNT(words));
	buf_init(&line, 8192);
	buf_printf(&line, "%s from ", id);
	text_show(&line, slice_of(l->from));
	buf_text(&line, " to ");
	text_show(&line, slice_of(l->to));
	buf_printf(&line, ": %s\n", l->why);
	fwrite(line.at, 1, line.len, r->report);
	buf_free(&line);
}

static int
open_in(int dir, const char *name)
{
	return openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

static FILE *
report_open(int folder)
{
	int fd = openat(
	    folder, "report.txt", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd == -1 ? NULL : fdopen(fd, "w");
}

/* As the owner of queue.db. */
static int
read_it(struct rescue *r, struct err *err)
{
	int spool = open("spool", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int db, wal, rc = -1;

	r->folder = open(FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (r->folder == -1 || (r->report = report_open(r->folder)) == NULL) {
		if (spool != -1)
			close(spool);
		return err_sys(err, "cannot write in the folder " FOLDER);
	}
	unlinkat(r->folder, "new.db", 0);
	unlinkat(r->folder, "new.db-wal", 0);
	unlinkat(r->folder, "new.db-shm", 0);
	db = open_in(r->folder, originals[0]);
	wal = open_in(r->folder, originals[1]);
	rc = db == -1 ? err_sys(err, "queue.db")
		      : rescue(db, wal, spool, FOLDER "/new.db", on_lost, r, &r->result, err);
	if (rc == 0 && fflush(r->report) != 0)
		rc = err_sys(err, "cannot write the report");
	fclose(r->report);
	for (int fds[] = { db, wal, spool }, i = 0; i < 3; i++)
		if (fds[i] != -1)
			close(fds[i]);
	return rc;
}

static int
keep_files(
    struct rescue *r, const char *from, const char *name, bool stage, int *kept, struct err *err)
{
	int dir = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC), to = -1, rc = 0;

	*kept = 0;
	if (dir == -1)
		return errno == ENOENT ? 0 : err_sys(err, "%s", from);
	if ((mkdirat(r->folder, name, 0700) == 0 || errno == EEXIST) &&
	    (to = openat(r->folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) != -1)
		*kept = rescue_files_keep(FOLDER "/new.db", dir, stage, to, err);
	else
		*kept = err_sys(err, "cannot make the folder %s in " FOLDER, name);
	if (*kept == -1 || fsync(to) == -1)
		rc = *kept == -1 ? -1 : err_sys(err, "cannot make the folder %s durable", name);
	else if (*kept == 0)
		unlinkat(r->folder, name, AT_REMOVEDIR);
	if (to != -1)
		close(to);
	close(dir);
	return rc;
}

/* -- the new one takes its place */

static int
new_durable(struct rescue *r, struct err *err)
{
	int fd = openat(r->folder, "new.db", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int rc = fd == -1 ? -1 : fsync(fd);

	if (fd != -1)
		close(fd);
	unlinkat(r->folder, "new.db-wal", 0);
	unlinkat(r->folder, "new.db-shm", 0);
	return rc == -1 ? err_sys(err, "cannot make the new queue.db durable")
			: folder_durable(FOLDER, err);
}

static int
swap(struct rescue *r, struct err *err)
{
	time_t now = time(NULL);
	struct tm tm;

	if (new_durable(r, err) == -1)
		return -1;
	for (size_t i = COUNT(originals) - 1; i > 0; i--)
		if (unlink(originals[i]) == -1 && errno != ENOENT)
			return err_sys(err, "cannot remove %s", originals[i]);
	if (folder_durable(".", err) == -1)
		return -1;
	if (rename(FOLDER "/new.db", originals[0]) == -1)
		return err_sys(err, "the new queue.db cannot take the place of the damaged one");
	if (folder_durable(".", err) == -1)
		return -1;
	strftime(r->kept, sizeof(r->kept), "queue.damaged-%Y%m%d-%H%M%S", localtime_r(&now, &tm));
	if (rename(FOLDER, r->kept) == -1)
		return err_sys(err, "cannot rename " FOLDER);
	return folder_durable(".", err);
}

static int
rescue_files(struct rescue *r, const char *mail_dir, struct err *err)
{
	char stage[PATH_MAX];
	int rc;

	r->again = access(FOLDER, F_OK) == 0;
	if (!r->again && folder_make(err) == -1)
		return -1;
	if (cli_owner_enter(FOLDER "/queue.db", err) == -1)
		return -1;
	rc = read_it(r, err);
	if (rc == 0 && !r->dry_run && !r->result.whole)
		rc = keep_files(r, "spool", "spool", false, &r->bodies, err);
	cli_owner_leave();
	snprintf(stage, sizeof(stage), "%s/.stage", mail_dir);
	if (rc == 0 && !r->dry_run && !r->result.whole)
		rc = keep_files(r, stage, "stage", true, &r->stage, err);
	if (rc == 0 && !r->dry_run && !r->result.whole)
		return swap(r, err);
	/* the damaged files have their first names still */
	if (!r->again)
		folder_remove(AT_FDCWD, FOLDER);
	return rc;
}

/* -- what is said */

static void
print_json(struct rescue *r, const char *state_dir)
{
	char kept[PATH_MAX];
	struct json j;

	snprintf(kept, sizeof(kept), "%s/%s", state_dir, r->kept);
	json_init(&j, &r->cli->out);
	json_open(&j, '{');
	json_key(&j, "whole");
	json_bool(&j, r->result.whole);
	json_key(&j, "dry_run");
	json_bool(&j, r->dry_run);
	json_key(&j, "messages");
	json_number(&j, (int64_t)r->result.messages);
	json_key(&j, "recipients");
	json_number(&j, (int64_t)r->result.recipients);
	json_key(&j, "held");
	json_number(&j, (int64_t)r->result.held);
	json_pair(&j, "kept", r->kept[0] != '\0' ? kept : "");
	json_key(&j, "damaged");
	json_open(&j, '[');
	for (size_t i = 0; i < r->lost.n; i++) {
		json_open(&j, '{');
		for (size_t w = 0; w < r->lost.at[i].n; w++)
			json_pair(&j, r->lost.at[i].words[w].key, r->lost.at[i].words[w].value);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
}

static void
print_lost(struct rescue *r)
{
	struct cli *cli = r->cli;

	if (r->result.lost == 0)
		return;
	cli_say(cli, "%" PRIu64 " could not be saved:", r->result.lost);
	for (size_t i = 0; i < r->lost.n && i < SHOWN_MOST; i++) {
		const struct row *row = &r->lost.at[i];

		cli_say(cli, "  %s  from %s to %s: %s", row_text(row, "id"),
		    *row_text(row, "from") != '\0' ? row_text(row, "from") : "?",
		    *row_text(row, "to") != '\0' ? row_text(row, "to") : "?",
		    row_text(row, "reason"));
	}
	if (r->result.lost > SHOWN_MOST)
		cli_say(cli, "  and so on: report.txt in that folder names all.");
}

static void
print_text(struct rescue *r, const char *state_dir)
{
	struct rescue_result *res = &r->result;
	struct cli *cli = r->cli;

	if (res->whole) {
		cli_say(cli, "queue.db is whole: %" PRIu64 " messages. Nothing was changed.",
		    res->messages);
		return;
	}
	cli_say(cli, "%s %" PRIu64 " messages for %" PRIu64 " recipients.",
	    r->dry_run ? "Would save" : "Saved", res->messages, res->recipients);
	if (res->held > 0)
		cli_say(cli,
		    "%" PRIu64 " of them are held, because they may have been delivered already. "
			       "Look at them with `tegami queue list`, then\n"
		    "`tegami queue release --error \"may have been delivered\"` sends them, "
		    "`tegami queue delete ID` throws one away.",
		    res->held);
	print_lost(r);
	if (res->found.bad_pages > 0)
		cli_say(cli,
		    "%u pages of queue.db are damaged: a saved message may lack a recipient that "
		    "stood there.",
		    res->found.bad_pages);
	if (res->health.no_journal)
		cli_say(cli, "queue.db-wal was missing: what was accepted last before the damage "
			     "may be lost with it.");
	if (r->kept[0] == '\0')
		return;
	cli_say(cli,
	    "The damaged files and what is left of such mail are kept in %s/%s;\n"
	    "remove that folder when nobody misses anything.",
	    state_dir, r->kept);
	if (r->bodies + r->stage > 0)
		cli_say(cli,
		    "%d files of mail that the queue no longer names are there too, in spool and "
		    "stage.",
		    r->bodies + r->stage);
	cli_say(cli, "Now start the server again.");
}

static int
lock_take(struct err *err)
{
	int fd = open("lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd == -1)
		return err_sys(err, "cannot open the lock of state_dir");
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	close(fd);
	return err_set(err, ERR_TEMPORARY,
	    "the server is running, and it alone may touch its queue; stop it first (`systemctl "
	    "stop tegami`), "
	    "then run `tegami queue rescue` again");
}

int
cli_queue_rescue(struct cli *cli, const struct cli_args *args)
{
	struct rescue r = {
		.cli = cli, .dry_run = cli_option(args, "dry-run") != NULL, .folder = -1
	};
	const struct conf *conf = cli_conf(cli);
	struct err err = { .kind = ERR_NONE };
	int lock = -1, rc = -1;

	if (conf == NULL)
		return CLI_FAILED;
	rows_init(&r.lost);
	if (chdir(conf->state_dir) == -1)
		err_sys(&err, "state_dir %s", conf->state_dir);
	else if ((lock = lock_take(&err)) != -1)
		rc = rescue_files(&r, conf->mail_dir, &err);
	if (rc == 0 && cli->json)
		print_json(&r, conf->state_dir);
	else if (rc == 0)
		print_text(&r, conf->state_dir);
	rows_free(&r.lost);
	if (r.folder != -1)
		close(r.folder);
	if (lock != -1)
		close(lock);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}
