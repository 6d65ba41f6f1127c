/* tell_mail - a report on its way: a few words for people, and the compressed file */
#include "admin/tell.h"

#include <inttypes.h>
#include <stdio.h>
#include <zlib.h>

#include "base/base64.h"
#include "base/clock.h"

#define GZIP_WINDOW (15 + 16) /* the largest window, and gzip's frame around it */

void
tell_id(char out[static TELL_ID_TEXT], const char *hostname, int64_t start, char kind,
    int64_t first)
{
	uint32_t hash = 2166136261u;

	for (; *hostname != '\0'; hostname++)
		hash = (hash ^ (unsigned char)*hostname) * 16777619u;
	snprintf(out, TELL_ID_TEXT, "%" PRId64 "%c%" PRId64 "h%08x", start, kind, first, hash);
}

int
tell_gzip(struct buf *out, struct slice text)
{
	z_stream z = { 0 };
	size_t most;
	int rc;

	if (deflateInit2(
		&z, Z_BEST_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return -1;
	most = deflateBound(&z, text.len);
	z.next_in = (unsigned char *)(uintptr_t)text.at;
	z.avail_in = (unsigned)text.len;
	z.next_out = (unsigned char *)buf_room(out, most);
	z.avail_out = (unsigned)most;
	rc = z.next_out != NULL ? deflate(&z, Z_FINISH) : Z_MEM_ERROR;
	if (rc == Z_STREAM_END)
		buf_wrote(out, z.total_out);
	deflateEnd(&z);
	return rc == Z_STREAM_END ? 0 : -1;
}

/* Lines of 76 (RFC 2045 6.8). */
static void
base64_lines(struct buf *out, struct slice file)
{
	while (file.len > 0) {
		base64_encode(out, slice_first(file, 57));
		buf_text(out, "\r\n");
		file = slice_skip(file, 57);
	}
}

void
tell_mail_write(struct buf *out, const struct tell_mail *m)
{
	static const char boundary[] = "=_tegami-report"; /* base64 and our own words do not hold it */
	char date[40];

	clock_rfc5322(m->now, date);
	buf_printf(out, "From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: %s\r\n",
	    m->by->from, m->to, m->subject, date, m->msgid);
	buf_printf(out, "%sAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n", m->fields);
	buf_printf(out, "Content-Type: multipart/%s;\r\n boundary=\"%s\"\r\n\r\n", m->multipart, boundary);
	buf_printf(out, "--%s\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n%s\r\n", boundary,
	    m->text);
	buf_printf(out,
	    "--%s\r\nContent-Type: %s; name=\"%s\"\r\n"
	    "Content-Disposition: attachment;\r\n filename=\"%s\"\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\n",
	    boundary, m->type, m->name, m->name);
	base64_lines(out, m->file);
	buf_printf(out, "--%s--\r\n", boundary);
}
