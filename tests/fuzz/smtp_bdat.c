/* fuzz: the arguments of BDAT; a number is a number however long it is */
#include <stdlib.h>

#include "smtp/proto/bdat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { (const char *)data, size };
	struct bdat b;
	size_t digits = 0;

	while (digits < size && data[digits] >= '0' && data[digits] <= '9')
		digits++;
	if (bdat_read(in, &b) && (digits == 0 || (digits < size && data[digits] != ' ') ||
				     (digits > 20 && data[0] != '0' && b.size != UINT64_MAX)))
		abort();
	if (digits > 0 && digits == size && !bdat_read(in, &b))
		abort();
	return 0;
}
