/* sendmail - the classic door for local programs: message on stdin, handed to smtpd over its local
 * socket
 *
 * Also `mailq` and `newaliases`, by the name it is called. It has no privilege at all: smtpd sees
 * who calls by the socket's credentials. Exit statuses are those of sysexits.h. */
#include "admin/sendmail.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/conf.h"

enum mode { MODE_MAIL, MODE_QUEUE, MODE_NOTHING, MODE_TALK };

struct options {
	enum mode mode;
	const char *config;
	const char *from; /* -f, -r; NULL: the caller */
	bool from_header; /* -t */
	bool dot_is_text, verbose;
	const char *notify, *ret, *envid;
	char **operands;
	int n_operands;
};

static int
usage(const char *what, const char *arg)
{
	char safe[200];

	log_escape(safe, sizeof(safe), slice_of(arg));
	fprintf(stderr, "sendmail: %s%s\n", what, safe);
	fprintf(stderr,
	    "usage: sendmail [-t] [-i] [-f ADDRESS] [RECIPIENT...]   the message comes on stdin\n"
	    "       sendmail -bp (or mailq)   what waits;   -bs   speak SMTP on stdin and "
	    "stdout\n");
	return EX_USAGE;
}

/* -- the command line */

/* Options that take a value we have no use for. */
#define IGNORED_VALUE "ABFhLOopXD"
#define IGNORED_FLAG "GUnmxjKI"

static int
set_mode(struct options *o, const char *value)
{
	switch (value[0]) {
	case 'm':
		o->mode = MODE_MAIL;
		return 0;
	case 'p':
		o->mode = MODE_QUEUE;
		return 0;
	case 'i':
	case 'I':
		o->mode = MODE_NOTHING;
		return 0;
	case 's':
		o->mode = MODE_TALK;
		return 0;
	default:
		return usage("there is no mode -b", value);
	}
}

/* -R has two lives: RET in full or hdrs. */
static void
set_value(struct options *o, char letter, const char *value)
{
	switch (letter) {
	case 'f':
	case 'r':
		o->from = value;
		break;
	case 'C':
		o->config = value;
		break;
	case 'N':
		o->notify = value;
		break;
	case 'R':
		o->ret = strcasecmp(value, "hdrs") == 0   ? "HDRS"
			 : strcasecmp(value, "full") == 0 ? "FULL"
							  : NULL;
		break;
	case 'V':
		o->envid = value;
		break;
	case 'o':
		if (value[0] == 'i')
			o->dot_is_text = true;
		break;
	default:
		break;
	}
}

/* One argument that begins with "-"; may take the next one. 0 or an exit status. */
static int
take_option(struct options *o, int argc, char **argv, int *i)
{
	for (const char *p = argv[*i] + 1; *p != '\0'; p++) {
		if (*p == 't')
			o->from_header = true;
		else if (*p == 'i')
			o->dot_is_text = true;
		else if (*p == 'v')
			o->verbose = true;
		else if (*p == 'b')
			return set_mode(o, p + 1);
		else if (*p == 'q') { /* the queue runs by itself; -q, -q30m, -qIid ... */
			o->mode = MODE_NOTHING;
			return 0;
		} else if (*p == 'd' || *p == 'e')
			return 0; /* -d debugging, -e error mode: with what follows */
		else if (strchr("frCNRV" IGNORED_VALUE, *p) != NULL) {
			if (p[1] == '\0' && *i + 1 >= argc)
				return usage("a value is missing behind ", argv[*i]);
			set_value(o, *p, p[1] != '\0' ? p + 1 : argv[++*i]);
			return 0;
		} else if (strchr(IGNORED_FLAG, *p) == NULL)
			return usage("there is no option ", argv[*i]);
	}
	return 0;
}

static int
take_options(struct options *o, int argc, char **argv)
{
	int i = 1, rc;

	for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		rc = take_option(o, argc, argv, &i);
		if (rc != 0)
			return rc;
	}
	o->operands = argv + i;
	o->n_operands = argc - i;
	return 0;
}

/* -- the message's header, read from stdin */

