/* sendmail_talk - the conversation with smtpd
 *
 * All recipients or none: when one is refused, nothing is sent and the caller learns which, so that
 * a retry cannot deliver twice. An answer of 4xx, and a connection that breaks before the last
 * answer, are EX_TEMPFAIL. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "admin/sendmail.h"
#include "base/log.h"

#define ANSWER_S 600
#define LINE_MAX_BYTES 2048
#define CHUNK 16384

struct talk {
	FILE *in;
	int fd;
	char out[CHUNK];
	size_t n_out;
	bool broken, verbose;
	unsigned code;             /* of the last reply */
	char line[LINE_MAX_BYTES]; /* its last line, without the end */
	bool has_8bit, has_dsn, has_utf8;
};

int
talk_connect(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), dir = -1, saved;
	const char *slash = strrchr(path, '/');
	char parent[4096];

	if (fd < 0)
		return -1;
	if (strlen(path) < sizeof(sun.sun_path) || slash == NULL) {
		snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	} else { /* too long for a socket address: by the folder's descriptor */
		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
		dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
		snprintf(
		    sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/%.64s", dir, slash + 1);
	}
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		fd = -1;
	}
	saved = errno;
	if (dir >= 0)
		close(dir);
	errno = saved;
	return fd;
}

/* -- out */

static void
put_flush(struct talk *t)
{
	const char *at = t->out;

	while (t->n_out > 0 && !t->broken) {
		ssize_t n = send(t->fd, at, t->n_out, MSG_NOSIGNAL);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			t->broken = true;
			break;
		}
		at += n;
		t->n_out -= (size_t)n;
	}
	t->n_out = 0;
}

static void
put(struct talk *t, const char *bytes, size_t len)
{
	while (len > 0) {
		size_t room = sizeof(t->out) - t->n_out, n = len < room ? len : room;

		memcpy(t->out + t->n_out, bytes, n);
		t->n_out += n;
		bytes += n;
		len -= n;
		if (t->n_out == sizeof(t->out))
			put_flush(t);
	}
}

/* -- replies */

/* The code, or 0 when the connection broke. */
static unsigned
reply(struct talk *t)
{
	put_flush(t);
	do {
		size_t len;

		if (t->broken || fgets(t->line, sizeof(t->line), t->in) == NULL) {
			t->broken = true;
			snprintf(t->line, sizeof(t->line), "the connection to the server broke");
			return t->code = 0;
		}
		len = strcspn(t->line, "\r\n");
		t->line[len] = '\0';
		if (t->verbose)
			fprintf(stderr, "<< %s\n", t->line);
		if (len > 4 && strncasecmp(t->line + 4, "8BITMIME", 8) == 0)
			t->has_8bit = true;
		if (len > 4 && strncasecmp(t->line + 4, "SMTPUTF8", 8) == 0)
			t->has_utf8 = true;
		if (len > 4 && strcasecmp(t->line + 4, "DSN") == 0)
			t->has_dsn = true;
	} while (strlen(t->line) > 3 && t->line[3] == '-');
	t->code = (unsigned)strtoul(t->line, NULL, 10);
	return t->code;
}

