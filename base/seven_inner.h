/* seven_inner - what the files seven*.c share */
#ifndef BASE_SEVEN_INNER_H
#define BASE_SEVEN_INNER_H

#include "base/buf.h"
#include "base/seven.h"

#define SEVEN_LINE_MAX 998	/* RFC 5322 2.1.1 */
#define SEVEN_DEPTH_MAX 24	/* parts in parts */
#define SEVEN_EDITS_MAX 8192
#define SEVEN_BOUNDARY_MAX 200	/* RFC 2046 5.1.1 says 70 */
#define SEVEN_EXTRA_MAX 4	/* further Content-Transfer-Encoding fields of one header */
#define SEVEN_PIECE (12 * 1024)

struct range {
	size_t at, len;
};

/* -- seven_head.c: what a header says about the body below it */

enum seven_kind { KIND_LEAF, KIND_MULTIPART, KIND_MESSAGE, KIND_OPAQUE };
enum seven_encoding { ENC_NONE, ENC_7BIT, ENC_8BIT, ENC_BINARY, ENC_QUOTED, ENC_BASE64, ENC_OTHER };

struct entity {
	enum seven_kind kind;
	enum seven_encoding encoding;
	bool version, typed;	/* MIME-Version, Content-Type are there */
	bool text;		/* text/... */
	bool seals;		/* multipart/signed, multipart/encrypted */
	bool digest;		/* multipart/digest: untyped parts are messages */
	struct range field;	/* the first Content-Transfer-Encoding */
	struct range extra[SEVEN_EXTRA_MAX];
	unsigned n_extra;
	bool odd;		/* more of them than that */
	char boundary[SEVEN_BOUNDARY_MAX + 1];
	size_t header_end;	/* where fields can be added */
	size_t body_at;
	bool no_blank;		/* no empty line stands between them */
};

/* Is it the first line of a field? */
bool seven_is_field(struct slice line);
/* `at`: where the field (all its lines) stands in the message. */
void seven_read_field(struct entity *e, struct slice field, size_t at);

/* -- seven_code.c: bytes into other bytes */

enum seven_code {
	CODE_QUOTED,		/* quoted-printable */
	CODE_QUOTED_MEND,	/* says it is quoted-printable, but is not all so */
	CODE_BASE64,
	CODE_BASE64_MEND
};

struct coder {
	enum seven_code code;
	struct slice rest;
	bool ends;		/* the message ends here: end the last line */
	bool begun, ended;
	unsigned column;
	const char *blanks_end;	/* of the run of blanks looked at last; NULL: none yet */
	bool blanks_trail;
};

/* Append about SEVEN_PIECE bytes to `out`; false: that was all. */
bool seven_code(struct coder *c, struct buf *out);

/* -- the plan */

enum { /* what an edit puts in, in this order */
	PUT_VERSION = 1,
	PUT_TYPE_UTF8 = 2,
	PUT_TYPE_UNKNOWN = 4,
	PUT_7BIT = 8,
	PUT_8BIT = 16,
	PUT_QUOTED = 32,
	PUT_BASE64 = 64,
	PUT_BLANK = 128
};

struct edit {
	struct range of;	/* the bytes that it replaces */
	bool codes;		/* by `code` of them; otherwise by `puts` */
	bool ends;
	enum seven_code code;
	unsigned puts;
};

/* junk: before the first and behind the last part of a multipart */
enum where { IN_HEADER, IN_LEAF, IN_JUNK };

struct seven {
	struct slice message;
	enum seven_target target;
	enum seven_status status;
	const char *why, *enhanced;
	/* the look through it */
	size_t at;
	bool looked;		/* all of it was seen; its new size is being counted */
	enum where where;
	struct entity now;
	struct range field;	/* the one being read; len 0: none */
	struct entity open[SEVEN_DEPTH_MAX];
	unsigned n_open, sealed_from;	/* sealed_from: how deep; 0: nothing is */
	size_t junk_at;
	struct {		/* of the leaf or junk */
		bool eight, bare, nul, tall, utf8;
		size_t special;	/* bytes that quoted-printable makes longer */
	} seen;
	struct edit *edits;
	size_t n_edits, room;
	bool changed;		/* an edit that is needed, not only one that goes along */
	uint64_t size;
	/* the way out */
	const struct cut *cuts;
	size_t n_cuts, i_cut, i_edit, pos;
	bool coding;
	struct coder coder;
	struct buf out;
};

#endif
