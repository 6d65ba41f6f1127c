"""What smtpd promises, with every peer scripted: replies, limits, TLS, logging in, bodies of any size, peers that die."""
import os
import re
import socket
import struct
import time

import pytest

from smtpd_role import (ACCEPT, DEFER, JUNK, PUT_FULL, PUT_TEMPORARY, RCPT_OVER_QUOTA, RCPT_TEMPORARY, REFUSE, TICKET, Smtpd,
                        certificate)


@pytest.fixture
def start(tmp_path):
    running = []

    def make(**kw):
        s = Smtpd(str(tmp_path), **kw)
        running.append(s)
        return s

    yield make
    for s in running:
        was_alive = s.alive() or s.p.returncode == 0
        if s.running:
            s.kill()
        assert was_alive, "smtpd died: %s" % s.p.returncode


def wait_for(condition, seconds=3):
    end = time.time() + seconds
    while not condition():
        assert time.time() < end
        time.sleep(0.01)


def test_one_message(start):
    s = start()
    c = s.connect()
    e = c.ehlo()
    for word in ("PIPELINING", "SIZE 52428800", "8BITMIME", "STARTTLS", "ENHANCEDSTATUSCODES", "SMTPUTF8", "DSN", "LIMITS RCPTMAX=1000"):
        assert word in e
    assert "AUTH" not in e and "XCLIENT" not in e and "REQUIRETLS" not in e
    got = c.mail("Message-ID: <m@x>\r\nSubject: x\r\n\r\n..dot\r\nhello\r\n")
    m = s.last()
    assert re.fullmatch(r"250 2.0.0 Queued as [0-9a-z]{13}", got)
    assert m["body"] == b"Message-ID: <m@x>\r\nSubject: x\r\n\r\n.dot\r\nhello\r\n" and m["size"] == len(m["body"])
    assert m["from"] == "s@far.example" and m["msgid"] == "<m@x>" and m["ip"] == "127.0.0.1" and m["flags"] == 0
    assert m["rows"] == [[0, "alice@example.test", "example.test/alice", "", "alice@example.test", 0, ""]]
    assert re.fullmatch(r"Received: from client.example \(\[127.0.0.1\]\)\r\n by mx.example.test \(Tegami\) with ESMTP\r\n"
                        r" id %s\r\n for <alice@example.test>; \w{3}, \d+ \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\n"
                        % got.split()[-1], m["prefix"])
    c.cmd("QUIT", "221 2.0.0")
    assert c.closed()


@pytest.mark.parametrize("say,start_of_reply", [
    ("MAIL FROM:<a@b.example>", "503 5.5.1"), ("RCPT TO:<a@b.example>", "503 5.5.1"), ("DATA", "503 5.5.1"),
    ("XYZZY", "500 5.5.1"), ("", "500 5.5.1"), ("EHLO", "501 5.5.4"), ("EHLO a b", "501 5.5.4"), ("EHLO a(b)", "501 5.5.4"),
    ("HELO [192.0.2.1]", "250 mx.example.test"), ("NOOP x", "250 2.0.0"), ("RSET", "250 2.0.0"), ("RSET x", "501 5.5.4"),
    ("VRFY alice", "252 2.1.5"), ("VRFY", "501 5.5.4"), ("HELP", "214"), ("QUIT now", "501 5.5.4"), ("quit", "221 2.0.0"),
    ("XCLIENT ADDR=192.0.2.1", "550 5.7.1"), ("AUTH PLAIN", "503 5.5.1"), ("STARTTLS x", "501 5.5.4")])
def test_before_hello(start, say, start_of_reply):
    start().connect().cmd(say, start_of_reply)


@pytest.mark.parametrize("say,start_of_reply", [
    ("MAIL FROM:<>", "250 2.1.0"), ("MAIL FROM: <a@b.example>", "250 2.1.0"), ("mail from:<a@b.example> size=1 body=8bitmime", "250"),
    ("MAIL FROM:<a@b.example", "501 5.1.7"), ("MAIL <a@b.example>", "501 5.5.4"), ("MAIL FROM:<a>", "501 5.1.7"),
    ("MAIL FROM:<a@b.example> SIZE=60000000", "552 5.3.4"), ("MAIL FROM:<a@b.example> SMTPUTF8=1", "501 5.5.4"),
    ("MAIL FROM:<a@b.example> SIZE=x", "501 5.5.4"), ("MAIL FROM:<a@b.example> AUTH=<>", "555 5.5.4"),
    ("MAIL FROM:<\xc3\xbc@b.example>", "553 5.6.7"), ("RCPT TO:<alice@example.test>", "503 5.5.1"),
    ("AUTH PLAIN", "502 5.5.1"), ("GET / HTTP/1.1", "554 5.5.1")])
def test_mail(start, say, start_of_reply):
    c = start().connect()
    c.ehlo()
    c.cmd(say, start_of_reply)


