/* reports - reads the reports of other servers that come with accepted mail
 *
 * An intake is a message with its decoded attachments; they wait in a row, the first is read: a piece of
 * at most 64 KiB unpacked, then back to the event loop. A whole report goes to control in as many frames as
 * it takes, each sent when the one before is kept. What cannot be read goes there as a line that says why. */
#include "filters/reports.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/role.h"
#include "filters/from.h"
#include "filters/report_mail.h"
#include "filters/report_read.h"
#include "filters/unpack.h"

#define WAITING_MAX (64u << 20) /* bytes of all that wait */
#define RESERVED (64 * 1024)    /* what a waiting message costs beside its attachments */

struct intake {
	struct report_mail mail;
	size_t part; /* that is being read */
	uint64_t qid;
	char sender[FROM_DOMAIN_SIZE];
	bool proven;
	/* the report that is being read, or sent */
	struct pool *pool;
	struct unpack *unpack;
	struct report_reader *reader;
	struct report report;
	struct report_part sent;
	size_t next_row;
	struct intake *next;
};

static struct intake *first, **last = &first;
static size_t waiting;
static struct event *turn;
static void (*idle)(void);

static void send_part(struct intake *in);

bool
reports_idle(void)
{
	return first == NULL;
}

void
reports_on_idle(void (*fn)(void))
{
	idle = fn;
}

static size_t
cost(const struct intake *in)
{
	size_t n = RESERVED;

	for (size_t i = 0; i < in->mail.n; i++)
		n += in->mail.part[i].bytes.len;
	return n;
}

static void
again(void)
{
	static const struct timeval now = { 0, 0 };

	event_add(turn, &now);
}

static void
report_over(struct intake *in)
{
	unpack_free(&in->unpack);
	report_reader_free(&in->reader);
	pool_free(&in->pool);
	in->next_row = 0;
	in->part++;
	again();
}

static void
intake_free(struct intake *in)
{
	first = in->next;
	if (first == NULL)
		last = &first;
	waiting -= cost(in);
	report_mail_free(&in->mail);
	free(in);
	if (first != NULL)
		again();
	else if (idle != NULL)
		idle();
}

/* -- to control */

static void
log_report(const struct intake *in, const char *why_not)
{
	const struct report *r = &in->report;

	if (why_not != NULL)
		log_warning("a report by %s on %s could not be kept: %s", r->org, r->domain, why_not);
	else
		log_info("a %s report by %s on %s is kept, %zu rows",
		    r->kind == REPORT_DMARC ? "DMARC" : "TLS", r->org, r->domain, r->n);
}

static void
on_kept(void *arg, struct frame *answer)
{
	struct intake *in = arg;
	char why[400] = "control went away";
	bool kept = answer != NULL && wire_u64(&answer->in) != 0;

	if (kept && !in->sent.last) {
		send_part(in);
		return;
	}
	if (answer != NULL)
		wire_text_to(&answer->in, why, sizeof(why));
	log_report(in, kept ? NULL : why);
	report_over(in);
}

static void
send_part(struct intake *in)
{
	in->sent.first = in->next_row;
	in->next_row += report_put(request_begin(MSG_REPORT_PUT), &in->report, &in->sent);
	if (link_request(role_link(ROLE_CONTROL), -1, on_kept, in) != 0)
		return;
	log_report(in, "control is not there");
	report_over(in);
}

static void
on_bad_kept(void *arg, struct frame *answer)
{
	(void)answer;
	report_over(arg);
}

static void
send_bad(struct intake *in, const char *why)
{
	const char *file = in->mail.part[in->part].file, *domain = "";
	enum report_kind kind = REPORT_DMARC;
	char named[256];
	struct buf *b;

	if (in->reader != NULL) {
		kind = report_reader_kind(in->reader);
		domain = report_reader_domain(in->reader);
	}
	if (strcasestr(file, ".json") != NULL)
		kind = REPORT_TLS;
	report_mail_domain(file, named);
	log_info("a report that %s sent cannot be read: %s", in->sender, why);
	b = request_begin(MSG_REPORT_BAD);
	wire_put_u64(b, kind);
	wire_put_u64(b, in->qid);
	wire_put_text(b, in->sender);
	wire_put_text(b, *domain != '\0' ? domain : named);
	wire_put_text(b, file);
	wire_put_text(b, why);
	if (link_request(role_link(ROLE_CONTROL), -1, on_bad_kept, in) == 0)
		report_over(in);
}

