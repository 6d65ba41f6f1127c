"""Who is told what became of a mail (RFC 3461 5), and that a parser of somebody else reads it (RFC 3464, 6533)."""
import email
import email.policy
import os
import time

import pytest

from queue_role import LOCAL, REMOTE, STEP_OK, STEP_PERMANENT, STEP_TEMPORARY, SUBMITTED, UTF8, qid_at
from test_queue_role import relay_all, state  # noqa: F401  (a fixture)

JUNK, BINARY, REQUIRETLS, FULL, HDRS, REPORT, SPOOLED = 1, 64, 128, 512, 1024, 32, 2
NEVER, SUCCESS, FAILURE, DELAY = 1, 2, 4, 8
SENDER = "alice@example.test"


def read_report(raw):
    """The parts as Python's email reads them: text, list of status blocks, what came back."""
    assert b"\r\n" in raw and not raw.replace(b"\r\n", b"").count(b"\n")
    m = email.message_from_bytes(raw, policy=email.policy.default)
    assert m.get_content_type() == "multipart/report" and m["Auto-Submitted"] == "auto-replied" and m.defects == []
    assert m.get_param("report-type") == "delivery-status"
    text, status, back = m.iter_parts()
    assert text.get_content_type() == "text/plain"
    if status.get_content_type() == "message/delivery-status":
        blocks = status.get_payload()
    else:  # email does not know message/global-delivery-status: its blocks are headers all the same
        assert status.get_content_type() == "message/global-delivery-status"
        body = raw.split(b"Content-Type: message/global-delivery-status", 1)[1].split(b"\r\n\r\n", 1)[1]
        body = body.split(b"\r\n--" + m.get_boundary().encode(), 1)[0]
        blocks = [email.message_from_string(b, policy=email.policy.compat32) for b in body.decode().split("\r\n\r\n") if b.strip()]
    return m, text.get_content(), blocks, back


def report(q, ask=True):
    """Answer the question where the sender is, and take the report from the way to his mailbox."""
    if ask:
        ask = q.directory.want("DIR_RCPT", 20)
        assert ask.f == [SENDER]
        q.directory.send("DIR_RCPT_IS", 0, "", LOCAL, SENDER, "example.test/alice", "", SENDER, 0, id=ask.id)
    f = q.mda.want("MDA_STAGE", 30)
    assert q.rows("SELECT flags & 32, notify FROM rcpt WHERE qid = %d" % f.f[0]) == [(REPORT, NEVER)]
    raw = f.f[4]
    if f.fd >= 0:  # too long for a row
        assert raw == b""
        with os.fdopen(f.fd, "rb") as file:
            raw = file.read()
    q.staged(f)
    q.published(q.mda.want("MDA_PUBLISH"))
    return raw


def silent(q):
    q.gone()
    assert q.directory.recv(0.2) is None


def one_event(q, name):
    seen = []
    while (f := q.control.recv(0.3)) is not None:
        if f.name == "EVENT":
            seen += f.groups(0)
    kinds = "connect refused accepted filtered delivered relayed deferred bounced".split()
    found = [e for e in seen if e[2] == kinds.index(name)]
    assert len(found) == 1, seen
    return found[0]


def deliver(q, n=1):
    for _ in range(n):
        q.staged(q.mda.want("MDA_STAGE"))
    q.published(q.mda.want("MDA_PUBLISH"))


@pytest.mark.parametrize("notify,told", [(0, True), (FAILURE, True), (FAILURE | SUCCESS, True), (NEVER, False), (SUCCESS, False), (DELAY, False)])
def test_failure(state, notify, told):
    q = state()
    q.clean()
    q.put(qid_at(), [(REMOTE, "x@far.example", notify, "rfc822;X+2By@far.example")], sender=SENDER, flags=SUBMITTED, envid="QQ+20314")
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_PERMANENT, 550, "5.1.1", "no such user")
    if not told:
        silent(q)
        assert "no report is sent: the sender asked for none" in one_event(q, "bounced")[3]
        return
    m, text, (message, rcpt), back = read_report(report(q))
    assert m["To"] == SENDER and "could not be delivered" in text and "no such user" in text
    assert message["Original-Envelope-Id"] == "QQ 314" and message["Reporting-MTA"].startswith("dns;")
    assert rcpt["Original-Recipient"] == "rfc822;X+y@far.example" and rcpt["Final-Recipient"] == "rfc822;x@far.example"
    assert rcpt["Action"] == "failed" and rcpt["Status"] == "5.1.1" and rcpt["Remote-MTA"] == "dns;mx.far.example"
    assert rcpt["Diagnostic-Code"] == "smtp;550 no such user"
    assert back.get_content_type() == "text/rfc822-headers" and "hello" not in back.as_string()
    q.gone()


