/* judge - the facts, the answers and the findings of one message
 *
 * Everything lives in one pool. DNS questions are kept as a short list (at most 50), searched in
 * order.
 *
 * Errors: when the pool is empty texts become "" and questions DNS_TEMPORARY, so that a message can
 * only look worse for lack of memory where checks say so, never cleaner: antivirus.c demands its
 * own answer. */
#include "filters/judge.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct answer no_such_name = { .status = DNS_NXDOMAIN };
static const struct answer try_again = { .status = DNS_TEMPORARY };

/* The header's fields, found once. */
static void
read_header(struct judge *j)
{
	struct slice rest = j->facts.message;
	struct mime_field f;
	size_t room = 0;

	while (rest.len > 0 && mime_field_next(&rest, &f)) {
		if (j->n_fields == MIME_FIELDS_MAX ||
		    rest.at - j->facts.message.at > MIME_HEADER_MAX) {
			j->header_cut = true;
			break;
		}
		if (j->n_fields == room) {
			struct mime_field *more;

			room = room == 0 ? 64 : room * 4;
			more = pool_alloc(j->pool, room * sizeof(*more));
			if (more == NULL) {
				j->header_cut = true;
				return;
			}
			if (j->n_fields > 0)
				memcpy(more, j->fields, j->n_fields * sizeof(*more));
			j->fields = more;
		}
		j->fields[j->n_fields++] = f;
	}
	j->content = rest;
}

struct judge *
judge_new(const struct facts *facts, const struct conf *conf, struct score *learned)
{
	struct judge *j = calloc(1, sizeof(*j));

	if (j == NULL)
		return NULL;
	j->facts = *facts;
	j->conf = conf;
	j->learned = learned;
	j->scan_text = "";
	j->questions_most = JUDGE_QUESTIONS_MAX;
	j->pool = pool_new(JUDGE_POOL_MAX);
	if (j->pool == NULL) {
		free(j);
		return NULL;
	}
	j->outside = (facts->kind == LISTEN_MX || facts->kind == LISTEN_LMTP) &&
		     facts->user[0] == '\0' &&
		     !conf_networks_hold(&conf->trusted_networks, facts->ip);
	j->spam_asked = j->outside && conf->spam.enabled;
	read_header(j);
	return j;
}

void
judge_free(struct judge **jp)
{
	struct judge *j = *jp;

	*jp = NULL;
	if (j == NULL)
		return;
	pool_free(&j->pool);
	free(j);
}

/* Lower case, without the last dot; false when DNS cannot be asked for it. */
static bool
tidy_name(const char *name, char out[static 256])
{
	size_t n = strlen(name), label = 0;

	if (n > 0 && name[n - 1] == '.')
		n--;
	if (n == 0 || n > 253)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)name[i];

		/* a blank can come out of an SPF macro */
		if (c < ' ' || c >= 127)
			return false;
		if (c == '.' && label == 0)
			return false;
		label = c == '.' ? 0 : label + 1;
		if (label > 63)
			return false;
		out[i] = (char)tolower(c);
	}
	out[n] = '\0';
	return label > 0;
}

const struct answer *
judge_dns(struct judge *j, const char *name, unsigned type)
{
	char tidy[256];
	struct question *q;

	if (!tidy_name(name, tidy))
		return &no_such_name;
	for (size_t i = 0; i < j->n_questions; i++) {
		q = &j->questions[i];
		if (q->type == type && strcmp(q->name, tidy) == 0)
			return q->state == QUESTION_ANSWERED ? &q->answer : NULL;
	}
	if (j->n_questions >= j->questions_most || j->dns_over) {
		j->asked_too_much = true;
		return &try_again;
	}
	q = &j->questions[j->n_questions];
	*q = (struct question){ .name = pool_text(j->pool, slice_of(tidy)), .type = type };
	if (q->name == NULL)
		return &try_again;
	j->n_questions++;
	return NULL;
}

/* The strings of a TXT record joined, over themselves. */
static void
join_strings(struct slice *record)
{
	char *out = (char *)record->at;
	struct slice rest = *record;
	size_t n = 0;

	while (rest.len > 0) {
		struct slice piece = slice_first(slice_skip(rest, 1), (unsigned char)rest.at[0]);
		size_t len = piece.len;

		rest = slice_skip(rest, len + 1);
		memmove(out + n, piece.at, len);
		n += len;
	}
	record->len = n;
}

