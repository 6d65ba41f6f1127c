/* control_log - log lines of all roles, written to stderr
 *
 * Lines gather in a buffer; a thread of its own writes it out, however long that takes. Meanwhile
 * the next buffer fills, up to BACKLOG_MAX; beyond that lines are dropped, counted, and told of as
 * soon as there is room. So a reader that stalls costs lines, never mail.
 *
 * A line is stamped with the role it came from, which the kernel's link proves, and with the pid
 * that tegamid knows. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/control.h"
#include "admin/json.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/qid.h"
#include "conf/conf.h"

#define BACKLOG_MAX (4u << 20)
#define NUMBERS_MAX 64
#define VALUE_MAX 1200
#define OWN_LINES_MAX 64 /* of other threads of this process, until the loop takes them */

static struct workers *writer;
static struct buf filling = { .ceiling = BACKLOG_MAX }, writing = { .ceiling = BACKLOG_MAX };
static struct job write_job;
static bool busy;
static uint64_t dropped, told;
static pid_t pids[ROLE_COUNT][NUMBERS_MAX];
static void (*when_done)(void);

static void write_run(struct job *job);
static void write_done(struct job *job);

/* -- out */

static void
kick(void)
{
	struct buf swap = writing;

	if (busy || filling.len == 0)
		return;
	writing = filling;
	filling = swap;
	buf_reset(&filling);
	write_job = (struct job){ write_run, write_done, NULL };
	busy = workers_submit(writer, &write_job) == 0;
}

static void
write_run(struct job *job)
{
	const char *at = writing.at;
	size_t left = writing.len;

	(void)job;
	while (left > 0) {
		ssize_t n = write(STDERR_FILENO, at, left);

		if (n == -1 && (errno == EINTR || errno == EAGAIN)) {
			usleep(errno == EAGAIN ? 10000 : 0);
			continue;
		}
		if (n <= 0)
			return; /* nobody reads any more */
		at += n;
		left -= (size_t)n;
	}
}

static void
write_done(struct job *job)
{
	char line[100];

	(void)job;
	busy = false;
	buf_reset(&writing);
	if (dropped > told) {
		snprintf(line, sizeof(line),
		    "%" PRIu64 " log lines were dropped: nobody read them fast enough",
		    dropped - told);
		told = dropped;
		logger_line(LOG_LEVEL_WARNING, ROLE_CONTROL, 0, line);
	}
	kick();
	if (!busy && when_done != NULL)
		when_done();
}

void
logger_finish(void (*done)(void))
{
	when_done = done;
	kick();
	if (!busy)
		done();
}

/* -- making lines */

static pid_t
pid_of(enum role role, unsigned number)
{
	if (role == ROLE_CONTROL)
		return getpid();
	return number < NUMBERS_MAX ? pids[role][number] : 0;
}

static void
head_text(struct buf *b, int64_t time, enum log_level level, enum role role, unsigned number)
{
	char iso[40];
	pid_t pid = pid_of(role, number);

	clock_iso(time, iso);
	buf_printf(b, "%s %s %s", iso, log_level_name(level), role_name(role));
	if (pid > 0)
		buf_printf(b, "[%d] ", (int)pid);
	else
		buf_printf(b, "[#%u] ", number);
}

/* Members of a JSON line; values come escaped for control characters only. */
static void
json_member(struct buf *b, const char *key, const char *value)
{
	buf_printf(b, "%s\"%s\":\"", b->len > 0 && b->at[b->len - 1] == '{' ? "" : ",", key);
	for (const char *p = value; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\')
			buf_char(b, '\\');
		buf_char(b, *p);
	}
	buf_char(b, '"');
}

static void
head_json(struct buf *b, int64_t time, enum log_level level, enum role role, unsigned number)
{
	char iso[40];

	clock_iso(time, iso);
	buf_char(b, '{');
	json_member(b, "time", iso);
	json_member(b, "level", log_level_name(level));
	json_member(b, "role", role_name(role));
	buf_printf(b, ",\"pid\":%d", (int)pid_of(role, number));
}

/* A whole line or nothing of it. */
static void
line_add(const struct buf *line)
{
	if (line->failed || filling.len + line->len > BACKLOG_MAX ||
	    buf_slice(&filling, buf_all(line)) == -1) {
		filling.failed = false;
		dropped++;
		return;
	}
	kick();
}

static struct buf *
line_begin(void)
{
	static struct buf line = { .ceiling = 16 * 1024 };

	buf_reset(&line);
	return &line;
}

void
logger_line(enum log_level level, enum role role, unsigned number, const char *text)
{
	bool json = role_conf()->log.format == LOG_FORMAT_JSON;
	struct buf *b = line_begin();
	char safe[2048];

	log_escape(safe, sizeof(safe), slice_of(text));
	if (json) {
		head_json(b, clock_now(), level, role, number);
		json_member(b, "text", safe);
		buf_text(b, "}\n");
	} else {
		head_text(b, clock_now(), level, role, number);
		buf_text(b, safe);
		buf_char(b, '\n');
	}
	line_add(b);
}

