/* directory_sender - may a user write as this address?
 *
 * As their own, with or without a tag, and as any address whose mail reaches them because somebody said
 * so. The mail of a role that nobody is named for reaches the first user, who may not write as it. */
#include "storage/directory_store.h"

#include <string.h>

/* Is it the user's own address, with or without a tag? Their mail may be forwarded elsewhere and the
 * address is still theirs. 1, 0, -1. */
static int
is_own(struct directory *d, const struct address *own, struct slice text, struct pool *pool,
    struct err *err)
{
	struct directory_found f = { 0 };
	struct address a;
	const char *base;
	int got;

	if (address_read(text, &a, NULL) == -1 || strcmp(a.domain, own->domain) != 0)
		return 0;
	if (strcmp(a.local, own->local) == 0)
		return 1;
	base = directory_find_untagged(d, a.local, pool);
	if (base == NULL || strcmp(base, own->local) != 0)
		return 0;
	/* the longer name may be somebody else's */
	got = directory_domain_id(d, a.domain, &f.domain, err);
	if (got == 1)
		got = directory_find_exact(d, a.local, &f, err);
	return got == -1 ? -1 : got == 0;
}

/* Does mail to it reach the user, alone or among others? 1, 0, -1. */
static int
leads_to(struct directory *d, struct slice text, const char *own, struct pool *pool, struct err *err)
{
	struct directory_answer *out = pool_alloc(pool, sizeof(*out));
	size_t i;

	if (out == NULL)
		return err_set(err, ERR_TEMPORARY, "out of memory");
	directory_lookup(d, text, pool, out);
	if (out->status == RCPT_TEMPORARY)
		return err_set(err, ERR_TEMPORARY, "%s", out->why);
	for (i = 0; i < out->n; i++)
		if (out->targets[i].kind == RCPT_LOCAL && strcmp(out->targets[i].address, own) == 0)
			return !out->targets[i].by_default;
	return 0;
}

int
directory_may_send(struct directory *d, struct slice user, struct slice address, struct pool *pool,
    const char **why, struct err *err)
{
	struct address a;
	char own[ADDRESS_SIZE];
	int may;

	*why = "";
	if (address.len == 0)
		return 1;
	if (address_read(user, &a, err) == -1)
		return -1;
	address_text(&a, own);
	may = is_own(d, &a, address, pool, err);
	if (may == 0)
		may = leads_to(d, address, own, pool, err);
	if (may != 0)
		return may;
	*why = pool_printf(pool,
	    "%s may not send as %.*s; log in as its owner, or ask the administrator for an alias",
	    own, SLICE_ARG(address));
	if (*why == NULL)
		*why = "not an address of theirs";
	return 0;
}
