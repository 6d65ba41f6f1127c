/* relay_result - what became of a recipient (or of a whole try), in status, codes and words
 *
 * The words end in bounces, logs and the administrator's terminal, and a stranger wrote them: only
 * printable ASCII passes. */
#include "delivery/relay_result.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void
clean(char *text)
{
	for (; *text != '\0'; text++)
		if (*text == '\n')
			*text = ' ';
		else if (*text < 0x20 || *text > 0x7e)
			*text = '?';
}

void
result_set(struct result *r, enum step_status status, const char *enhanced, const char *fmt, ...)
{
	va_list ap;

	memset(r, 0, sizeof(*r));
	r->status = status;
	snprintf(r->enhanced, sizeof(r->enhanced), "%s", enhanced);
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
	clean(r->text);
}

static enum step_status
status_of(unsigned code)
{
	switch (code / 100) {
	case 2:
		return STEP_OK;
	case 5:
		return STEP_PERMANENT;
	default:
		return STEP_TEMPORARY;
	}
}

void
result_from_reply(struct result *r, const struct reply *reply)
{
	static const char *const plain[] = {
		[STEP_OK] = "2.0.0", [STEP_TEMPORARY] = "4.0.0", [STEP_PERMANENT] = "5.0.0"
	};
	enum step_status status = status_of((unsigned)reply->code);
	const char *enhanced = reply->enhanced;
	struct slice text = slice_first(buf_all(&reply->text), RESULT_TEXT - 1);

	if (enhanced[0] != plain[status][0])
		enhanced = plain[status];
	result_set(r, status, enhanced, "%.*s", SLICE_ARG(text));
	r->code = (unsigned)reply->code;
}

bool
result_keep(struct result *strongest, const struct result *r)
{
	if (r->status == STEP_OK)
		return false;
	if (strongest->status != STEP_OK &&
	    !(strongest->status == STEP_PERMANENT && r->status == STEP_TEMPORARY))
		return false;
	*strongest = *r;
	return true;
}
