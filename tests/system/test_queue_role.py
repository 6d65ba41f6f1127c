"""What the queue program promises, with every peer scripted: commits before answers, staged delivery, recovery, retries, reports."""
import os
import signal
import time

import pytest

from queue_role import (EIGHT, JUNK, LOCAL, PUT_FULL, PUT_OK, PUT_REFUSED, PUT_TEMPORARY, REMOTE, REPORT, ROLE, SPOOLED,
                        STEP_OK, STEP_PERMANENT, STEP_TEMPORARY, SUBMITTED, Queue, make_db, qid_at)

A = (LOCAL, "alice@example.test")
B = (LOCAL, "bob@example.test")
R = (REMOTE, "x@far.example")


@pytest.fixture
def state(tmp_path):
    db = make_db(str(tmp_path))
    state = str(tmp_path)
    running = []

    class Maker:
        def __call__(self, **kw):
            q = Queue(state, **kw)
            running.append(q)
            return q

    Maker.db = db
    yield Maker()
    db.close()
    for q in running:
        if q.p.poll() is None:
            q.kill()


def test_local_way(state):
    q = state()
    q.clean()
    qid = qid_at()
    assert q.put(qid, [A, B]) == [PUT_OK, ""]
    f = q.mda.want("MDA_STAGE")
    assert f.f[0] == qid and f.f[4] == b"Subject: x\r\n\r\nhello\r\n" and f.f[2] == b"Received: by us\r\n"
    groups = f.groups(5)
    assert [g[1] for g in groups] == ["example.test/alice", "example.test/bob"]
    assert groups[0][4] == b"Return-Path: <s@example.test>\r\nDelivered-To: alice@example.test\r\n"
    assert q.rows("SELECT state FROM rcpt") == [(0,), (0,)]
    q.staged(f)
    p = q.mda.want("MDA_PUBLISH")
    assert [r[0] for r in q.rows("SELECT state FROM rcpt")] == [1, 1]
    q.published(p)
    q.gone()
    assert q.stop() == 0


def test_junk_goes_to_junk(state):
    q = state()
    q.clean()
    q.put(qid_at(), [A], flags=JUNK)
    assert q.mda.want("MDA_STAGE").groups(5)[0][2] == "Junk"


def test_killed_before_staged(state):
    q = state()
    q.clean()
    qid = qid_at()
    q.put(qid, [A])
    first = q.mda.want("MDA_STAGE").groups(5)[0][3]
    q.kill()
    q = state()
    assert q.clean() == []
    f = q.mda.want("MDA_STAGE")
    assert f.f[0] == qid and f.groups(5)[0][3] != first
    q.staged(f)
    q.published(q.mda.want("MDA_PUBLISH"))
    q.gone()


def test_killed_after_staged(state):
    q = state()
    q.clean()
    q.put(qid_at(), [A, B])
    q.staged(q.mda.want("MDA_STAGE"))
    before = q.mda.want("MDA_PUBLISH").groups(0)
    q.kill()
    q = state()
    assert sorted(q.clean()) == sorted(g[4] for g in before)
    f = q.mda.want("MDA_PUBLISH")
    assert f.groups(0) == before
    q.published(f)
    q.gone()


def test_mda_dies_while_staging(state):
    q = state()
    q.clean()
    qid = qid_at()
    q.put(qid, [A])
    first = q.mda.want("MDA_STAGE").groups(5)[0][3]
    q.drop("MDA")
    q.add("MDA")
    assert q.clean() == []
    f = q.mda.want("MDA_STAGE")
    assert f.f[0] == qid and f.groups(5)[0][3] != first
    q.staged(f)
    q.published(q.mda.want("MDA_PUBLISH"))
    q.gone()


