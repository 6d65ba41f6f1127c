/* client - ask the resolver process
 *
 * A thin layer over link_request: one small allocation per question. When the resolver dies, or
 * answers with nonsense, the asker gets DNS_TEMPORARY with words. */
#include "base/dns/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/role.h"

struct dns_query {
	uint64_t token;
	dns_fn *fn;
	void *arg;
};

int
dns_answer_get(struct frame *f, struct dns_answer *a, char text[static 512])
{
	uint64_t status = wire_u64(&f->in);

	a->status = status <= DNS_BOGUS ? (enum dns_status)status : DNS_TEMPORARY;
	a->secure = wire_u64(&f->in) == 1;
	a->ttl = (uint32_t)wire_u64(&f->in);
	wire_text_to(&f->in, text, 512);
	a->text = text;
	a->n = 0;
	while (wire_more(&f->in)) {
		struct slice rdata = wire_bytes(&f->in);

		if (a->n < DNS_ANSWER_MAX)
			a->rdata[a->n++] = rdata;
	}
	return wire_end(&f->in);
}

static void
answered(void *arg, struct frame *f)
{
	struct dns_query *q = arg;
	dns_fn *fn = q->fn;
	void *fn_arg = q->arg;
	struct dns_answer a = { .status = DNS_TEMPORARY };
	char text[512];

	free(q);
	if (f == NULL || f->type != MSG_DNS_IS || dns_answer_get(f, &a, text) == -1) {
		memset(&a, 0, sizeof(a));
		a.status = DNS_TEMPORARY;
		a.text =
		    f == NULL ? "the resolver went away" : "the resolver's answer is malformed";
	}
	fn(fn_arg, &a);
}

struct dns_query *
dns_ask_over(struct link *l, const char *name, unsigned type, dns_fn *fn, void *arg)
{
	struct dns_query *q = malloc(sizeof(*q));
	struct buf *out;

	if (q == NULL)
		return NULL;
	q->fn = fn;
	q->arg = arg;
	out = request_begin(MSG_DNS_ASK);
	wire_put_text(out, name);
	wire_put_u64(out, type);
	q->token = link_request(l, -1, answered, q);
	if (q->token == 0) {
		free(q);
		return NULL;
	}
	return q;
}

struct dns_query *
dns_ask(const char *name, unsigned type, dns_fn *fn, void *arg)
{
	return dns_ask_over(role_link(ROLE_RESOLVER), name, type, fn, arg);
}

void
dns_cancel(struct dns_query **q)
{
	if (*q == NULL)
		return;
	link_forget((*q)->token);
	free(*q);
	*q = NULL;
}
