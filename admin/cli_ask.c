/* cli_ask - a request to the server, or to the files while it is down
 *
 * The server is up when something listens on control.sock (tegamid keeps it open while `control`
 * restarts). Both ends speak the frames of base/link.h with `control` as the name of either side.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/cli.h"
#include "admin/verbs.h"
#include "base/clock.h"
#include "base/link.h"
#include "base/log.h"

#define SILENCE_S 90 /* so long may the server work on a request without a word */
#define PROGRESS_AFTER CLOCK_SECOND
#define PROGRESS_US 250000

struct cli_server {
	struct event_base *base;
	struct link *link;
	/* the request under way */
	struct rows *rows;
	struct err *err;
	int rc;
	bool ended, heard, silent;
	/* what it counts on the terminal meanwhile */
	const char *counting;
	struct event *progress;
	int64_t began;
	bool shown;
};

static const struct msg_handler no_handlers[] = { { MSG_NONE, NULL } };

/* -- the request */

void
cli_rq(struct admin_request *rq, const char *verb)
{
	memset(rq, 0, sizeof(*rq));
	rq->verb = verb;
	rq->fd = -1;
}

void
cli_rq_word(struct admin_request *rq, const char *key, const char *value)
{
	if (value != NULL && rq->n_words < ADMIN_WORDS_MAX)
		rq->words[rq->n_words++] = (struct admin_word){ key, value };
}

/* -- the connection */

/* Connected, or -1 with errno. A long state_dir does not fit a socket address: go by its
 * descriptor. */
static int
socket_connect(const char *state_dir)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int dir = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd, saved;

	if (dir < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/control.sock", dir);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		fd = -1;
	}
	saved = errno;
	close(dir);
	errno = saved;
	return fd;
}

static void
on_end(struct link *l)
{
	(void)l;
}

static struct cli_server *
server_new(int fd, struct err *err)
{
	struct cli_server *s = calloc(1, sizeof(*s));
	int flags = fcntl(fd, F_GETFL);

	if (s != NULL && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
	    (s->base = event_base_new()) != NULL) {
		s->link = link_new(s->base, fd, ROLE_CONTROL, ROLE_CONTROL, 0, no_handlers, on_end);
		fd = -1; /* taken, whatever happened */
	}
	if (s != NULL && s->link != NULL)
		return s;
	err_sys(err, "cannot talk with the server");
	if (fd >= 0)
		close(fd);
	if (s != NULL && s->base != NULL)
		event_base_free(s->base);
	free(s);
	return NULL;
}

/* 1 up, 0 down, -1 + err: up, but not for us. */
static int
server_try(struct cli *cli, struct err *err)
{
	const struct conf *conf;
	int fd;

	if (cli->server_tried)
		return cli->server != NULL;
	conf = cli_conf(cli);
	if (conf == NULL)
		return err_set(err, ERR_PERMANENT, "%s", "");
	fd = socket_connect(conf->state_dir);
	if (fd < 0 && (errno == EACCES || errno == EPERM))
		return err_set(err, ERR_PERMANENT,
		    "you may not administrate this server: become root, or join the group "
		    "tegami-admin");
	cli->server_tried = true;
	if (fd < 0)
		return 0;
	cli->server = server_new(fd, err);
	return cli->server != NULL ? 1 : -1;
}

bool
cli_server_up(struct cli *cli)
{
	return server_try(cli, NULL) == 1;
}

void
cli_close(struct cli *cli)
{
	if (cli->server == NULL)
		return;
	link_free(&cli->server->link);
	event_base_free(cli->server->base);
	free(cli->server);
	cli->server = NULL;
}

/* -- asking the server */

static void
take_row(struct cli_server *s, struct frame *f)
{
	struct admin_word words[ADMIN_WORDS_MAX];
	struct pool *pool = pool_new(2 * FRAME_MAX);
	size_t n = 0;

	while (pool != NULL && wire_more(&f->in) && n < COUNT(words)) {
		words[n].key = wire_text(&f->in, pool);
		words[n].value = wire_text(&f->in, pool);
		n++;
	}
	if (pool == NULL)
		s->rows->failed = true;
	else
		rows_add(s->rows, words, n);
	pool_free(&pool);
}

