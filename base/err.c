/* err - the one error type */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL)
		return -1;
	err->kind = kind;
	err->sys = 0;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	return -1;
}

static enum err_kind
kind_of_errno(int sys)
{
	return sys == ENOSPC || sys == EDQUOT || sys == EROFS ? ERR_FULL : ERR_TEMPORARY;
}

int
err_sys(struct err *err, const char *fmt, ...)
{
	int sys = errno;
	va_list ap;
	size_t n;

	if (err == NULL)
		return -1;
	err->kind = kind_of_errno(sys);
	err->sys = sys;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	n = strlen(err->text);
	snprintf(err->text + n, sizeof err->text - n, ": %s", strerror(sys));
	return -1;
}

int
err_context(struct err *err, const char *fmt, ...)
{
	char before[sizeof err->text], all[2 * sizeof err->text + 2];
	va_list ap;

	if (err == NULL)
		return -1;
	va_start(ap, fmt);
	vsnprintf(before, sizeof before, fmt, ap);
	va_end(ap);
	snprintf(all, sizeof all, "%s: %s", before, err->text);
	slice_copy(slice_of(all), err->text, sizeof err->text);
	return -1;
}