/* -- events */

static void
pair(struct buf *b, bool json, const char *key, const char *value)
{
	char safe[VALUE_MAX];

	if (*value == '\0')
		return;
	log_escape(safe, sizeof(safe), slice_of(value));
	if (json)
		json_member(b, key, safe);
	else if (strcspn(safe, " \"=") == strlen(safe))
		buf_printf(b, " %s=%s", key, safe);
	else {
		buf_printf(b, " %s=\"", key);
		for (const char *p = safe; *p != '\0'; p++) {
			if (*p == '"' || *p == '\\')
				buf_char(b, '\\');
			buf_char(b, *p);
		}
		buf_char(b, '"');
	}
}

void
logger_event(const struct history_event *e, unsigned number)
{
	bool json = role_conf()->log.format == LOG_FORMAT_JSON;
	struct buf *b = line_begin();
	char id[QID_TEXT] = "";

	if (role_conf()->log.level < LOG_LEVEL_INFO)
		return;
	if (e->qid != 0)
		qid_text(e->qid, id);
	if (json) {
		head_json(b, e->time, LOG_LEVEL_INFO, e->role, number);
		pair(b, true, "event", trace_event_name(e->event));
	} else {
		head_text(b, e->time, LOG_LEVEL_INFO, e->role, number);
		buf_text(b, trace_event_name(e->event));
	}
	pair(b, json, "id", id);
	pair(b, json, "from", e->from);
	pair(b, json, "to", e->to);
	pair(b, json, "ip", e->ip);
	pair(b, json, "user", e->user);
	pair(b, json, "msgid", e->msgid);
	pair(b, json, "text", e->text);
	buf_text(b, json ? "}\n" : "\n");
	line_add(b);
}

uint64_t
logger_dropped(void)
{
	return dropped;
}

/* -- whose pid */

static bool asking;
static unsigned seen[ROLE_COUNT];

/* Rows of one name come in the order of their numbers. */
static void
take_pid(struct frame *f)
{
	enum role role = ROLE_COUNT;
	uint64_t pid = 0, number = NUMBERS_MAX;

	while (wire_more(&f->in)) {
		struct slice key = wire_bytes(&f->in), value = wire_bytes(&f->in);

		if (slice_eq(key, SLICE("name")))
			role = role_of(slice_cut(&value, '/'));
		else if (slice_eq(key, SLICE("pid")))
			slice_to_u64(value, &pid);
		else if (slice_eq(key, SLICE("number")))
			slice_to_u64(value, &number);
	}
	if (role >= ROLE_COUNT)
		return;
	if (number >= NUMBERS_MAX)
		number = seen[role];
	seen[role]++;
	if (number < NUMBERS_MAX)
		pids[role][number] = (pid_t)pid;
}

static void
on_roles(void *arg, struct frame *f)
{
	(void)arg;
	if (f != NULL && f->type == MSG_ADMIN_ROW)
		take_pid(f);
	else
		asking = false;
}

void
logger_learn_pids(void)
{
	struct admin_request rq = { .verb = "role.list", .fd = -1 };

	if (asking)
		return;
	memset(seen, 0, sizeof(seen));
	asking = request_ask(ROLE_TEGAMID, &rq, -1, on_roles, NULL, NULL) == 0;
}

/* -- our own lines, from any thread */

static pthread_mutex_t own_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
	enum log_level level;
	char *text;
} own[OWN_LINES_MAX];
static unsigned n_own;
static pthread_t loop_thread;
static struct event *own_timer;

static bool
own_line(enum log_level level, const char *line)
{
	char *copy;

	if (pthread_equal(pthread_self(), loop_thread)) {
		logger_line(level, ROLE_CONTROL, 0, line);
		return true;
	}
	copy = strdup(line);
	pthread_mutex_lock(&own_mutex);
	if (copy != NULL && n_own < OWN_LINES_MAX) {
		own[n_own].level = level;
		own[n_own++].text = copy;
		copy = NULL;
	}
	pthread_mutex_unlock(&own_mutex);
	free(copy);
	return true;
}

static void
own_take(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	pthread_mutex_lock(&own_mutex);
	for (unsigned i = 0; i < n_own; i++) {
		logger_line(own[i].level, ROLE_CONTROL, 0, own[i].text);
		free(own[i].text);
	}
	n_own = 0;
	pthread_mutex_unlock(&own_mutex);
}

int
logger_start(struct err *err)
{
	static const struct timeval often = { 1, 0 };

	loop_thread = pthread_self();
	writer = workers_new(role_base(), 1, 0, 1, err);
	own_timer = event_new(role_base(), -1, EV_PERSIST, own_take, NULL);
	if (writer == NULL || own_timer == NULL || event_add(own_timer, &often) == -1)
		return err_set(err, ERR_TEMPORARY, "cannot start the log writer");
	log_sink(own_line);
	return 0;
}