static void
take_end(struct cli_server *s, struct frame *f)
{
	uint64_t kind = wire_u64(&f->in);
	struct slice why = wire_bytes(&f->in);

	s->ended = true;
	s->rc = 0;
	if (kind != ERR_NONE)
		s->rc = err_set(s->err, kind <= ERR_BUG ? (enum err_kind)kind : ERR_TEMPORARY,
		    "%.*s", SLICE_ARG(why));
}

static void
on_answer(void *arg, struct frame *f)
{
	struct cli_server *s = arg;

	s->heard = true;
	if (f == NULL) {
		s->ended = true;
		s->rc = err_set(s->err, ERR_TEMPORARY,
		    "the server went away before it had answered; `tegami status` shows how it is");
	} else if (f->type == MSG_ADMIN_ROW) {
		take_row(s, f);
	} else {
		take_end(s, f);
	}
}

/* A long run shows that it lives, on a terminal only. */
static void
on_progress(evutil_socket_t fd, short what, void *arg)
{
	struct cli_server *s = arg;

	(void)fd;
	(void)what;
	if (clock_mono() < s->began + PROGRESS_AFTER)
		return;
	fprintf(stderr, "\r\033[K%zu %s so far, %d s", s->rows->n, s->counting,
	    (int)((clock_mono() - s->began) / CLOCK_SECOND));
	fflush(stderr);
	s->shown = true;
}

static void
progress_begin(struct cli_server *s, const char *counting)
{
	static const struct timeval every = { 0, PROGRESS_US };

	s->counting = counting;
	s->began = clock_mono();
	s->shown = false;
	if (counting == NULL || !isatty(STDERR_FILENO))
		return;
	s->progress = event_new(s->base, -1, EV_PERSIST, on_progress, s);
	if (s->progress != NULL)
		event_add(s->progress, &every);
}

static void
progress_end(struct cli_server *s)
{
	if (s->progress != NULL)
		event_free(s->progress);
	s->progress = NULL;
	if (s->shown)
		fprintf(stderr, "\r\033[K");
	fflush(stderr);
}

static void
on_silence(evutil_socket_t fd, short what, void *arg)
{
	struct cli_server *s = arg;

	(void)fd;
	(void)what;
	s->silent = true;
}

/* 0: it ended; -1: nothing was heard for so long. */
static int
server_wait(struct cli_server *s, unsigned most)
{
	const struct timeval patience = { most, 0 };
	struct event *timer = evtimer_new(s->base, on_silence, s);

	s->heard = true;
	s->silent = timer == NULL;
	while (!s->ended && !s->silent) {
		if (s->heard)
			event_add(timer, &patience);
		s->heard = false;
		if (event_base_loop(s->base, EVLOOP_ONCE) != 0)
			break;
	}
	if (timer != NULL)
		event_free(timer);
	return s->ended ? 0 : -1;
}

static int
server_ask(struct cli_server *s, unsigned most, const struct admin_request *rq, struct rows *rows,
    struct err *err)
{
	uint64_t token;

	s->rows = rows;
	s->err = err;
	s->ended = false;
	admin_put(request_begin(MSG_ADMIN), rq);
	token = link_request(s->link, rq->fd, on_answer, s);
	if (token == 0)
		return err_set(err, ERR_TEMPORARY,
		    "the request could not be sent to the server; is it too long?");
	if (server_wait(s, most) == 0)
		return s->rc;
	link_forget(token); /* a late answer must not be taken for the next one's */
	return err_set(err, ERR_TEMPORARY, "the server did not answer within %u s", most);
}

/* -- doing it on the files */

static void
drop_row(struct admin_out *out, const struct admin_word *words, size_t n)
{
	(void)out;
	(void)words;
	(void)n;
}

static int
files_step(struct cli *cli, const struct verb_step *step, const struct admin_request *rq,
    struct rows *rows, struct err *err)
{
	struct admin_out nowhere = { drop_row };
	struct admin_request own = { .verb = step->verb, .fd = rq->fd };

	for (size_t i = 0; i < rq->n_words; i++)
		if (verb_word_goes(&rq->words[i], step->role))
			own.words[own.n_words++] = rq->words[i];
	if (cli_files_run(cli, step->role, &own, step->quiet ? &nowhere : &rows->out, err) == 0)
		return 0;
	return step->may_miss && err->kind == ERR_NOT_FOUND ? 0 : -1;
}