def test_mda_dies_before_it_says_published(state):
    q = state()
    q.clean()
    q.put(qid_at(), [A])
    q.staged(q.mda.want("MDA_STAGE"))
    first = q.mda.want("MDA_PUBLISH").groups(0)
    q.drop("MDA")
    q.add("MDA")
    assert q.clean() == [first[0][4]]
    f = q.mda.want("MDA_PUBLISH")
    assert f.groups(0) == first
    q.published(f)
    q.gone()


def test_answer_of_a_dead_mda_and_new_one_at_once(state):
    """MDA_STAGED was sent, then the link ends: whatever the queue has seen of it, names kept and rows agree."""
    q = state()
    q.clean()
    for i in range(30):
        q.put(qid_at(n=i), [A])
    frames = [q.mda.want("MDA_STAGE") for _ in range(30)]
    for f in frames:
        q.staged(f)
    q.drop("MDA")
    q.add("MDA")
    keep = q.clean()
    names = set()
    n = 0
    restaged = 0
    while n < 30:
        f = q.mda.recv(5)
        assert f is not None
        if f.name == "MDA_STAGE":
            restaged += 1
            q.staged(f)
        else:
            for g in f.groups(0):
                names.add(g[4])
                n += 1
            q.published(f)
    q.gone()
    assert set(keep) <= names
    assert len(keep) + restaged == 30


def test_broken_link_is_told_and_replaced(state):
    q = state()
    q.clean()
    assert q.put(qid_at(), [(LOCAL, "a@example.test")])[0] == PUT_OK
    q.mda.want("MDA_STAGE")
    q.mda.s.send(b"\xff" * 40)
    f = q.sup.want("LINK_LOST")
    assert (f.f, f.id) == ([ROLE["ROLE_MDA"], 0], q.setup_id["MDA"])
    q.drop("MDA")
    q.add("MDA")
    q.clean()
    q.staged(q.mda.want("MDA_STAGE"))
    q.published(q.mda.want("MDA_PUBLISH"))
    q.gone()
    assert q.stop() == 0


def test_poison_is_held_alone(state):
    q = state()
    q.clean()
    poison, good = qid_at(n=1), qid_at(n=2)
    q.put(poison, [A])
    q.put(good, [B])
    done = set()
    for _ in range(12):
        f = q.mda.recv(0.5)
        if f is None:
            break
        if f.name == "MDA_PUBLISH":
            q.published(f)
        elif f.f[0] == poison:
            time.sleep(0.05)
            q.drop("MDA")
            q.add("MDA")
            q.clean()
        elif len(done) == 0 and q.rows("SELECT 1 FROM rcpt WHERE qid=%d" % good):
            q.staged(f)
    time.sleep(0.3)
    rows = q.rows("SELECT qid, state, reason FROM rcpt")
    assert len(rows) == 1 and rows[0][0] == poison and rows[0][1] == 2 and "three times" in rows[0][2]


def test_remote_way_and_grouping(state):
    q = state()
    qid = qid_at()
    assert q.put(qid, [R, (REMOTE, "y@FAR.example"), (REMOTE, "z@other.example")])[0] == PUT_OK
    a, c = q.relay.want("RELAY_SEND"), q.relay.want("RELAY_SEND")
    jobs = {f.f[2]: f for f in (a, c)}
    assert [g[1] for g in jobs["far.example"].groups(8)] == ["x@far.example", "y@FAR.example"]
    for f in jobs.values():
        out = []
        for n, to, notify, orcpt in f.groups(8):
            out += [n, STEP_OK, 250, "2.0.0", "ok", 0]
        q.relay.send("RELAY_SENT", f.f[0], "mx." + f.f[2], "", *out)
    q.gone()


def relay_all(q, f, status, code, enhanced, text, dsn=0):
    out = []
    for n, to, notify, orcpt in f.groups(8):
        out += [n, status, code, enhanced, text, dsn]
    q.relay.send("RELAY_SENT", f.f[0], "mx." + f.f[2], "", *out)


