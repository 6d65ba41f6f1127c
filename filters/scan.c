/* scan - the worker that looks for viruses; one message at a time, in a thread of its own
 *
 * The engine is loaded before the worker says it is ready. If it cannot be loaded, the worker
 * answers "not scanned" with the reason, and tries again every minute: the server runs, and mail is
 * put off. When the folder of signatures changes, a second thread loads them anew while scanning
 * goes on, and the engines are swapped between two messages. A scan that takes too long, and an
 * engine that no longer finds its canary, end the process: the supervisor starts it again, and the
 * message is tried later.
 *
 * Each worker has its own folder below the working directory; what a killed one left there is
 * removed at its next start. */
#include <errno.h>
#include <ftw.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/envelope.h"
#include "base/log.h"
#include "base/role.h"
#include "base/sandbox.h"
#include "base/worker.h"
#include "conf/conf.h"
#include "filters/engine.h"

#define JOBS_MAX 64
#define LOOK_SECONDS 60 /* canary, and changes of the signatures */
#define GRACE_MS 5000   /* past antivirus.timeout, which the library is told */

struct scan_job {
	struct job job;
	struct reply_to to;
	struct pool *pool; /* the body when it came in the frame */
	struct body body;
	int fd;
	enum scan_status status;
	char text[ENGINE_TEXT];
	bool dead; /* the canary was not found */
};

static struct engine *engine; /* used by the scanning thread; swapped by a job of its own */
static struct workers *scanner, *loader;
static _Atomic int64_t scanning_since; /* us of clock_mono, 0: idle */
static struct event *look_timer, *watch_timer;
static char database[4096];
static bool granted;           /* the sandbox lets us read there */
static char out_of_order[200]; /* why there is no engine; "" when there is one */
static unsigned n_jobs;

static struct {
	struct job job;
	struct engine *fresh;
	struct engine_limits limits;
	struct err err;
	bool busy;
} loading;
static struct {
	struct job job;
	bool busy, dead;
} looking;

static struct engine_limits
limits_of(const struct conf *c)
{
	return (struct engine_limits){ (uint64_t)c->antivirus.max_scan_size, c->antivirus.max_depth,
		c->antivirus.max_files, c->antivirus.timeout };
}

static void
give_up(const char *why)
{
	log_error("%s; this scanner starts again", why);
	role_exit(1);
}

/* -- watching over a scan */

static void
on_watch(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval second = { 1, 0 };
	int64_t since = atomic_load(&scanning_since);

	(void)fd;
	(void)what;
	(void)arg;
	if (since != 0 && clock_mono() - since > (role_conf()->antivirus.timeout + GRACE_MS) * 1000)
		give_up("A scan takes too long");
	if (n_jobs > 0 || looking.busy)
		event_add(watch_timer, &second);
}

static void
watch(void)
{
	static const struct timeval second = { 1, 0 };

	if (!event_pending(watch_timer, EV_TIMEOUT, NULL))
		event_add(watch_timer, &second);
}

/* -- scanning */

static void
answer(struct reply_to to, enum scan_status status, const char *text)
{
	struct buf *b = reply_begin(to, MSG_SCAN_IS);

	wire_put_u64(b, status);
	wire_put_text(b, text);
	reply_send(to, -1);
}

static void
scan_run(struct job *job)
{
	struct scan_job *s = (struct scan_job *)job;

	atomic_store(&scanning_since, clock_mono());
	s->status = engine_scan(engine, s->body.bytes, s->text);
	if (s->status == SCAN_FAILED || engine_complained(engine))
		s->dead = engine_complained(engine) && !engine_is_alive(engine);
	atomic_store(&scanning_since, 0);
}

static void
scan_free(struct scan_job *s)
{
	body_close(&s->body);
	if (s->fd >= 0)
		close(s->fd);
	pool_free(&s->pool);
	free(s);
	n_jobs--;
}

