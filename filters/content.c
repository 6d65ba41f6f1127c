/* content - rules about the body: what its parts are, without judging their words */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "filters/check.h"

#define LOOKED_AT_MAX (2 * 1024 * 1024) /* bytes of text; nobody reads on */

struct content {
	struct mime_facts facts;
	bool program, html, plain, test_string, link_to_address;
	size_t seen, text;
	char tail[128]; /* of the text so far, for what a piece's end cuts */
	size_t tail_len;
};

/* Windows opens these with a double click. */
static bool
is_program(const char *filename)
{
	static const char *const ends[] = { ".exe", ".scr", ".com", ".pif", ".bat", ".cmd", ".vbs",
		".vbe", ".js", ".jse", ".wsf", ".hta", ".lnk", ".msi", ".cpl", ".jar", ".ps1" };

	for (size_t i = 0; i < COUNT(ends); i++)
		if (slice_ends_nocase(slice_of(filename), slice_of(ends[i])))
			return true;
	return false;
}

static void
on_part(void *arg, const struct mime_part *part)
{
	struct content *c = arg;

	c->program = c->program || is_program(part->filename);
	if (!part->attached) {
		c->html = c->html || strcmp(part->type, "text/html") == 0;
		c->plain = c->plain || strcmp(part->type, "text/plain") == 0;
	}
	c->tail_len = 0;
}

/* The well-known test string of spam filters (GTUBE), written so that this file does not hold it.
 */
static bool
has_test_string(const char *text, size_t len)
{
	static const char first[] = "XJS*C4JDBQADN1.NSBN3*2IDNEN*",
			  second[] = "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";
	const char *at = text;

	while ((at = memmem(at, len - (size_t)(at - text), first, sizeof(first) - 1)) != NULL) {
		at += sizeof(first) - 1;
		if (len - (size_t)(at - text) >= sizeof(second) - 1 &&
		    memcmp(at, second, sizeof(second) - 1) == 0)
			return true;
	}
	return false;
}

/* "http://192.0.2.1/" */
static bool
has_address_link(const char *text, size_t len)
{
	const char *at = text;

	while ((at = memmem(at, len - (size_t)(at - text), "http", 4)) != NULL) {
		const char *host = at + (at + 4 < text + len && at[4] == 's' ? 5 : 4);
		unsigned dots = 0;

		at += 4;
		if (host + 3 > text + len || memcmp(host, "://", 3) != 0)
			continue;
		for (host += 3;
		     host < text + len && (isdigit((unsigned char)*host) || *host == '.'); host++)
			dots += *host == '.';
		if (dots == 3 && (host == text + len || strchr("/:\"'>? \r\n", *host) != NULL))
			return true;
	}
	return false;
}

static void
look(struct content *c, const char *text, size_t len)
{
	c->test_string = c->test_string || has_test_string(text, len);
	c->link_to_address = c->link_to_address || has_address_link(text, len);
}

static void
on_text(void *arg, const struct mime_part *part, struct slice bytes)
{
	struct content *c = arg;
	char seam[2 * sizeof(c->tail)];
	size_t head = bytes.len < sizeof(c->tail) ? bytes.len : sizeof(c->tail), keep;

	(void)part;
	c->seen += bytes.len;
	if (c->seen > LOOKED_AT_MAX)
		return;
	for (size_t i = 0; i < bytes.len; i++)
		c->text += !isspace((unsigned char)bytes.at[i]);
	memcpy(seam, c->tail, c->tail_len);
	memcpy(seam + c->tail_len, bytes.at, head);
	look(c, seam, c->tail_len + head);
	look(c, bytes.at, bytes.len);
	keep = c->tail_len + head < sizeof(c->tail) ? c->tail_len + head : sizeof(c->tail);
	if (bytes.len >= sizeof(c->tail))
		memcpy(c->tail, bytes.at + bytes.len - keep, keep);
	else
		memcpy(c->tail, seam + c->tail_len + head - keep, keep);
	c->tail_len = keep;
}

static bool
body_empty(const void *what)
{
	const struct content *c = what;

	return c->facts.parts <= 1 && c->text == 0;
}

static bool
html_only(const void *what)
{
	const struct content *c = what;

	return c->html && !c->plain;
}

static bool
mime_too_much(const void *what)
{
	const struct content *c = what;

	return c->facts.cut;
}

static bool
mime_open(const void *what)
{
	const struct content *c = what;

	return c->facts.open;
}

static bool
program_attached(const void *what)
{
	const struct content *c = what;

	return c->program;
}

static bool
link_to_address(const void *what)
{
	const struct content *c = what;

	return c->link_to_address;
}

static bool
test_string(const void *what)
{
	const struct content *c = what;

	return c->test_string;
}

static const struct rule rules[] = {
	{ "BODY_EMPTY", 500, body_empty, "The message has no text" },
	{ "HTML_ONLY", 600, html_only, "There is HTML and no plain text beside it" },
	{ "MIME_TOO_MUCH", 1500, mime_too_much, "The message has too many or too deep parts" },
	{ "MIME_OPEN", 500, mime_open, "The last part is not closed" },
	{ "ATTACHED_PROGRAM", 3000, program_attached, "A program is attached" },
	{ "LINK_TO_ADDRESS", 1200, link_to_address,
	    "A link leads to an address instead of a name" },
	{ "TEST_STRING", 1000000, test_string,
	    "The message holds the test string of spam filters" },
};

enum check_status
check_content(struct judge *j)
{
	struct content c = { 0 };
	struct mime_sink sink = { .arg = &c, .part = on_part, .text = on_text };

	mime_read(j->facts.message, &sink, &c.facts);
	for (size_t i = 0; i < COUNT(rules); i++)
		if (rules[i].hit(&c))
			judge_hit(j, rules[i].name, "hit", rules[i].name, rules[i].score, "%s",
			    rules[i].text);
	return CHECK_DONE;
}