def test_retry_then_ok(state):
    q = state(conf=[("relay.retry", ""), ("relay.retry", "1000")])
    q.put(qid_at(), [R])
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_TEMPORARY, 451, "4.7.1", "greylisted")
    f = q.relay.want("RELAY_SEND")
    assert q.rows("SELECT attempts, reason FROM rcpt")[0] == (1, "mx.far.example said: 451 4.7.1 greylisted")
    relay_all(q, f, STEP_OK, 250, "2.0.0", "ok")
    q.gone()


def test_bounce_local_sender(state):
    q = state()
    q.clean()
    q.put(qid_at(), [R], sender="alice@example.test", flags=SUBMITTED)
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_PERMANENT, 550, "5.1.1", "no such user")
    ask = q.directory.want("DIR_RCPT")
    assert ask.f == ["alice@example.test"]
    q.directory.send("DIR_RCPT_IS", 0, "", LOCAL, "alice@example.test", "example.test/alice", "", "alice@example.test", 0,
                     id=ask.id)
    f = q.mda.want("MDA_STAGE")
    text = f.f[4].decode()
    assert "multipart/report" in text and "no such user" in text and "Final-Recipient: rfc822;x@far.example" in text
    assert "Status: 5.1.1" in text and "Subject: x\r\n" in text and "hello" not in text
    assert f.groups(5)[0][4].startswith(b"Return-Path: <>\r\n")
    q.staged(f)
    q.published(q.mda.want("MDA_PUBLISH"))
    q.gone()


def test_no_bounce_for_null_sender(state):
    q = state()
    q.put(qid_at(), [R], sender="")
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_PERMANENT, 550, "5.1.1", "no such user")
    q.gone()


def test_bounce_remote_sender_waits_for_directory(state):
    q = state(peers=("MDA", "RELAY", "SMTPD", "CONTROL"), conf=[("hostname", "mx.example.test")])
    q.put(qid_at(), [R], sender="s@there.example")
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_PERMANENT, 550, "5.1.1", "no")
    time.sleep(0.2)
    assert len(q.rows("SELECT 1 FROM rcpt")) == 1
    q.add("DIRECTORY")
    ask = q.directory.want("DIR_RCPT", 8)
    q.directory.send("DIR_RCPT_IS", 2, "not ours", id=ask.id)
    f = q.relay.want("RELAY_SEND")
    assert f.f[2] == "there.example" and f.f[3] == "" and f.f[1] & REPORT
    # nobody takes the report: the postmaster hears of it, and when that fails too, nobody
    relay_all(q, f, STEP_PERMANENT, 550, "5.1.1", "no")
    ask = q.directory.want("DIR_RCPT", 8)
    assert ask.f == ["postmaster@mx.example.test"]
    q.directory.send("DIR_RCPT_IS", 0, "", REMOTE, "boss@else.example", "", "", "postmaster@mx.example.test", 0, id=ask.id)
    f = q.relay.want("RELAY_SEND")
    assert f.f[2] == "else.example" and f.f[3] == "" and f.f[1] & REPORT and b"You are its postmaster" in f.f[7]
    relay_all(q, f, STEP_PERMANENT, 550, "5.1.1", "no")
    q.gone()
    assert q.directory.recv(0.3) is None


def test_lifetime_ends(state):
    q = state(conf=[("relay.retry", ""), ("relay.retry", "1000"), ("relay.lifetime", "1000")])
    q.put(qid_at(), [R], sender="")
    while True:
        f = q.relay.recv(3)
        if f is None or f.name != "RELAY_SEND":
            break
        relay_all(q, f, STEP_TEMPORARY, 0, "", "cannot connect")
        if q.rows("SELECT 1 FROM rcpt") == []:
            break
    q.gone()


