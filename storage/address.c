/* address - a mail address in the one form in which the stores keep and compare it
 *
 * It promises that what comes out holds no control character, no NUL, no bad UTF-8 and fits its
 * fields, whatever came in. It fails with ERR_USAGE and a sentence that can be shown to the
 * administrator; nothing is guessed. */
#include "storage/address.h"

#include <ctype.h>
#include <idn2.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define MAILBOX_SIGNS "!#$&'*+-=?^_`{}~."
#define ATOM_SIGNS MAILBOX_SIGNS "/%|"

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool
is_letter_or_digit(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* How many bytes the UTF-8 character at the front has; 0 when it is not well formed or is a C1
 * control. */
static size_t
utf8_len(struct slice s)
{
	uint32_t c;
	size_t n = utf8_next(s, &c);

	return n > 0 && c >= 0x80 && c < 0xa0 ? 0 : n;
}

/* -- domains */

static int
literal_read(struct slice text, char *out, struct err *err)
{
	size_t i;

	if (text.at[text.len - 1] != ']' || text.len > DOMAIN_MAX)
		return err_set(err, ERR_USAGE, "the address literal does not end in ]");
	for (i = 0; i < text.len; i++) {
		char c = text.at[i];

		if (!is_letter_or_digit((unsigned char)c) && strchr(".:[]-", c) == NULL)
			return err_set(
			    err, ERR_USAGE, "the address literal holds a wrong character");
		out[i] = lower(c);
	}
	out[text.len] = '\0';
	return 0;
}

/* Labels of letters, digits, hyphens and underscores; what libidn2 let through is checked once
 * more. */
static bool
labels_ok(const char *name)
{
	size_t label = 0;
	const char *p;

	for (p = name; *p != '\0'; p++) {
		if (*p == '.') {
			if (label == 0 || p[-1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!is_letter_or_digit((unsigned char)*p) && *p != '_' &&
		    (*p != '-' || label == 0))
			return false;
		if (++label > 63)
			return false;
	}
	return label > 0 && p[-1] != '-';
}

static int
domain_to_ascii(const char *text, char *out, struct err *err)
{
	uint8_t *ascii = NULL;
	int rc =
	    idn2_lookup_u8((const uint8_t *)text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);

	if (rc != IDN2_OK)
		return err_set(
		    err, ERR_USAGE, "\"%s\" is not a domain name: %s", text, idn2_strerror(rc));
	rc = slice_copy(slice_of((char *)ascii), out, DOMAIN_MAX + 1) ? 0 : -1;
	idn2_free(ascii);
	return rc == -1 ? err_set(err, ERR_USAGE, "the domain name is too long") : 0;
}

int
domain_read(struct slice text, char *out, struct err *err)
{
	char copy[DOMAIN_MAX + 1];
	bool ascii = true;
	size_t i, n;

	if (text.len > 1 && text.at[text.len - 1] == '.')
		text.len--;
	if (text.len == 0 || text.len > DOMAIN_MAX || memchr(text.at, '\0', text.len) != NULL)
		return err_set(err, ERR_USAGE, "the domain name is %s",
		    text.len == 0 ? "missing" : "too long or holds a NUL");
	if (text.at[0] == '[')
		return literal_read(text, out, err);
	for (i = 0; i < text.len; i += n) {
		n = 1;
		if ((unsigned char)text.at[i] >= 0x80) {
			ascii = false;
			n = utf8_len(slice_skip(text, i));
		}
		if (n == 0)
			return err_set(err, ERR_USAGE, "the domain name is not UTF-8");
		memcpy(copy + i, text.at + i, n);
		copy[i] = lower(copy[i]);
	}
	copy[text.len] = '\0';
	if (ascii)
		memcpy(out, copy, text.len + 1);
	else if (domain_to_ascii(copy, out, err) == -1)
		return -1;
	if (!labels_ok(out))
		return err_set(err, ERR_USAGE,
		    "the domain name is not made of labels of letters, digits and hyphens");
	return 0;
}

/* -- local parts */

static int
local_add(struct address *out, size_t *len, struct slice c)
{
	if (*len + c.len > LOCAL_MAX)
		return -1;
	memcpy(out->local + *len, c.at, c.len);
	out->local[*len] = lower(out->local[*len]);
	*len += c.len;
	out->local[*len] = '\0';
	return 0;
}

/* The next character of a local part: its bytes, without a backslash before it; empty when it may
 * not stand there. */
static struct slice
local_next(struct slice *rest, bool quoted)
{
	struct slice c = { NULL, 0 };
	unsigned char first;
	size_t n = 1;

	if (quoted && rest->at[0] == '\\')
		*rest = slice_skip(*rest, 1);
	if (rest->len == 0)
		return c;
	first = (unsigned char)rest->at[0];
	if (first >= 0x80)
		n = utf8_len(*rest);
	else if (first < 0x20 || first == 0x7f)
		n = 0;
	else if (!quoted && !is_letter_or_digit(first) && strchr(ATOM_SIGNS, (char)first) == NULL)
		n = 0;
	c = slice_first(*rest, n);
	*rest = slice_skip(*rest, n);
	return c;
}

/* Reads up to the end of the local part and leaves *rest behind it. */
static int
local_read(struct slice *rest, struct address *out, struct err *err)
{
	bool quoted = rest->len > 0 && rest->at[0] == '"';
	char stop = quoted ? '"' : '@';
	struct slice c;
	size_t len = 0;

	if (quoted)
		*rest = slice_skip(*rest, 1);
	while (rest->len > 0 && rest->at[0] != stop) {
		c = local_next(rest, quoted);
		if (c.len == 0)
			return err_set(err, ERR_USAGE,
			    "the part before the @ holds a character that may not stand there");
		if (local_add(out, &len, c) == -1)
			return err_set(err, ERR_USAGE,
			    "the part before the @ is longer than %d bytes", LOCAL_MAX);
	}
	if (!quoted)
		return 0;
	if (rest->len == 0)
		return err_set(err, ERR_USAGE, "a quotation mark is missing");
	*rest = slice_skip(*rest, 1);
	return len == 0 ? err_set(err, ERR_USAGE, "there is nothing between the quotation marks")
			: 0;
}

int
address_read(struct slice text, struct address *out, struct err *err)
{
	memset(out, 0, sizeof(*out));
	if (text.len == 0)
		return err_set(err, ERR_USAGE, "the address is empty");
	if (local_read(&text, out, err) == -1)
		return -1;
	if (text.len == 0)
		return 0;
	if (text.at[0] != '@')
		return err_set(
		    err, ERR_USAGE, "the quotation marks do not hold all that is before the @");
	return domain_read(slice_skip(text, 1), out->domain, err);
}

/* May it stand without quotes (RFC 5321 Dot-string)? */
static bool
is_dot_string(const char *local)
{
	size_t len = strlen(local), i;

	if (len == 0 || local[0] == '.' || local[len - 1] == '.' || strstr(local, "..") != NULL)
		return false;
	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)local[i];

		if (c < 0x80 && !is_letter_or_digit(c) && strchr(ATOM_SIGNS, c) == NULL)
			return false;
	}
	return true;
}

void
address_text(const struct address *a, char *out)
{
	const char *p;
	size_t len = 0;

	if (a->local[0] == '\0' || is_dot_string(a->local)) {
		len = strlen(a->local);
		memcpy(out, a->local, len);
	} else {
		out[len++] = '"';
		for (p = a->local; *p != '\0'; p++) {
			if (*p == '"' || *p == '\\')
				out[len++] = '\\';
			out[len++] = *p;
		}
		out[len++] = '"';
	}
	if (a->domain[0] != '\0')
		out[len++] = '@';
	strcpy(out + len, a->domain);
}

int
address_is_mailbox(const struct address *a, struct err *err)
{
	const char *p;

	if (a->local[0] == '\0' || a->domain[0] == '\0' || a->domain[0] == '[')
		return err_set(err, ERR_USAGE, "a mailbox is named like alice@example.org");
	if (!is_dot_string(a->local))
		return err_set(
		    err, ERR_USAGE, "a mailbox name has dots only between other characters");
	for (p = a->local; *p != '\0'; p++)
		if (!is_letter_or_digit((unsigned char)*p) && strchr(MAILBOX_SIGNS, *p) == NULL)
			return err_set(err, ERR_USAGE,
			    "a mailbox name may hold letters, digits and " MAILBOX_SIGNS);
	return 0;
}
