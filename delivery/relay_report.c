/* relay_report - control makes a report, relay, which may reach the network, hands it in
 *
 * A status of 200 to 299 means it was taken, whatever comes behind it. All else is for control to try again: RFC 8460
 * has no status that means never. A redirect is a failure, too; the record names the place. The RFC lets us pass
 * over a bad certificate; we do not, for a report says whom our users write to. */
#include "delivery/relay_report.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/rua.h"
#include "delivery/https.h"

#define ANSWER_MAX (16 * 1024)
#define SECONDS 20

static void
answer(struct reply_to to, enum put_status status, const char *why)
{
	struct buf *b = reply_begin(to, MSG_REPORT_POSTED);

	wire_put_u64(b, status);
	wire_put_text(b, why);
	reply_send(to, -1);
}

static void
answered(void *arg, const struct https_answer *a)
{
	struct reply_to *to = arg;
	char why[200];

	if (a->status >= 200 && a->status <= 299 && a->end != HTTPS_BAD_CERTIFICATE) {
		answer(*to, PUT_OK, "");
	} else if (a->status >= 300 && a->status <= 399) {
		snprintf(why, sizeof(why), "the server answered %ld: it sends elsewhere, which is not followed", a->status);
		answer(*to, PUT_TEMPORARY, why);
	} else if (a->status > 0) {
		snprintf(why, sizeof(why), "the server answered %ld", a->status);
		answer(*to, PUT_TEMPORARY, why);
	} else {
		answer(*to, PUT_TEMPORARY, a->why);
	}
	free(to);
}

void
report_post(struct frame *f)
{
	char url[RUA_TEXT], type[100];
	struct https_request request = { .url = url, .type = type, .most = ANSWER_MAX, .seconds = SECONDS };
	struct reply_to *to = calloc(1, sizeof(*to));
	struct err err;

	if (to == NULL) {
		frame_fail(f, "no memory");
		return;
	}
	*to = reply_later(f);
	wire_text_to(&f->in, url, sizeof(url));
	wire_text_to(&f->in, type, sizeof(type));
	request.post = wire_bytes(&f->in);
	if (wire_end(&f->in) == 0 && request.post.len > 0 && https_ask(&request, answered, to, &err) == 0)
		return;
	if (f->in.failed || request.post.len == 0)
		err_set(&err, ERR_PERMANENT, "the report does not hold together");
	answer(*to, err.kind == ERR_PERMANENT ? PUT_REFUSED : PUT_TEMPORARY, err.text);
	free(to);
}