def test_delay_warning(state):
    q = state(conf=[("relay.retry", ""), ("relay.retry", "1000"), ("relay.warn_after", "1000")])
    q.put(qid_at(10), [R], sender="alice@example.test", flags=SUBMITTED)
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_TEMPORARY, 451, "4.7.1", "later")
    ask = q.directory.want("DIR_RCPT")
    q.directory.send("DIR_RCPT_IS", 2, "not ours", id=ask.id)
    seen = []
    for _ in range(2):
        f = q.relay.want("RELAY_SEND")
        seen.append(f.f[2])
        if f.f[2] == "example.test":
            assert b"Action: delayed" in f.f[7]
        relay_all(q, f, STEP_OK, 250, "2.0.0", "ok")
    assert sorted(seen) == ["example.test", "far.example"]
    q.gone()


def test_relay_dies(state):
    q = state()
    q.put(qid_at(), [R])
    q.relay.want("RELAY_SEND")
    q.drop("RELAY")
    q.add("RELAY")
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_OK, 250, "", "ok")
    q.gone()


def test_ticket(state):
    q = state()
    q.clean()
    for good, status in ((1, PUT_OK), (0, PUT_REFUSED)):
        t = bytes([good]) * 16
        q.put(qid_at(n=good), [A], flags=SUBMITTED, ticket=t, wait=False)
        ask = q.auth.want("TICKET_CHECK")
        assert ask.f == [t]
        q.auth.send("TICKET_IS", good, "alice@example.test", id=ask.id)
        assert q.smtpd.want("QUEUE_IS").f[0] == status
    # remembered
    assert q.put(qid_at(n=5), [A], flags=SUBMITTED, ticket=b"\1" * 16)[0] == PUT_OK
    q.drop("AUTH")
    time.sleep(0.1)
    assert q.put(qid_at(n=6), [A], flags=SUBMITTED, ticket=b"\2" * 16)[0] == PUT_TEMPORARY


def test_control_sends_only_reports(state):
    """It has no session and no user: its mail comes from <>, and claims nothing."""
    q = state()
    q.clean()

    def put(n, sender="", flags=0):
        body = b"Subject: x\r\n\r\nhello\r\n"
        q.control.send("QUEUE_PUT", qid_at(n=n), flags, sender, "", "", "", b"", b"", b"", len(body), body,
                       REMOTE, "x@far.example", "", "", "x@far.example", 1, "", id=n)
        while True:
            f = q.control.want("QUEUE_IS")
            if f.id == n:
                return f.f[0]
    assert put(1) == PUT_OK
    assert put(2, sender="alice@example.test") == PUT_TEMPORARY
    assert put(3, flags=SUBMITTED) == PUT_TEMPORARY
    assert put(4, flags=REPORT) == PUT_TEMPORARY
    f = q.relay.want("RELAY_SEND")
    assert f.f[3] == "" and f.groups(8)[0][1] == "x@far.example"
    q.relay.send("RELAY_SENT", f.f[0], "far.example", "", 0, STEP_PERMANENT, 550, "5.1.1", "no", 0, id=f.id)
    deadline = time.time() + 20
    while q.rows("SELECT * FROM message") and time.time() < deadline:
        time.sleep(0.1)
    assert not q.rows("SELECT * FROM message")  # and nobody is told


def spool(q, qid, body):
    credit, at = 256 * 1024, 0
    while at < len(body):
        n = min(60000, len(body) - at)
        while credit < n:
            f = q.smtpd.want("SPOOL_CREDIT")
            assert f.f[1] > 0, f.f
            credit += f.f[1]
        q.smtpd.send("SPOOL_DATA", qid, body[at:at + n])
        credit -= n
        at += n
    q.smtpd.send("SPOOL_END", qid, len(body), id=9)
    f = q.smtpd.want("SPOOL_IS")
    assert f.f[1] == PUT_OK, f.f
    return f.fd


