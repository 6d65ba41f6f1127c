/* fuzz: an address is read or refused; what was read is read again as the same */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "smtp/proto/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = { (const char *)data, size };
	struct path p, again;
	char text[ADDRESS_MAX + 2];

	if (path_read(&rest, &p) == PATH_OK) {
		size_t len = strlen(p.text);

		text[0] = '<';
		memcpy(text + 1, p.text, len);
		text[len + 1] = '>';
		if (path_read(&(struct slice){ text, len + 2 }, &again) != PATH_OK ||
		    strcmp(again.text, p.text) != 0 || again.utf8 != p.utf8)
			abort();
		if (!utf8_ok(slice_of(p.text)))
			abort();
		for (size_t i = 0; i < len; i++)
			if ((unsigned char)p.text[i] < 32 || p.text[i] == 127)
				abort();
	}
	path_is_greeting(rest);
	return 0;
}