def test_only_those_who_are_wanted(state):
    q = state()
    q.clean()
    q.put(qid_at(), [(REMOTE, "a@far.example", NEVER), (REMOTE, "b@far.example", FAILURE), (REMOTE, "c@far.example", DELAY)],
          sender=SENDER, flags=SUBMITTED)
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_PERMANENT, 550, "5.1.1", "no such user")
    _, text, blocks, _ = read_report(report(q))
    assert [b["Final-Recipient"] for b in blocks[1:]] == ["rfc822;b@far.example"] and "a@far" not in text
    q.gone()


@pytest.mark.parametrize("notify,told", [(0, True), (DELAY, True), (NEVER, False), (FAILURE | SUCCESS, False)])
def test_delay(state, notify, told):
    q = state(conf=[("relay.retry", ""), ("relay.retry", "1000"), ("relay.warn_after", "1000")])
    q.clean()
    q.put(qid_at(10), [(REMOTE, "x@far.example", notify)], sender=SENDER, flags=SUBMITTED)
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_TEMPORARY, 451, "4.7.1", "later")
    if told:
        _, text, blocks, _ = read_report(report(q))
        assert blocks[1]["Action"] == "delayed" and "Will-Retry-Until" in blocks[1]
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_OK, 250, "2.0.0", "ok", dsn=1)
    silent(q)


# -- success

def test_delivered(state):
    q = state()
    q.clean()
    q.put(qid_at(), [(LOCAL, "bob@example.test", SUCCESS, "rfc822;Bob@example.test"), (LOCAL, "carol@example.test", SUCCESS | FAILURE),
                     (LOCAL, "dave@example.test"), (LOCAL, "eve@example.test", NEVER)], sender=SENDER, envid="x1")
    deliver(q)
    m, text, blocks, back = read_report(report(q))
    assert m["Subject"] == "Your mail was delivered" and "in the mailboxes" in text
    assert blocks[0]["Original-Envelope-Id"] == "x1"
    assert [(b["Final-Recipient"], b["Action"], b["Status"]) for b in blocks[1:]] == [
        ("rfc822;bob@example.test", "delivered", "2.0.0"), ("rfc822;carol@example.test", "delivered", "2.0.0")]
    assert blocks[1]["Original-Recipient"] == "rfc822;Bob@example.test" and "Diagnostic-Code" not in blocks[1]
    assert back.get_content_type() == "text/rfc822-headers"
    q.gone()


def test_delivered_is_in_the_story(state):
    q = state()
    q.clean()
    qid = qid_at()
    q.put(qid, [(LOCAL, "bob@example.test", SUCCESS)], sender=SENDER)
    deliver(q)
    report(q)
    q.gone()
    seen = []
    while (f := q.control.recv(0.3)) is not None:
        if f.name == "EVENT":
            seen += f.groups(0)
    own = [e for e in seen if e[1] == qid and e[2] == 4]
    assert len(own) == 1 and own[0][3].startswith("delivered to INBOX (report to alice@example.test: "), seen


def test_not_after_failure_to_deliver(state):
    """One mail, both kinds of end: a report each, and each names its own."""
    q = state()
    q.clean()
    q.put(qid_at(), [(LOCAL, "bob@example.test", SUCCESS | FAILURE), (REMOTE, "x@far.example", SUCCESS | FAILURE)], sender=SENDER)
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_PERMANENT, 550, "5.1.1", "no")
    deliver(q)
    kinds = []
    for _ in range(2):
        _, _, blocks, _ = read_report(report(q))
        kinds.append((blocks[1]["Action"], blocks[1]["Final-Recipient"]))
    assert sorted(kinds) == [("delivered", "rfc822;bob@example.test"), ("failed", "rfc822;x@far.example")]
    q.gone()


@pytest.mark.parametrize("dsn", [0, 1])
def test_relayed(state, dsn):
    q = state()
    q.clean()
    q.put(qid_at(), [(REMOTE, "x@far.example", SUCCESS), (REMOTE, "y@far.example", FAILURE)], sender=SENDER)
    f = q.relay.want("RELAY_SEND")
    assert [g[2] for g in f.groups(8)] == [SUCCESS, FAILURE]
    relay_all(q, f, STEP_OK, 250, "2.1.5", "taken", dsn)
    if dsn:
        silent(q)
        return
    m, text, blocks, _ = read_report(report(q))
    assert m["Subject"] == "Your mail was handed on"
    assert [(b["Final-Recipient"], b["Action"], b["Status"], b["Remote-MTA"]) for b in blocks[1:]] == [
        ("rfc822;x@far.example", "relayed", "2.1.5", "dns;mx.far.example")]
    q.gone()


