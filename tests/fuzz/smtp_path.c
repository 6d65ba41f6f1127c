/* fuzz: an address is read or refused; what was read is read again as the same */
#include <stdlib.h>
#include <string.h>

#include "smtp/proto/params.h"
#include "smtp/proto/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = { (const char *)data, size }, culprit;
	struct params params;
	struct path p, again;
	char text[ADDRESS_MAX + 2];

	if (path_read(&rest, &p) == PATH_OK) {
		size_t len = strlen(p.text);

		text[0] = '<';
		memcpy(text + 1, p.text, len);
		text[len + 1] = '>';
		if (path_read(&(struct slice){ text, len + 2 }, &again) != PATH_OK ||
		    strcmp(again.text, p.text) != 0)
			abort();
	}
	params_read(rest, PARAMS_MAIL, &params, &culprit);
	params_read(rest, PARAMS_RCPT, &params, &culprit);
	return 0;
}
