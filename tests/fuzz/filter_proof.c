/* fuzz: who stands behind a message: DKIM, ARC and DMARC, with DNS in the attacker's hand
 *
 * The input is up to three parts with NUL bytes between: the TXT record of every _dmarc name, that of every other name
 * (keys, SPF), and the message. The tag lists of all three, the chain of ARC sets, the tree walk and the keys are read
 * as in the filter. Whatever comes, each question is asked once, and the checks end. */
#include <stdlib.h>
#include <string.h>

#include "filters/check.h"
#include "filters/verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	struct slice policy, record, message;
};

/* As strings of 255 bytes, as many as there are. */
static struct slice
strings(struct slice text, char out[static 20000])
{
	struct slice rdata = { out, 0 };

	while (text.len > 0 && rdata.len < 19000) {
		size_t piece = text.len < 255 ? text.len : 255;

		out[rdata.len++] = (char)piece;
		memcpy(out + rdata.len, text.at, piece);
		rdata.len += piece;
		text = slice_skip(text, piece);
	}
	return rdata;
}

static void
answer(struct judge *j, size_t i, const struct input *in)
{
	static char text[20000];
	struct question *q = &j->questions[i];
	struct slice rdata;

	if (q->type != RR_TXT) {
		judge_answer(j, i, DNS_NXDOMAIN, NULL, 0);
		return;
	}
	rdata = strings(strncmp(q->name, "_dmarc.", 7) == 0 ? in->policy : in->record, text);
	judge_answer(j, i, rdata.len > 0 ? DNS_OK : DNS_NO_DATA, &rdata, rdata.len > 0);
}

static void
judge_it(const struct conf *conf, const struct input *in)
{
	struct facts facts = { .kind = LISTEN_MX,
		.ip = "192.0.2.1",
		.helo = "h.example",
		.from = "a@b.example",
		.user = "",
		.rcpt = "",
		.now = INT64_C(1795560000000000),
		.message = in->message };
	struct judge *j = judge_new(&facts, conf, NULL);
	struct ruling r;

	for (int n = 0; checks_run(j) == CHECK_WAIT; n++) {
		if (n > JUDGE_QUESTIONS_MAX + 10)
			abort();
		for (size_t i = 0; i < j->n_questions; i++)
			if (j->questions[i].state != QUESTION_ANSWERED)
				answer(j, i, in);
	}
	ruling_make(j, &r);
	ruling_free(&r);
	judge_free(&j);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct conf *conf;
	struct input in;

	if (conf == NULL) {
		conf = conf_defaults();
		free(conf->hostname);
		conf->hostname = strdup("mx.example");
		conf->antivirus.enabled = false;
	}
	in.message = (struct slice){ (const char *)data, size };
	in.policy = slice_cut(&in.message, '\0');
	in.record = slice_cut(&in.message, '\0');
	if (in.message.at != NULL)
		judge_it(conf, &in);
	return 0;
}