def test_spool(state):
    q = state()
    q.clean()
    qid, body = qid_at(), b"Subject: big\r\n\r\n" + b"x" * 70 * 14285 + b"\r\n"
    fd = spool(q, qid, body)
    assert os.pread(fd, len(body) + 1, 0) == body
    assert q.put(qid, [A], flags=SPOOLED, body=body)[0] == PUT_OK
    f = q.mda.want("MDA_STAGE")
    assert f.fd >= 0 and os.fstat(f.fd).st_size == len(body)
    with pytest.raises(OSError):
        os.write(f.fd, b"x")
    q.kill()
    q = state()
    q.clean()
    f = q.mda.want("MDA_STAGE")
    assert f.fd >= 0 and os.pread(f.fd, len(body) + 1, 0) == body
    q.staged(f)
    q.published(q.mda.want("MDA_PUBLISH"))
    q.gone()
    time.sleep(0.1)
    assert os.listdir(os.path.join(q.state, "spool")) == []


def test_spool_dropped_and_swept(state):
    q = state()
    spool(q, qid_at(n=1), b"y" * 50000)
    q.smtpd.send("SPOOL_DROP", qid_at(n=1))
    d = os.path.join(q.state, "spool")
    spool(q, qid_at(n=2), b"y" * 50000)
    q.kill()
    assert os.listdir(d) != []
    q = state()
    assert os.listdir(d) == []
    spool(q, qid_at(n=3), b"y" * 50000)
    q.drop("SMTPD")
    time.sleep(0.3)
    assert os.listdir(d) == []


def test_spool_file_missing_is_held(state):
    q = state(peers=("SMTPD",))
    qid, body = qid_at(), b"z" * 40000
    spool(q, qid, body)
    assert q.put(qid, [A], flags=SPOOLED, body=body)[0] == PUT_OK
    q.kill()
    for f in os.listdir(os.path.join(q.state, "spool")):
        os.unlink(os.path.join(q.state, "spool", f))
    q = state()
    q.clean()
    assert q.mda.recv(0.3) is None
    assert [r["state"] for r in q.admin("queue.list")[2]] == ["held"]


def test_put_without_spool_file(state):
    q = state()
    assert q.put(qid_at(), [A], flags=SPOOLED, body=b"z" * 40000)[0] == PUT_TEMPORARY


def test_many_recipients_in_front(state):
    q = state()
    q.clean()
    qid = qid_at()
    for i in range(10):
        fields = []
        for k in range(100):
            a = "u%d@example.test" % (i * 100 + k)
            fields += [LOCAL, a, "example.test/u%d" % (i * 100 + k), "", a, 0, ""]
        q.smtpd.send("QUEUE_RCPTS", qid, *fields)
    assert q.put(qid, [A])[0] == PUT_OK
    assert q.rows("SELECT count(*) FROM rcpt") == [(1001,)]
    seen = 0
    while seen < 1001:
        f = q.mda.recv(5)
        if f.name == "MDA_STAGE":
            seen += len(f.groups(5))
            q.staged(f)
        else:
            q.published(f)
    while q.rows("SELECT 1 FROM rcpt"):
        f = q.mda.recv(0.2)
        if f is not None and f.name == "MDA_PUBLISH":
            q.published(f)
    q.gone()


def test_limits(state):
    q = state(conf=[("limits.queued", "2")], peers=("SMTPD", "CONTROL"))
    assert q.put(qid_at(n=1), [A])[0] == PUT_OK
    assert q.put(qid_at(n=2), [A])[0] == PUT_OK
    assert q.put(qid_at(n=3), [A])[0] == PUT_FULL
    q.kill()
    q = state(conf=[("limits.min_free", str(1 << 40))])
    assert q.put(qid_at(n=4), [A])[0] == PUT_FULL


def test_same_id_twice(state):
    q = state(peers=("SMTPD", "CONTROL"))
    qid = qid_at()
    assert q.put(qid, [A])[0] == PUT_OK
    assert q.put(qid, [A])[0] == PUT_TEMPORARY


