/* control - the program that keeps the log and the history, and answers the administrator
 *
 * It holds no mail, no password and no key. When it dies, roles keep their lines and events for a
 * while, and mail goes on; the second that was not yet in history.db is lost. */
#include "admin/control_dkim.h"
#include "admin/control_tell.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sandbox.h"

#define KEEPER_JOBS_MAX 200

struct control control;

static void
on_log(struct frame *f)
{
	uint64_t level = wire_u64(&f->in);
	char line[2048];

	wire_text_to(&f->in, line, sizeof(line));
	if (line[0] != '\0')
		logger_line(level <= LOG_LEVEL_DEBUG ? (enum log_level)level : LOG_LEVEL_INFO,
		    link_peer(f->link), link_peer_number(f->link), line);
}

/* Every file is opened here; -wal and -shm too, by a first look inside. */
static int
open_stores(struct err *err)
{
	static const char *const files[] = { "history.db", "history.db-wal", "history.db-shm",
		"score.db", "score.db-wal", "score.db-shm" };
	struct score_totals totals;

	control.history = history_open(DB_WRITE, err);
	if (control.history == NULL || history_forget(control.history, 0, 1, err) == -1)
		return -1;
	control.score = score_open(DB_WRITE, err);
	if (control.score == NULL || score_totals(control.score, false, &totals, err) == -1)
		return -1;
	for (size_t i = 0; i < COUNT(files); i++)
		sandbox_grant(files[i], SANDBOX_READ | SANDBOX_WRITE);
	sandbox_grant(".", SANDBOX_READ);
	return clients_open(err);
}

static int
start(struct err *err)
{
	int listener = role_file(SETUP_FILE_CONTROL_SOCKET, "");

	control.started = clock_now();
	control.keeper = workers_new(role_base(), 1, 0, KEEPER_JOBS_MAX, err);
	if (control.keeper == NULL || logger_start(err) == -1 || events_start(err) == -1 ||
	    dkim_watch_start(err) == -1 || tell_start(err) == -1)
		return -1;
	if (listener < 0) {
		log_warning("there is no control socket; tegami cannot reach this server");
		return 0;
	}
	return clients_start(listener, err);
}

static void
link_up(struct link *l)
{
	logger_learn_pids();
	if (link_peer(l) == ROLE_SIGNER)
		dkim_watch_soon();
}

static int
reload(struct err *err)
{
	(void)err;
	dkim_watch_soon();
	return 0;
}

/* -- the end: what the others said last is waited for; then events (they are lines too), then lines
 */

#define LAST_WORDS_US 50000

static struct event *patience, *last_words;
static struct job last;

static void
gone(void)
{
	role_exit(0);
}

static void
out_of_time(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	gone();
}

static void
nothing(struct job *job)
{
	(void)job;
}

/* The keeper is through with all that was given to it: is there more? */
static void
keep_rest(struct job *job)
{
	(void)job;
	if (!events_pending()) {
		logger_finish(gone);
		return;
	}
	events_flush();
	last = (struct job){ nothing, keep_rest, NULL };
	if (workers_submit(control.keeper, &last) == -1)
		gone();
}

static void
on_last_words(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	keep_rest(NULL);
}

static void
stop(void)
{
	static const struct timeval most = { 3, 0 }, moment = { 0, LAST_WORDS_US };

	patience = evtimer_new(role_base(), out_of_time, NULL);
	last_words = evtimer_new(role_base(), on_last_words, NULL);
	if (patience == NULL || last_words == NULL)
		gone();
	evtimer_add(patience, &most);
	evtimer_add(last_words, &moment);
	clients_stop();
}

static const struct msg_handler handlers[] = {
	{ MSG_LOG, on_log },
	{ MSG_EVENT, events_take },
	{ MSG_TLS_COUNT, tls_take_counts },
	{ MSG_DMARC_SEEN, dmarc_take },
	{ MSG_STS_PUT, tls_take_policy },
	{ MSG_STS_GET, tls_tell_policy },
	{ MSG_REPORT_PUT, reports_take },
	{ MSG_REPORT_BAD, reports_take_bad },
	{ MSG_NONE, NULL },
};

int
main(void)
{
	static const struct role_ops ops = { .role = ROLE_CONTROL,
		.handlers = handlers,
		.open = open_stores,
		.start = start,
		.link_up = link_up,
		.reload = reload,
		.stop = stop };

	return role_main(&ops);
}
