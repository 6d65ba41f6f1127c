"""How the queue treats destinations: sessions that grow and shrink, pauses, suspension; one report for a message and state."""
import email
import email.policy
import time

import pytest

from queue_role import LOCAL, REMOTE, STEP_OK, STEP_PERMANENT, STEP_TEMPORARY, SUBMITTED, qid_at
from test_queue_role import relay_all, state  # noqa: F401  (a fixture)

ALICE = "alice@example.test"
RETRY = [("relay.retry", ""), ("relay.retry", "3600000")]


def fill(q, domain, n, start=0, **options):
    for i in range(n):
        q.put(qid_at(n=start + i), [(REMOTE, f"u{i}@{domain}")], wait=False, **options)
    for _ in range(n):
        q.smtpd.want("QUEUE_IS")


def jobs(q, quiet=0.3):
    """All that come until nothing comes any more."""
    found = []
    while (f := q.relay.recv(quiet)) is not None:
        assert f.name == "RELAY_SEND"
        found.append(f)
    return found


def known(q, domain):
    """A held mail keeps it from being forgotten when nothing else is there for it."""
    q.admin("queue.suspend", domain=domain)
    fill(q, domain, 1, start=900)
    q.admin("queue.hold", domain=domain)
    time.sleep(0.1)
    q.admin("queue.resume", domain=domain)


def destination(q, domain):
    row, = q.admin("queue.destinations", domain=domain)[2]
    return row


def test_sessions_grow_with_success_up_to_the_ceiling(state):
    q = state(conf=[("relay.concurrency", "7")])
    fill(q, "far.example", 60)
    open_ = jobs(q)
    assert len(open_) == 4
    seen = [4]
    while open_:
        relay_all(q, open_.pop(0), STEP_OK, 250, "2.0.0", "ok")
        open_ += jobs(q, 0.05)
        seen.append(len(open_))
    assert max(seen) == 7 and seen[1:5] == [5, 6, 7, 7]
    q.gone()


def test_idle_sessions_do_not_count_as_success(state):
    q = state()
    known(q, "far.example")
    for i in range(8):  # one at a time: that says nothing about many
        fill(q, "far.example", 1, start=i)
        relay_all(q, q.relay.want("RELAY_SEND"), STEP_OK, 250, "2.0.0", "ok")
    fill(q, "far.example", 20, start=50)
    assert len(jobs(q)) == 4


@pytest.mark.parametrize("code,enhanced,text", [
    (421, "4.7.0", "too many connections"), (451, "4.7.1", "rate limit exceeded"), (421, "4.3.2", "shutting down")])
def test_sessions_shrink_when_the_host_is_busy(state, code, enhanced, text):
    q = state(conf=RETRY)
    fill(q, "far.example", 40)
    open_ = jobs(q)
    for _ in range(8):
        relay_all(q, open_.pop(0), STEP_OK, 250, "2.0.0", "ok")
        open_ += jobs(q, 0.1)
    assert len(open_) == 12
    for f in open_[:5]:  # of one round: it counts once
        relay_all(q, f, STEP_TEMPORARY, code, enhanced, text)
    time.sleep(0.2)
    assert destination(q, "far.example")["limit"] == "6"
    # one session too many is no attempt of the mail's
    assert q.rows("SELECT count(*) FROM rcpt WHERE attempts > 0") == [(0,)]
    assert not jobs(q, 0.1)


def test_the_last_session_that_is_refused_is_an_attempt(state):
    q = state(conf=RETRY)
    fill(q, "far.example", 1)
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_TEMPORARY, 421, "4.7.0", "too many connections")
    time.sleep(0.2)
    assert q.rows("SELECT attempts, reason FROM rcpt") == [(1, "mx.far.example said: 421 4.7.0 too many connections")]
    row = q.admin("queue.list")[2][0]
    assert row["class"] == "rate" and row["means"] and row["advice"]


def test_greylisting_changes_nothing(state):
    q = state(conf=RETRY)
    fill(q, "far.example", 40)
    open_ = jobs(q)
    for f in open_:
        relay_all(q, f, STEP_TEMPORARY, 451, "4.7.1", "greylisted, come back")
    assert len(jobs(q)) == 4