def test_admin(state):
    q = state(peers=("SMTPD", "CONTROL", "DIRECTORY"))
    for i in range(450):
        q.put(qid_at(n=i), [A, R] if i % 2 else [B], wait=False)
    for i in range(450):
        assert q.smtpd.want("QUEUE_IS").f[0] == PUT_OK
    kind, why, rows = q.admin("queue.list")
    assert kind == 0 and len(rows) == 675
    assert set(rows[0]) >= {"id", "from", "size", "created", "state", "to", "attempts", "next", "reason"}
    assert len(q.admin("queue.list", to="bob@*")[2]) == 225
    assert len(q.admin("queue.list", domain="far.example")[2]) == 225
    assert q.admin("queue.list", older=100)[2] == []
    assert q.admin("queue.delete")[0] != 0
    assert len(q.admin("queue.delete", domain="far.example", dry_run=1)[2]) == 225
    assert {r["result"] for r in q.admin("queue.hold", to="bob@*")[2]} == {"held"}
    time.sleep(0.1)
    assert {r["state"] for r in q.admin("queue.list", to="bob@*")[2]} == {"held"}
    assert {r["result"] for r in q.admin("queue.delete", domain="far.example")[2]} == {"deleted"}
    time.sleep(0.2)
    assert len(q.admin("queue.list")[2]) == 450
    one = q.admin("queue.list", to="bob@*")[2][0]["id"]
    assert q.admin("queue.show", id=one)[2][0]["state"] == "held"
    assert q.admin("queue.release", id=one)[2][0]["result"] == "released"
    assert q.admin("queue.show", id="0000000000000")[0] != 0
    assert q.admin("queue.stats")[2][0]["recipients"] == "450"
    q.admin("queue.delete", all=1)
    q.gone()


def test_commit_error_stops_intake(state):
    """Another program holds the database: the commit fails, is answered 451, and mail is taken again afterwards."""
    q = state()
    q.clean()
    q.put(qid_at(n=1), [A])
    f = q.mda.want("MDA_STAGE")
    state.db.execute("BEGIN IMMEDIATE")
    q.staged(f)
    assert q.mda.recv(0.5) is None
    q.put(qid_at(n=2), [A], wait=False)
    answer = q.smtpd.want("QUEUE_IS", 15).f
    assert answer[0] == PUT_TEMPORARY
    state.db.rollback()
    # the staged row was not lost: it is written again, then published
    p = q.mda.want("MDA_PUBLISH", 15)
    assert p.groups(0)[0][0] == f.f[0]
    q.published(p)
    q.gone()
    assert q.put(qid_at(n=3), [A])[0] == PUT_OK


def test_start_with_many(state):
    n = 100000
    first = qid_at(3600)
    state.db.executemany("INSERT INTO message VALUES (?, 's@example.test', '<m>', '192.0.2.1', x'', x'', zeroblob(4096), '')",
                         ((first + i * 16384,) for i in range(n)))
    state.db.executemany(
        "INSERT INTO rcpt VALUES (?, 0, 0, 4096, 1, 0, 0, 0, 0, ?, '', '', '', '', '', 0, '')",
        ((first + i * 16384, "u%d@d%d.example" % (i, i % 5000)) for i in range(n)))
    state.db.commit()
    t = time.time()
    q = state()
    t = time.time() - t
    assert q.put(qid_at(), [R])[0] == PUT_OK
    stats = q.admin("queue.stats")[2][0]
    print("start with %d queued: %.2f s, %.0f bytes of memory each" % (n, t, int(stats["memory"]) / n))
    assert int(stats["messages"]) == n + 1
    assert int(stats["memory"]) / n < 400