def test_recipients(start):
    s = start()
    s.users.update(full=RCPT_OVER_QUOTA, broken=RCPT_TEMPORARY)
    s.aliases.update(team=["alice@example.test", "bob@example.test", "x@far.example"], both=["bob@example.test"])
    c = s.connect()
    c.ehlo()
    c.cmd("MAIL FROM:<s@far.example>", "250")
    c.cmd("DATA", "503 5.5.1")
    c.cmd("MAIL FROM:<s@far.example>", "503 5.5.1")
    assert "no such mailbox" in c.cmd("RCPT TO:<nobody@example.test>", "550 5.1.1 <nobody@example.test>")
    c.cmd("RCPT TO:<x@elsewhere.example>", "550 5.7.1")
    c.cmd("RCPT TO:<full@example.test>", "452 4.2.2")
    c.cmd("RCPT TO:<broken@example.test>", "451 4.3.0")
    c.cmd("RCPT TO:<>", "501 5.1.3")
    c.cmd("RCPT TO:<alice@example.test> NOTIFY=OFTEN", "501 5.5.4")
    c.cmd("RCPT TO:<postmaster>", "250 2.1.5")
    c.cmd("RCPT TO:<ALICE@example.test>", "250 2.1.5")
    c.cmd("RCPT TO:<team@example.test>", "250 2.1.5")
    c.cmd("RCPT TO:<both@example.test>", "250 2.1.5")
    c.cmd("DATA", "354")
    c.send("Subject: x\r\n\r\nx\r\n.\r\n")
    c.expect("250 2.0.0")
    assert s.last()["rcpts"] == ["postmaster@example.test", "alice@example.test", "bob@example.test", "x@far.example"]
    assert "for <" not in s.last()["prefix"]
    wait_for(lambda: len([e for e in s.events if e[5] == "nobody@example.test" and "no such mailbox" in e[3]]) == 1)


def test_pipelining(start):
    s = start()
    c = s.connect()
    c.ehlo()
    c.send("MAIL FROM:<s@far.example>\r\nRCPT TO:<alice@example.test>\r\nRCPT TO:<nobody@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n")
    assert [c.reply()[:9] for _ in range(5)] == ["250 2.1.0", "250 2.1.5", "550 5.1.1", "250 2.1.5", "354 Send "]
    c.send("Subject: x\r\n\r\nx\r\n.\r\nMAIL FROM:<s@far.example>\r\nRCPT TO:<nobody@example.test>\r\nDATA\r\nQUIT\r\n")
    assert [c.reply()[:9] for _ in range(5)] == ["250 2.0.0", "250 2.1.0", "550 5.1.1", "503 5.5.1", "221 2.0.0"]
    assert c.closed()
    # what follows a refused DATA may be a message: it is not read as commands
    d = s.connect()
    d.ehlo()
    d.send("MAIL FROM:<s@far.example>\r\nDATA\r\nRCPT TO:<alice@example.test>\r\nDATA\r\nx\r\n.\r\n")
    d.expect("250")
    d.expect("503 5.5.1")
    assert d.closed()


def test_in_single_bytes(start):
    s = start()
    c = s.connect()
    for byte in b"EHLO x\r\nMAIL FROM:<s@far.example>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n":
        c.send(bytes([byte]))
    for code in ("250", "250", "250", "354"):
        c.expect(code)
    for byte in b"Subject: x\r\n\r\n..\r\n.\r\nQUIT\r\n":
        c.send(bytes([byte]))
    c.expect("250")
    c.expect("221")
    assert s.last()["body"] == b"Subject: x\r\n\r\n.\r\n"


@pytest.mark.parametrize("bad", [b"a\nb\r\n", b"a\rb\r\n", b"a\0b\r\n", b"a\n.\nMAIL FROM:<evil@x>\r\n", b"a\r\n.\nMAIL FROM:<evil@x>\r\n",
                                 b"a\n.\r\nMAIL FROM:<evil@x>\r\n", b"a\r.\rMAIL FROM:<evil@x>\r\n", b"a\r\n.\rMAIL FROM:<evil@x>\r\n"])
def test_nothing_is_smuggled(start, bad):
    s = start()
    c = s.connect()
    c.ehlo()
    c.mail(b"Subject: x\r\n\r\n" + bad + b"more\r\n", start="550 5.5.2")
    assert s.puts == []
    if b"evil" in bad:  # whoever wrote that wanted what follows to be commands
        c.expect("421 4.7.0")
        assert c.closed()
        return
    c.mail()
    assert len(s.puts) == 1


def chunks(body, *cuts):
    """BDAT commands for a body, cut at these places."""
    ends = [*cuts, len(body)]
    return b"".join(b"BDAT %d%s\r\n%s" % (end - begin, b" LAST" if end == len(body) else b"", body[begin:end])
                    for begin, end in zip([0, *cuts], ends))


