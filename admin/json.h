/* json - writes one JSON document (RFC 8259), indented, always valid UTF-8 */
#ifndef ADMIN_JSON_H
#define ADMIN_JSON_H

#include "base/buf.h"

#define JSON_DEPTH_MAX 16

struct json {
	struct buf *out;
	unsigned depth;
	bool filled[JSON_DEPTH_MAX]; /* has this level an item yet? */
	bool keyed;                  /* a key was just written: the value follows it */
};

void json_init(struct json *j, struct buf *out);
/* '{' or '[' ... */
void json_open(struct json *j, char bracket);
/* ... and '}' or ']'. The outermost one ends the document with a newline. */
void json_close(struct json *j, char bracket);
void json_key(struct json *j, const char *key);
/* Bytes that are no UTF-8 become U+FFFD. */
void json_text(struct json *j, const char *text);
void json_number(struct json *j, int64_t n);
/* Thousandths: 1500 is 1.5. */
void json_milli(struct json *j, int64_t n);
void json_bool(struct json *j, bool yes);
void json_null(struct json *j);
/* A key and its text, in one. */
void json_pair(struct json *j, const char *key, const char *text);

#endif