static void
scan_done(struct job *job)
{
	struct scan_job *s = (struct scan_job *)job;
	bool dead = s->dead;

	answer(s->to, dead ? SCAN_FAILED : s->status, dead ? "the scanner does not work" : s->text);
	scan_free(s);
	if (dead)
		give_up("The scanner no longer finds its canary");
	if (role_stopping() && n_jobs == 0)
		role_exit(0);
}

static void
on_scan(struct frame *f)
{
	struct reply_to to = reply_later(f);
	struct scan_job *s = NULL;
	struct slice body;
	bool ok;

	wire_u64(&f->in);
	body = wire_bytes(&f->in);
	if (scanner == NULL || out_of_order[0] != '\0') {
		answer(to, SCAN_FAILED, scanner == NULL ? "antivirus is off" : out_of_order);
		return;
	}
	if (n_jobs >= JOBS_MAX || (s = calloc(1, sizeof(*s))) == NULL) {
		answer(to, SCAN_FAILED, "the scanner is busy");
		return;
	}
	n_jobs++;
	s->job = (struct job){ scan_run, scan_done, NULL };
	s->to = to;
	s->fd = frame_take_fd(f);
	if (s->fd < 0) {
		s->pool = pool_new(FRAME_MAX);
		body = s->pool == NULL ? (struct slice){ 0 } : pool_slice(s->pool, body);
	}
	ok = (s->fd >= 0 || body.at != NULL) && body_open(&s->body, body, s->fd) == 0;
	if (!ok || workers_submit(scanner, &s->job) == -1) {
		answer(to, SCAN_FAILED, "the message cannot be read by the scanner");
		scan_free(s);
		return;
	}
	watch();
}

/* -- new signatures */

static void
swap_run(struct job *job)
{
	(void)job;
	engine_free(&engine);
	engine = loading.fresh;
	loading.fresh = NULL;
}

static void
swap_done(struct job *job)
{
	(void)job;
	loading.busy = false;
	out_of_order[0] = '\0';
	log_info("scanning with %u signatures now", engine_signatures(engine));
}

static void
load_run(struct job *job)
{
	(void)job;
	loading.err = (struct err){ 0 };
	loading.fresh = engine_load(database, &loading.limits, &loading.err);
}

static void
load_done(struct job *job)
{
	(void)job;
	if (loading.fresh == NULL) {
		log_error("the new virus signatures are not used: %s", loading.err.text);
		if (out_of_order[0] != '\0')
			slice_copy(slice_of(loading.err.text), out_of_order, sizeof(out_of_order));
		loading.busy = false;
		return;
	}
	/* in the scanning thread, so that no scan is under way */
	loading.job = (struct job){ swap_run, swap_done, NULL };
	if (workers_submit(scanner, &loading.job) == -1) {
		engine_free(&loading.fresh);
		loading.busy = false;
	}
}

static void
load_again(void)
{
	if (loading.busy)
		return;
	loading.busy = true;
	loading.limits = limits_of(role_conf());
	loading.job = (struct job){ load_run, load_done, NULL };
	if (workers_submit(loader, &loading.job) == -1)
		loading.busy = false;
}

/* -- once a minute */

static void
look_run(struct job *job)
{
	(void)job;
	atomic_store(&scanning_since, clock_mono());
	looking.dead = !engine_is_alive(engine);
	atomic_store(&scanning_since, 0);
}

static void
look_done(struct job *job)
{
	(void)job;
	looking.busy = false;
	if (looking.dead)
		give_up("The scanner no longer finds its canary");
	if (!loading.busy && engine_is_stale(engine))
		load_again();
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (looking.busy || role_stopping())
		return;
	if (out_of_order[0] != '\0') {
		if (!granted && access(database, R_OK | X_OK) == 0)
			give_up("antivirus.database can be read now");
		if (granted)
			load_again();
		return;
	}
	looking.busy = true;
	looking.job = (struct job){ look_run, look_done, NULL };
	if (workers_submit(scanner, &looking.job) == -1)
		looking.busy = false;
	else
		watch();
}

