/* history - what happened to every message, kept for the trace
 *
 * Empty texts are left out of the indexes, so an event costs the insert and one index entry for
 * each thing it really names. A question is answered in two steps: the events that name the thing,
 * then all events of their messages.
 *
 * Errors: those of db.c; a failed batch leaves nothing behind. */
#include "storage/history.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/qid.h"

#define MESSAGES_MAX 1000 /* that one question looks at, the newest ones */

/* `keyed` is 1 where sender, IP, Message-ID and user are indexed: in events of no message, and in
 * the first ones of a message. Later events are found by its queue id. */
static const struct db_migration steps[] = {
	{ "CREATE TABLE event ("
	  " seq INTEGER PRIMARY KEY,"
	  " time INTEGER NOT NULL,"
	  " qid INTEGER NOT NULL,"
	  " event INTEGER NOT NULL,"
	  " role INTEGER NOT NULL,"
	  " keyed INTEGER NOT NULL,"
	  " text TEXT NOT NULL,"
	  " sender TEXT NOT NULL COLLATE NOCASE,"
	  " recipient TEXT NOT NULL COLLATE NOCASE,"
	  " ip TEXT NOT NULL,"
	  " msgid TEXT NOT NULL,"
	  " user TEXT NOT NULL COLLATE NOCASE);"
	  "CREATE INDEX event_qid ON event (qid) WHERE qid <> 0;"
	  "CREATE INDEX event_sender ON event (sender, time) WHERE sender <> '' AND keyed = 1;"
	  "CREATE INDEX event_recipient ON event (recipient, time) WHERE recipient <> '';"
	  "CREATE INDEX event_ip ON event (ip, time) WHERE ip <> '' AND keyed = 1;"
	  "CREATE INDEX event_msgid ON event (msgid) WHERE msgid <> '' AND keyed = 1;"
	  "CREATE INDEX event_user ON event (user, time) WHERE user <> '' AND keyed = 1;" },
	/* history_tls.c */
	{ "CREATE TABLE tls_session ("
	  " day INTEGER NOT NULL,"
	  " domain TEXT NOT NULL,"
	  " type TEXT NOT NULL,"
	  " lines TEXT NOT NULL,"
	  " host TEXT NOT NULL,"
	  " ip TEXT NOT NULL,"
	  " own_ip TEXT NOT NULL,"
	  " result TEXT NOT NULL,"
	  " why TEXT NOT NULL,"
	  " sessions INTEGER NOT NULL,"
	  " PRIMARY KEY (day, domain, type, lines, host, ip, own_ip, result, why)) WITHOUT ROWID;"
	  "CREATE TABLE sts_policy ("
	  " domain TEXT PRIMARY KEY,"
	  " id TEXT NOT NULL,"
	  " fetched INTEGER NOT NULL,"
	  " expires INTEGER NOT NULL,"
	  " text TEXT NOT NULL) WITHOUT ROWID;" },
	/* history_received.c */
	{ "CREATE TABLE received ("
	  " id INTEGER PRIMARY KEY,"
	  " kind INTEGER NOT NULL,"
	  " domain TEXT NOT NULL COLLATE NOCASE,"
	  " org TEXT NOT NULL,"
	  " report TEXT NOT NULL,"
	  " sender TEXT NOT NULL COLLATE NOCASE,"
	  " proven INTEGER NOT NULL,"
	  " contact TEXT NOT NULL,"
	  " begins INTEGER NOT NULL,"
	  " ends INTEGER NOT NULL,"
	  " policy TEXT NOT NULL,"
	  " note TEXT NOT NULL,"
	  " taken INTEGER NOT NULL,"
	  " qid INTEGER NOT NULL,"
	  " rows INTEGER NOT NULL,"
	  " complete INTEGER NOT NULL,"
	  " UNIQUE (kind, domain, org, report, sender));"
	  "CREATE INDEX received_ends ON received (kind, domain, ends);"
	  "CREATE TABLE received_dmarc ("
	  " received INTEGER NOT NULL,"
	  " row INTEGER NOT NULL,"
	  " messages INTEGER NOT NULL,"
	  " ip TEXT NOT NULL,"
	  " disposition TEXT NOT NULL,"
	  " dkim TEXT NOT NULL,"
	  " spf TEXT NOT NULL,"
	  " reason TEXT NOT NULL,"
	  " header_from TEXT NOT NULL,"
	  " envelope_from TEXT NOT NULL,"
	  " dkim_auth TEXT NOT NULL,"
	  " spf_auth TEXT NOT NULL,"
	  " PRIMARY KEY (received, row)) WITHOUT ROWID;"
	  "CREATE TABLE received_tls ("
	  " received INTEGER NOT NULL,"
	  " row INTEGER NOT NULL,"
	  " sessions INTEGER NOT NULL,"
	  " policy TEXT NOT NULL,"
	  " domain TEXT NOT NULL COLLATE NOCASE,"
	  " mx TEXT NOT NULL,"
	  " result TEXT NOT NULL,"
	  " sender_ip TEXT NOT NULL,"
	  " host TEXT NOT NULL,"
	  " host_ip TEXT NOT NULL,"
	  " reason TEXT NOT NULL,"
	  " info TEXT NOT NULL,"
	  " PRIMARY KEY (received, row)) WITHOUT ROWID;"
	  "CREATE INDEX received_tls_domain ON received_tls (domain, received);"
	  "CREATE TABLE received_bad ("
	  " kind INTEGER NOT NULL,"
	  " sender TEXT NOT NULL COLLATE NOCASE,"
	  " domain TEXT NOT NULL COLLATE NOCASE,"
	  " file TEXT NOT NULL,"
	  " why TEXT NOT NULL,"
	  " taken INTEGER NOT NULL,"
	  " qid INTEGER NOT NULL,"
	  " PRIMARY KEY (kind, sender, domain, file)) WITHOUT ROWID;" },
	/* history_dmarc.c */
	{ "CREATE TABLE dmarc_seen ("
	  " id INTEGER PRIMARY KEY AUTOINCREMENT,"
	  " start INTEGER NOT NULL,"
	  " until INTEGER NOT NULL,"
	  " domain TEXT NOT NULL,"
	  " organization TEXT NOT NULL,"
	  " policy TEXT NOT NULL,"
	  " rua TEXT NOT NULL,"
	  " dropped INTEGER NOT NULL,"
	  " tries INTEGER NOT NULL,"
	  " next INTEGER NOT NULL,"
	  " UNIQUE (start, domain));"
	  "CREATE INDEX dmarc_seen_next ON dmarc_seen (next);"
	  "CREATE TABLE dmarc_seen_row ("
	  " id INTEGER PRIMARY KEY AUTOINCREMENT,"
	  " seen INTEGER NOT NULL,"
	  " ip TEXT NOT NULL,"
	  " disposition TEXT NOT NULL,"
	  " dkim TEXT NOT NULL,"
	  " spf TEXT NOT NULL,"
	  " reasons TEXT NOT NULL,"
	  " header_from TEXT NOT NULL,"
	  " envelope_from TEXT NOT NULL,"
	  " results TEXT NOT NULL,"
	  " messages INTEGER NOT NULL,"
	  " UNIQUE (seen, ip, disposition, dkim, spf, reasons, header_from, envelope_from, results));"
	  "CREATE TABLE report_sent ("
	  " report TEXT NOT NULL,"
	  " destination TEXT NOT NULL,"
	  " time INTEGER NOT NULL,"
	  " PRIMARY KEY (report, destination)) WITHOUT ROWID;" },
	/* history_tls_report.c */
	{ "CREATE TABLE tls_report ("
	  " id INTEGER PRIMARY KEY AUTOINCREMENT,"
	  " start INTEGER NOT NULL,"
	  " until INTEGER NOT NULL,"
	  " domain TEXT NOT NULL,"
	  " tries INTEGER NOT NULL,"
	  " next INTEGER NOT NULL);"
	  "CREATE INDEX tls_report_next ON tls_report (next);"
	  "CREATE TABLE tls_report_row ("
	  " report INTEGER NOT NULL,"
	  " type TEXT NOT NULL,"
	  " lines TEXT NOT NULL,"
	  " host TEXT NOT NULL,"
	  " ip TEXT NOT NULL,"
	  " own_ip TEXT NOT NULL,"
	  " result TEXT NOT NULL,"
	  " why TEXT NOT NULL,"
	  " sessions INTEGER NOT NULL);"
	  "CREATE INDEX tls_report_row_report ON tls_report_row (report);" },
	/* why a report waits: history_waiting.c */
	{ "ALTER TABLE dmarc_seen ADD COLUMN why TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE tls_report ADD COLUMN why TEXT NOT NULL DEFAULT '';" },
};

