/* fuzz: a list of report addresses; what comes out could be put into an envelope and a header */
#include <stdlib.h>
#include <string.h>

#include "base/rua.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rua out[RUA_MAX];
	size_t n = rua_read((struct slice){ (const char *)data, size }, out);

	if (n > RUA_MAX)
		abort();
	for (size_t i = 0; i < n; i++) {
		for (const char *c = out[i].to; *c != '\0'; c++)
			if (*c <= ' ' || *c >= 127 || *c == '<' || *c == '>' || *c == '"')
				abort();
		if (out[i].host[0] == '\0' || strlen(out[i].to) < strlen(out[i].host))
			abort();
	}
	return 0;
}
