/* answers - rows of text as DNS records in wire form */
#include "tests/unit/filters/answers.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/check.h"

static size_t
put_name(const char *name, uint8_t *out)
{
	size_t n = 0;

	while (*name != '\0') {
		size_t label = strcspn(name, ".");

		out[n++] = (uint8_t)label;
		memcpy(out + n, name, label);
		n += label;
		name += label + (name[label] == '.');
	}
	out[n++] = 0;
	return n;
}

static size_t
put_text(const char *text, uint8_t *out)
{
	size_t n = 0;

	do {
		size_t piece = strlen(text) < 255 ? strlen(text) : 255;

		out[n++] = (uint8_t)piece;
		memcpy(out + n, text, piece);
		n += piece;
		text += piece;
	} while (*text != '\0');
	return n;
}

static size_t
rdata(const struct dns_row *row, uint8_t *out)
{
	switch (row->type) {
	case RR_A:
		return inet_pton(AF_INET, row->text, out) == 1 ? 4 : 0;
	case RR_AAAA:
		return inet_pton(AF_INET6, row->text, out) == 1 ? 16 : 0;
	case RR_MX:
		out[0] = 0;
		out[1] = (uint8_t)atoi(row->text);
		return 2 + put_name(strchr(row->text, ' ') + 1, out + 2);
	case RR_TXT:
		return put_text(row->text, out);
	}
	return put_name(row->text, out);
}

static void
answer_one(struct judge *j, size_t i, const struct dns_row *rows)
{
	static uint8_t bytes[20][4096];
	struct slice records[20];
	enum dns_status status = DNS_NXDOMAIN;
	size_t n = 0;

	for (const struct dns_row *row = rows; row->name != NULL; row++) {
		if (strcmp(row->name, j->questions[i].name) != 0)
			continue;
		if (row->type != j->questions[i].type) {
			status = status == DNS_NXDOMAIN ? DNS_NO_DATA : status;
			continue;
		}
		status = row->status;
		if (row->text != NULL && n < COUNT(records)) {
			records[n] = (struct slice){ (const char *)bytes[n], rdata(row, bytes[n]) };
			n++;
		}
	}
	judge_answer(j, i, status, records, n);
}

void
answers_give(struct judge *j, const struct dns_row *rows)
{
	for (size_t i = 0; i < j->n_questions; i++)
		if (j->questions[i].state != QUESTION_ANSWERED)
			answer_one(j, i, rows);
}

void
answers_run(struct judge *j, const struct dns_row *rows)
{
	for (int i = 0; i < 200 && checks_run(j) == CHECK_WAIT; i++)
		answers_give(j, rows);
}

const struct hit *
answers_hit(const struct judge *j, const char *check)
{
	for (size_t i = 0; i < j->n_hits; i++)
		if (strcmp(j->hits[i].check, check) == 0)
			return &j->hits[i];
	return NULL;
}