const struct db_schema history_schema = { "history.db", steps, COUNT(steps), 0, false };

#define COLUMNS "seq, time, qid, event, role, text, sender, recipient, ip, msgid, user"
#define HITS "SELECT seq, qid FROM event WHERE "
/* From the events that name the thing (`hit`) to the whole story of their messages. */
#define STORY                                                                                      \
	" SELECT * FROM ("                                                                         \
	"  SELECT " COLUMNS " FROM event WHERE qid IN"                                             \
	"   (SELECT qid FROM hit WHERE qid <> 0 GROUP BY qid ORDER BY max(seq) DESC LIMIT ?4)"     \
	"   AND qid <> 0 AND seq > ?3"                                                             \
	"  UNION"                                                                                  \
	"  SELECT " COLUMNS " FROM event WHERE seq IN (SELECT seq FROM hit) AND seq > ?3"          \
	"  ORDER BY seq DESC LIMIT ?5)"                                                            \
	" ORDER BY time, seq"

static const char *const finders[] = {
	[HISTORY_QID] =
	    "WITH hit(seq, qid) AS (" HITS "qid = ?1 AND qid <> 0 AND time >= ?2)" STORY,
	[HISTORY_MAIL] = "WITH hit(seq, qid) AS (" HITS
			 "msgid = ?1 AND msgid <> '' AND keyed = 1 AND time >= ?2 UNION " HITS
			 "sender = ?1 AND sender <> '' AND keyed = 1 AND time >= ?2 UNION " HITS
			 "recipient = ?1 AND recipient <> '' AND time >= ?2 UNION " HITS
			 "user = ?1 AND user <> '' AND keyed = 1 AND time >= ?2)" STORY,
	[HISTORY_IP] = "WITH hit(seq, qid) AS (" HITS
		       "ip = ?1 AND ip <> '' AND keyed = 1 AND time >= ?2)" STORY,
};

