/* fuzz: a header's authors and Bcc; authors read again are the same, cuts are sorted and lie in the header */
#include <stdlib.h>
#include <string.h>

#include "smtp/author.h"
#include "smtp/submit_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_again(struct slice value)
{
	struct pool *pool = pool_new(1024 * 1024);
	struct authors all, one;

	if (pool != NULL && authors_read(value, pool, &all) == AUTHORS_OK) {
		if (all.n == 0 || all.n > AUTHORS_MAX)
			abort();
		for (size_t i = 0; i < all.n; i++)
			if (authors_read(slice_of(all.at[i]), pool, &one) != AUTHORS_OK ||
			    one.n != 1 || strcmp(one.at[0], all.at[i]) != 0)
				abort();
	}
	pool_free(&pool);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = { (const char *)data, size };
	struct cut merged[ENVELOPE_CUTS_MAX];
	static struct submit_head h;
	uint64_t end = 0;
	size_t n;

	submit_head_read(&h, text);
	if (cuts_merge(h.bcc, h.n_bcc, NULL, 0, merged, &n) == -1 || n != h.n_bcc)
		abort();
	for (size_t i = 0; i < h.n_bcc; i++) {
		if (h.bcc[i].at < end || h.bcc[i].len == 0)
			abort();
		end = h.bcc[i].at + h.bcc[i].len;
	}
	if (end > size)
		abort();
	for (size_t i = 0; i < h.n_claims; i++)
		read_again(h.claims[i].value);
	if (h.n_claims == 0)
		read_again(text);
	return 0;
}