/* -- the role */

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	if (ftw->level > 0)
		remove(path);
	return 0;
}

/* An empty folder of our own. */
static int
own_folder(struct err *err)
{
	char name[32];

	snprintf(name, sizeof(name), "worker%u", role_number());
	if (mkdir(name, 0700) == -1 && errno != EEXIST)
		return err_sys(err, "cannot make %s in the temporary folder", name);
	nftw(name, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (chdir(name) == -1)
		return err_sys(err, "cannot go to %s in the temporary folder", name);
	return 0;
}

/* By its path where that can be walked, else by the descriptor that was handed over. */
static void
find_database(void)
{
	const char *path = role_conf()->antivirus.database;
	int fd = role_file(SETUP_FILE_SIGNATURES, "");

	if (fd < 0)
		fd = role_file_at(SETUP_FILE_SIGNATURES, 0, NULL);
	if (fd < 0 || access(path, R_OK | X_OK) == 0)
		snprintf(database, sizeof(database), "%s", path);
	else
		snprintf(database, sizeof(database), "/proc/self/fd/%d", fd);
	granted = access(database, R_OK | X_OK) == 0;
	sandbox_grant(database, SANDBOX_READ);
	sandbox_grant_fd(fd, SANDBOX_READ);
}

static int
scan_open(struct err *err)
{
	struct engine_limits limits = limits_of(role_conf());
	struct err why = { 0 };

	if (!role_conf()->antivirus.enabled)
		return 0;
	if (own_folder(err) == -1 || engine_init(err) == -1)
		return -1;
	find_database();
	sandbox_grant(".", SANDBOX_READ | SANDBOX_WRITE);
	engine = engine_load(database, &limits, &why);
	if (engine != NULL) {
		log_info("scanning with %u signatures", engine_signatures(engine));
		return 0;
	}
	log_error("nothing can be scanned, so mail is put off: %s", why.text);
	slice_copy(slice_of(why.text), out_of_order, sizeof(out_of_order));
	return 0;
}

static int
scan_start(struct err *err)
{
	static const struct timeval minute = { LOOK_SECONDS, 0 };

	if (!role_conf()->antivirus.enabled)
		return 0;
	scanner = workers_new(role_base(), 1, 0, JOBS_MAX + 4, err);
	loader = scanner == NULL ? NULL : workers_new(role_base(), 1, 0, 2, err);
	if (loader == NULL)
		return -1;
	look_timer = event_new(role_base(), -1, EV_PERSIST, on_look, NULL);
	watch_timer = event_new(role_base(), -1, 0, on_watch, NULL);
	if (look_timer == NULL || watch_timer == NULL || event_add(look_timer, &minute) == -1)
		return err_set(err, ERR_TEMPORARY, "out of memory");
	/* once more inside the confinement */
	on_look(-1, 0, NULL);
	return 0;
}

/* What needs other files than those granted needs a new process; the supervisor makes it. */
static int
scan_reload(struct err *err)
{
	static char was[sizeof(database)];

	(void)err;
	snprintf(was, sizeof(was), "%s", database);
	if (role_conf()->antivirus.enabled != (scanner != NULL))
		give_up("Antivirus was switched");
	if (scanner == NULL)
		return 0;
	if (strncmp(was, "/proc/", 6) != 0 && strcmp(was, role_conf()->antivirus.database) != 0)
		give_up("antivirus.database was changed");
	load_again();
	return 0;
}

static void
scan_stop(void)
{
	if (n_jobs == 0)
		role_exit(0);
}

static const struct msg_handler handlers[] = {
	{ MSG_SCAN, on_scan },
	{ MSG_NONE, NULL },
};

static const struct role_ops ops = {
	.role = ROLE_SCAN,
	.handlers = handlers,
	.open = scan_open,
	.start = scan_start,
	.reload = scan_reload,
	.stop = scan_stop,
};

int
main(void)
{
	return role_main(&ops);
}
