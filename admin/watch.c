/* watch - certificates that were renewed are taken into use without a word from the administrator
 *
 * Every two seconds the supervisor looks at the files (through symbolic links, so that certbot's
 * way is seen too): device, inode, size and times. When something changed since the files were last
 * handed out, and has stayed so for one more look, smtpd gets all of them anew. A pair that is
 * unreadable or does not fit keeps the one in use, and smtpd says why; the next change is tried
 * again. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "admin/supervisor.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/tickets.h"

#define LOOK_S 2
#define FILES_MAX (257 * 2 * CONF_PAIRS_MAX)

struct look {			/* at one file; all zero when it is not there */
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec changed, modified;
};

static struct look used[FILES_MAX], last[FILES_MAX], now[FILES_MAX];
static struct event *look_timer, *ticket_timer;

static void
look_at(struct look *l, const char *path)
{
	struct stat st;

	memset(l, 0, sizeof *l);
	if (path == NULL || stat(path, &st) == -1)
		return;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	l->size = st.st_size;
	l->changed = st.st_ctim;
	l->modified = st.st_mtim;
}

static size_t
look_at_pairs(struct look *out, size_t n, const struct conf_pairs *p)
{
	for (size_t i = 0; i < p->certificate.n && i < p->key.n && n + 2 <= FILES_MAX; i++) {
		look_at(&out[n++], p->certificate.at[i]);
		look_at(&out[n++], p->key.at[i]);
	}
	return n;
}

static void
look_at_all(struct look *out)
{
	const struct conf *conf = supervisor.conf;
	size_t n;

	memset(out, 0, sizeof used);
	n = look_at_pairs(out, 0, &conf->tls);
	for (size_t i = 0; i < conf->n_sni; i++)
		n = look_at_pairs(out, n, &conf->sni[i].pairs);
}

static void
hand_out(void)
{
	supervisor.notes_told = false;
	for (unsigned i = 0; i < supervisor.n_children; i++) {
		struct child *c = &supervisor.children[i];

		if (c->role != ROLE_SMTPD || c->state != CHILD_READY)
			continue;
		setup_send_files(c);
		setup_go(c, true);
		c->renewing++;
	}
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	/* what starts or reloads just now opens the files itself */
	if (supervisor.stopping || !supervisor.announced || reload_under_way())
		return;
	look_at_all(now);
	if (memcmp(now, used, sizeof now) != 0 && memcmp(now, last, sizeof now) == 0) {
		memcpy(used, now, sizeof used);
		hand_out();
	}
	memcpy(last, now, sizeof last);
}

static void
on_tickets(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	tickets_rotate();
}

void
watch_forget(void)
{
	look_at_all(used);
	memcpy(last, used, sizeof last);
}

int
watch_start(struct err *err)
{
	static const struct timeval look = { LOOK_S, 0 }, life = { TICKETS_LIFE_S, 0 };

	watch_forget();
	look_timer = event_new(supervisor.base, -1, EV_PERSIST, on_look, NULL);
	ticket_timer = event_new(supervisor.base, -1, EV_PERSIST, on_tickets, NULL);
	if (look_timer == NULL || ticket_timer == NULL || event_add(look_timer, &look) == -1 ||
	    event_add(ticket_timer, &life) == -1)
		return err_set(err, ERR_TEMPORARY, "no memory for timers");
	return 0;
}

void
watch_notes(struct frame *f)
{
	while (wire_more(&f->in) && !f->in.failed) {
		uint64_t level = wire_u64(&f->in);
		char line[500];

		wire_text_to(&f->in, line, sizeof line);
		if (supervisor.notes_told || f->in.failed)
			continue;
		if (level == LOG_LEVEL_ERROR)
			log_error("%s", line);
		else
			log_info("%s", line);
	}
	supervisor.notes_told = true;
}
