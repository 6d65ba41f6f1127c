/* role - what every long-running process of the server does alike
 *
 * Links and files that come before SETUP_GO are only kept; GO runs open, confine, start in that order and answers ROLE_READY, or
 * ROLE_FAILED with the reason and exit 1. A later GO(1) ends a reload: the new configuration and files take the place of the old
 * ones, and if the role refuses them, the old ones come back. When the supervisor's link ends, the process ends. */
#include "base/role.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "base/qid.h"
#include "base/sandbox.h"

#define PEERS_MAX 64		/* processes of one role */
#define FILES_MAX 1040		/* 257 names with two certificates and two keys each, and some */
#define LISTENERS_MAX 64
#define LINES_MAX 512		/* log lines kept for a control that is away */
#define FLUSH_MS 50		/* how long an event or a line may wait for company */

struct file {
	enum setup_file kind;
	int fd;
	char *name;
};
struct files {
	struct file at[FILES_MAX];
	unsigned n;
};
struct waiting_link {
	int fd;
	enum role peer;
	unsigned number;
	uint32_t setup;		/* id of its SETUP_LINK */
};
struct peer {
	struct link *link;
	uint32_t setup;
};
struct line {
	enum log_level level;
	char *text;
};

static const struct role_ops *ops;
static struct event_base *base;
static unsigned number;
static struct conf *conf, *next_conf;
static struct files files, next_files;
static struct waiting_link early[ROLE_COUNT * PEERS_MAX];
static unsigned n_early;
static struct peer peers[ROLE_COUNT][PEERS_MAX];
static unsigned n_peers[ROLE_COUNT];
static bool running, stopping;
static struct link *supervisor;

static pthread_mutex_t lines_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct line lines[LINES_MAX];
static unsigned n_lines;
static unsigned long lines_lost, events_lost;
static struct buf events = { .ceiling = FRAME_MAX };
static struct event *flush_timer, *slow_timer;
static pthread_t loop_thread;

/* ---- what the code of a role may ask ---- */

struct event_base *
role_base(void)
{
	return base;
}

const struct conf *
role_conf(void)
{
	return conf;
}

unsigned
role_number(void)
{
	return number;
}

bool
role_stopping(void)
{
	return stopping;
}

struct link *
role_link(enum role peer)
{
	struct link *best = NULL;

	if (peer == ROLE_TEGAMID)
		return supervisor;
	for (unsigned i = 0; i < n_peers[peer]; i++)
		if (best == NULL || link_pending(peers[peer][i].link) < link_pending(best))
			best = peers[peer][i].link;
	return best;
}