@pytest.mark.parametrize("size,cuts", [(30, ()), (32768, (100,)), (32769, (32768,)), (40000, (16, 17, 18)), (300000, (1, 200000)), (3000000, ())])
def test_chunks(start, size, cuts):
    s = start()
    c = s.connect()
    c.ehlo()
    body = b"Subject: x\r\n\r\n" + (b"0123456789" * 7 + b"\r\n.\r\n") * (size // 75 + 1)
    body = body[:size].rstrip(b"\r\n")
    c.send(b"MAIL FROM:<s@far.example>\r\nRCPT TO:<alice@example.test>\r\n" + chunks(body, *cuts) + b"NOOP\r\n")
    for _ in range(2 + len(cuts)):
        c.expect("250")
    c.expect("250 2.0.0 Queued")
    c.expect("250 2.0.0 Still")
    m = s.last()
    assert m["body"] == body and m["size"] == len(body) and s.dropped == []


@pytest.mark.parametrize("spoiled", [b"a\nb\r\n", b"\0\r\n", b"\r\r\n"])
def test_spoiled_chunk_is_dropped(start, spoiled):
    s = start()
    c = s.connect()
    c.ehlo()
    good = b"Subject: x\r\n\r\n" + b"x" * 50000 + b"\r\n"
    c.send(b"MAIL FROM:<s@far.example>\r\nRCPT TO:<alice@example.test>\r\n" + chunks(good + spoiled + good, len(good), len(good + spoiled)) +
           b"RSET\r\n")
    for start_of_reply in ("250", "250", "250 2.0.0", "550 5.5.2", "503 5.5.1", "250 2.0.0 Begin"):
        c.expect(start_of_reply)
    assert s.puts == []
    c.mail()
    assert len(s.puts) == 1 and len(s.dropped) == 1


@pytest.mark.parametrize("params,body,flags", [
    ("", b"Subject: \xfc\r\n\r\n", 4), ("", b"Subject: x\r\n\r\n" + b"x" * 40000 + b"\xff", 4 + 2), ("BODY=BINARYMIME", b"x: y\r\n\r\n\x80", 64 + 4),
    ("", b"TLS-Required: No\r\n\r\n", 256), ("", b"Subject: x\r\n\r\nTLS-Required: No\r\n", 0),
    ("", b"X: y\r\n" * 50000 + b"TLS-Required: No\r\n\r\n", 256 + 2), ("", b"X: y\r\n" * 50000 + b"\r\nTLS-Required: No\r\n", 2)])
def test_flags_of_body(start, params, body, flags):
    s = start()
    c = s.connect()
    c.ehlo()
    c.cmd(f"MAIL FROM:<s@far.example> {params}", "250")
    c.cmd("RCPT TO:<alice@example.test>", "250")
    c.send(chunks(body))
    c.expect("250")
    assert s.last()["flags"] == flags


@pytest.mark.parametrize("size", [0, 1, 31000, 32768 - 14, 32768, 32769, 70000, 300000, 3000000])
def test_sizes(start, size):
    s = start()
    c = s.connect()
    c.ehlo()
    line = b"0123456789" * 7 + b"\r\n"
    body = b"Subject: x\r\n\r\n" + (line * (size // 72 + 1))[:max(0, size - 2)] + b"\r\n"
    body = body.replace(b"\r\r\n", b"x\r\n")
    c.mail(body)
    m = s.last()
    assert m["body"] == body and m["size"] == len(body)
    assert bool(m["flags"] & 2) == (len(body) > 32768)
    assert s.dropped == []


def test_slow_queue(start):
    s = start()
    s.silent.add("SPOOL_CREDIT")
    credit = s.on_spool_data
    held = []

    def hold(peer, f):
        held.append(len(f.f[1]))
        credit(_NoCredit(peer), f)
    s.on_spool_data = hold
    c = s.connect()
    c.ehlo()
    c.cmd("MAIL FROM:<s@far.example>", "250")
    c.cmd("RCPT TO:<alice@example.test>", "250")
    c.cmd("DATA", "354")
    body = b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n"
    body += (b"y" * 70 + b"\r\n") * 10000
    c.s.setblocking(False)
    sent = 0
    end = time.time() + 1
    while time.time() < end and sent < len(body):
        try:
            sent += c.s.send(body[sent:sent + 65536])
        except BlockingIOError:
            time.sleep(0.01)
    wait_for(lambda: sum(held) > 200000)
    time.sleep(0.2)
    assert sum(held) <= 256 * 1024 + 2
    # another client is served meanwhile
    d = s.connect()
    d.ehlo()
    d.mail()
    s.on_spool_data = credit
    qid = list(s.spools)[0]
    s.peer["QUEUE"].send("SPOOL_CREDIT", qid, sum(held), "")
    c.s.settimeout(10)
    c.send(body[sent:] + b".\r\n")
    c.expect("250 2.0.0")
    assert s.last()["body"] == body


class _NoCredit:
    def __init__(self, peer):
        self.peer = peer

    def send(self, name, *a, **k):
        if name != "SPOOL_CREDIT":
            self.peer.send(name, *a, **k)


def test_spool_fails(start):
    s = start()
    s.on_spool_end = lambda peer, f: peer.send("SPOOL_IS", f.f[0], PUT_FULL, "no space", id=f.id)
    c = s.connect()
    c.ehlo()
    c.mail(b"x: y\r\n\r\n" + b"x\r\n" * 20000, start="452 4.3.1")
    wait_for(lambda: len(s.dropped) == 1)
    c.mail()


def test_too_big(start):
    s = start(conf=[("limits.message_size", "100000")])
    c = s.connect()
    c.ehlo()
    c.cmd("MAIL FROM:<a@b.example> SIZE=100001", "552 5.3.4")
    c.mail(b"x: y\r\n\r\n" + b"x" * 70 + b"\r\n" + b"y\r\n" * 60000, start="552 5.3.4")
    wait_for(lambda: len(s.dropped) == 1)
    assert s.puts == []
    c.mail()
    # far too big: answered and closed
    c.cmd("MAIL FROM:<a@b.example>", "250")
    c.cmd("RCPT TO:<alice@example.test>", "250")
    c.cmd("DATA", "354")
    try:
        for _ in range(100):
            c.send(b"y\r\n" * 10000)
    except OSError:
        pass
    else:
        c.expect("552")
    assert s.alive()


def test_many_recipients(start):
    s = start(conf=[("limits.recipients", "2000")])
    c = s.connect()
    c.ehlo()
    c.send("MAIL FROM:<s@far.example>\r\n" + "".join("RCPT TO:<user%d@example.test>\r\n" % i for i in range(2001)))
    c.expect("250")
    for _ in range(2000):
        c.expect("250 2.1.5")
    c.expect("452 4.5.3")
    c.cmd("DATA", "354")
    c.send(b"x: y\r\n\r\n" + b"x" * 30000 + b"\r\n.\r\n")
    c.expect("250 2.0.0")
    assert s.last()["rcpts"] == ["user%d@example.test" % i for i in range(2000)]


def test_hops(start):
    s = start(conf=[("limits.hops", "5")])
    c = s.connect()
    c.ehlo()
    c.mail("Received: x\r\n" * 5 + "\r\nx\r\n")
    c.mail("Received: x\r\n" * 6 + "\r\nx\r\n", start="554 5.4.6")


@pytest.mark.parametrize("verdict,reply,want", [
    (REFUSE, "550 5.7.1 spam", "550 5.7.1 spam"), (REFUSE, "virus X", "550 5.7.1 virus X"), (DEFER, "451 4.7.5 greylisted", "451 4.7.5 greylisted"),
    (DEFER, "", "451 4.7.1"), (REFUSE, "", "550 5.7.1"), (REFUSE, "250 2.0.0 lies", "550 5.7.1 250 2.0.0 lies"),
    (REFUSE, "550 5.7.1 a\r\n250 b", "550 5.7.1 a"), (77, "", "451 4.7.1")])
def test_filter_refuses(start, verdict, reply, want):
    s = start(filters=True)
    s.verdict[:2] = [verdict, reply]
    c = s.connect()
    c.ehlo()
    c.mail(start=want)
    assert s.puts == []
    wait_for(lambda: s.events)


def test_filter_adds_and_cuts(start):
    s = start(filters=True)
    s.verdict[0] = JUNK
    s.verdict[4] = struct.pack("<QQ", 0, 12)
    c = s.connect()
    c.ehlo()
    c.mail(body="Subject: x\r\n\r\n" + "z" * 70 + "\r\n")
    m = s.last()
    assert m["flags"] & 1 and m["cuts"] == s.verdict[4]
    assert m["prefix"].startswith("Authentication-Results: mx.example.test; none\r\nReceived: ")
    fields, body = s.checks[0]
    assert fields[1:9] == [0, "127.0.0.1", "client.example", "s@far.example", "", 0, "alice@example.test", 0] and body == m["body"]
    # a long one goes as a file
    c.mail(b"x: y\r\n\r\n" + b"x\r\n" * 20000)
    assert s.checks[1][1] == b"x: y\r\n\r\n" + b"x\r\n" * 20000


def test_peers_away(start):
    s = start(filters=True)
    c = s.connect()
    c.ehlo()
    s.drop("FILTER")
    c.mail(start="451 4.7.1")
    s.add("FILTER")
    c.mail()
    s.silent.add("FILTER_CHECK")
    c.cmd("MAIL FROM:<s@far.example>", "250")
    c.cmd("RCPT TO:<alice@example.test>", "250")
    c.cmd("DATA", "354")
    c.send("x: y\r\n\r\nx\r\n.\r\n")
    time.sleep(0.1)
    s.drop("FILTER")
    c.expect("451 4.7.1")
    s.silent.clear()
    s.add("FILTER")
    s.drop("QUEUE")
    c.mail(start="451 4.3.0")
    c.mail(b"x: y\r\n\r\n" + b"x\r\n" * 20000, start="451 4.3.0")
    s.add("QUEUE")
    s.put_status = [PUT_FULL, "the disk is full"]
    c.mail(start="452 4.3.1 the disk is full")
    s.put_status = [PUT_TEMPORARY, ""]
    c.mail(start="451 4.3.0")
    s.put_status = [0, ""]
    s.drop("DIRECTORY")
    c.cmd("MAIL FROM:<s@far.example>", "250")
    c.cmd("RCPT TO:<bob@example.test>", "451 4.3.0")  # one that smtpd does not know yet
    s.add("DIRECTORY")
    c.cmd("RCPT TO:<bob@example.test>", "250")
    c.cmd("RSET", "250")
    c.mail()


def test_queue_dies_before_it_answers(start):
    """It may have stored the message: neither 250 nor 451 would be true."""
    s = start()
    c = s.connect()
    c.ehlo()
    s.silent.add("QUEUE_PUT")
    c.cmd("MAIL FROM:<s@far.example>", "250")
    c.cmd("RCPT TO:<alice@example.test>", "250")
    c.cmd("DATA", "354")
    c.send("x: y\r\n\r\nx\r\n.\r\n")
    time.sleep(0.1)
    s.drop("QUEUE")
    assert c.closed()


def test_submission(start):
    s = start()
    s.sign_answer = [1, b"DKIM-Signature: v=1; x\r\n", ""]
    c = s.connect("sub")
    assert "AUTH" not in c.ehlo()
    c.cmd("MAIL FROM:<alice@example.test>", "530 5.7.0")
    c.cmd("AUTH PLAIN AGFsaWNlAHNlY3JldA==", "538 5.7.11")
    c.tls()
    c.cmd("MAIL FROM:<alice@example.test>", "503 5.5.1")
    assert "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN" in c.ehlo() and "STARTTLS" not in c.ehlo()
    c.cmd("MAIL FROM:<alice@example.test>", "530 5.7.0")
    c.login()
    assert "AUTH" not in c.ehlo()
    c.cmd("AUTH PLAIN AGFsaWNlAHNlY3JldA==", "503 5.5.1")
    c.mail("Subject: x\r\nFrom: alice@example.test\r\n\r\nx\r\n", rcpts=("x@far.example", "bob@example.test"), sender="alice@example.test")
    m = s.last()
    assert m["rows"][0] == [1, "x@far.example", "", "", "x@far.example", 0, ""] and m["flags"] & 16 and m["ticket"] == TICKET
    assert m["prefix"].startswith("DKIM-Signature: v=1; x\r\nReceived: from client.example ([127.0.0.1])\r\n by mx.example.test (Tegami) with ESMTPSA\r\n (TLSv1.3 ")
    assert re.search(r"\r\nDate: .*\r\nMessage-ID: <\w+\.\w+@mx.example.test>\r\n$", m["prefix"])
    assert m["msgid"] == re.search("Message-ID: (.*)\r", m["prefix"]).group(1)
    assert s.signs[0][0][1] == TICKET and s.signs[0][1] == m["body"]
    s.sender_ok = False
    assert "may not send as" in c.cmd("MAIL FROM:<bob@example.test>", "553 5.7.1")
    s.sender_ok = True
    c.mail("Date: x\r\nMessage-ID: <a@b>\r\nFrom: alice@example.test\r\n\r\n" + "x\r\n" * 20000, sender="alice@example.test")
    assert "Message-ID" not in s.last()["prefix"] and len(s.signs[1][1]) > 32768
    puts = len(s.puts)
    for answer, start_of in (([2, b"", "the directory is not there"], "451 4.3.0"), ([3, b"", "alice is not bob"], "550 5.7.1")):
        s.sign_answer = answer
        assert answer[2] in c.mail("From: alice@example.test\r\n\r\nx\r\n", start=start_of, sender="alice@example.test")
    s.drop("SIGNER")
    c.mail("From: alice@example.test\r\n\r\nx\r\n", start="451 4.3.0", sender="alice@example.test")
    assert len(s.puts) == puts
    c.cmd("QUIT", "221")
    wait_for(lambda: s.ended == [TICKET])


def test_auth_ways(start):
    s = start()
    c = s.connect("subs")
    assert "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN" in c.ehlo()
    c.cmd("AUTH", "501 5.5.4")
    c.cmd("AUTH PLAIN !!!", "501 5.5.2")
    c.cmd("AUTH CRAM-MD5", "504 5.5.4")
    c.cmd("AUTH PLAIN =", "535 5.7.8")
    assert s.auths[-1][3:] == [b"", b"", 1, b""]
    c.cmd("AUTH scram-sha-256-plus YQ==", "504 5.5.4")  # this auth knows it not; but it was told of the connection
    assert [len(x) for x in s.auths[-1][3:5]] == [32, 32]
    c.cmd("AUTH X-A-MECHANISM-OF-A-LONG-NAME YQ==", "504 5.5.4")
    c.cmd("auth plain", "334 ")
    c.cmd("*", "501 5.7.0")
    wait_for(lambda: len(s.aborted) == 1)
    c.cmd("AUTH LOGIN", "334 VXNlcm5hbWU6")
    c.cmd("YWxpY2U=", "334 UGFzc3dvcmQ6")
    c.cmd("?", "501 5.5.2")
    c.cmd("AUTH LOGIN", "334")
    c.cmd("YWxpY2U=", "334")
    c.cmd("d3Jvbmc=", "535 5.7.8")
    c.cmd("AUTH LOGIN", "334")
    c.cmd("YWxpY2U=", "334")
    c.cmd("c2VjcmV0", "235 2.7.0")
    c.cmd("QUIT", "221")
    # gone in the middle
    d = s.connect("subs")
    d.ehlo()
    d.cmd("AUTH PLAIN", "334")
    d.close()
    wait_for(lambda: len(s.aborted) == 3)
    s.drop("AUTH")
    e = s.connect("subs")
    e.ehlo()
    e.cmd("AUTH PLAIN", "454 4.7.0")
    # a response without end
    s.add("AUTH")
    e.cmd("AUTH PLAIN", "334")
    e.send("A" * 20000)
    e.expect("500 5.5.6")
    assert e.closed()


def test_starttls_injection(start):
    s = start()
    c = s.connect("sub")
    c.ehlo()
    c.send("STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@x.example>\r\n")
    c.expect("220")
    c.wrap()
    c.cmd("NOOP", "250")    # the first reply inside is to this
    c.cmd("MAIL FROM:<a@b.example>", "503")
    c.ehlo()


def test_sni(start, tmp_path):
    s = start()
    c = s.connect("sub")
    s.give_cert("", *certificate(str(tmp_path), "new.example.test"))
    s.give_cert("other.example", *certificate(str(tmp_path), "other.example"))
    s.sup.send("SETUP_CONFIG", "hostname", "mx.example.test")
    s.sup.send("SETUP_GO", 1)
    assert s.sup.recv(5).name == "ROLE_READY"

    def subject(name):
        c = s.connect("sub")
        c.ehlo()
        c.cmd("STARTTLS", "220")
        c.wrap(name)
        der = c.s.getpeercert(True)
        return b"other.example" in der, b"new.example.test" in der
    assert subject("other.example") == (True, False)
    assert subject("OTHER.example") == (True, False)
    assert subject("what.example") == (False, True)
    c.ehlo()
    # a bad certificate is refused, the old ones stay
    bad = tmp_path / "bad.pem"
    bad.write_text("not PEM\n")
    s.give_cert("", str(bad), str(bad))
    s.sup.send("SETUP_CONFIG", "hostname", "mx.example.test")
    s.sup.send("SETUP_GO", 1)
    f = s.sup.recv(5)
    assert f.name == "ROLE_FAILED" and "certificate" in f.f[0]
    assert subject("what.example") == (False, True)


def test_no_certificate(start):
    s = start(cert=False)
    c = s.connect("sub")
    assert "STARTTLS" not in c.ehlo()
    c.cmd("STARTTLS", "502")


def test_tls_garbage(start):
    s = start()
    for _ in range(3):
        c = socket.create_connection(("127.0.0.1", s.port["subs"]))
        c.sendall(b"EHLO x\r\n" * 100)
        c.settimeout(5)
        try:
            while c.recv(1000):
                pass
        except ConnectionResetError:
            pass
        c.close()
    c = s.connect("sub")
    c.ehlo()
    c.cmd("STARTTLS", "220")
    c.send(b"\x16\x03\x01" + os.urandom(2000))
    assert s.connect("subs").ehlo()


def test_tls_big(start):
    s = start(conf=[("limits.commands", "10000")])
    c = s.connect("subs")
    c.ehlo()
    c.login()
    body = b"From: alice@example.test\r\nDate: x\r\n\r\n" + b"0123456789" * 7 + b"\r\n" * 1
    body += (b"z" * 70 + b"\r\n") * 30000
    c.mail(body, sender="alice@example.test")
    assert s.last()["body"] == body
    # pipelined over records
    c.send("NOOP\r\n" * 5000)
    for _ in range(5000):
        c.expect("250")


def test_xclient(start):
    s = start(conf=[("trusted_proxies", "127.0.0.1"), ("trusted_networks", "192.0.2.0/24")], filters=True)
    c = s.connect()
    assert "XCLIENT" in c.ehlo()
    c.cmd("XCLIENT ADDR=198.51.100.7 NAME=mail.far.example HELO=he.far.example PORT=77", "220 ")
    c.cmd("MAIL FROM:<a@b.example>", "503")
    c.ehlo()
    c.cmd("XCLIENT LOGIN=alice", "501")
    c.cmd("XCLIENT ADDR=1.2.3", "501")
    c.cmd("XCLIENT NAME=a+0D+0Ab", "501")
    c.mail()
    assert "from he.far.example (mail.far.example [198.51.100.7])" in s.last()["prefix"] and s.last()["ip"] == "198.51.100.7"
    assert s.checks[0][0][2:4] == ["198.51.100.7", "he.far.example"] and s.checks[0][0][10] == "mail.far.example"
    c.cmd("MAIL FROM:<a@b.example>", "250")
    c.cmd("RCPT TO:<x@far.example>", "550 5.7.1")
    c.cmd("RSET", "250")
    c.cmd("XCLIENT ADDR=192.0.2.9 NAME=[UNAVAILABLE]", "220")
    c.ehlo()
    c.mail(rcpts=("x@far.example",))
    assert "he.far.example ([192.0.2.9])" in s.last()["prefix"] and s.last()["flags"] & 16
    assert "Date:" in s.last()["prefix"]
    c.cmd("XCLIENT ADDR=IPV6:2001:DB8::1", "220")
    c.ehlo()
    c.mail()
    assert "[IPv6:2001:db8::1]" in s.last()["prefix"]


def test_local(start):
    s = start(listen=("mx", "local"))
    c = s.connect("local")
    assert "STARTTLS" not in c.ehlo()
    c.mail(rcpts=("x@far.example",))
    assert "from client.example (local user, uid %d)" % os.getuid() in s.last()["prefix"] and s.last()["flags"] & 16


def test_errors(start):
    s = start(conf=[("limits.errors", "5")])
    c = s.connect()
    for _ in range(5):
        c.cmd("XYZZY", "500")
    c.expect("421 4.7.0")
    assert c.closed()


def test_long_lines(start):
    s = start()
    c = s.connect()
    c.send("NOOP " + "x" * (4096 - 7) + "\r\n")
    c.expect("250")
    c.send("NOOP " + "x" * (4096 - 6) + "\r\nNOOP\r\n")
    c.expect("500 5.5.2")
    c.expect("250")
    c.send("x" * (1 << 20) + "\r\nNOOP\r\n")
    c.expect("500 5.5.2")
    c.expect("250")
    c.send("NO\0OP\r\nNO\rOP\r\n")
    c.expect("500 5.5.2")
    c.expect("500 5.5.2")
    c.send("NOOP\nNOOP\r\n")
    c.expect("500 5.5.2")
    c.expect("250")


def test_line_without_end(start):
    c = start().connect()
    c.send("x" * 5000)
    c.expect("500 5.5.2")   # said at once
    try:
        for _ in range(100):
            c.send("x" * 100000)
    except OSError:
        pass
    c.expect("421 4.7.0")


def test_connection_limits(start):
    s = start(conf=[("limits.connections", "6"), ("limits.connections_per_client", "4")])
    four = [s.connect() for _ in range(4)]
    c = s.connect(greet=False)
    c.expect("421 4.7.0")
    assert c.closed()
    four[0].cmd("QUIT", "221")
    four[0].closed()
    time.sleep(0.05)
    s.connect()


@pytest.mark.parametrize("params,flags", [
    ("", 0), ("BODY=7BIT", 0), ("BODY=8BITMIME", 4), ("SMTPUTF8", 8), ("RET=FULL", 512), ("RET=HDRS", 1024), ("REQUIRETLS", 128),
    ("SMTPUTF8 RET=FULL BODY=8BITMIME REQUIRETLS", 8 + 512 + 4 + 128)])
def test_flags(start, params, flags):
    s = start()
    c = s.connect()
    c.ehlo()
    if "REQUIRETLS" in params:
        c.tls()
        c.ehlo()
    c.cmd(f"MAIL FROM:<s@far.example> {params}", "250")
    c.cmd("RCPT TO:<alice@example.test>", "250")
    c.cmd("DATA", "354")
    c.send("TLS-Required: No\r\n\r\nx\r\n.\r\n" if "REQUIRETLS" in params else "Subject: x\r\n\r\nx\r\n.\r\n")
    c.expect("250")
    assert s.last()["flags"] == flags


def test_dsn_travels(start):
    s = start()
    c = s.connect()
    c.ehlo()
    c.cmd("MAIL FROM:<s@far.example> ENVID=a+2Bb RET=HDRS", "250")
    c.cmd("RCPT TO:<alice@example.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;A+2Bl@x.example", "250")
    c.cmd("RCPT TO:<bob@example.test> NOTIFY=NEVER", "250")
    c.cmd("DATA", "354")
    c.send("Subject: x\r\n\r\nx\r\n.\r\n")
    c.expect("250")
    m = s.last()
    assert m["envid"] == "a+2Bb"
    assert [r[1:2] + r[5:] for r in m["rows"]] == [["alice@example.test", 2 + 8, "rfc822;A+2Bl@x.example"], ["bob@example.test", 1, ""]]


def test_timeouts(start):
    s = start(conf=[("limits.idle_timeout", "1000"), ("limits.data_timeout", "1000")])
    c, d, e = s.connect(), s.connect(), s.connect()
    e.ehlo()
    e.cmd("MAIL FROM:<a@b.example>", "250")
    e.cmd("RCPT TO:<alice@example.test>", "250")
    e.cmd("DATA", "354")
    e.send("a line with a bare LF\n.\n")
    began = time.time()
    # dripping bytes do not help
    while time.time() < began + 1.2:
        try:
            d.send("N")
        except OSError:
            break
        time.sleep(0.1)
    c.expect("421 4.4.2")
    assert c.closed() and time.time() < began + 1.8
    d.expect("421 4.4.2")
    assert "bare LF" in e.expect("421 4.4.2")


def test_session_timeout(start):
    s = start(conf=[("limits.session_timeout", "1000")])
    c = s.connect()
    for _ in range(8):
        c.cmd("NOOP", "250")
        time.sleep(0.1)
    assert "lasted too long" in c.expect("421 4.4.2")


def test_stop(start):
    s = start()
    s.silent.add("QUEUE_PUT")
    idle, busy = s.connect(), s.connect()
    busy.ehlo()
    busy.cmd("MAIL FROM:<a@b.example>", "250")
    busy.cmd("RCPT TO:<alice@example.test>", "250")
    busy.cmd("DATA", "354")
    busy.send("x: y\r\n\r\nx\r\n")
    s.silent.clear()
    s.sup.send("SETUP_STOP")
    idle.expect("421 4.3.2")
    assert idle.closed()
    with pytest.raises(OSError):
        s.connect()
    busy.send(".\r\n")
    busy.expect("250 2.0.0")
    busy.expect("421 4.3.2")
    assert s.p.wait(3) == 0


def test_stop_does_not_wait_for_ever(start):
    s = start()
    c = s.connect()
    c.ehlo()
    c.cmd("MAIL FROM:<a@b.example>", "250")
    c.cmd("RCPT TO:<alice@example.test>", "250")
    c.cmd("DATA", "354")
    began = time.time()
    assert s.stop() == 0
    assert 9 < time.time() - began < 12


def test_clients_that_leave(start):
    s = start()
    for cut in range(1, 6):
        c = s.connect()
        c.ehlo()
        steps = ["MAIL FROM:<a@b.example>\r\n", "RCPT TO:<alice@example.test>\r\n", "DATA\r\n", "x: y\r\n\r\nx\r\n", ".\r\n"]
        for step in steps[:cut]:
            c.send(step)
        c.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.close()
    c = s.connect()
    c.ehlo()
    c.cmd("MAIL FROM:<a@b.example>", "250")
    c.cmd("RCPT TO:<alice@example.test>", "250")
    c.cmd("DATA", "354")
    c.send(b"x: y\r\n\r\n" + b"x\r\n" * 100000)
    c.close()
    wait_for(lambda: s.dropped)
    # half closed: still answered
    d = s.connect()
    d.send("EHLO x\r\nMAIL FROM:<s@far.example>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\nx: y\r\n\r\nx\r\n.\r\nQUIT\r\n")
    d.s.shutdown(socket.SHUT_WR)
    for code in ("250", "250", "250", "354", "250 2.0.0", "221"):
        d.expect(code)
    assert d.closed()


def test_reader_that_does_not_read(start):
    s = start(conf=[("limits.commands", "10000000")])
    c = s.connect()
    c.s.setblocking(False)
    sent = 0
    end = time.time() + 2
    while time.time() < end:
        try:
            sent += c.s.send(b"HELP\r\n" * 2000)
        except BlockingIOError:
            time.sleep(0.05)
    rss = int(re.search(r"VmRSS:\s+(\d+)", open("/proc/%d/status" % s.p.pid).read()).group(1))
    assert rss < 40000
    s.connect().ehlo()


def test_many_idle(start):
    s = start(conf=[("limits.connections_per_client", "3000")])

    def private():
        text = open("/proc/%d/smaps_rollup" % s.p.pid).read()
        return int(re.search(r"Private_Dirty:\s+(\d+)", text).group(1))
    first = s.connect()
    first.ehlo()
    before = private()
    many = []
    for _ in range(800):
        c = s.connect()
        c.ehlo()
        many.append(c)
    each = (private() - before) * 1024 / len(many)
    print("idle connection: %d bytes" % each)
    assert each < 4096


def test_last_reply_arrives(start):
    """A client that goes on sending still gets the reply that ends its session."""
    s = start(conf=[("limits.errors", "5"), ("limits.message_size", "10000")])
    c = s.connect()
    c.send("XYZZY\r\n" * 100000)
    for _ in range(5):
        c.expect("500")
    c.expect("421 4.7.0")
    assert c.closed()
    d = s.connect()
    d.ehlo()
    d.cmd("MAIL FROM:<s@far.example>", "250")
    d.cmd("RCPT TO:<alice@example.test>", "250")
    d.cmd("DATA", "354")
    d.send(b"x\r\n" * 800000)
    d.expect("552 5.3.4")
    assert d.closed()
