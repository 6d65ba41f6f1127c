/* packet - a DNS answer packet, taken apart
 *
 * The bytes come from strangers. Every count and length is checked against the packet before it is
 * used; work is bounded by DNS_RECORDS_MAX records and DNS_CHAIN_MAX links of a chain. Anything
 * wrong makes the whole answer DNS_TEMPORARY: half an answer is never given out, because half an
 * SPF record or half an MX list would be believed. */
#include "base/dns/packet.h"

#include <stdio.h>
#include <string.h>

#include "base/wire.h"

#define HEADER 12
#define CLASS_IN 1
#define TYPE_CNAME 5

struct record {
	size_t owner, rdata, rdlen; /* offsets in the packet */
	unsigned type;
	uint32_t ttl;
};

struct reader {
	struct slice packet;
	struct record records[DNS_RECORDS_MAX];
	size_t n;
};

static unsigned
get16(struct slice p, size_t at)
{
	return (unsigned)(unsigned char)p.at[at] << 8 | (unsigned char)p.at[at + 1];
}

static uint32_t
get32(struct slice p, size_t at)
{
	return (uint32_t)get16(p, at) << 16 | get16(p, at + 2);
}

static void
fail(struct dns_reply *reply, const char *why)
{
	reply->status = DNS_TEMPORARY;
	reply->n = 0;
	buf_reset(&reply->rdata);
	snprintf(reply->text, sizeof(reply->text), "%s", why);
}

/* Note one answer record; returns the offset behind it or -1. Records of other classes are passed
 * over. */
static ptrdiff_t
index_record(struct reader *r, size_t at)
{
	struct dns_name owner;
	ptrdiff_t end = dns_name_read(r->packet, at, &owner);
	struct record *rec = &r->records[r->n];

	if (end == -1 || (size_t)end + 10 > r->packet.len)
		return -1;
	rec->owner = at;
	rec->type = get16(r->packet, (size_t)end);
	rec->ttl = get32(r->packet, (size_t)end + 4);
	rec->rdlen = get16(r->packet, (size_t)end + 8);
	rec->rdata = (size_t)end + 10;
	if (rec->rdata + rec->rdlen > r->packet.len)
		return -1;
	if (get16(r->packet, (size_t)end + 2) == CLASS_IN)
		r->n++;
	return (ptrdiff_t)(rec->rdata + rec->rdlen);
}

/* Read the question and note every record of the answer section. NULL, or what is wrong. */
static const char *
index_packet(struct reader *r, struct dns_name *question)
{
	unsigned answers = get16(r->packet, 6);
	ptrdiff_t at;

	if (get16(r->packet, 4) != 1)
		return "the answer does not repeat the question";
	if (answers > DNS_RECORDS_MAX)
		return "too many records in the answer";
	at = dns_name_read(r->packet, HEADER, question);
	if (at == -1 || (size_t)at + 4 > r->packet.len)
		return "the answer is malformed";
	at += 4;
	for (unsigned i = 0; i < answers; i++)
		if ((at = index_record(r, (size_t)at)) == -1)
			return "the answer is malformed";
	return NULL;
}

static bool
record_is(
    const struct reader *r, const struct record *rec, unsigned type, const struct dns_name *name)
{
	struct dns_name owner;

	return rec->type == type && dns_name_read(r->packet, rec->owner, &owner) != -1 &&
	       dns_name_same(&owner, name);
}

static void
note_ttl(struct dns_reply *reply, uint32_t ttl)
{
	if (ttl < reply->ttl)
		reply->ttl = ttl;
}

/* Move `name` along the CNAMEs in the packet. NULL, or what is wrong. */
static const char *
follow_chain(const struct reader *r, struct dns_name *name, struct dns_reply *reply)
{
	for (unsigned links = 0; links <= DNS_CHAIN_MAX; links++) {
		const struct record *alias = NULL;
		ptrdiff_t end;

		for (size_t i = 0; i < r->n && alias == NULL; i++)
			if (record_is(r, &r->records[i], TYPE_CNAME, name))
				alias = &r->records[i];
		if (alias == NULL)
			return NULL;
		end = dns_name_read(r->packet, alias->rdata, name);
		if (end == -1 || (size_t)end != alias->rdata + alias->rdlen)
			return "the answer holds a malformed CNAME";
		note_ttl(reply, alias->ttl);
	}
	return "the chain of CNAMEs is too long";
}

/* Where names stand in the rdata of the old types, which alone may be compressed (RFC 3597 4):
 * bytes before, names, bytes after. */