/* A line with its LF; false at the end. A lone "." counts as the end unless it is text. */
static bool
read_line(struct buf *line, bool dot_is_text)
{
	int c = EOF;

	buf_reset(line);
	while (!line->failed && (c = getc(stdin)) != EOF) {
		buf_char(line, (char)c);
		if (c == '\n')
			break;
	}
	if (!dot_is_text && slice_eq(slice_trim(buf_all(line)), SLICE(".")) && line->at[0] == '.')
		return false;
	return line->len > 0;
}

/* The header up to and with its empty line, or what there is of it; text that has no header gets an
 * empty one. *ended: the message is over already. */
static int
read_head(struct buf *head, struct buf *after, bool dot_is_text, bool *ended, struct err *err)
{
	struct buf line;
	bool more;

	buf_init(&line, HEAD_MAX);
	while ((more = read_line(&line, dot_is_text))) {
		struct slice s = buf_all(&line), bare = slice_trim(s);
		bool goes_on = head->len > 0 && (s.at[0] == ' ' || s.at[0] == '\t') && bare.len > 0;

		if (bare.len == 0) {
			buf_char(after, '\n');
			break;
		}
		if (!goes_on && !head_begins(s)) { /* the body, without an empty line in front */
			buf_char(after, '\n');
			buf_slice(after, s);
			break;
		}
		buf_slice(head, s);
	}
	*ended = !more;
	buf_free(&line);
	if (head->failed || after->failed)
		return err_set(err, ERR_USAGE, "the header is longer than %u KiB", HEAD_MAX / 1024);
	return 0;
}

/* -- sending */

static int
fail(const struct err *err)
{
	char safe[500];

	log_escape(safe, sizeof(safe), slice_of(err->text));
	fprintf(stderr, "sendmail: %s\n", safe);
	return err->kind == ERR_USAGE ? EX_DATAERR : EX_TEMPFAIL;
}

/* The sender: -f without its <>, else the caller's login. A name without a domain gets ours. */
static void
sender(const struct options *o, const char *host, char out[static 2 * ADDRESS_TEXT_MAX])
{
	struct passwd *pw = getpwuid(getuid());
	struct slice s = slice_trim(slice_of(o->from != NULL ? o->from
					     : pw != NULL    ? pw->pw_name
							     : "nobody"));

	if (s.len >= 2 && s.at[0] == '<' && s.at[s.len - 1] == '>')
		s = (struct slice){ s.at + 1, s.len - 2 };
	if (s.len == 0 || slice_find(s, '@') >= 0)
		snprintf(out, 2 * ADDRESS_TEXT_MAX, "%.*s",
		    (int)(s.len < ADDRESS_TEXT_MAX ? s.len : ADDRESS_TEXT_MAX), s.at);
	else
		snprintf(out, 2 * ADDRESS_TEXT_MAX, "%.*s@%.255s", (int)(s.len < 64 ? s.len : 64),
		    s.at, host);
}

static bool
is_clean(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f || *text == '<' || *text == '>')
			return false;
	return true;
}

/* The socket of the listener of kind local, or the usual one. */
static void
socket_path(const struct conf *conf, char *out, size_t size)
{
	snprintf(out, size, "%s/submit.sock", conf->state_dir);
	for (size_t i = 0; i < conf->n_listen; i++)
		if (conf->listen[i].kind == LISTEN_LOCAL && conf->listen[i].address.n > 0)
			snprintf(out, size, "%s", conf->listen[i].address.at[0]);
}

static int
connect_server(const struct conf *conf)
{
	char path[4096];
	int fd;

	socket_path(conf, path, sizeof(path));
	fd = talk_connect(path);
	if (fd < 0)
		fprintf(stderr,
		    "sendmail: the mail server cannot be reached (%s: %s); nothing was sent, try "
		    "again later\n",
		    path, strerror(errno));
	return fd;
}