/* -- reading */

static int
open_part(struct intake *in, struct err *err)
{
	const struct buf *bytes = &in->mail.part[in->part].bytes;

	in->pool = pool_new(REPORT_POOL_MAX);
	if (bytes->failed)
		return err_set(err, ERR_PERMANENT, "it is larger than %u MiB", REPORT_PACKED_MAX >> 20);
	in->reader = in->pool != NULL ? report_reader_new(in->pool) : NULL;
	if (in->reader == NULL)
		return err_set(err, ERR_TEMPORARY, "out of memory");
	in->unpack = unpack_new(buf_all(bytes), err);
	return in->unpack != NULL ? 0 : -1;
}

/* 1: there is more; 0: the report is whole; -1 + err. */
static int
read_piece(struct intake *in, struct err *err)
{
	struct slice piece;
	int rc;

	if (in->pool == NULL && open_part(in, err) == -1)
		return -1;
	rc = unpack_next(in->unpack, &piece, err);
	if (rc == 1)
		return report_reader_feed(in->reader, piece, err) == -1 ? -1 : 1;
	return rc == -1 ? -1 : report_reader_end(in->reader, &in->report, err);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct intake *in = first;
	struct err err = { .kind = ERR_NONE };
	int rc;

	(void)fd;
	(void)what;
	(void)arg;
	if (in == NULL)
		return;
	if (in->part >= in->mail.n) {
		intake_free(in);
		return;
	}
	rc = read_piece(in, &err);
	if (rc == 1) {
		again();
	} else if (rc == -1) {
		send_bad(in, err.text);
	} else {
		in->report.qid = in->qid;
		in->report.sender = in->sender;
		in->report.proven = in->proven;
		send_part(in);
	}
}

/* -- a message comes by */

static bool
is_address(const struct conf_strings *addresses, const char *rcpt)
{
	for (size_t i = 0; i < addresses->n; i++)
		if (strcasecmp(addresses->at[i], rcpt) == 0)
			return true;
	return false;
}

/* The same domain, or one below the other? */
static bool
related(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);
	const char *shorter = la < lb ? a : b, *longer = la < lb ? b : a;
	size_t n = la < lb ? la : lb, more = (la < lb ? lb : la) - n;

	return n > 0 && strchr(shorter, '.') != NULL && strcasecmp(longer + more, shorter) == 0 &&
	       (more == 0 || longer[more - 1] == '.');
}

static void
find_sender(const struct judge *j, struct intake *in)
{
	const struct mime_field *from;

	if (judge_field(j, "From", &from) == 0 || from_domain(from->value, in->sender) != FROM_OK)
		in->sender[0] = '\0';
	for (size_t i = 0; i < j->n_proofs && !in->proven; i++)
		in->proven = !j->proofs[i].unknown && related(j->proofs[i].domain, in->sender);
}

static void
intake_add(struct intake *in)
{
	waiting += cost(in);
	*last = in;
	last = &in->next;
	if (turn == NULL)
		turn = evtimer_new(role_base(), on_turn, NULL);
	if (turn != NULL && first == in)
		again();
}

void
reports_look(const struct judge *j)
{
	struct intake *in;

	if (!is_address(&j->conf->reports.address, j->facts.rcpt))
		return;
	if (waiting > WAITING_MAX || (in = calloc(1, sizeof(*in))) == NULL) {
		log_warning("too many reports at once: one stays unread in its mailbox");
		return;
	}
	report_mail_find(j->facts.message, &in->mail);
	if (in->mail.n == 0) { /* people write there, too */
		free(in);
		return;
	}
	in->qid = j->facts.qid;
	find_sender(j, in);
	intake_add(in);
}