struct link *
role_link_at(enum role peer, unsigned i)
{
	return i < n_peers[peer] ? peers[peer][i].link : NULL;
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

/* ---- log lines and events, on their way to control ---- */

static void
flush_soon(void)
{
	static const struct timeval soon = { 0, FLUSH_MS * 1000 };

	if (flush_timer != NULL && !event_pending(flush_timer, EV_TIMEOUT, NULL))
		event_add(flush_timer, &soon);
}

static bool
line_send(enum log_level level, const char *text)
{
	static struct buf frame;

	if (n_peers[ROLE_CONTROL] == 0)
		return false;
	frame_begin_in(&frame, MSG_LOG, 0);
	wire_put_u64(&frame, level);
	wire_put_text(&frame, text);
	return link_send_buf(peers[ROLE_CONTROL][0].link, &frame, -1) == 0;
}

static void
lines_flush(void)
{
	pthread_mutex_lock(&lines_mutex);
	for (unsigned i = 0; i < n_lines; i++) {
		if (!line_send(lines[i].level, lines[i].text)) {
			memmove(lines, lines + i, (n_lines - i) * sizeof lines[0]);
			n_lines -= i;
			pthread_mutex_unlock(&lines_mutex);
			return;
		}
		free(lines[i].text);
	}
	n_lines = 0;
	pthread_mutex_unlock(&lines_mutex);
}

/* Called from any thread, so it only keeps the line; the loop sends (lines of other threads once a second). */
static bool
line_keep(enum log_level level, const char *text)
{
	bool kept = false;

	pthread_mutex_lock(&lines_mutex);
	if (n_lines < LINES_MAX && (lines[n_lines].text = strdup(text)) != NULL) {
		lines[n_lines++].level = level;
		kept = true;
	} else {
		lines_lost++;
	}
	pthread_mutex_unlock(&lines_mutex);
	if (pthread_equal(pthread_self(), loop_thread))
		flush_soon();
	/* an error must be seen even if control never comes back */
	return kept || level > LOG_LEVEL_ERROR;
}

static void
events_flush(void)
{
	if (events.len <= FRAME_HEADER)
		return;
	if (n_peers[ROLE_CONTROL] == 0 || link_send_buf(peers[ROLE_CONTROL][0].link, &events, -1) == -1)
		events_lost++;
	buf_reset(&events);
}

static void
on_flush(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	events_flush();
	if (n_lines > 0)
		lines_flush();
	if ((lines_lost > 0 || events_lost > 0) && n_peers[ROLE_CONTROL] > 0) {
		log_warning("%lu log lines and %lu bundles of events were dropped", lines_lost, events_lost);
		lines_lost = events_lost = 0;
	}
}

void
role_event(const struct event_note *note)
{
	const char *texts[] = { note->text, note->from, note->to, note->ip, note->msgid, note->user };
	size_t cost = 3 * WIRE_COST(8);

	for (size_t i = 0; i < COUNT(texts); i++)
		cost += WIRE_COST(texts[i] != NULL ? strlen(texts[i]) : 0);
	if (events.len + cost > FRAME_MAX)
		events_flush();
	if (events.len == 0) {
		frame_begin_in(&events, MSG_EVENT, 0);
		flush_soon();
	}
	if (cost > FRAME_MAX - FRAME_HEADER) {
		events_lost++;
		return;
	}
	wire_put_i64(&events, clock_now());
	wire_put_u64(&events, note->qid);
	wire_put_u64(&events, note->event);
	for (size_t i = 0; i < COUNT(texts); i++)
		wire_put_text(&events, texts[i]);
}

void
role_exit(int status)
{
	events_flush();
	lines_flush();
	/* no atexit handlers: threads may still use what they would take down */
	fflush(stderr);
	_exit(status);
}

/* ---- links ---- */

/* The supervisor knows whether the peer died; if it did not, both get a new link. */
static void
tell_lost(const struct link *l, uint32_t setup)
{
	static struct buf frame;

	frame_begin_in(&frame, MSG_LINK_LOST, setup);
	wire_put_u64(&frame, link_peer(l));
	wire_put_u64(&frame, link_peer_number(l));
	link_send_buf(supervisor, &frame, -1);
}

static void
on_peer_end(struct link *l)
{
	enum role peer = link_peer(l);

	for (unsigned i = 0; i < n_peers[peer]; i++) {
		if (peers[peer][i].link != l)
			continue;
		tell_lost(l, peers[peer][i].setup);
		memmove(&peers[peer][i], &peers[peer][i + 1], (n_peers[peer] - i - 1) * sizeof(struct peer));
		n_peers[peer]--;
		if (ops->link_down != NULL)
			ops->link_down(l);
		return;
	}
}

static void
peer_add(const struct waiting_link *w)
{
	enum role peer = w->peer;
	struct link *l;

	/* a new process takes the place of a dead one whose end was not seen yet; what that one still said counts */
	for (unsigned i = 0; i < n_peers[peer]; i++) {
		if (link_peer_number(peers[peer][i].link) == w->number) {
			link_finish(peers[peer][i].link);
			break;
		}
	}
	if (n_peers[peer] == PEERS_MAX) {
		close(w->fd);
		return;
	}
	l = link_new(base, w->fd, ops->role, peer, w->number, ops->handlers, on_peer_end);
	if (l == NULL)
		return;
	peers[peer][n_peers[peer]++] = (struct peer){ l, w->setup };
	if (ops->link_up != NULL)
		ops->link_up(l);
}

static void
on_setup_link(struct frame *f)
{
	uint64_t peer = wire_u64(&f->in), peer_number = wire_u64(&f->in);
	struct waiting_link w = { frame_take_fd(f), (enum role)peer, (unsigned)peer_number, f->id };

	if (peer >= ROLE_COUNT || (processes[ops->role].peers & 1u << peer) == 0) {
		close(w.fd);
		return;
	}
	if (running)
		peer_add(&w);
	else if (n_early < COUNT(early))
		early[n_early++] = w;
	else
		close(w.fd);
}

/* ---- configuration and files ---- */

static void
on_setup_config(struct frame *f)
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

static void
on_setup_file(struct frame *f)
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

static void
on_setup_listener(struct frame *f)
{
	uint64_t kind = wire_u64(&f->in);
	char name[128], address[256];

	wire_text_to(&f->in, name, sizeof name);
	wire_text_to(&f->in, address, sizeof address);
	if (ops->listener != NULL)
		ops->listener(frame_take_fd(f), (enum listener_kind)kind, name, address);
}

static void
tell(enum msg type, const struct err *err)
{
	struct buf *out = frame_begin(type, 0);

	if (err != NULL)
		wire_put_text(out, err->text);
	link_send(supervisor, -1);
}

static void
tell_notes(const struct buf *notes)
{
	buf_slice(frame_begin(MSG_ROLE_READY, 0), buf_all(notes));
	link_send(supervisor, -1);
}

static void
conf_use(void)
{
	log_set_level(role_conf_ops.level(conf));
	qid_setup(slice_of(role_conf_ops.hostname(conf)), ops->role == ROLE_SMTPD ? number : QID_WORKER_QUEUE);
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
	if (ops->renew != NULL && ops->renew(&notes, &err) == -1)
		tell(MSG_ROLE_FAILED, &err);
	else
		tell_notes(&notes);
	buf_free(&notes);
}

static void
take_reload(void)
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
	if (ops->reload != NULL && ops->reload(&err) == -1) {
		role_conf_ops.free(conf);
		conf = old_conf;
		conf_use();
		tell(MSG_ROLE_FAILED, &err);
		return;
	}
	role_conf_ops.free(old_conf);
	tell(MSG_ROLE_READY, NULL);
}