/* Copies of the records into the pool; false: they are more than one answer may be. */
static bool
take_records(struct judge *j, struct question *q, const struct slice *rdata, size_t n)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += rdata[i].len;
	if (total > JUDGE_ANSWER_MAX)
		return false;
	q->answer.rdata = pool_alloc(j->pool, (n + 1) * sizeof(*rdata));
	if (q->answer.rdata == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct slice *copy = &q->answer.rdata[q->answer.n];

		*copy = pool_slice(j->pool, rdata[i]);
		if (copy->at == NULL)
			return false;
		if (q->type == RR_TXT)
			join_strings(copy);
		q->answer.n++;
	}
	return true;
}

void
judge_answer(
    struct judge *j, size_t question, enum dns_status status, const struct slice *rdata, size_t n)
{
	struct question *q = &j->questions[question];

	q->state = QUESTION_ANSWERED;
	q->answer = (struct answer){ .status = status == DNS_BOGUS ? DNS_TEMPORARY : status };
	if (status != DNS_OK)
		return;
	/* never "no record": a zone that uses up the memory must not make another's policy vanish */
	if (!take_records(j, q, rdata, n < JUDGE_RECORDS_MAX ? n : JUDGE_RECORDS_MAX))
		q->answer = (struct answer){ .status = DNS_TEMPORARY };
	else if (q->answer.n == 0)
		q->answer.status = DNS_NO_DATA;
}

bool
judge_waits(const struct judge *j)
{
	for (size_t i = 0; i < j->n_questions; i++)
		if (j->questions[i].state != QUESTION_ANSWERED)
			return true;
	return j->scan == SCAN_WANTED || j->scan == SCAN_ASKED;
}

void
judge_give_up_dns(struct judge *j)
{
	j->dns_over = true;
	for (size_t i = 0; i < j->n_questions; i++)
		if (j->questions[i].state != QUESTION_ANSWERED)
			judge_answer(j, i, DNS_TEMPORARY, NULL, 0);
}

void
judge_hit(struct judge *j, const char *check, const char *result, const char *rule, int64_t score,
    const char *text, ...)
{
	char line[400];
	va_list args;

	if (j->n_hits == JUDGE_HITS_MAX)
		return;
	va_start(args, text);
	vsnprintf(line, sizeof(line), text, args);
	va_end(args);
	j->hits[j->n_hits] = (struct hit){ check, result, rule, score,
		judge_clean(j, slice_of(line), sizeof(line)), j->row, (unsigned)j->n_hits };
	j->n_hits++;
}

void
judge_method(struct judge *j, const char *text)
{
	if (j->n_methods == JUDGE_METHODS_MAX)
		return;
	j->methods[j->n_methods] = (struct method){ text, j->row, (unsigned)j->n_methods };
	j->n_methods++;
}

void
judge_prove(struct judge *j, const char *by, const char *domain, bool unknown)
{
	if (j->n_proofs < JUDGE_PROOFS_MAX)
		j->proofs[j->n_proofs++] = (struct proof){ by, domain, unknown };
}

void
judge_result(struct judge *j, const struct auth_result *r)
{
	if (j->n_results < JUDGE_RESULTS_MAX)
		j->results[j->n_results++] = *r;
}

void
judge_demand(struct judge *j, enum verdict verdict, const char *reply, const char *why)
{
	/* "later" outweighs junk, for it may turn out as a refusal */
	static const unsigned weight[] = { [VERDICT_ACCEPT] = 0,
		[VERDICT_JUNK] = 1,
		[VERDICT_DEFER] = 2,
		[VERDICT_REFUSE] = 3 };

	if (weight[verdict] > weight[j->demand.verdict])
		j->demand = (struct demand){ verdict, reply, why };
}

size_t
judge_field(const struct judge *j, const char *name, const struct mime_field **first)
{
	size_t n = 0;

	for (size_t i = 0; i < j->n_fields; i++) {
		if (!slice_eq_nocase(j->fields[i].name, slice_of(name)))
			continue;
		if (n++ == 0 && first != NULL)
			*first = &j->fields[i];
	}
	return n;
}

const char *
judge_clean(struct judge *j, struct slice text, size_t max)
{
	char *out;

	text = slice_first(text, max);
	out = pool_alloc(j->pool, text.len + 1);
	if (out == NULL)
		return "";
	for (size_t i = 0; i < text.len; i++)
		out[i] = text.at[i] >= ' ' && text.at[i] < 127 ? text.at[i] : '?';
	return out;
}

/* Printable ASCII as a quoted string. */
static const char *
quoted(struct judge *j, const char *clean)
{
	size_t n = strlen(clean), k = 0;
	char *out = pool_alloc(j->pool, 2 * n + 3);

	if (out == NULL)
		return "\"\"";
	out[k++] = '"';
	for (size_t i = 0; i < n; i++) {
		if (clean[i] == '"' || clean[i] == '\\')
			out[k++] = '\\';
		out[k++] = clean[i];
	}
	out[k++] = '"';
	out[k] = '\0';
	return out;
}

