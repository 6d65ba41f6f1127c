/* fuzz: an SPF record, through our layer and libspf2; every other question is answered with the
 * same bytes */
#include <stdlib.h>
#include <string.h>

#include "filters/spf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
answer(struct judge *j, size_t i, const uint8_t *data, size_t size)
{
	static char text[6000];
	struct slice record = { text, 0 };
	size_t at = 0, piece;

	if (j->questions[i].type != RR_TXT) {
		record = (struct slice){ (const char *)data, size < 40 ? size : 40 };
		judge_answer(j, i, size % 3 == 0 ? DNS_NXDOMAIN : DNS_OK, &record, 1);
		return;
	}
	memcpy(text + 1, "v=spf1 ", 7);
	text[0] = 7;
	for (record.len = 8; at < size && record.len < sizeof(text) - 300; at += piece) {
		piece = size - at < 255 ? size - at : 255;
		text[record.len++] = (char)piece;
		memcpy(text + record.len, data + at, piece);
		record.len += piece;
	}
	judge_answer(j, i, DNS_OK, &record, 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct conf *conf;
	struct facts facts = { .ip = "192.0.2.1",
		.helo = "h.example",
		.from = "a@b.example",
		.user = "",
		.rcpt = "",
		.message = SLICE("") };
	struct judge *j;
	const char *why;
	struct ip ip;

	if (conf == NULL)
		conf = conf_defaults();
	ip_parse(size % 2 == 0 ? "192.0.2.1" : "2001:db8::1", &ip);
	j = judge_new(&facts, conf, NULL);
	for (int n = 0;
	     spf_evaluate(j, &ip, "h.example", "a.b-c+d@b.example", &why) == SPF_IS_WAITING; n++) {
		if (n > JUDGE_QUESTIONS_MAX)
			abort();
		for (size_t i = 0; i < j->n_questions; i++)
			if (j->questions[i].state != QUESTION_ANSWERED)
				answer(j, i, data, size);
	}
	judge_free(&j);
	return 0;
}