def test_mda_killed_with_a_thousand_staged(state):
    """Each name is published once and none is walked while nobody can take it: without mda the queue rests."""
    q = state()
    q.clean()
    names = {}
    for i in range(10):
        qid = qid_at(n=i)
        q.put(qid, [(LOCAL, "u%d@example.test" % k) for k in range(100)])
        f = q.mda.want("MDA_STAGE")
        out = []
        for n, home, folder, stem, head in f.groups(5):
            names[qid, n] = ".stage/" + stem
            out += [n, STEP_OK, names[qid, n], 10]
        q.mda.send("MDA_STAGED", qid, *out)
        told = 0
        while told < 100:       # cannot be published yet: staged they stay
            g = q.mda.want("MDA_PUBLISH").groups(0)
            told += len(g)
            q.mda.send("MDA_PUBLISHED", *[x for r in g for x in (r[0], r[1], STEP_TEMPORARY, "busy")])
    assert q.rows("SELECT count(*) FROM rcpt WHERE state = 1") == [(1000,)]
    q.drop("MDA")

    def cpu():
        with open("/proc/%d/stat" % q.p.pid) as stat:
            return sum(int(x) for x in stat.read().rpartition(")")[2].split()[11:13]) / os.sysconf("SC_CLK_TCK")

    time.sleep(2.5)             # longer than the pause after which they are due again
    before = cpu()
    time.sleep(1)
    assert cpu() - before < 0.5
    q.add("MDA")
    assert sorted(q.clean()) == sorted(names.values())
    seen = []
    while len(seen) < 1000:
        p = q.mda.want("MDA_PUBLISH")
        seen += [(r[0], r[1]) for r in p.groups(0)]
        q.published(p)
    assert sorted(seen) == sorted(names)
    q.gone()


def test_more_staged_names_than_the_link_holds(state):
    """They are told as mda reads them, all of them, and only then it may sweep; then mail flows."""
    n, first = 90000, qid_at(3600)
    names = ["%s/%d,S=10" % ("stage" * 25, i) for i in range(n)]
    state.db.executemany("INSERT INTO message VALUES (?, 's@example.test', '<m>', '192.0.2.1', x'', x'', x'780a', '')",
                         ((first + i * 16384,) for i in range(n // 10)))
    state.db.executemany("INSERT INTO rcpt VALUES (?, ?, 0, 2, 0, 1, 0, 0, 0, 'a@example.test', 'h', '', '', '', ?, 0, '')",
                         ((first + i // 10 * 16384, i % 10, names[i]) for i in range(n)))
    state.db.commit()
    q = state()
    assert q.put(qid_at(), [A])[0] == PUT_OK    # the link is full by now
    assert sorted(q.clean()) == sorted(names)
    q.mda.want("MDA_PUBLISH")


def test_mda_goes_while_names_are_published(state):
    """The first frame cannot be sent any more, and more are to come: the queue goes on when the next mda is there."""
    q = state()
    q.clean()
    long, want = "d" * 60 + ".example.test", {}
    for i in range(5):
        qid = qid_at(n=i)
        q.put(qid, [(LOCAL, "u" * 50 + "%d@%s" % (k, long)) for k in range(100)])
        f = q.mda.want("MDA_STAGE")
        out = []
        for n, home, folder, stem, head in f.groups(5):
            want[qid, n] = ".stage/" + "f" * 60 + stem
            out += [n, STEP_OK, want[qid, n], 10]
        q.mda.send("MDA_STAGED", qid, *out)
    end = time.time() + 10
    while q.rows("SELECT count(*) FROM rcpt WHERE state = 1") != [(len(want),)]:
        assert time.time() < end
        time.sleep(0.02)
    q.drop("MDA")               # it answered nothing
    q.add("MDA")
    q.mda.want("MDA_UNSTAGE", 10)
    # it says that it is clean and is gone before the queue hears it
    q.p.send_signal(signal.SIGSTOP)
    q.mda.send("MDA_UNSTAGED", 0)
    q.drop("MDA")
    q.p.send_signal(signal.SIGCONT)
    q.add("MDA")
    assert sorted(q.clean()) == sorted(want.values())
    seen = []
    while len(seen) < len(want):
        p = q.mda.want("MDA_PUBLISH")
        seen += [(r[0], r[1]) for r in p.groups(0)]
        q.published(p)
    assert sorted(seen) == sorted(want)
    q.gone()
