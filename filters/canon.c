/* canon - canonical forms, fed to a hash piece by piece
 *
 * Nothing is copied but blanks: runs of text go to the hash as they lie. A failing update shows when the
 * hash is taken, so it is not looked at here. */
#include "filters/canon.h"

static bool
is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

static void
put(EVP_MD_CTX *hash, struct slice s)
{
	if (s.len > 0)
		EVP_DigestUpdate(hash, s.at, s.len);
}

/* -- fields */

/* The name in lower case, without the blanks before the colon. */
static void
put_name(EVP_MD_CTX *hash, struct slice name)
{
	while (name.len > 0 && is_wsp(name.at[name.len - 1]))
		name.len--;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.at[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c + 32);
		EVP_DigestUpdate(hash, &c, 1);
	}
}

/* Unfolded, every run of blanks as one, none at the ends. *any: something was written before, *blank: a
 * blank is owed. */
static void
put_relaxed(EVP_MD_CTX *hash, struct slice value, bool *any, bool *blank)
{
	size_t i = 0;

	while (i < value.len) {
		size_t start = i;

		while (i < value.len && !is_wsp(value.at[i]) && value.at[i] != '\r' &&
		       value.at[i] != '\n')
			i++;
		if (i > start) {
			if (*blank && *any)
				EVP_DigestUpdate(hash, " ", 1);
			*blank = false;
			*any = true;
			EVP_DigestUpdate(hash, value.at + start, i - start);
		}
		for (; i < value.len &&
		       (is_wsp(value.at[i]) || value.at[i] == '\r' || value.at[i] == '\n');
		     i++)
			*blank = *blank || is_wsp(value.at[i]);
	}
}

static struct slice
without_end(struct slice field)
{
	if (field.len > 0 && field.at[field.len - 1] == '\n')
		field.len--;
	if (field.len > 0 && field.at[field.len - 1] == '\r')
		field.len--;
	return field;
}

/* The field without what stands from `cut` on for `cut_len` bytes (offsets into it). */
static void
put_field(EVP_MD_CTX *hash, struct slice field, enum canon canon, size_t cut, size_t cut_len)
{
	struct slice before, after = slice_skip(field, cut + cut_len), name;
	bool any = false, blank = false;

	before = slice_first(field, cut);
	if (canon == CANON_SIMPLE) {
		put(hash, before);
		put(hash, after);
		return;
	}
	name = slice_cut(&before, ':');
	put_name(hash, name);
	EVP_DigestUpdate(hash, ":", 1);
	put_relaxed(hash, before, &any, &blank);
	put_relaxed(hash, after, &any, &blank);
}

void
canon_field(EVP_MD_CTX *hash, struct slice field, enum canon canon, bool tail)
{
	field = without_end(field);
	put_field(hash, field, canon, field.len, 0);
	if (tail)
		EVP_DigestUpdate(hash, "\r\n", 2);
}

void
canon_signature(EVP_MD_CTX *hash, struct slice field, enum canon canon)
{
	struct slice rest;

	field = without_end(field);
	rest = field;
	slice_cut(&rest, ':');
	while (rest.len > 0) {
		struct slice pair = slice_cut(&rest, ';'), name = slice_cut(&pair, '=');

		if (pair.at != NULL && slice_eq(slice_trim(name), SLICE("b"))) {
			put_field(hash, field, canon, (size_t)(pair.at - field.at), pair.len);
			return;
		}
	}
	put_field(hash, field, canon, field.len, 0);
}

/* -- bodies */

void
canon_body_begin(struct canon_body *b, EVP_MD_CTX *hash, enum canon canon)
{
	*b = (struct canon_body){ .hash = hash, .canon = canon };
}

/* Text follows: the lines and the blank that only count now go first. */
static void
put_text(struct canon_body *b, struct slice text)
{
	for (; b->empty > 0; b->empty--)
		EVP_DigestUpdate(b->hash, "\r\n", 2);
	if (b->blank)
		EVP_DigestUpdate(b->hash, " ", 1);
	b->blank = false;
	b->text = b->any = true;
	put(b->hash, text);
}

static void
end_line(struct canon_body *b)
{
	if (b->text)
		EVP_DigestUpdate(b->hash, "\r\n", 2);
	else
		b->empty++;
	b->text = b->blank = b->cr = false;
}

static bool
is_plain(const struct canon_body *b, char c)
{
	return c != '\n' && c != '\r' && (b->canon == CANON_SIMPLE || !is_wsp(c));
}

void
canon_body_add(struct canon_body *b, struct slice piece)
{
	size_t i = 0;

	while (i < piece.len) {
		size_t start = i;

		if (piece.at[i] == '\n') {
			end_line(b);
			i++;
			continue;
		}
		if (b->cr) { /* one that ends no line */
			put_text(b, SLICE("\r"));
			b->cr = false;
		}
		while (i < piece.len && is_plain(b, piece.at[i]))
			i++;
		if (i > start)
			put_text(b, slice_first(slice_skip(piece, start), i - start));
		else if (piece.at[i] == '\r')
			b->cr = true, i++;
		else
			b->blank = true, i++;
	}
}

void
canon_body_end(struct canon_body *b)
{
	if (b->text)
		end_line(b);
	if (!b->any && b->canon == CANON_SIMPLE)
		EVP_DigestUpdate(b->hash, "\r\n", 2);
}

void
canon_body(EVP_MD_CTX *hash, struct slice body, enum canon canon)
{
	struct canon_body b;

	canon_body_begin(&b, hash, canon);
	canon_body_add(&b, body);
	canon_body_end(&b);
}
