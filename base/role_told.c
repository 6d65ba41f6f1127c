/* role_told - the configuration and files that the supervisor tells a role
 *
 * They are kept until SETUP_GO. The first GO puts them in force; a later one ends a reload: the new
 * configuration and files take the place of the old ones, and if the role refuses them, the old
 * configuration comes back. Files that come without a configuration (a renewed certificate) are
 * taken with the configuration that is in force. */
#include "base/role_state.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/qid.h"

/* 257 names with two certificates and two keys each, and some */
#define FILES_MAX 1040

struct file {
	enum setup_file kind;
	int fd;
	char *name;
};
struct files {
	struct file at[FILES_MAX];
	unsigned n;
};

static struct conf *conf, *next_conf;
static struct files files, next_files;

const struct conf *
role_conf(void)
{
	return conf;
}

int
role_file(enum setup_file kind, const char *name)
{
	for (unsigned i = 0; i < files.n; i++)
		if (files.at[i].kind == kind && strcmp(files.at[i].name, name) == 0)
			return files.at[i].fd;
	return -1;
}

int
role_file_at(enum setup_file kind, unsigned i, const char **name)
{
	for (unsigned k = 0; k < files.n; k++) {
		if (files.at[k].kind != kind || i-- > 0)
			continue;
		if (name != NULL)
			*name = files.at[k].name;
		return files.at[k].fd;
	}
	return -1;
}

/* ---- hearing ---- */

void
role_on_config(struct frame *f)
{
	struct pool *pool = pool_new(FRAME_MAX * 4);
	struct err err = { 0 };

	if (next_conf == NULL)
		next_conf = role_conf_ops.fresh();
	while (pool != NULL && next_conf != NULL && wire_more(&f->in)) {
		const char *path = wire_text(&f->in, pool), *value = wire_text(&f->in, pool);

		if (role_conf_ops.hear(next_conf, path, value, &err) == -1)
			log_error("set-up: %s", err.text);
	}
	pool_free(&pool);
}

void
role_on_file(struct frame *f)
{
	uint64_t kind = wire_u64(&f->in);
	struct slice name = wire_bytes(&f->in);
	struct file *file = &next_files.at[next_files.n];

	if (next_files.n == FILES_MAX || (file->name = slice_dup(name)) == NULL) {
		log_error("set-up: too many files");
		return;
	}
	file->kind = (enum setup_file)kind;
	file->fd = frame_take_fd(f);
	next_files.n++;
}

/* ---- using ---- */

static void
conf_use(void)
{
	log_set_level(role_conf_ops.level(conf));
	qid_setup(slice_of(role_conf_ops.hostname(conf)),
	    role_self.ops->role == ROLE_SMTPD ? role_self.number : QID_WORKER_QUEUE);
}

/* Files that a reload did not send again stay: only kinds that were sent are replaced. */
static void
files_merge(struct files *old, struct files *new)
{
	for (unsigned i = 0; i < old->n; i++) {
		bool again = false;

		for (unsigned k = 0; k < new->n && !again; k++)
			again = new->at[k].kind == old->at[i].kind;
		if (again || new->n == FILES_MAX) {
			close(old->at[i].fd);
			free(old->at[i].name);
		} else {
			new->at[new->n++] = old->at[i];
		}
	}
	old->n = 0;
}

static void
say_notes(const struct buf *notes)
{
	buf_slice(frame_begin(MSG_ROLE_READY, 0), buf_all(notes));
	link_send(role_self.supervisor, -1);
}

/* Files came without a configuration. */
static void
take_files(void)
{
	struct files old = files;
	struct buf notes;
	struct err err = { 0 };

	files_merge(&old, &next_files);
	files = next_files;
	next_files.n = 0;
	buf_init(&notes, FRAME_MAX - FRAME_HEADER);
	if (role_self.ops->renew != NULL && role_self.ops->renew(&notes, &err) == -1)
		role_say(MSG_ROLE_FAILED, &err);
	else
		say_notes(&notes);
	buf_free(&notes);
}

void
role_told_again(void)
{
	struct conf *old_conf = conf;
	struct files old_files = files;
	struct err err = { 0 };

	if (next_conf == NULL) {
		take_files();
		return;
	}
	conf = next_conf;
	next_conf = NULL;
	files_merge(&old_files, &next_files);
	files = next_files;
	next_files.n = 0;
	conf_use();
	if (role_self.ops->reload != NULL && role_self.ops->reload(&err) == -1) {
		role_conf_ops.free(conf);
		conf = old_conf;
		conf_use();
		role_say(MSG_ROLE_FAILED, &err);
		return;
	}
	role_conf_ops.free(old_conf);
	role_say(MSG_ROLE_READY, NULL);
}

int
role_told_first(struct err *err)
{
	conf = next_conf != NULL ? next_conf : role_conf_ops.fresh();
	next_conf = NULL;
	files = next_files;
	next_files.n = 0;
	if (conf == NULL)
		return err_set(err, ERR_TEMPORARY, "no memory for the configuration");
	conf_use();
	return 0;
}