const char *
judge_quote(struct judge *j, const char *value)
{
	const char *clean = judge_clean(j, slice_of(value), 320);
	size_t n = strlen(clean), at = 0;
	bool plain = n > 0;

	for (size_t i = 0; i < n; i++) {
		if (clean[i] == '@')
			at++;
		else if (!isalnum((unsigned char)clean[i]) &&
			 strchr("!#$&*+-._^`{|}~'", clean[i]) == NULL)
			plain = false;
	}
	return plain && at <= 1 ? clean : quoted(j, clean);
}

const char *
judge_reason(struct judge *j, const char *text)
{
	const char *line = text[0] == '\0' ? "" : pool_printf(j->pool, " reason=%s", quoted(j, judge_clean(j, slice_of(text), 200)));

	return line == NULL ? "" : line;
}

const char *
address_domain(const char *address)
{
	const char *at = strrchr(address, '@');

	return at == NULL ? "" : at + 1;
}

/* -- rdata */

bool
rdata_name(struct slice rdata, size_t skip, char out[static 256])
{
	size_t n = 0;

	rdata = slice_skip(rdata, skip);
	out[0] = '\0';
	while (rdata.len > 0 && rdata.at[0] != 0) {
		size_t label = (unsigned char)rdata.at[0];

		if (label > 63 || label + 1 > rdata.len || n + label + 1 > 254)
			return false;
		if (n > 0)
			out[n++] = '.';
		for (size_t i = 1; i <= label; i++) {
			char c = rdata.at[i];

			if (c <= ' ' || c >= 127 || c == '.')
				return false;
			out[n++] = (char)tolower((unsigned char)c);
		}
		rdata = slice_skip(rdata, label + 1);
	}
	out[n] = '\0';
	return rdata.len == 1;
}

/* -- addresses */

bool
ip_parse(const char *text, struct ip *ip)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	*ip = (struct ip){ 0 };
	if (inet_pton(AF_INET, text, ip->bytes) == 1)
		return true;
	if (inet_pton(AF_INET6, text, ip->bytes) != 1)
		return false;
	ip->v6 = memcmp(ip->bytes, mapped, sizeof(mapped)) != 0;
	if (!ip->v6) {
		memmove(ip->bytes, ip->bytes + 12, 4);
		memset(ip->bytes + 4, 0, 12);
	}
	return true;
}

bool
ip_in(const struct ip *ip, const uint8_t *network, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(ip->bytes, network, whole) != 0)
		return false;
	return rest == 0 || ((ip->bytes[whole] ^ network[whole]) >> (8 - rest)) == 0;
}

bool
ip_is_loopback(const struct ip *ip)
{
	static const uint8_t one[16] = { [15] = 1 };

	return ip->v6 ? memcmp(ip->bytes, one, 16) == 0 : ip->bytes[0] == 127;
}

bool
ip_is_private(const struct ip *ip)
{
	static const struct {
		bool v6;
		uint8_t at[2];
		unsigned bits;
	} nets[] = { { false, { 10 }, 8 }, { false, { 172, 16 }, 12 }, { false, { 192, 168 }, 16 },
		{ false, { 169, 254 }, 16 }, { false, { 100, 64 }, 10 }, { false, { 0 }, 8 },
		{ true, { 0xfc }, 7 }, { true, { 0xfe, 0x80 }, 10 } };

	for (size_t i = 0; i < COUNT(nets); i++)
		if (nets[i].v6 == ip->v6 && ip_in(ip, nets[i].at, nets[i].bits))
			return true;
	return ip_is_loopback(ip);
}

void
ip_reverse(const struct ip *ip, char out[static 80])
{
	size_t n = 0;

	if (!ip->v6) {
		snprintf(
		    out, 80, "%u.%u.%u.%u", ip->bytes[3], ip->bytes[2], ip->bytes[1], ip->bytes[0]);
		return;
	}
	for (int i = 15; i >= 0; i--)
		n += (size_t)snprintf(out + n, 80 - n, "%s%x.%x", n > 0 ? "." : "",
		    ip->bytes[i] & 15u, ip->bytes[i] >> 4);
}

bool
ip_text(const struct ip *ip, char *out, size_t size)
{
	return inet_ntop(ip->v6 ? AF_INET6 : AF_INET, ip->bytes, out, (socklen_t)size) != NULL;
}