struct history {
	sqlite3 *db;
	sqlite3_stmt *add; /* made at the first event */
};

struct history *
history_open(enum db_mode mode, struct err *err)
{
	struct history *h = calloc(1, sizeof(*h));

	if (h == NULL) {
		err_sys(err, "history");
		return NULL;
	}
	h->db = db_open(&history_schema, mode, err);
	/* WAL with NORMAL stays whole after a power cut; only the last batches may be missing. */
	if (h->db == NULL ||
	    (mode != DB_READ &&
		db_exec(h->db, "PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16384", err) == -1))
		history_close(&h);
	return h;
}

void
history_close(struct history **h)
{
	if (*h == NULL)
		return;
	if ((*h)->add != NULL)
		db_done(&(*h)->add);
	if ((*h)->db != NULL)
		db_close(&(*h)->db);
	free(*h);
	*h = NULL;
}

sqlite3 *
history_db(struct history *h)
{
	return h->db;
}

/* Bound as text of a given length: long ones are cut, at a whole character. */
static void
bind_cut(sqlite3_stmt *s, int i, const char *text)
{
	size_t len = text != NULL ? strlen(text) : 0;

	if (len > HISTORY_TEXT_MAX) {
		len = HISTORY_TEXT_MAX;
		while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	}
	sqlite3_bind_text(s, i, text != NULL ? text : "", (int)len, SQLITE_STATIC);
}

/* Kept without its <>, as people often write it. */
static void
bind_msgid(sqlite3_stmt *s, int i, const char *text)
{
	size_t len = text != NULL ? strlen(text) : 0;

	if (len > 2 && len <= HISTORY_TEXT_MAX && text[0] == '<' && text[len - 1] == '>')
		sqlite3_bind_text(s, i, text + 1, (int)len - 2, SQLITE_STATIC);
	else
		bind_cut(s, i, text);
}

static bool
is_keyed(const struct history_event *e)
{
	return e->qid == 0 || e->event == EVENT_ACCEPTED || e->event == EVENT_REFUSED;
}

