/* control_dns - one look-up through our own resolver, for `tegami dns check`
 *
 * "dns.ask" with the words name and type gives a row {status, secure} and then a row {value} for each
 * record, as text. What DNS says is shown by a program that escapes it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control_check.h"
#include "base/dns/client.h"

#define VALUE_MAX 4096

struct asked { /* kept in request->own */
	unsigned type;
};

static bool
address_text_of(struct slice rdata, char out[static VALUE_MAX])
{
	char text[DNS_ADDRESS_TEXT];

	if (!dns_rdata_address(rdata, text))
		return false;
	snprintf(out, VALUE_MAX, "%s", text);
	return true;
}

static bool
name_text_of(struct slice rdata, char out[static VALUE_MAX])
{
	char text[DNS_NAME_TEXT];

	if (!dns_rdata_name(rdata, text))
		return false;
	snprintf(out, VALUE_MAX, "%s", text);
	return true;
}

static bool
mx_text_of(struct slice rdata, char out[static VALUE_MAX])
{
	char host[DNS_NAME_TEXT];
	unsigned preference;

	if (!dns_rdata_mx(rdata, &preference, host))
		return false;
	snprintf(out, VALUE_MAX, "%u %s", preference, host);
	return true;
}

static bool
txt_text_of(struct slice rdata, char out[static VALUE_MAX])
{
	size_t len;

	return dns_rdata_txt(rdata, out, VALUE_MAX, &len) && strlen(out) == len;
}

/* Three numbers and the rest in hexadecimal (RFC 6698 2.2). */
static bool
tlsa_text_of(struct slice rdata, char out[static VALUE_MAX])
{
	int n;

	if (rdata.len < 4 || rdata.len > 600)
		return false;
	n = snprintf(out, VALUE_MAX, "%u %u %u ", (unsigned char)rdata.at[0],
	    (unsigned char)rdata.at[1], (unsigned char)rdata.at[2]);
	for (size_t i = 3; i < rdata.len; i++)
		n += snprintf(out + n, VALUE_MAX - (size_t)n, "%02x", (unsigned char)rdata.at[i]);
	return true;
}

/* Three numbers and a name (RFC 2782). */
static bool
srv_text_of(struct slice rdata, char out[static VALUE_MAX])
{
	const unsigned char *n = (const unsigned char *)rdata.at;
	char host[DNS_NAME_TEXT];

	if (rdata.len < 7 || !dns_rdata_name(slice_skip(rdata, 6), host))
		return false;
	snprintf(out, VALUE_MAX, "%u %u %u %s", n[0] << 8 | n[1], n[2] << 8 | n[3], n[4] << 8 | n[5], host);
	return true;
}

static const struct {
	const char *name;
	unsigned type;
	bool (*text)(struct slice rdata, char out[static VALUE_MAX]);
} types[] = {
	{ "A", DNS_A, address_text_of },
	{ "AAAA", DNS_AAAA, address_text_of },
	{ "MX", DNS_MX, mx_text_of },
	{ "TXT", DNS_TXT, txt_text_of },
	{ "PTR", DNS_PTR, name_text_of },
	{ "CNAME", DNS_CNAME, name_text_of },
	{ "TLSA", DNS_TLSA, tlsa_text_of },
	{ "SRV", DNS_SRV, srv_text_of },
};

static void
got(void *arg, const struct dns_answer *a)
{
	struct request *r = arg;
	size_t type = ((struct asked *)r->own)->type;
	struct admin_word first[] = { { "status",
					  a->status == DNS_OK ? "ok" : dns_status_text(a->status) },
		{ "exists", a->status == DNS_NXDOMAIN ? "no" : "yes" },
		{ "answered", a->status == DNS_TEMPORARY || a->status == DNS_BOGUS ? "no" : "yes" },
		{ "secure", a->secure ? "yes" : "no" } };
	char value[VALUE_MAX];
	struct admin_word word = { "value", value };

	request_row(r, first, COUNT(first));
	for (size_t i = 0; a->status == DNS_OK && i < a->n; i++)
		if (types[type].text(a->rdata[i], value) && !request_row(r, &word, 1))
			break;
	request_end(r, NULL);
}

static void
refuse(struct request *r, enum err_kind kind, const char *why)
{
	err_set(&r->err, kind, "%s", why);
	request_end(r, &r->err);
}

void
dns_start(struct request *r)
{
	const char *name = admin_get(&r->rq, "name"), *type = admin_get(&r->rq, "type");
	struct asked *asked = calloc(1, sizeof(*asked));
	char reverse[DNS_NAME_TEXT];
	size_t i = 0;

	r->own = asked;
	while (type != NULL && i < COUNT(types) && strcmp(types[i].name, type) != 0)
		i++;
	if (asked == NULL) {
		refuse(r, ERR_TEMPORARY, "out of memory");
		return;
	}
	if (name == NULL || type == NULL || i == COUNT(types)) {
		refuse(r, ERR_USAGE, "a name and a type of record are wanted");
		return;
	}
	asked->type = (unsigned)i;
	/* the name that leads back from an address, or the address in a block list's zone */
	if (dns_reverse_name(name, admin_get(&r->rq, "zone"), reverse))
		name = reverse;
	if (!dns_name_ok(slice_of(name)))
		refuse(r, ERR_USAGE, "that is no name that DNS could hold");
	else if (dns_ask(name, types[i].type, got, r) == NULL)
		refuse(r, ERR_TEMPORARY,
		    "the resolver does not answer just now; try again in a moment");
}
