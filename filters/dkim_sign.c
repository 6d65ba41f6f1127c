/* dkim_sign - signs one message with one key, header and body relaxed
 *
 * What readers see of a header is signed once more than it is there, so that nobody can add another. Fields that hops
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
#define HEADER_MAX (1024 * 1024) /* of a converted message */
#define PART (64 * 1024)

/* What is signed when it is there (RFC 6376 5.4.1). */
static const char *const signed_fields[] = { "from", "reply-to", "subject", "date", "to", "cc",
	"message-id", "in-reply-to", "references", "mime-version", "content-type",
	"content-transfer-encoding", "sender", "resent-date", "resent-from", "resent-to",
	"resent-cc", "list-id", "list-unsubscribe", "list-unsubscribe-post", NULL };
/* What readers see, and what says how the text is to be read: signed once more than it is there. */
static const char *const oversigned[] = { "from", "reply-to", "subject", "date", "to", "cc", "message-id",
	"mime-version", "content-type", "content-transfer-encoding", "sender", NULL };

const char *const *
dkim_signed_fields(void)
{
	return signed_fields;
}

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

/* The header, and as much of the body as came with it; *rest: what else did. -1: it is too long. */
static int
take_header(struct seven *s, struct buf *head, struct slice *rest)
{
	while ((*rest = seven_next(s)).len > 0) {
		while (rest->len > 0) {
			struct slice part = slice_first(*rest, PART);
			size_t from = head->len > 3 ? head->len - 3 : 0;

			if (buf_slice(head, part) == -1)
				return -1;
			*rest = slice_skip(*rest, part.len);
			if (memmem(head->at + from, head->len - from, "\r\n\r\n", 4) != NULL)
				return 0;
		}
	}
	return 0;
}

/* *midline: it ends within a line. */
static DKIM_STAT
give_body(DKIM *d, struct slice part, bool *midline)
{
	if (part.len == 0)
		return DKIM_STAT_OK;
	*midline = part.at[part.len - 1] != '\n';
	return dkim_body(d, (u_char *)part.at, part.len);
}

/* The message's header and body, as it is or converted. */
static DKIM_STAT
give_message(DKIM *d, struct slice message, struct seven *s)
{
	struct slice rest = { NULL, 0 };
	DKIM_STAT status = DKIM_STAT_NORESOURCE;
	bool midline = false;
	struct buf head;

	buf_init(&head, HEADER_MAX);
	if (s != NULL) {
		seven_rewind(s, NULL, 0);
		if (take_header(s, &head, &rest) == -1)
			goto end;
		message = buf_all(&head);
	}
	status = give_fields(d, &message);
	if (status == DKIM_STAT_OK)
		status = dkim_eoh(d);
	if (status == DKIM_STAT_OK)
		status = give_body(d, message, &midline);
	if (status == DKIM_STAT_OK)
		status = give_body(d, rest, &midline);
	while (status == DKIM_STAT_OK && s != NULL && (rest = seven_next(s)).len > 0)
		status = give_body(d, rest, &midline);
	/* a last line without an end counts as if it had one (RFC 6376 3.4.3); the library wants to see it */
	if (status == DKIM_STAT_OK && midline)
		status = give_body(d, SLICE("\r\n"), &midline);
end:
	buf_free(&head);
	return status;
}

static DKIM_STAT
run(DKIM *d, struct slice prefix, struct slice message, struct seven *seven)
{
	DKIM_STAT status = give_fields(d, &prefix);

	if (status == DKIM_STAT_OK)
		status = give_message(d, message, seven);
	if (status == DKIM_STAT_OK)
		status = dkim_eom(d, NULL);
	return status;
}

int
dkim_sign_message(const struct dkim_signer *key, struct slice prefix, struct slice message,
    struct seven *seven, int64_t now, struct buf *out, struct err *err)
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
		status = run(d, prefix, message, seven);
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