@pytest.mark.parametrize("sender,flags", [("", 0), (SENDER, JUNK)])
def test_nobody_who_did_not_ask(state, sender, flags):
    q = state()
    q.clean()
    q.put(qid_at(), [(LOCAL, "bob@example.test", SUCCESS)], sender=sender, flags=flags)
    deliver(q)
    silent(q)


def test_delivered_waits_for_the_directory(state):
    """The report is part of the commit that ends the recipient: a kill before it changes nothing but the time, and the mail is
    not delivered again."""
    q = state(peers=("MDA", "RELAY", "SMTPD", "CONTROL"))
    q.clean()
    q.put(qid_at(), [(LOCAL, "bob@example.test", SUCCESS)], sender=SENDER)
    deliver(q)
    time.sleep(0.3)
    assert q.rows("SELECT state FROM rcpt") == [(1,)]
    q.kill()
    q = state()
    kept = q.clean()
    assert len(kept) == 1
    f = q.mda.want("MDA_PUBLISH")  # never staged again: mda says that it is there
    q.published(f)
    _, _, blocks, _ = read_report(report(q))
    assert blocks[1]["Action"] == "delivered"
    q.gone()


def wait_rows(q, sql, rows):
    end = time.time() + 10
    while q.rows(sql) != rows:
        assert time.time() < end, q.rows(sql)
        time.sleep(0.02)


def handed_on(q):
    _, _, blocks, _ = read_report(report(q))
    assert [(b["Final-Recipient"], b["Action"], b["Status"], b["Remote-MTA"], b["Diagnostic-Code"]) for b in blocks[1:]] == [
        ("rfc822;%s@far.example" % x, "relayed", "2.1.5", "dns;mx.far.example", "smtp;250 taken it") for x in "xy"]
    q.gone()
    assert q.relay.recv(0.2) is None


def taken(q):
    """Two of three recipients ask; far.example takes all, and is no server that reports."""
    q.clean()
    q.put(qid_at(), [(REMOTE, "x@far.example", SUCCESS), (REMOTE, "y@far.example", SUCCESS), (REMOTE, "z@far.example")], sender=SENDER)
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_OK, 250, "2.1.5", "taken it")


@pytest.mark.parametrize("kill", [False, True])
def test_relayed_is_owed_while_the_directory_is_away(state, kill):
    q = state(peers=("MDA", "RELAY", "SMTPD", "CONTROL"))
    taken(q)
    wait_rows(q, "SELECT n, state FROM rcpt ORDER BY n", [(0, 3), (1, 3)])
    assert [r["state"] for r in q.admin("queue.list")[2]] == ["reporting"] * 2
    if kill:
        q.kill()
        q = state()
        q.clean()
    else:
        q.add("DIRECTORY")
    handed_on(q)


@pytest.mark.parametrize("kill", [False, True])
def test_relayed_is_owed_when_the_directory_dies_over_the_question(state, kill):
    q = state()
    taken(q)
    q.directory.want("DIR_RCPT")
    assert q.rows("SELECT n, state FROM rcpt ORDER BY n") == [(0, 3), (1, 3)]
    if kill:
        q.kill()
        q = state()
        q.clean()
    else:
        q.drop("DIRECTORY")
        time.sleep(0.3)
        q.add("DIRECTORY")
    handed_on(q)


@pytest.mark.parametrize("kill", [False, True])
def test_failure_waits_for_the_directory(state, kill):
    """A failed recipient stays as it was until its report is written: after a kill it is tried, and fails, once more."""
    q = state(peers=("MDA", "RELAY", "SMTPD", "CONTROL"))
    q.clean()
    q.put(qid_at(), [(REMOTE, "x@far.example")], sender=SENDER, flags=SUBMITTED)
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_PERMANENT, 550, "5.1.1", "no such user")
    time.sleep(0.3)
    assert q.rows("SELECT state FROM rcpt") == [(0,)]
    if kill:
        q.kill()
        q = state()
        q.clean()
        relay_all(q, q.relay.want("RELAY_SEND"), STEP_PERMANENT, 550, "5.1.1", "no such user")
    else:
        q.add("DIRECTORY")
    _, text, blocks, _ = read_report(report(q))
    assert blocks[1]["Action"] == "failed" and "no such user" in text
    q.gone()


