/* tokens - cuts text into words and remembers each once, by its hash
 *
 * Works on bytes as they come in any pieces: the word under way is kept between pieces. Words
 * shorter than 3 or longer than 40 bytes tell nothing and are left out. */
#include "filters/tokens.h"

#include <ctype.h>
#include <string.h>

#include "filters/mime.h"

#define WORD_MIN 3
#define WORD_MAX 40
#define LOOKED_AT_MAX (1024 * 1024)

enum html { HTML_TEXT, HTML_TAG, HTML_ENTITY };

struct cutter {
	struct tokens *out;
	char kind; /* where it stood: 's'ubject, 'f'rom, 'u'rl, 'b'ody */
	char word[WORD_MAX + 1];
	size_t len;
	bool wide; /* the word holds bytes past ASCII */
	bool html;
	enum html state;
	char tag[8];
	size_t tag_len;
	bool hidden;      /* inside <style> or <script> */
	unsigned slashes; /* of "://" seen */
	char host[WORD_MAX + 1];
	size_t host_len;
	bool in_host;
	size_t seen; /* bytes of text */
};

static uint64_t
hash(char kind, const char *word, size_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (unsigned char)kind;

	h *= UINT64_C(0x100000001b3);
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)word[i]) * UINT64_C(0x100000001b3);
	h ^= h >> 32;
	return h == 0 ? 1 : h;
}

static void
add(struct tokens *t, char kind, const char *word, size_t n)
{
	uint64_t h = hash(kind, word, n);
	size_t slot = h % TOKEN_SLOTS;

	while (t->slots[slot] != 0) {
		if (t->slots[slot] == h)
			return;
		slot = (slot + 1) % TOKEN_SLOTS;
	}
	if (t->n == SCORE_TOKENS_MAX)
		return;
	t->slots[slot] = h;
	t->at[t->n++] = h;
}

/* Bytes of the UTF-8 character at the front. */
static size_t
char_len(const char *at, size_t n)
{
	unsigned char c = (unsigned char)at[0];
	size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	return len < n ? len : n;
}

/* Pairs of neighbouring characters of a run past ASCII. */
static void
add_pairs(struct cutter *c)
{
	size_t at = 0, first = char_len(c->word, c->len);

	while (at + first < c->len) {
		size_t second = char_len(c->word + at + first, c->len - at - first);

		add(c->out, c->kind, c->word + at, first + second);
		at += first;
		first = second;
	}
}

static void
end_word(struct cutter *c)
{
	if (c->len >= WORD_MIN && c->len <= WORD_MAX)
		add(c->out, c->kind, c->word, c->len);
	if (c->wide && c->len > 3)
		add_pairs(c);
	c->len = 0;
	c->wide = false;
}

/* A long run past ASCII is cut; a long run of anything else grows past WORD_MAX and is left out. */
static void
add_byte(struct cutter *c, char b)
{
	bool wide = (unsigned char)b >= 0x80;

	if (c->len > 0 && wide != c->wide)
		end_word(c);
	if (wide && c->len >= 36 && ((unsigned char)b & 0xc0) != 0x80)
		end_word(c);
	c->wide = wide;
	if (c->len < WORD_MAX)
		c->word[c->len] = (char)tolower((unsigned char)b);
	if (c->len <= WORD_MAX)
		c->len++;
}

static void
end_host(struct cutter *c)
{
	if (c->in_host && c->host_len >= WORD_MIN && c->host_len <= WORD_MAX)
		add(c->out, 'u', c->host, c->host_len);
	c->in_host = false;
	c->host_len = 0;
}

/* Notices "://host" anywhere, inside tags too. */
static void
watch_links(struct cutter *c, char b)
{
	if (c->in_host) {
		if (isalnum((unsigned char)b) || b == '.' || b == '-') {
			if (c->host_len < WORD_MAX)
				c->host[c->host_len] = (char)tolower((unsigned char)b);
			c->host_len += c->host_len <= WORD_MAX;
		} else {
			end_host(c);
		}
		return;
	}
	if (b == ':')
		c->slashes = 1;
	else if (b == '/' && c->slashes > 0)
		c->slashes++;
	else
		c->slashes = 0;
	if (c->slashes == 3) {
		c->in_host = true;
		c->slashes = 0;
	}
}

