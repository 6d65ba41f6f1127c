/* auth_exchange - the SASL side of one login: from the client's first words to a user and a password,
 * or to a user and a proof
 *
 * libgsasl speaks PLAIN and LOGIN, auth_scram.c the rest; nothing is decided here. */
#ifndef STORAGE_AUTH_EXCHANGE_H
#define STORAGE_AUTH_EXCHANGE_H

#include "base/buf.h"
#include "base/err.h"
#include "storage/auth_scram.h"

#define EXCHANGE_MECHANISMS "SCRAM-SHA-256-PLUS, SCRAM-SHA-256, PLAIN and LOGIN"
#define EXCHANGE_INPUT_MAX 1024 /* bytes in one step */

enum exchange_state {
	EXCHANGE_MORE,  /* send the challenge, then step again */
	EXCHANGE_NAMED, /* the user is there and waits for a salt: exchange_salt, then step again */
	EXCHANGE_ASKED, /* user and password are there */
	EXCHANGE_PROOF, /* user and proof are there: exchange_prove; if it is good, send what it wrote and
			   step once more */
	EXCHANGE_DONE, /* the client has seen our own proof */
	EXCHANGE_BAD   /* what came is not of the mechanism's form, or for another connection */
};

struct exchange;

/* Once per process, before any other call and before confinement. */
int exchange_setup(struct err *err);
/* NULL: the mechanism is not offered (ERR_USAGE), or memory is gone (ERR_TEMPORARY). */
struct exchange *exchange_new(
    const char *mechanism, const struct scram_bindings *bindings, struct err *err);
void exchange_free(struct exchange **x);
/* Start: `initial` is the initial response, if the client sent one. The challenge goes to `out`. */
enum exchange_state exchange_start(
    struct exchange *x, bool has_initial, struct slice initial, struct buf *out);
enum exchange_state exchange_step(struct exchange *x, struct slice response, struct buf *out);
/* After EXCHANGE_NAMED, _ASKED or _PROOF; borrowed. Who it wants to act as (authzid) was the same or
 * empty. */
const char *exchange_user(const struct exchange *x);
/* After EXCHANGE_ASKED. */
const char *exchange_password(const struct exchange *x);
/* After EXCHANGE_NAMED: MORE with the challenge, or BAD. */
enum exchange_state exchange_salt(struct exchange *x, const struct verifier *salt, struct buf *out);
/* After EXCHANGE_PROOF: the slot that it proves, -1 none. */
int exchange_prove(struct exchange *x, const struct password_set *set, struct buf *out);

#endif
