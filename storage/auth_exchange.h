/* auth_exchange - the SASL side of one login: from the client's first words to a user and a
 * password
 *
 * libgsasl speaks the mechanisms; nothing is checked here. */
#ifndef STORAGE_AUTH_EXCHANGE_H
#define STORAGE_AUTH_EXCHANGE_H

#include "base/buf.h"
#include "base/err.h"

#define EXCHANGE_MECHANISMS "PLAIN LOGIN"
#define EXCHANGE_INPUT_MAX 1024 /* bytes in one step */

enum exchange_state {
	EXCHANGE_MORE,  /* send the challenge, then step again */
	EXCHANGE_ASKED, /* user and password are there */
	EXCHANGE_BAD    /* what came is not of the mechanism's form */
};

struct exchange;

/* Once per process, before any other call and before confinement. */
int exchange_setup(struct err *err);
/* NULL: the mechanism is not offered (ERR_USAGE), or memory is gone (ERR_TEMPORARY). */
struct exchange *exchange_new(const char *mechanism, struct err *err);
void exchange_free(struct exchange **x);
/* Start: `initial` is the initial response, if the client sent one. The challenge goes to `out`. */
enum exchange_state exchange_start(
    struct exchange *x, bool has_initial, struct slice initial, struct buf *out);
enum exchange_state exchange_step(struct exchange *x, struct slice response, struct buf *out);
/* After EXCHANGE_ASKED; borrowed. Who it wants to act as (authzid) was the same or empty. */
const char *exchange_user(const struct exchange *x);
const char *exchange_password(const struct exchange *x);

#endif
