/* mx - the order in which a domain's mail hosts are tried (RFC 5321 5.1, RFC 7505)
 *
 * Works on a copy of fixed size: when a domain has more than MX_MAX records, the worst ones are
 * left out. Our own name in the list means that the better ones could not deliver and gave it to
 * us: only hosts better than us may be tried, else it would loop. */
#include "delivery/mx.h"

#include <string.h>
#include <strings.h>

/* Put a host where its preference belongs. Among equals any place may be its own. */
static void
insert(struct mx_list *list, unsigned preference, const char *name, uint32_t (*random)(void))
{
	size_t first = 0, last, at;

	while (first < list->n && list->at[first].preference < preference)
		first++;
	last = first;
	while (last < list->n && list->at[last].preference == preference)
		last++;
	at = first + random() % (last - first + 1);
	if (at >= MX_MAX)
		return;
	if (list->n == MX_MAX)
		list->n--;
	memmove(&list->at[at + 1], &list->at[at], (list->n - at) * sizeof(list->at[0]));
	list->at[at].preference = preference;
	slice_copy(slice_of(name), list->at[at].name, sizeof(list->at[at].name));
	list->n++;
}

enum mx_result
mx_from_rdata(struct mx_list *list, const struct slice *rdata, size_t n, const char *self,
    uint32_t (*random)(void))
{
	unsigned own = UINT32_MAX;
	bool null = false;

	list->n = 0;
	for (size_t i = 0; i < n; i++) {
		char name[DNS_NAME_TEXT];
		unsigned preference;

		if (!dns_rdata_mx(rdata[i], &preference, name))
			continue;
		if (strcmp(name, ".") == 0)
			null = true;
		else
			insert(list, preference, name, random);
		if (strcasecmp(name, self) == 0 && preference < own)
			own = preference;
	}
	if (list->n == 0)
		return null ? MX_NULL : MX_NONE;
	while (list->n > 0 && list->at[list->n - 1].preference >= own)
		list->n--;
	return list->n > 0 ? MX_FOUND : MX_LOOP;
}
