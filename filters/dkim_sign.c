/* dkim_sign - signs one message with one key, header and body relaxed
 *
 * From is signed once more than it is there, so that nobody can add a second one. Fields that hops
 * write (Received and the like) are not signed.
 *
 * Errors: ERR_TEMPORARY with the library's reason. */
#include "filters/dkim_sign.h"

#include <ctype.h>
#include <opendkim/dkim.h>
#include <stdlib.h>
#include <string.h>

#include "filters/mime.h"

#define FIELD "DKIM-Signature: "

/* What is signed when it is there (RFC 6376 5.4.1). */
static const char *const signed_fields[] = { "from", "reply-to", "subject", "date", "to", "cc",
	"message-id", "in-reply-to", "references", "mime-version", "content-type",
	"content-transfer-encoding", "sender", "resent-date", "resent-from", "resent-to",
	"resent-cc", "list-id", "list-unsubscribe", "list-unsubscribe-post", NULL };
static const char *const oversigned[] = { "from", NULL };

static DKIM_LIB *
library(void)
{
	static DKIM_LIB *lib;

	if (lib != NULL || (lib = dkim_init(NULL, NULL)) == NULL)
		return lib;
	if (dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_SIGNHDRS, (void *)signed_fields,
		sizeof(u_char **)) != DKIM_STAT_OK ||
	    dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_OVERSIGNHDRS, (void *)oversigned,
		sizeof(u_char **)) != DKIM_STAT_OK) {
		dkim_close(lib);
		lib = NULL;
	}
	return lib;
}

static bool
is_signed(struct slice name)
{
	for (size_t i = 0; signed_fields[i] != NULL; i++)
		if (slice_eq_nocase(name, slice_of(signed_fields[i])))
			return true;
	return false;
}

/* Hand over the fields that are signed; *rest is then the body. */
static DKIM_STAT
give_fields(DKIM *d, struct slice *rest)
{
	struct mime_field f;

	while (rest->len > 0 && mime_field_next(rest, &f)) {
		struct slice text = f.whole;
		DKIM_STAT status;

		/* the library reads past the end of a field with a NUL */
		if (!is_signed(f.name) || memchr(text.at, '\0', text.len) != NULL)
			continue;
		while (text.len > 0 &&
		       (text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '\r'))
			text.len--;
		status = dkim_header(d, (u_char *)text.at, text.len);
		if (status != DKIM_STAT_OK)
			return status;
	}
	return DKIM_STAT_OK;
}

static DKIM_STAT
run(DKIM *d, struct slice prefix, struct slice message)
{
	DKIM_STAT status = give_fields(d, &prefix);

	if (status == DKIM_STAT_OK)
		status = give_fields(d, &message);
	if (status == DKIM_STAT_OK)
		status = dkim_eoh(d);
	if (status == DKIM_STAT_OK && message.len > 0)
		status = dkim_body(d, (u_char *)message.at, message.len);
	if (status == DKIM_STAT_OK)
		status = dkim_eom(d, NULL);
	return status;
}

int
dkim_sign_message(const struct dkim_signer *key, struct slice prefix, struct slice message,
    int64_t now, struct buf *out, struct err *err)
{
	DKIM_LIB *lib = library();
	uint64_t seconds = (uint64_t)(now / 1000000);
	DKIM_STAT status = DKIM_STAT_NORESOURCE;
	u_char *text = NULL;
	size_t len = 0;
	DKIM *d = NULL;
	const char *why;

	if (lib != NULL) {
		dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_FIXEDTIME, &seconds, sizeof(seconds));
		d = dkim_sign(lib, (const u_char *)"message", NULL, (dkim_sigkey_t)key->pem,
		    (const u_char *)key->selector, (const u_char *)key->domain, DKIM_CANON_RELAXED,
		    DKIM_CANON_RELAXED,
		    key->algorithm == DKIM_ED25519 ? DKIM_SIGN_ED25519SHA256 : DKIM_SIGN_RSASHA256,
		    -1, &status);
	}
	if (d != NULL)
		status = run(d, prefix, message);
	if (d != NULL && status == DKIM_STAT_OK)
		status = dkim_getsighdr_d(d, sizeof(FIELD) - 1, &text, &len);
	if (d != NULL && status == DKIM_STAT_OK)
		buf_printf(out, FIELD "%.*s\r\n", (int)len, (const char *)text);
	why = d != NULL ? dkim_geterror(d) : NULL;
	if (status != DKIM_STAT_OK || out->failed)
		err_set(err, ERR_TEMPORARY, "signing for %s with %s failed: %s", key->domain,
		    key->selector, why != NULL ? why : "no reason given");
	if (d != NULL)
		dkim_free(d);
	return status == DKIM_STAT_OK && !out->failed ? 0 : -1;
}

/* -- whose is it? */

struct author {
	struct buf text;
	bool quoted, in_angle, had_angle;
	unsigned depth; /* of comments */
};

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A character that is in no quoted string and no comment; false: this is no single mailbox. */
static bool
take_plain(struct author *a, char c)
{
	switch (c) {
	case '<':
		if (a->had_angle)
			return false;
		a->had_angle = a->in_angle = true;
		buf_reset(&a->text);
		return true;
	case '>':
		if (!a->in_angle)
			return false;
		a->in_angle = false;
		return true;
	case ',': /* several, or a group */
	case ';':
	case ')':
	case '\\':
		return false;
	}
	if (is_space(c))
		return true;
	if (a->had_angle && !a->in_angle)
		return false;
	a->quoted = c == '"';
	return buf_char(&a->text, c) == 0;
}

/* The address of a mailbox: what stands in <>, else all of it without blanks and comments. */
static bool
one_address(struct author *a, struct slice value)
{
	for (size_t i = 0; i < value.len; i++) {
		char c = value.at[i];

		if (a->depth > 0 || (!a->quoted && c == '(')) {
			i += c == '\\';
			a->depth += c == '(' ? 1 : c == ')' ? -1u : 0;
		} else if (a->quoted) {
			buf_char(&a->text, c);
			if (c == '\\' && i + 1 < value.len)
				buf_char(&a->text, value.at[++i]);
			a->quoted = c != '"';
		} else if (!take_plain(a, c)) {
			return false;
		}
	}
	return !a->quoted && a->depth == 0 && !a->in_angle && !a->text.failed;
}

static bool
address_of(struct slice value, char out[static DKIM_AUTHOR_SIZE])
{
	struct author a = { .depth = 0 };
	char *at;
	bool ok;

	buf_init(&a.text, DKIM_AUTHOR_SIZE);
	ok = one_address(&a, value) && slice_copy(buf_all(&a.text), out, DKIM_AUTHOR_SIZE);
	buf_free(&a.text);
	at = ok ? strrchr(out, '@') : NULL;
	if (at == NULL || at[1] == '\0')
		return false;
	for (; *at != '\0'; at++)
		*at = (char)tolower((unsigned char)*at);
	return true;
}

bool
dkim_sign_author(struct slice prefix, struct slice message, char out[static DKIM_AUTHOR_SIZE])
{
	struct slice part[2] = { prefix, message }, from = { NULL, 0 };
	struct mime_field f;
	unsigned n = 0;

	for (int i = 0; i < 2; i++)
		while (part[i].len > 0 && mime_field_next(&part[i], &f))
			if (slice_eq_nocase(f.name, SLICE("From")) && n++ == 0)
				from = f.value;
	return n == 1 && address_of(from, out);
}