def test_stop_waits_for_the_report(state):
    q = state()
    q.put(qid_at(), [(REMOTE, "x@far.example", SUCCESS)], sender=SENDER)
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_OK, 250, "2.0.0", "ok")
    ask = q.directory.want("DIR_RCPT")
    q.sup.send("SETUP_STOP")
    time.sleep(0.5)
    assert q.p.poll() is None
    q.directory.send("DIR_RCPT_IS", 0, "", LOCAL, SENDER, "example.test/alice", "", SENDER, 0, id=ask.id)
    assert q.p.wait(10) == 0
    assert q.rows("SELECT address, flags & 32 FROM rcpt") == [(SENDER, REPORT)]


# -- what comes back

@pytest.mark.parametrize("flags,size,whole", [(FULL, 10, True), (HDRS, 10, False), (0, 10, False), (FULL, 2000, True),
                                              (FULL | BINARY, 10, False), (FULL | REQUIRETLS, 10, False)])
def test_ret(state, flags, size, whole):
    q = state()
    q.clean()
    body = b"Subject: x\r\n\r\n" + b"the body\r\n" * size
    q.put(qid_at(), [(REMOTE, "x@far.example")], sender=SENDER, flags=SUBMITTED | flags, body=body)
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_PERMANENT, 550, "5.1.1", "no")
    _, text, _, back = read_report(report(q))
    assert back.get_content_type() == ("message/rfc822" if whole else "text/rfc822-headers")
    assert (b"Received: by us\r\n" + body in back.as_bytes(policy=email.policy.SMTP)) == whole
    assert ("Your mail is attached" in text) == whole
    assert ("You asked for your mail to come back whole" in text) == (bool(flags & FULL) and not whole)
    q.gone()


def put_spooled(q, qid, body, flags, prefix=b"Received: by us\r\n"):
    for at in range(0, len(body), 32000):
        q.smtpd.send("SPOOL_DATA", qid, body[at:at + 32000])
        if at // 32000 % 4 == 3:
            credit = 0
            while credit < 100000:
                credit += q.smtpd.want("SPOOL_CREDIT").f[1]
    q.smtpd.send("SPOOL_END", qid, len(body), id=5)
    q.smtpd.want("SPOOL_IS", 20)
    assert q.put(qid, [(REMOTE, "x@far.example")], sender=SENDER, flags=SUBMITTED | SPOOLED | flags, body=body, prefix=prefix) == [0, ""]


def spooled_report(q):
    """As report(): and the report is a file of the spool, gone in the end."""
    raw = report(q)
    q.gone()
    end = time.time() + 5
    while os.listdir(os.path.join(q.state, "spool")) and time.time() < end:
        time.sleep(0.02)
    assert os.listdir(os.path.join(q.state, "spool")) == []
    return raw