static void
end_tag(struct cutter *c)
{
	struct slice tag = { c->tag, c->tag_len };

	if (slice_starts(tag, SLICE("style")) || slice_starts(tag, SLICE("script")))
		c->hidden = true;
	else if (slice_starts(tag, SLICE("/style")) || slice_starts(tag, SLICE("/script")))
		c->hidden = false;
	c->state = HTML_TEXT;
}

/* True when the byte is text and no markup. */
static bool
html_byte(struct cutter *c, char b)
{
	switch (c->state) {
	case HTML_TEXT:
		if (b != '<' && b != '&')
			return !c->hidden;
		/* words may go on behind a tag: only the tags that break lines do end them, but
		 * that hardly matters */
		end_word(c);
		c->state = b == '<' ? HTML_TAG : HTML_ENTITY;
		c->tag_len = 0;
		return false;
	case HTML_TAG:
		if (b == '>')
			end_tag(c);
		else if (c->tag_len < sizeof(c->tag))
			c->tag[c->tag_len++] = (char)tolower((unsigned char)b);
		return false;
	case HTML_ENTITY:
		if (b == ';' || isspace((unsigned char)b) || b == '<')
			c->state = b == '<' ? HTML_TAG : HTML_TEXT;
		return false;
	}
	return false;
}

static void
cut(struct cutter *c, struct slice bytes)
{
	for (size_t i = 0; i < bytes.len; i++) {
		char b = bytes.at[i];

		watch_links(c, b);
		if (c->html && !html_byte(c, b))
			continue;
		if (isalnum((unsigned char)b) || (unsigned char)b >= 0x80 || b == '\'' ||
		    b == '-' || b == '$' || b == '!')
			add_byte(c, b);
		else
			end_word(c);
	}
}

static void
cut_all(struct cutter *c, char kind, struct slice text)
{
	c->kind = kind;
	cut(c, text);
	end_word(c);
	end_host(c);
}

static void
on_part(void *arg, const struct mime_part *part)
{
	struct cutter *c = arg;
	struct tokens *out = c->out;
	size_t seen = c->seen;

	end_word(c);
	end_host(c);
	*c = (struct cutter){
		.out = out, .kind = 'b', .html = strcmp(part->type, "text/html") == 0, .seen = seen
	};
	if (part->filename[0] != '\0')
		add(out, 'n', part->filename, strlen(part->filename));
}

static void
on_text(void *arg, const struct mime_part *part, struct slice bytes)
{
	struct cutter *c = arg;

	(void)part;
	/* the words of the first part of a long text tell enough */
	if (c->out->n < SCORE_TOKENS_MAX && (c->seen += bytes.len) < LOOKED_AT_MAX)
		cut(c, bytes);
}

static void
header_tokens(struct cutter *c, struct slice message)
{
	struct mime_field f;
	struct buf text;

	buf_init(&text, 8192);
	for (unsigned n = 0;
	     n < MIME_FIELDS_MAX && message.len > 0 && mime_field_next(&message, &f); n++) {
		buf_reset(&text);
		if (slice_eq_nocase(f.name, SLICE("subject"))) {
			mime_decode_words(f.value, &text);
			cut_all(c, 's', buf_all(&text));
		} else if (slice_eq_nocase(f.name, SLICE("from"))) {
			mime_decode_words(f.value, &text);
			cut_all(c, 'f', buf_all(&text));
		} else if (slice_eq_nocase(f.name, SLICE("message-id"))) {
			/* tells messages with the same words apart when they are learned */
			mime_unfold(f.value, &text);
			add(c->out, 'm', text.at, text.len);
		}
	}
	buf_free(&text);
}

void
tokens_of_message(struct slice message, struct tokens *out)
{
	struct cutter c = { .out = out };
	struct mime_sink sink = { .arg = &c, .part = on_part, .text = on_text };
	struct mime_facts facts;

	memset(out, 0, sizeof(*out));
	header_tokens(&c, message);
	mime_read(message, &sink, &facts);
	end_word(&c);
	end_host(&c);
}