static const struct layout {
	unsigned type, before, names, after;
} layouts[] = {
	{ 2, 0, 1, 0 },  /* NS */
	{ 5, 0, 1, 0 },  /* CNAME */
	{ 6, 0, 2, 20 }, /* SOA */
	{ 12, 0, 1, 0 }, /* PTR */
	{ 15, 2, 1, 0 }, /* MX */
	{ 17, 0, 2, 0 }, /* RP */
	{ 18, 2, 1, 0 }, /* AFSDB */
	{ 33, 6, 1, 0 }, /* SRV */
	{ 39, 0, 1, 0 }, /* DNAME */
};

static const struct layout *
layout_of(unsigned type)
{
	for (size_t i = 0; i < COUNT(layouts); i++)
		if (layouts[i].type == type)
			return &layouts[i];
	return NULL;
}

/* Put the rdata with its names written out. false: it is malformed. */
static bool
put_named(const struct reader *r, const struct record *rec, const struct layout *l, struct buf *out)
{
	char flat[2 * DNS_NAME_WIRE + 32];
	size_t n = l->before, at = rec->rdata + l->before, end = rec->rdata + rec->rdlen;

	if (rec->rdlen < l->before)
		return false;
	memcpy(flat, r->packet.at + rec->rdata, l->before);
	for (unsigned i = 0; i < l->names; i++) {
		struct dns_name name;
		ptrdiff_t next = dns_name_read(r->packet, at, &name);

		if (next == -1 || (size_t)next > end)
			return false;
		memcpy(flat + n, name.wire, name.len);
		n += name.len;
		at = (size_t)next;
	}
	if (end - at != l->after)
		return false;
	memcpy(flat + n, r->packet.at + at, l->after);
	wire_put_bytes(out, (struct slice){ flat, n + l->after });
	return true;
}

/* Put every record of `type` at `name`. NULL, or what is wrong. */
static const char *
put_records(
    const struct reader *r, unsigned type, const struct dns_name *name, struct dns_reply *reply)
{
	const struct layout *l = layout_of(type);

	for (size_t i = 0; i < r->n; i++) {
		const struct record *rec = &r->records[i];

		if (!record_is(r, rec, type, name))
			continue;
		if (l == NULL)
			wire_put_bytes(
			    &reply->rdata, (struct slice){ r->packet.at + rec->rdata, rec->rdlen });
		else if (!put_named(r, rec, l, &reply->rdata))
			return "the answer holds a malformed record";
		if (reply->rdata.failed)
			return "the answer is too large";
		note_ttl(reply, rec->ttl);
		reply->n++;
	}
	return NULL;
}

static const char *
rcode_words(unsigned rcode)
{
	static const char *const words[] = {
		[1] = "the server found the question malformed (FORMERR)",
		[2] = "no server gave a usable answer (SERVFAIL)",
		[4] = "the server does not know this kind of question (NOTIMP)",
		[5] = "the server refused to answer (REFUSED)"
	};

	if (rcode < COUNT(words) && words[rcode] != NULL)
		return words[rcode];
	return "the server answered with an error";
}

/* The answer section of a NOERROR or NXDOMAIN packet. NULL, or what is wrong. */
static const char *
read_answer(struct reader *r, unsigned type, unsigned rcode, struct dns_reply *reply)
{
	struct dns_name name;
	const char *wrong = index_packet(r, &name);

	if (wrong == NULL && type != TYPE_CNAME)
		wrong = follow_chain(r, &name, reply);
	if (wrong == NULL && rcode == 0)
		wrong = put_records(r, type, &name, reply);
	if (wrong != NULL)
		return wrong;
	dns_name_text(&name, reply->text);
	reply->status = rcode == 3 ? DNS_NXDOMAIN : reply->n > 0 ? DNS_OK : DNS_NO_DATA;
	return NULL;
}

void
dns_packet_read(struct slice packet, unsigned type, struct dns_reply *reply)
{
	static struct reader
	    reader; /* too large for a stack; used by one thread, within this call */
	const char *wrong;
	unsigned rcode;

	memset(reply, 0, sizeof(*reply));
	reply->ttl = UINT32_MAX;
	buf_init(&reply->rdata, DNS_RDATA_MAX);
	reader.packet = packet;
	reader.n = 0;
	if (packet.len < HEADER) {
		fail(reply, "no server gave a usable answer");
	} else if ((rcode = (unsigned char)packet.at[3] & 15) != 0 && rcode != 3) {
		fail(reply, rcode_words(rcode));
	} else if (packet.at[2] & 2) {
		fail(reply, "the answer is too large (truncated)");
	} else if ((wrong = read_answer(&reader, type, rcode, reply)) != NULL) {
		fail(reply, wrong);
	}
	if (reply->ttl == UINT32_MAX)
		reply->ttl = 0;
}

void
dns_reply_free(struct dns_reply *reply)
{
	buf_free(&reply->rdata);
}
