/* fuzz: a whole message through every check that needs no process, DNS not answering; what is
 * written on top must be whole lines */
#include <stdlib.h>
#include <string.h>

#include "filters/check.h"
#include "filters/tokens.h"
#include "filters/verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every line ends in CRLF and begins with a field's name or a blank. */
static void
look_at(struct slice prefix)
{
	struct slice line;

	if (prefix.len > 0 &&
	    (prefix.len < 2 || memcmp(prefix.at + prefix.len - 2, "\r\n", 2) != 0))
		abort();
	while (slice_line(&prefix, &line)) {
		if (!slice_starts(line, SLICE("\t")) && !slice_starts(line, SLICE("X-Spam-")) &&
		    !slice_starts(line, SLICE("Authentication-Results: mx.example")))
			abort();
		for (size_t i = 0; i < line.len; i++)
			if ((line.at[i] < ' ' && line.at[i] != '\t') || line.at[i] == 127)
				abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct conf *conf;
	static struct tokens tokens;
	struct slice message = { (const char *)data, size };
	struct facts facts = { .kind = LISTEN_MX,
		.ip = "192.0.2.1",
		.helo = "h.example",
		.from = "a@b.example",
		.user = "",
		.rcpt = "",
		.now = INT64_C(1795499548000000),
		.message = message };
	struct judge *j;
	struct ruling r;

	if (conf == NULL) {
		conf = conf_defaults();
		free(conf->hostname);
		conf->hostname = strdup("mx.example");
		conf->antivirus.enabled = false;
	}
	j = judge_new(&facts, conf, NULL);
	for (int i = 0; i < 60 && checks_run(j) == CHECK_WAIT; i++)
		judge_give_up_dns(j);
	ruling_make(j, &r);
	look_at(buf_all(&r.prefix));
	for (size_t i = 0; i < r.n_cuts; i++)
		if (r.cuts[i].at + r.cuts[i].len > size)
			abort();
	ruling_free(&r);
	judge_free(&j);
	tokens_of_message(message, &tokens);
	return 0;
}