static unsigned __attribute__((format(printf, 2, 3))) command(struct talk *t, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 2, fmt, ap);
	va_end(ap);
	if (n < 0 || n >= (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 3;
	if (t->verbose)
		fprintf(stderr, ">> %.*s\n", n, line);
	memcpy(line + n, "\r\n", 2);
	put(t, line, (size_t)n + 2);
	return reply(t);
}

/* Exit status for a reply that was not the one hoped for. */
static int
refused(const struct talk *t, const char *what, int permanent)
{
	char safe[LINE_MAX_BYTES];

	log_escape(safe, sizeof(safe), slice_of(t->line));
	fprintf(stderr, "sendmail: %s%s%s\n", what, *what != '\0' ? ": " : "", safe);
	if (t->code == 0 || t->code / 100 == 4) {
		fprintf(stderr, "sendmail: nothing was sent; try again later\n");
		return EX_TEMPFAIL;
	}
	return permanent;
}

/* -- the message */

struct lines { /* LF, CRLF and CR become CRLF; "." at the front of a line is doubled */
	struct talk *t;
	bool at_start, after_cr;
};

static void
line_byte(struct lines *l, char c)
{
	if (c == '\n' && l->after_cr) {
		l->after_cr = false; /* its CRLF went out already */
		return;
	}
	l->after_cr = c == '\r';
	if (c == '\n' || c == '\r') {
		put(l->t, "\r\n", 2);
		l->at_start = true;
		return;
	}
	if (c == '.' && l->at_start)
		put(l->t, ".", 1);
	put(l->t, &c, 1);
	l->at_start = false;
}

/* A lone "." ends the input, unless it is text. Reads ahead of a "." at the front of a line only.
 */
static bool
is_end(FILE *in)
{
	int c = getc(in), d;

	if (c == EOF || c == '\n')
		return true;
	if (c == '\r') {
		d = getc(in);
		if (d == '\n' || d == EOF)
			return true;
		ungetc(d, in);
	}
	ungetc(c, in);
	return false;
}

static bool
send_message(struct talk *t, const struct mail *m)
{
	struct lines l = { t, true, false };
	int c;

	for (size_t i = 0; i < m->head.len; i++)
		line_byte(&l, m->head.at[i]);
	while (!t->broken && (c = getc(m->rest)) != EOF) {
		if (c == '.' && l.at_start && !m->dot_is_text && is_end(m->rest))
			break;
		line_byte(&l, (char)c);
	}
	if (ferror(m->rest))
		return false;
	if (!l.at_start)
		put(t, "\r\n", 2);
	put(t, ".\r\n", 3);
	return true;
}

/* -- envelope */

static bool
is_ascii(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

static bool
needs_utf8(const struct mail *m)
{
	for (size_t i = 0; i < m->to->n; i++)
		if (!is_ascii(m->to->at[i]))
			return true;
	return !is_ascii(m->from);
}

static int
send_envelope(struct talk *t, const struct mail *m)
{
	char more[600] = "", what[400];

	if (t->has_8bit)
		strcat(more, " BODY=8BITMIME");
	if (t->has_utf8 && needs_utf8(m))
		strcat(more, " SMTPUTF8");
	if (t->has_dsn && m->ret != NULL)
		snprintf(more + strlen(more), sizeof(more) - strlen(more), " RET=%.4s", m->ret);
	if (t->has_dsn && m->envid != NULL)
		snprintf(
		    more + strlen(more), sizeof(more) - strlen(more), " ENVID=%.100s", m->envid);
	if (command(t, "MAIL FROM:<%s>%s", m->from, more) / 100 != 2) {
		snprintf(what, sizeof(what), "sender %.320s", m->from);
		return refused(t, what, EX_NOPERM);
	}
	more[0] = '\0';
	if (t->has_dsn && m->notify != NULL)
		snprintf(more, sizeof(more), " NOTIFY=%.100s", m->notify);
	for (size_t i = 0; i < m->to->n; i++) {
		if (command(t, "RCPT TO:<%s>%s", m->to->at[i], more) / 100 == 2)
			continue;
		snprintf(what, sizeof(what), "recipient %.320s", m->to->at[i]);
		return refused(t, what, EX_NOUSER);
	}
	return 0;
}

static int
converse(struct talk *t, const char *host, const struct mail *m)
{
	int rc;

	if (reply(t) != 220)
		return refused(t, "", EX_UNAVAILABLE);
	if (command(t, "EHLO %s", host) != 250)
		return refused(t, "", EX_UNAVAILABLE);
	rc = send_envelope(t, m);
	if (rc != 0)
		return rc;
	if (command(t, "DATA") != 354)
		return refused(t, "", EX_UNAVAILABLE);
	if (!send_message(t, m)) {
		fprintf(stderr, "sendmail: the message cannot be read: %s; nothing was sent\n",
		    strerror(errno));
		return EX_IOERR;
	}
	if (reply(t) / 100 != 2)
		return refused(t, "the message", EX_UNAVAILABLE);
	command(t, "QUIT");
	return 0;
}

int
talk_send(int fd, const char *host, const struct mail *m)
{
	static struct talk t;
	struct timeval most = { ANSWER_S, 0 };
	int rc;

	t.fd = fd;
	t.verbose = m->verbose;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
	t.in = fdopen(fd, "r");
	if (t.in == NULL) {
		close(fd);
		return EX_OSERR;
	}
	rc = converse(&t, host, m);
	if (rc != 0 && !t.broken)
		command(&t, "QUIT");
	fclose(t.in);
	return rc;
}

/* -- -bs */

/* 1 went on, 0 end of input, -1 broken. */
static int
copy(int from, int to)
{
	char bytes[CHUNK], *at = bytes;
	ssize_t n = read(from, bytes, sizeof(bytes));

	if (n <= 0)
		return n == -1 && errno == EINTR ? 1 : (int)n;
	while (n > 0) {
		ssize_t w = write(to, at, (size_t)n);

		if (w <= 0)
			return -1;
		at += w;
		n -= w;
	}
	return 1;
}

int
talk_through(int fd)
{
	struct pollfd p[2] = { { STDIN_FILENO, POLLIN, 0 }, { fd, POLLIN, 0 } };

	for (;;) {
		if (poll(p, 2, -1) == -1 && errno != EINTR)
			return EX_OSERR;
		if (p[1].revents != 0 && copy(fd, STDOUT_FILENO) <= 0)
			return EX_OK;
		if (p[0].revents == 0)
			continue;
		if (copy(STDIN_FILENO, fd) <= 0) {
			shutdown(fd, SHUT_WR);
			p[0].fd = -1; /* poll looks away; answers still come */
			p[0].revents = 0;
		}
	}
}
