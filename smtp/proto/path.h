/* path - the address in MAIL FROM:<...> and RCPT TO:<...> (RFC 5321 4.1.2, 6531 3.3)
 *
 * Strict where it matters (no control character, no bare special, limits) and no stricter: a local
 * part may be longer than 64 octets, since RFC 5321 4.5.3.1 asks for no limit where none is needed
 * and long ones are seen in bounce addresses. Source routes are read and stripped, as appendix C
 * says. UTF-8 may stand in both parts, but no character that cannot be seen: whether it is allowed
 * (SMTPUTF8) the caller says, whom `utf8` tells that some was there. A domain in UTF-8 is looked at for
 * that alone; what it means, who looks it up has to find out (storage/address.h). */
#ifndef SMTP_PROTO_PATH_H
#define SMTP_PROTO_PATH_H

#include "base/envelope.h"

#define PATH_LOCAL_MAX 192
#define PATH_DOMAIN_MAX 255

enum path_status {
	PATH_OK,
	PATH_SYNTAX,    /* 501 5.1.3 / 5.1.7 */
	PATH_NO_DOMAIN, /* "<user>": only "<postmaster>" may */
	PATH_TOO_LONG,
	PATH_NOT_UTF8 /* bytes beyond ASCII that are no UTF-8, or cannot be seen: 553 5.6.7 */
};

struct path {
	char text[ADDRESS_MAX]; /* "local@domain", quoted only where needed; "" is the null path */
	size_t at; /* where the '@' stands; the length of the text when there is none */
	bool utf8; /* not only ASCII: needs SMTPUTF8, else 553 5.6.7 */
};

/* Read "<...>" at the front of *rest (an address without brackets too, up to a blank), and move
 * *rest behind it. */
enum path_status path_read(struct slice *rest, struct path *out);
/* Why not, in words for a reply. */
const char *path_why(enum path_status status);
/* "" when there is none. */
struct slice path_domain(const struct path *p);
struct slice path_local(const struct path *p);
/* Is `s` a host name or an address literal "[192.0.2.1]", "[IPv6:2001:db8::1]"? */
bool path_is_domain(struct slice s);
/* May a client call itself so in EHLO (RFC 5321 4.1.1.1)? A domain, an address literal, or, since many
 * clients know no better, any word of letters, digits and "-._:". */
bool path_is_greeting(struct slice s);
/* The same address: local parts compared to the letter, domains without regard to case. */
bool path_same(const char *a, const char *b);

#endif
