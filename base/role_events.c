/* role_events - what a role says of its work: log lines and events, on their way to control
 *
 * Both are bundled and sent soon, outside the path to `250`. Log lines may come from any thread. A
 * control that is away costs at most LINES_MAX lines and FRAME_MAX bytes of events of memory; what
 * does not fit is dropped and counted, and the count is logged. */
#include "base/role_state.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define LINES_MAX 512		/* log lines kept for a control that is away */
#define FLUSH_MS 50		/* how long an event or a line may wait for company */

struct line {
	enum log_level level;
	char *text;
};

static pthread_mutex_t lines_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct line lines[LINES_MAX];
static unsigned n_lines;
static unsigned long lines_lost, events_lost;
static struct buf events = { .ceiling = FRAME_MAX };
static struct event *flush_timer;
static pthread_t loop_thread;

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
	struct link *control = role_link_at(ROLE_CONTROL, 0);

	if (control == NULL)
		return false;
	frame_begin_in(&frame, MSG_LOG, 0);
	wire_put_u64(&frame, level);
	wire_put_text(&frame, text);
	return link_send_buf(control, &frame, -1) == 0;
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

/* Called from any thread, so it only keeps the line; the loop sends (lines of other threads once a
 * second). */
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
	if (link_send_buf(role_link_at(ROLE_CONTROL, 0), &events, -1) == -1)
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
	if ((lines_lost > 0 || events_lost > 0) && role_link_at(ROLE_CONTROL, 0) != NULL) {
		log_warning("%lu log lines and %lu bundles of events were dropped",
		    lines_lost, events_lost);
		lines_lost = events_lost = 0;
	}
}

void
role_event(const struct event_note *note)
{
	const char *texts[] = {
		note->text, note->from, note->to, note->ip, note->msgid, note->user
	};
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

int
role_events_start(void)
{
	static const struct timeval slow = { 1, 0 };
	struct event *slow_timer = event_new(role_self.base, -1, EV_PERSIST, on_flush, NULL);

	loop_thread = pthread_self();
	flush_timer = event_new(role_self.base, -1, 0, on_flush, NULL);
	return flush_timer != NULL && slow_timer != NULL ? event_add(slow_timer, &slow) : -1;
}

void
role_events_begin(void)
{
	log_sink(line_keep);
}

void
role_events_end(void)
{
	events_flush();
	lines_flush();
}
