/* Any bytes as a DMARC report: what is read of it holds together, in whatever pieces it comes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/report_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
look(const struct report *r)
{
	if (r->n == 0 || r->n > REPORT_ROWS_MAX || *r->org == '\0' || *r->domain == '\0' || r->ends < r->begins)
		abort();
	for (size_t i = 0; i < r->n; i++) {
		if (r->rows[i].count < 0 || r->rows[i].count > REPORT_COUNT_MAX)
			abort();
		for (size_t t = 0; t < REPORT_TEXTS; t++)
			if (strlen(r->rows[i].text[t]) > REPORT_TEXT_MAX)
				abort();
	}
}

/* The number of rows, or -1. */
static int
read_in_pieces(struct slice in, size_t piece)
{
	struct pool *pool = pool_new(REPORT_POOL_MAX);
	struct report_reader *r = report_reader_new(pool);
	struct err err = { .kind = ERR_NONE };
	struct report report;
	int rc = 0;

	for (size_t at = 0; at < in.len && rc == 0; at += piece)
		rc = report_reader_feed(r, slice_first(slice_skip(in, at), piece), &err);
	if (rc == 0 && (rc = report_reader_end(r, &report, &err)) == 0) {
		look(&report);
		rc = (int)report.n;
	} else if (err.kind == ERR_NONE || err.text[0] == '\0') {
		abort(); /* refused without a reason */
	}
	report_reader_free(&r);
	pool_free(&pool);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { (const char *)data, size };
	int whole = read_in_pieces(in, size + 1);

	if (read_in_pieces(in, size % 61 + 40) != whole && whole != -1)
		abort();
	return 0;
}