def test_dead_host_is_paused_and_delays_nobody(state):
    """Thousands of mails for a black hole; mail for others flows, and few sessions are lost to it."""
    q = state(conf=RETRY)
    fill(q, "hole.example", 2000)
    stuck = jobs(q)
    assert len(stuck) == 4
    for i in range(50):  # another, while the first is being waited for
        fill(q, "good.example", 1, start=3000 + i)
        f = q.relay.want("RELAY_SEND")
        assert f.f[2] == "good.example"
        relay_all(q, f, STEP_OK, 250, "2.0.0", "ok")
    for f in stuck:
        relay_all(q, f, STEP_TEMPORARY, 0, "4.4.1", "while connecting: timed out")
        stuck_more = jobs(q, 0.1)
        assert len(stuck_more) <= 1
    row = destination(q, "hole.example")
    assert row["state"] == "paused" and row["limit"] == "1" and "timed out" in row["why"]
    assert 4 * 60e6 < int(row["until"]) - time.time() * 1e6 < 6 * 60e6  # five minutes, a tenth more or less
    assert q.admin("queue.stats")[2][0]["paused"] == "1"
    listed = q.admin("queue.list", to="u1999@*")[2][0]
    assert listed["destination"] == "paused" and "cannot be reached" in listed["reason"] and int(listed["next"]) == int(row["until"])
    # one is tried at the administrator's wish
    q.admin("queue.retry", to="u1999@*")
    f, = jobs(q)
    relay_all(q, f, STEP_TEMPORARY, 0, "4.4.1", "while connecting: timed out")
    time.sleep(0.2)
    again = destination(q, "hole.example")
    assert again["state"] == "paused" and int(again["until"]) - time.time() * 1e6 > 8 * 60e6  # twice as long
    # it lives: all that it may have goes out
    q.admin("queue.retry", to="u1998@*")
    f, = jobs(q)
    relay_all(q, f, STEP_OK, 250, "2.0.0", "ok")
    assert jobs(q) and destination(q, "hole.example")["state"] == "open"


def test_dead_hosts_leave_sessions_for_the_living(state):
    q = state(conf=[*RETRY, ("relay.concurrency", "2")])
    known(q, "good.example")
    fill(q, "good.example", 1)
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_OK, 250, "2.0.0", "ok")
    for i in range(500):
        q.put(qid_at(n=10 + i), [(REMOTE, f"x@dead{i}.example")], wait=False)
    for _ in range(500):
        q.smtpd.want("QUEUE_IS")
    assert len(jobs(q)) == 384
    fill(q, "good.example", 5, start=5000)
    f = q.relay.want("RELAY_SEND")
    assert f.f[2] == "good.example"
    relay_all(q, f, STEP_OK, 250, "2.0.0", "ok")


# -- suspended

def test_suspend_and_resume(state):
    q = state(conf=RETRY)
    fill(q, "far.example", 3)
    first = jobs(q)
    assert q.admin("queue.suspend", domain="Far.Example", why="their maintenance")[0] == 0
    for f in first:  # what is under way goes on
        relay_all(q, f, STEP_OK, 250, "2.0.0", "ok")
    q.gone()
    fill(q, "far.example", 3, start=10)
    fill(q, "other.example", 1, start=20)
    f, = jobs(q)
    assert f.f[2] == "other.example"
    relay_all(q, f, STEP_OK, 250, "2.0.0", "ok")
    row = q.admin("queue.list")[2][0]
    assert row["destination"] == "suspended" and "their maintenance" in row["reason"]
    code, why, _ = q.admin("queue.retry", id=row["id"])
    assert code != 0 and "suspended" in why
    q.kill()
    q = state(conf=RETRY)  # it stands in queue.db
    assert not jobs(q)
    row, = q.admin("queue.destinations", notable=1)[2]
    assert (row["domain"], row["state"], row["recipients"], row["why"]) == ("far.example", "suspended", "3", "their maintenance")
    assert q.admin("queue.stats")[2][0]["suspended"] == "1"
    assert q.admin("queue.resume", domain="other.example")[0] != 0
    code, _, rows = q.admin("queue.resume", domain="FAR.example")
    assert code == 0 and rows[0]["recipients"] == "3"
    for f in jobs(q):
        relay_all(q, f, STEP_OK, 250, "2.0.0", "ok")
    q.gone()
    assert q.rows("SELECT * FROM suspended") == []


