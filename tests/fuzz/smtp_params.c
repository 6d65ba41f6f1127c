/* fuzz: parameters are read or refused; what was taken keeps its limits and hides no control character */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "smtp/proto/params.h"
#include "smtp/proto/xtext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
clean(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] <= 32 || s.at[i] == 127)
			abort();
	if (!utf8_ok(s))
		abort();
}

static void
mail(struct slice in)
{
	struct slice culprit;
	struct params p;

	if (params_read(in, PARAMS_MAIL, false, &p, &culprit) != PARAMS_OK) {
		if (culprit.len > 0 &&
		    (culprit.at < in.at || culprit.at + culprit.len > in.at + in.len))
			abort();
		return;
	}
	clean(p.envid);
	if (p.has_notify || p.has_orcpt || p.envid.len > ENVID_MAX || !xtext_ok(p.envid) ||
	    (!p.has_size && p.size != 0) || p.body > BODY_BINARY)
		abort();
}

static void
rcpt(struct slice in, bool utf8)
{
	struct slice culprit;
	struct params p;

	if (params_read(in, PARAMS_RCPT, utf8, &p, &culprit) != PARAMS_OK)
		return;
	clean(p.orcpt);
	if (p.has_size || p.has_utf8 || p.orcpt.len > ORCPT_MAX ||
	    ((p.notify & NOTIFY_NEVER) && p.notify != NOTIFY_NEVER) ||
	    (p.has_orcpt && slice_find(p.orcpt, ';') < 1))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { (const char *)data, size };

	mail(in);
	rcpt(in, false);
	rcpt(in, true);
	return 0;
}