static int
take_start(struct err *err)
{
	conf = next_conf != NULL ? next_conf : role_conf_ops.fresh();
	next_conf = NULL;
	files = next_files;
	next_files.n = 0;
	if (conf == NULL)
		return err_set(err, ERR_TEMPORARY, "no memory for the configuration");
	conf_use();
	if (ops->open != NULL && ops->open(err) == -1)
		return -1;
	if (sandbox_enter(processes[ops->role].may, err) == -1)
		return -1;
	running = true;
	log_sink(line_keep);
	for (unsigned i = 0; i < n_early; i++)
		peer_add(&early[i]);
	return ops->start != NULL ? ops->start(err) : 0;
}

static void
on_setup_go(struct frame *f)
{
	struct err err = { 0 };

	(void)f;
	if (running) {
		take_reload();
		return;
	}
	if (take_start(&err) == -1) {
		tell(MSG_ROLE_FAILED, &err);
		log_sink(NULL);
		log_error("cannot start: %s", err.text);
		role_exit(1);
	}
	tell(MSG_ROLE_READY, NULL);
}

static void
on_setup_stop(struct frame *f)
{
	(void)f;
	if (stopping)
		return;
	stopping = true;
	if (ops->stop == NULL)
		role_exit(0);
	ops->stop();
}

static void
on_setup_drain(struct frame *f)
{
	(void)f;
	if (ops->drain != NULL && !stopping)
		ops->drain();
}

static void
on_supervisor_end(struct link *l)
{
	(void)l;
	role_exit(stopping ? 0 : 1);
}

/* ADMIN from the supervisor's side never comes here: control asks the owners itself. */
static const struct msg_handler setup_handlers[] = {
	{ MSG_SETUP_CONFIG, on_setup_config },
	{ MSG_SETUP_LINK, on_setup_link },
	{ MSG_SETUP_LISTENER, on_setup_listener },
	{ MSG_SETUP_FILE, on_setup_file },
	{ MSG_SETUP_GO, on_setup_go },
	{ MSG_SETUP_STOP, on_setup_stop },
	{ MSG_SETUP_DRAIN, on_setup_drain },
	{ MSG_NONE, NULL },
};

static void
ignore_signals(void)
{
	static const int ignored[] = { SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2 };

	/* a terminal's Ctrl-C reaches the whole group; only the supervisor decides when a role ends */
	for (size_t i = 0; i < COUNT(ignored); i++)
		signal(ignored[i], SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
}

static struct event_base *
loop_new(void)
{
	struct event_config *config = event_config_new();
	struct event_base *b = NULL;

	if (config != NULL) {
		/* one epoll_ctl a wake-up at most, however often an event was added and removed */
		event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST | EVENT_BASE_FLAG_NOLOCK);
		b = event_base_new_with_config(config);
		event_config_free(config);
	}
	return b;
}

/* A program that was replaced on the disk may be newer than the tegamid that runs it. */
static bool
other_version(void)
{
	const char *table = getenv("TEGAMI_TABLE");

	return table != NULL && strtoul(table, NULL, 16) != msg_table_id();
}

int
role_main(const struct role_ops *role_ops)
{
	static const struct timeval slow = { 1, 0 };
	static char who[32];

	ops = role_ops;
	loop_thread = pthread_self();
	ignore_signals();
	number = getenv("TEGAMI_NUMBER") != NULL ? (unsigned)atoi(getenv("TEGAMI_NUMBER")) : 0;
	snprintf(who, sizeof who, "%s", role_name(ops->role));
	log_name(who);
	if (other_version())
		return ROLE_OTHER_VERSION;
	base = loop_new();
	supervisor = base != NULL ? link_new(base, FD_SUPERVISOR, ops->role, ROLE_TEGAMID, 0, setup_handlers,
	    on_supervisor_end) : NULL;
	flush_timer = base != NULL ? event_new(base, -1, 0, on_flush, NULL) : NULL;
	slow_timer = base != NULL ? event_new(base, -1, EV_PERSIST, on_flush, NULL) : NULL;
	if (supervisor == NULL || flush_timer == NULL || slow_timer == NULL) {
		fprintf(stderr, "%s is started by tegamid, not by hand: run tegamid -c FILE\n", who);
		return 2;
	}
	event_add(slow_timer, &slow);
	event_base_dispatch(base);
	return 1;
}