@pytest.mark.parametrize("size,eight", [(100, False), (100, True), (10000, False)])
def test_ret_full_of_a_long_mail(state, size, eight):
    """What came back is what went out: of the two signatures of a mail of eight bits, the one for eight."""
    q = state()
    q.clean()
    line = ("Grüße " if eight else "Gruss ").encode() + b"x" * 1015
    body = b"Subject: x\r\n\r\n" + b"".join(b"%06d " % n + line[:980] + b"\r\n" for n in range(size * 1024 // 989))
    put_spooled(q, qid_at(), body, FULL | (4 if eight else 0),
                b"DKIM-Signature: eight\r\nReceived: by us\r\n" + (b"\0DKIM-Signature: seven\r\n" if eight else b""))
    f = q.relay.want("RELAY_SEND")
    os.close(f.fd)
    relay_all(q, f, STEP_PERMANENT, 550, "5.1.1", "no")
    raw = spooled_report(q)
    m, text, _, back = read_report(raw)
    assert back.get_content_type() == "message/rfc822" and "Your mail is attached" in text
    assert (m["Content-Transfer-Encoding"] == "8bit") == eight
    assert raw.count(b"Received: by us\r\n" + body + b"\r\n--" + m.get_boundary().encode() + b"--\r\n") == 1


@pytest.mark.parametrize("why", ["it is longer than 16 MiB", "some of its bytes or lines may\r\nnot be sent"])
def test_ret_full_that_cannot_be(state, why):
    q = state()
    q.clean()
    n = 17 * 1024 if "16 MiB" in why else 100
    put_spooled(q, qid_at(), b"Subject: x\r\n\r\n" + (b"x" * (998 if n > 1000 else 999) + b"\r\n") * (n + 512), FULL)
    f = q.relay.want("RELAY_SEND")
    os.close(f.fd)
    relay_all(q, f, STEP_PERMANENT, 550, "5.1.1", "no")
    raw = report(q)
    _, text, _, back = read_report(raw)
    assert back.get_content_type() == "text/rfc822-headers" and len(raw) < 10000
    assert b"You asked for your mail to come back whole. It does not: " + why.encode() in raw
    q.gone()


def test_ret_full_of_odd_lines(state):
    q = state()
    q.clean()
    for n, body in enumerate((b"Subject: x\r\n\r\n" + b"y" * 999 + b"\r\n", b"Subject: x\r\n\r\nnul\0\r\n")):
        q.put(qid_at(n=n), [(REMOTE, "x@far.example")], sender=SENDER, flags=SUBMITTED | FULL, body=body)
        relay_all(q, q.relay.want("RELAY_SEND"), STEP_PERMANENT, 550, "5.1.1", "no")
        assert read_report(report(q))[3].get_content_type() == "text/rfc822-headers"
    q.gone()


def test_ret_full_8bit(state):
    q = state()
    q.clean()
    q.put(qid_at(), [(REMOTE, "x@far.example")], sender=SENDER, flags=SUBMITTED | FULL | 4, body="Subject: x\r\n\r\nGrüße\r\n".encode())
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_PERMANENT, 550, "5.1.1", "no")
    raw = report(q)
    m, _, _, back = read_report(raw)
    assert m["Content-Transfer-Encoding"] == "8bit" and "Grüße".encode() in raw
    q.gone()


def test_more_recipients_than_a_report_holds(state):
    """2000 at the most, as long as others are still being sent: then the next report speaks of the rest."""
    q = state()
    q.clean()
    qid, rcpts = qid_at(), [f"r{n}@d{n // 100}.example" for n in range(2300)]
    for at in range(0, 2300, 460):
        q.smtpd.send("QUEUE_RCPTS", qid, *sum(([REMOTE, a, "", "", a, 0, ""] for a in rcpts[at:at + 460]), []))
    assert q.put(qid, [(REMOTE, "last@last.example")], sender=SENDER, flags=SUBMITTED) == [0, ""]
    for f in [q.relay.want("RELAY_SEND", 20) for _ in range(24)]:
        relay_all(q, f, STEP_PERMANENT, 550, "5.1.1", "no such user")
    assert sum("no such user" in read_report(report(q))[1] for _ in range(2)) == 2
    q.gone()
    assert q.mda.recv(0.3) is None and q.directory.recv(0.1) is None
    ended = []
    while (f := q.control.recv(0.3)) is not None:
        ended += [e for e in f.groups(0) if "(report to alice@example.test: " in e[3]] if f.name == "EVENT" else []
    assert sorted(e[5] for e in ended) == sorted(rcpts + ["last@last.example"])
    assert len({e[3].rsplit(" ", 1)[1] for e in ended}) == 2


# -- beyond ASCII

def test_utf8(state):
    q = state()
    q.clean()
    q.put(qid_at(), [(REMOTE, "jörg@far.example", 0, "utf-8;j\\x{F6}rg@far.example"), (REMOTE, "x@far.example")], sender=SENDER,
          flags=SUBMITTED | UTF8, body="Subject: Grüße\r\n\r\nx\r\n".encode())
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_PERMANENT, 550, "5.1.1", "no")
    m, text, blocks, back = read_report(report(q))
    assert blocks[1]["Final-Recipient"] == "utf-8;jörg@far.example" and blocks[1]["Original-Recipient"] == "utf-8;jörg@far.example"
    assert blocks[2]["Final-Recipient"] == "rfc822;x@far.example" and "jörg@far.example" in text
    assert back.get_content_type() == "message/global-headers"
    q.gone()


def test_utf8_only_when_needed(state):
    q = state()
    q.clean()
    q.put(qid_at(), [(REMOTE, "x@far.example")], sender=SENDER, flags=SUBMITTED | UTF8)
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_PERMANENT, 550, "5.1.1", "no")
    raw = report(q)
    assert raw.isascii() and b"message/delivery-status" in raw
    q.gone()


def test_codes_do_not_break_lines(state):
    q = state()
    q.clean()
    evil = "+0D+0A+0D+0AFinal-Recipient:+20rfc822;+20victim@x.example"
    q.put(qid_at(), [(REMOTE, "x@far.example", 0, "rfc822;" + evil)], sender=SENDER, flags=SUBMITTED, envid="a" + evil)
    relay_all(q, q.relay.want("RELAY_SEND"), STEP_PERMANENT, 550, "5.1.1", "no")
    _, _, blocks, _ = read_report(report(q))
    assert len(blocks) == 2 and blocks[1].get_all("Final-Recipient") == ["rfc822;x@far.example"]
    q.gone()