static int
gather(const struct options *o, const char *host, struct recipients *to, struct buf *head,
    bool *ended, struct err *err)
{
	struct buf raw, after;
	int rc = 0;

	buf_init(&raw, HEAD_MAX);
	buf_init(&after, HEAD_MAX);
	for (int i = 0; i < o->n_operands && rc == 0; i++)
		rc = head_addresses(slice_of(o->operands[i]), to, host, err);
	if (rc == 0)
		rc = read_head(&raw, &after, o->dot_is_text, ended, err);
	if (rc == 0 && o->from_header)
		rc = head_take(buf_all(&raw), to, host, head, err);
	else if (rc == 0)
		buf_slice(head, buf_all(&raw));
	buf_slice(head, buf_all(&after));
	if (rc == 0 && to->n == 0)
		rc = err_set(err, ERR_USAGE,
		    o->from_header
			? "the header names no recipient"
			: "no recipient; name some, or say -t to take them from the header");
	buf_free(&raw);
	buf_free(&after);
	return rc;
}

static int
send_mail(const struct options *o, const struct conf *conf)
{
	char from[2 * ADDRESS_TEXT_MAX];
	struct recipients to = { NULL, 0 };
	struct err err = { .kind = ERR_NONE };
	struct mail m = { .from = from,
		.to = &to,
		.ret = o->ret,
		.rest = stdin,
		.dot_is_text = o->dot_is_text,
		.verbose = o->verbose };
	struct buf head;
	bool ended = false;
	int fd, rc;

	sender(o, conf->hostname, from);
	if (!is_clean(from))
		return usage("this is no address: ", from);
	/* values that become part of a command line */
	m.notify =
	    o->notify != NULL &&
		    strspn(o->notify, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ,") ==
			strlen(o->notify)
		? o->notify
		: NULL;
	m.envid = o->envid != NULL && is_clean(o->envid) && strchr(o->envid, ' ') == NULL ? o->envid
											  : NULL;
	buf_init(&head, 2 * HEAD_MAX);
	if (gather(o, conf->hostname, &to, &head, &ended, &err) == -1)
		rc = fail(&err);
	else if ((fd = connect_server(conf)) < 0)
		rc = EX_TEMPFAIL;
	else {
		m.head = buf_all(&head);
		if (ended)
			m.rest = fopen("/dev/null", "re");
		rc = m.rest != NULL ? talk_send(fd, conf->hostname, &m) : EX_OSERR;
	}
	buf_free(&head);
	recipients_free(&to);
	return rc;
}

/* -- the other modes */

/* `tegami queue list`, from beside this program or where it is installed. */
static int
show_queue(const struct options *o)
{
	char path[4096], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 16);
	char *args[8] = { (char *)(uintptr_t) "tegami", NULL };
	int i = 1;

	if (o->config != NULL) {
		args[i++] = (char *)(uintptr_t) "-c";
		args[i++] = (char *)(uintptr_t)o->config;
	}
	args[i++] = (char *)(uintptr_t) "queue";
	args[i++] = (char *)(uintptr_t) "list";
	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/');
		strcpy(slash + 1, "tegami");
		execv(path, args);
	}
	execv(BINDIR "/tegami", args);
	fprintf(stderr, "sendmail: %s/tegami: %s\n", BINDIR, strerror(errno));
	return EX_OSFILE;
}

static enum mode
mode_of_name(const char *name)
{
	const char *slash = strrchr(name, '/');

	name = slash != NULL ? slash + 1 : name;
	return strcmp(name, "mailq") == 0        ? MODE_QUEUE
	       : strcmp(name, "newaliases") == 0 ? MODE_NOTHING
						 : MODE_MAIL;
}

int
main(int argc, char **argv)
{
	struct options o = { .mode = mode_of_name(argc > 0 ? argv[0] : "") };
	struct err err = { .kind = ERR_NONE };
	struct conf *conf;
	int rc, fd;

	rc = take_options(&o, argc, argv);
	if (rc != 0)
		return rc;
	if (o.mode == MODE_NOTHING)
		return EX_OK; /* aliases are current at once; the queue runs by itself */
	if (o.mode == MODE_QUEUE)
		return show_queue(&o);
	conf = conf_read(o.config != NULL ? o.config : conf_default_file(), &err);
	if (conf == NULL) {
		fail(&err);
		return EX_CONFIG;
	}
	if (o.mode == MODE_MAIL)
		rc = send_mail(&o, conf);
	else
		rc = (fd = connect_server(conf)) < 0 ? EX_TEMPFAIL : talk_through(fd);
	conf_free(&conf);
	return rc;
}