def test_suspended_mail_is_not_given_up(state):
    q = state(conf=[("relay.lifetime", "1000")])
    q.admin("queue.suspend", domain="far.example")
    fill(q, "far.example", 1, sender="")
    time.sleep(7)  # it is looked at every 5 s
    assert len(q.rows("SELECT 1 FROM rcpt")) == 1
    q.admin("queue.resume", domain="far.example")
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_OK, 250, "2.0.0", "ok")
    q.gone()


# -- reports

def report_text(q):
    ask = q.directory.want("DIR_RCPT", 12)
    q.directory.send("DIR_RCPT_IS", 0, "", LOCAL, ALICE, "example.test/alice", "", ALICE, 0, id=ask.id)
    f = q.mda.want("MDA_STAGE")
    q.staged(f)
    q.published(q.mda.want("MDA_PUBLISH"))
    return email.message_from_bytes(f.f[4], policy=email.policy.default)


def words(m):
    return next(m.iter_parts()).get_content()


def test_late_once_for_all_recipients(state):
    conf = [("relay.retry", ""), ("relay.retry", "1000"), ("relay.warn_after", "1000")]
    q = state(conf=conf)
    q.clean()
    rcpts = [(REMOTE, "x@one.example"), (REMOTE, "y@two.example"), (REMOTE, "z@three.example", 1)]
    q.put(qid_at(10), rcpts, sender=ALICE, flags=SUBMITTED)
    for f in jobs(q):
        relay_all(q, f, STEP_TEMPORARY, 451, "4.2.2", "mailbox of " + f.f[2] + " is full")
    text = words(report_text(q))
    assert "delayed" not in text and "need not send it again" in text
    assert "x@one.example" in text and "mailbox of one.example is full" in text.replace("\n        ", " ")
    # the other is in it too, or had not been tried yet when it was written; never in one of its own
    assert "z@three.example" not in text
    for _ in range(3):
        for f in jobs(q, 1.3):
            relay_all(q, f, STEP_TEMPORARY, 451, "4.2.2", "full")
    assert q.directory.recv(0.2) is None
    assert q.rows("SELECT DISTINCT warned FROM rcpt") == [(1,)]
    q.kill()
    q = state(conf=conf)
    q.clean()
    for f in jobs(q, 1.3):
        relay_all(q, f, STEP_TEMPORARY, 451, "4.2.2", "full")
    assert q.directory.recv(0.5) is None
    q.admin("queue.delete", all=1)
    q.gone()


def test_late_though_it_never_had_its_turn(state):
    """Mail behind a paused or suspended destination is late too."""
    q = state(conf=[*RETRY, ("relay.warn_after", "1000")])
    q.clean()
    q.admin("queue.suspend", domain="far.example", why="moving house")
    q.put(qid_at(10), [(REMOTE, "x@far.example")], sender=ALICE, flags=SUBMITTED)
    assert "x@far.example" in words(report_text(q))
    assert q.directory.recv(6) is None
    q.admin("queue.delete", all=1)
    q.gone()


def test_one_report_for_recipients_that_fail_together(state):
    q = state(conf=RETRY)
    q.clean()
    q.put(qid_at(), [(REMOTE, f"x@d{i}.example") for i in range(5)], sender=ALICE, flags=SUBMITTED)
    first, *rest = jobs(q)
    assert len(rest) == 4
    relay_all(q, first, STEP_PERMANENT, 550, "5.1.1", "no such user")
    assert q.directory.recv(0.5) is None  # the others are still under way
    for f in rest[:3]:
        relay_all(q, f, STEP_PERMANENT, 552, "5.2.2", "mailbox is full")
    relay_all(q, rest[3], STEP_OK, 250, "2.0.0", "ok")
    m = report_text(q)
    text = words(m)
    assert "There is no mailbox of that name there" in text and "mailbox is full" in text
    assert text.count("What to do:") == 4
    q.gone()
    assert q.directory.recv(0.3) is None


def test_bounce_of_several_recipients_is_one_report(state):
    q = state(conf=RETRY)
    q.clean()
    q.put(qid_at(), [(REMOTE, f"x@d{i}.example") for i in range(3)], sender=ALICE, flags=SUBMITTED)
    for f in jobs(q):
        relay_all(q, f, STEP_TEMPORARY, 451, "4.3.0", "trouble")
    time.sleep(0.2)
    assert len(q.admin("queue.bounce", all=1)[2]) == 3
    text = words(report_text(q))
    assert text.count("returned by the administrator") == 3
    q.gone()
    assert q.directory.recv(0.3) is None
