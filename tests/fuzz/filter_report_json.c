/* Any bytes as the JSON of a TLS report: what is read of it holds together. */
#include <stdlib.h>
#include <string.h>

#include "filters/report_build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct report_build build;
	struct err err = { .kind = ERR_NONE };
	int rc;

	memset(&build, 0, sizeof(build));
	build.pool = pool_new(REPORT_POOL_MAX);
	rc = report_json_read(&build, (struct slice){ (const char *)data, size }, &err);
	if (rc == 0)
		rc = report_finish(&build, &err);
	if (rc == -1 && (err.kind == ERR_NONE || err.text[0] == '\0'))
		abort(); /* refused without a reason */
	for (size_t i = 0; i < build.report.n; i++) {
		if (build.report.rows[i].count < 0)
			abort();
		for (size_t t = 0; t < REPORT_TEXTS; t++)
			if (strlen(build.report.rows[i].text[t]) > REPORT_TEXT_MAX)
				abort();
	}
	free(build.report.rows);
	pool_free(&build.pool);
	return 0;
}