static int
files_ask(struct cli *cli, const struct admin_request *rq, struct rows *rows, struct err *err)
{
	struct verb_plan plan;

	if (verb_plan(rq->verb, &plan, err) == -1)
		return -1;
	for (size_t i = 0; i < plan.n; i++) {
		if (files_step(cli, &plan.step[i], rq, rows, err) == 0)
			continue;
		if (plan.step[i].undo != NULL && i > 0) {
			struct verb_step undo = { .role = plan.step[i - 1].role,
				.verb = plan.step[i].undo };
			struct err ignored = { .kind = ERR_NONE };

			files_step(cli, &undo, rq, rows, &ignored);
		}
		return -1;
	}
	return 0;
}

int
cli_ask(struct cli *cli, const struct admin_request *rq, struct rows *rows, struct err *err)
{
	int up = server_try(cli, err), rc;

	if (up == -1)
		return -1;
	if (up) {
		progress_begin(cli->server, cli->counting);
		rc = server_ask(cli->server, cli->patience > 0 ? cli->patience : SILENCE_S,
		    rq, rows, err);
		progress_end(cli->server);
	} else {
		rc = files_ask(cli, rq, rows, err);
	}
	if (rc == 0 && rows->failed)
		rc = err_set(err, ERR_TEMPORARY, "there is not enough memory for the whole answer");
	return rc;
}

/* -- asking and printing */

int
cli_do(struct cli *cli, const struct admin_request *rq, const char *done, ...)
{
	struct err err = { .kind = ERR_NONE };
	struct rows rows;
	char text[1024] = "";
	va_list ap;
	int rc;

	va_start(ap, done);
	if (done != NULL)
		vsnprintf(text, sizeof(text), done, ap);
	va_end(ap);
	rows_init(&rows);
	rc = cli_ask(cli, rq, &rows, &err);
	if (rc == 0 && cli->json)
		buf_text(&cli->out, "{\"ok\": true}\n");
	else if (rc == 0 && done != NULL)
		cli_say(cli, "%s", text);
	rows_free(&rows);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}

int
cli_list(
    struct cli *cli, const struct admin_request *rq, const struct column *columns, const char *none)
{
	struct table_style style = cli_style(cli);
	struct err err = { .kind = ERR_NONE };
	struct rows rows;
	struct json j;
	int rc;

	rows_init(&rows);
	json_init(&j, &cli->out);
	rc = cli_ask(cli, rq, &rows, &err);
	if (rc == -1 && rows.n == 0) {
		rows_free(&rows);
		return cli_error(cli, &err);
	}
	if (cli->json)
		table_json(&j, &rows, columns);
	else if (rows.n == 0)
		cli_say(cli, "%s", none);
	else
		table_text(&cli->out, &rows, columns, &style);
	rows_free(&rows);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}

/* All rows as one: `all` holds ADMIN_WORDS_MAX words; of equal keys the first counts. */
static struct row
merged(const struct rows *rows, struct admin_word *all)
{
	struct row one = { all, 0 };

	for (size_t i = 0; i < rows->n; i++)
		for (size_t w = 0; w < rows->at[i].n && one.n < ADMIN_WORDS_MAX; w++)
			if (row_get(&one, rows->at[i].words[w].key) == NULL)
				all[one.n++] = rows->at[i].words[w];
	return one;
}

int
cli_show(struct cli *cli, const struct admin_request *rq, const struct column *columns)
{
	struct table_style style = cli_style(cli);
	struct err err = { .kind = ERR_NONE };
	struct admin_word all[ADMIN_WORDS_MAX];
	struct rows rows;
	struct row one;
	struct json j;
	int rc;

	rows_init(&rows);
	rc = cli_ask(cli, rq, &rows, &err);
	one = merged(&rows, all);
	if (rc == 0 && cli->json) {
		json_init(&j, &cli->out);
		json_open(&j, '{');
		table_json_members(&j, &one, columns);
		json_close(&j, '}');
	} else if (rc == 0)
		table_card(&cli->out, &one, columns, &style);
	rows_free(&rows);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}