static int
add_one(struct history *h, const struct history_event *e, struct err *err)
{
	sqlite3_stmt *s = h->add;

	db_bind_i64(s, 1, e->time);
	db_bind_i64(s, 2, (int64_t)e->qid);
	db_bind_i64(s, 3, e->event);
	db_bind_i64(s, 4, e->role);
	bind_cut(s, 5, e->text);
	bind_cut(s, 6, e->from);
	bind_cut(s, 7, e->to);
	bind_cut(s, 8, e->ip);
	bind_msgid(s, 9, e->msgid);
	bind_cut(s, 10, e->user);
	db_bind_i64(s, 11, is_keyed(e));
	return db_run(h->db, s, err);
}

int
history_add(struct history *h, const struct history_event *events, size_t n, struct err *err)
{
	if (n == 0)
		return 0;
	if (h->add == NULL)
		h->add = db_prepare(h->db,
		    "INSERT INTO event (time, qid, event, role, text, sender, recipient, ip, "
		    "msgid, user, keyed)"
		    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
		    err);
	if (h->add == NULL || db_exec(h->db, "BEGIN IMMEDIATE", err) == -1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (add_one(h, &events[i], err) == -1) {
			db_exec(h->db, "ROLLBACK", NULL);
			return -1;
		}
	}
	if (db_exec(h->db, "COMMIT", err) == -1) {
		db_exec(h->db, "ROLLBACK", NULL);
		return -1;
	}
	return 0;
}

int
history_forget(struct history *h, int64_t before, unsigned most, struct err *err)
{
	sqlite3_stmt *s = db_prepare(h->db,
	    "DELETE FROM event WHERE time < ?1 AND seq IN"
	    " (SELECT seq FROM event ORDER BY seq LIMIT ?2)",
	    err);
	int rc = -1;

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, before);
	db_bind_i64(s, 2, most);
	if (db_run(h->db, s, err) == 0)
		rc = sqlite3_changes(h->db);
	db_done(&s);
	return rc;
}

int
history_query_of(const char *what, struct history_query *q, struct err *err)
{
	struct slice s = slice_trim(slice_of(what));
	unsigned char addr[16];

	memset(q, 0, sizeof(*q));
	if (s.len > 2 && s.at[0] == '<' && s.at[s.len - 1] == '>')
		s = (struct slice){ s.at + 1, s.len - 2 };
	if (!slice_copy(s, q->text, sizeof(q->text)) || s.len == 0)
		return err_set(err, ERR_USAGE, "trace needs a queue id, Message-ID, address or IP");
	q->key = HISTORY_MAIL;
	if (slice_find(s, '@') >= 0)
		return 0;
	q->key = HISTORY_IP;
	if (inet_pton(AF_INET, q->text, addr) == 1 || inet_pton(AF_INET6, q->text, addr) == 1)
		return 0;
	q->key = HISTORY_QID;
	if (qid_parse(s, &q->qid))
		return 0;
	return err_set(err, ERR_USAGE,
	    "\"%.80s\" is no queue id (13 letters and digits), Message-ID, address or IP", q->text);
}

static struct history_event
event_of(sqlite3_stmt *s)
{
	struct history_event e = { db_i64(s, 0), db_i64(s, 1), (uint64_t)db_i64(s, 2),
		(enum trace_event)db_i64(s, 3), (enum role)db_i64(s, 4), db_text(s, 5),
		db_text(s, 6), db_text(s, 7), db_text(s, 8), db_text(s, 9), db_text(s, 10) };

	return e;
}

int
history_find(struct history *h, const struct history_query *q,
    void (*fn)(void *arg, const struct history_event *e), void *arg, struct err *err)
{
	sqlite3_stmt *s = db_prepare(h->db, finders[q->key], err);
	int n = 0, rc;

	if (s == NULL)
		return -1;
	if (q->key == HISTORY_QID)
		db_bind_i64(s, 1, (int64_t)q->qid);
	else
		db_bind_text(s, 1, q->text);
	db_bind_i64(s, 2, q->since);
	db_bind_i64(s, 3, q->after);
	db_bind_i64(s, 4, MESSAGES_MAX);
	db_bind_i64(s, 5, HISTORY_ROWS_MAX);
	while ((rc = db_step(h->db, s, err)) == 1) {
		struct history_event e = event_of(s);

		if ((unsigned)e.event < EVENT_COUNT) {
			fn(arg, &e);
			n++;
		}
	}
	db_done(&s);
	return rc == -1 ? -1 : n;
}
