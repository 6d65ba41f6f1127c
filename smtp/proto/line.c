/* line - command lines of a client: where they end, and their parts */
#include "smtp/proto/line.h"

#include <string.h>

enum line_status
line_next(struct slice in, size_t max, struct slice *line, size_t *used)
{
	const char *lf = in.len > 0 ? memchr(in.at, '\n', in.len < max ? in.len : max) : NULL;

	*line = (struct slice){ in.at, 0 };
	*used = 0;
	if (lf == NULL) {
		if (in.len < max)
			return LINE_MORE;
		*used = max;
		return LINE_TOO_LONG;
	}
	*used = (size_t)(lf - in.at) + 1;
	line->len = *used - 1;
	if (line->len == 0 || line->at[line->len - 1] != '\r')
		return LINE_BARE_LF;
	line->len--;
	if (memchr(line->at, '\r', line->len) != NULL || memchr(line->at, '\0', line->len) != NULL)
		return LINE_BAD;
	return LINE_OK;
}

size_t
line_skip(struct slice in, bool *ended)
{
	const char *lf = in.len > 0 ? memchr(in.at, '\n', in.len) : NULL;

	*ended = lf != NULL;
	return lf != NULL ? (size_t)(lf - in.at) + 1 : in.len;
}

void
line_split(struct slice line, struct slice *verb, struct slice *args)
{
	ptrdiff_t blank;

	line = slice_trim(line);
	blank = slice_find(line, ' ');
	if (blank < 0)
		blank = (ptrdiff_t)line.len;
	*verb = slice_first(line, (size_t)blank);
	*args = slice_trim(slice_skip(line, (size_t)blank));
}

bool
line_take(struct slice *args, struct slice key)
{
	if (!slice_starts_nocase(*args, key))
		return false;
	*args = slice_skip(*args, key.len);
	while (args->len > 0 && args->at[0] == ' ')
		*args = slice_skip(*args, 1);
	return true;
}
