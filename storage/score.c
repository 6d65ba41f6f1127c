/* score - token counts for the statistical classifier, in score.db
 *
 * Counts are rows (token, spam, ham). Moving a message from one class to the other takes its counts
 * away there and adds them here, so a mistake in learning can be undone by learning it right.
 *
 * Errors: those of SQLite, by db_error; a reader that meets one scores without the classifier. */
#include "storage/score.h"

#include <stdlib.h>

struct score {
	sqlite3 *db;
	sqlite3_stmt *totals, *token, *count, *begin, *end, *add, *seen, *remember, *tally;
};

static const struct db_migration steps[] = {
	{ "CREATE TABLE totals(class INTEGER PRIMARY KEY, messages INTEGER NOT NULL);"
	  "INSERT INTO totals VALUES(0, 0), (1, 0);"
	  "CREATE TABLE tokens(token INTEGER PRIMARY KEY, spam INTEGER NOT NULL, ham INTEGER NOT "
	  "NULL);"
	  "CREATE TABLE messages(digest INTEGER PRIMARY KEY, class INTEGER NOT NULL);" },
};

const struct db_schema score_schema = { "score.db", steps, COUNT(steps), 0, false };

static int
prepare_reading(struct score *s, struct err *err)
{
	s->totals = db_prepare(s->db,
	    "SELECT (SELECT messages FROM totals WHERE class=1), (SELECT messages FROM totals "
	    "WHERE class=0)",
	    err);
	s->token = db_prepare(s->db, "SELECT spam, ham FROM tokens WHERE token=?", err);
	s->count = db_prepare(s->db, "SELECT count(*) FROM tokens", err);
	s->begin = db_prepare(s->db, "BEGIN", err);
	s->end = db_prepare(s->db, "COMMIT", err);
	return s->totals != NULL && s->token != NULL && s->count != NULL && s->begin != NULL &&
		       s->end != NULL
		   ? 0
		   : -1;
}

static int
prepare_writing(struct score *s, struct err *err)
{
	s->add = db_prepare(s->db,
	    "INSERT INTO tokens VALUES(?1, max(?2,0), max(?3,0)) ON CONFLICT(token) DO UPDATE SET "
	    "spam=max(spam+?2,0), ham=max(ham+?3,0)",
	    err);
	s->seen = db_prepare(s->db, "SELECT class FROM messages WHERE digest=?", err);
	s->remember = db_prepare(s->db, "INSERT OR REPLACE INTO messages VALUES(?,?)", err);
	s->tally =
	    db_prepare(s->db, "UPDATE totals SET messages=max(messages+?2,0) WHERE class=?1", err);
	return s->add != NULL && s->seen != NULL && s->remember != NULL && s->tally != NULL ? 0
											    : -1;
}

struct score *
score_open(enum db_mode mode, struct err *err)
{
	struct score *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		err_sys(err, "score");
		return NULL;
	}
	s->db = db_open(&score_schema, mode, err);
	if (s->db == NULL || prepare_reading(s, err) == -1 ||
	    (mode != DB_READ && prepare_writing(s, err) == -1))
		score_close(&s);
	return s;
}

void
score_close(struct score **sp)
{
	struct score *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	db_done(&s->totals);
	db_done(&s->token);
	db_done(&s->count);
	db_done(&s->begin);
	db_done(&s->end);
	db_done(&s->add);
	db_done(&s->seen);
	db_done(&s->remember);
	db_done(&s->tally);
	db_close(&s->db);
	free(s);
}

int
score_begin(struct score *s, struct err *err)
{
	return db_run(s->db, s->begin, err);
}

void
score_end(struct score *s)
{
	if (db_run(s->db, s->end, NULL) == -1)
		db_exec(s->db, "ROLLBACK", NULL);
}

int
score_totals(struct score *s, bool with_tokens, struct score_totals *out, struct err *err)
{
	*out = (struct score_totals){ 0 };
	switch (db_step(s->db, s->totals, err)) {
	case -1:
		return -1;
	case 1:
		out->spam = db_i64(s->totals, 0);
		out->ham = db_i64(s->totals, 1);
		sqlite3_reset(s->totals);
	}
	if (!with_tokens)
		return 0;
	switch (db_step(s->db, s->count, err)) {
	case -1:
		return -1;
	case 1:
		out->tokens = db_i64(s->count, 0);
		sqlite3_reset(s->count);
	}
	return 0;
}

int
score_token(struct score *s, uint64_t token, uint64_t *spam, uint64_t *ham, struct err *err)
{
	int found;

	*spam = *ham = 0;
	db_bind_i64(s->token, 1, (int64_t)token);
	found = db_step(s->db, s->token, err);
	if (found != 1)
		return found;
	*spam = db_i64(s->token, 0);
	*ham = db_i64(s->token, 1);
	sqlite3_reset(s->token);
	return 0;
}

/* Add `by` (1 or -1) for a message of this class. */
static int
count_message(struct score *s, enum score_class class, int by, const uint64_t *tokens, size_t n,
    struct err *err)
{
	db_bind_i64(s->tally, 1, class);
	db_bind_i64(s->tally, 2, by);
	if (db_run(s->db, s->tally, err) == -1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		db_bind_i64(s->add, 1, (int64_t)tokens[i]);
		db_bind_i64(s->add, 2, class == SCORE_SPAM ? by : 0);
		db_bind_i64(s->add, 3, class == SCORE_HAM ? by : 0);
		if (db_run(s->db, s->add, err) == -1)
			return -1;
	}
	return 0;
}

/* The same for every order of the tokens. */
static int64_t
digest_of(const uint64_t *tokens, size_t n)
{
	uint64_t sum = n, mix = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t x = (tokens[i] ^ tokens[i] >> 31) * UINT64_C(0x9e3779b97f4a7c15);

		sum += x;
		mix ^= (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
	}
	return (int64_t)(sum ^ mix);
}

/* The class the message was learned as; -1 never, -2 + err. */
static int
class_of(struct score *s, int64_t digest, struct err *err)
{
	int found, class;

	db_bind_i64(s->seen, 1, digest);
	found = db_step(s->db, s->seen, err);
	if (found != 1)
		return found == 0 ? -1 : -2;
	class = (int)db_i64(s->seen, 0);
	sqlite3_reset(s->seen);
	return class;
}

static int
learn(struct score *s, enum score_class as, const uint64_t *tokens, size_t n, bool *changed,
    struct err *err)
{
	int64_t digest = digest_of(tokens, n);
	int was = class_of(s, digest, err);

	if (was == -2)
		return -1;
	if (was == (int)as)
		return 0;
	*changed = true;
	if (was != -1 && count_message(s, (enum score_class)was, -1, tokens, n, err) == -1)
		return -1;
	db_bind_i64(s->remember, 1, digest);
	db_bind_i64(s->remember, 2, as);
	if (db_run(s->db, s->remember, err) == -1)
		return -1;
	return count_message(s, as, 1, tokens, n, err);
}

int
score_learn(struct score *s, enum score_class as, const uint64_t *tokens, size_t n, bool *changed,
    struct err *err)
{
	*changed = false;
	if (n == 0)
		return err_set(err, ERR_USAGE, "there is no text in it to learn from");
	if (n > SCORE_TOKENS_MAX)
		n = SCORE_TOKENS_MAX;
	if (db_exec(s->db, "BEGIN IMMEDIATE", err) == -1)
		return -1;
	if (learn(s, as, tokens, n, changed, err) == -1) {
		db_exec(s->db, "ROLLBACK", NULL);
		return -1;
	}
	return db_exec(s->db, "COMMIT", err);
}
