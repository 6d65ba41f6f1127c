/* mime - reads a message as it is: header fields, parts, decoded text
 *
 * Nothing is copied but decoded text, which goes to the sink in small pieces; depth, parts, fields
 * and header sizes have ceilings. Broken messages are read as far as they make sense, and what was
 * odd about them is told. */
#ifndef FILTERS_MIME_H
#define FILTERS_MIME_H

#include "base/buf.h"

#define MIME_DEPTH_MAX 16
#define MIME_PARTS_MAX 1000
#define MIME_FIELDS_MAX 1000 /* of one header */
#define MIME_HEADER_MAX (256 * 1024)

struct mime_field {
	struct slice whole; /* with its line end */
	struct slice name;  /* empty: the line is no field */
	struct slice value; /* behind the colon, line ends of folding inside, none at the end */
};

/* The next field; false at the end of the header: *rest is then the body. */
bool mime_field_next(struct slice *rest, struct mime_field *f);

/* The value on one line, blanks trimmed. */
void mime_unfold(struct slice value, struct buf *out);
/* The same with encoded words (RFC 2047) decoded; charsets are left as they are. */
void mime_decode_words(struct slice value, struct buf *out);
/* A parameter of a structured field: text/plain; NAME=value. Knows quotes and the NAME*=, NAME*0=
 * forms. false: absent. */
bool mime_param(struct slice value, const char *name, char *out, size_t size);

enum mime_encoding { MIME_PLAIN, MIME_BASE64, MIME_QUOTED };

struct mime_part {
	char type[80]; /* "text/html", lower case */
	char boundary[80];
	char filename[256]; /* "" when it has none */
	enum mime_encoding encoding;
	bool attached; /* Content-Disposition: attachment */
	unsigned depth;
};

struct mime_sink {
	void *arg;
	void (*part)(void *arg, const struct mime_part *part); /* may be NULL */
	/* Are this part's bytes wanted, too, as they are once decoded? They go to text(); may be NULL. */
	bool (*want)(void *arg, const struct mime_part *part);
	/* decoded text of a text/... part that is no attachment, piece by piece; may be NULL */
	void (*text)(void *arg, const struct mime_part *part, struct slice bytes);
};

struct mime_facts {
	unsigned parts, depth;
	bool cut;  /* a ceiling was reached: not all was read */
	bool open; /* a boundary was never closed */
};

void mime_read(struct slice message, const struct mime_sink *sink, struct mime_facts *facts);

#endif
