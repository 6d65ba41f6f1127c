"""Messages, addresses and names that are made to hurt: each is refused with a reason or stored as it is, in bounded memory, and
the server goes on. All filters are on."""
import os
import pathlib
import re
import time

import pytest

from server import PATIENCE, Server, wait_until
from test_framing import Wire, holding, log_in, still_fine, token

MEMORY = 256 << 20  # what a role may grow by for one message, in bytes of RSS


@pytest.fixture(scope="module")
def filtering():
    with Server({"spam.junk_score": "900", "spam.refuse_score": "1000", "spam.enabled": "true", "spf.enabled": "true", "dkim.enabled": "true", "dmarc.enabled": "true"}, quiet=False) as s:
        s.add_domain("example.test", alice="alice-secret", bob="bob-secret")
        s.cli("dkim", "create", "example.test", "--algorithm", "ed25519")
        yield s


def peaks(server):
    """The most memory that each role ever had, by pid."""
    found = {}
    for role in server.status()["roles"]:
        pid = int(role.get("pid") or 0)
        if pid > 0 and role["name"] != "tegamid":
            text = pathlib.Path(f"/proc/{pid}/status").read_text()
            found[role["name"], pid] = int(re.search(r"VmHWM:\s*(\d+)", text).group(1)) << 10
    return found


def give(server, data, kind="mx", sender="a@peer.test", options="", rcpt="alice@example.test"):
    """The reply to a message."""
    with Wire(server, kind) as w:
        if kind == "submissions":
            log_in(w)
            sender = "alice@example.test"
        else:
            assert w.ask("EHLO client.test").startswith("250")
        w.sock.settimeout(120 * PATIENCE)
        assert w.ask(f"MAIL FROM:<{sender}>{options}").startswith("250")
        assert w.ask(f"RCPT TO:<{rcpt}>").startswith("250")
        assert w.ask("DATA").startswith("354")
        w.send(re.sub(rb"(?m)^\.", b"..", data) + b".\r\n")
        return w.reply()


def head(mark, *more, sender="a@peer.test"):
    return "".join(f"{l}\r\n" for l in (f"From: {sender}", "To: alice@example.test", f"Subject: {mark}",
                                         "Date: Tue, 24 Nov 2026 11:00:00 +0000", f"Message-ID: <{mark}@peer.test>", *more)).encode()


def nested(depth):
    out = []
    for i in range(depth):
        out.append(f"Content-Type: multipart/mixed; boundary=\"b{i}\"\r\n\r\n--b{i}\r\n")
    return "".join(out).encode() + b"Content-Type: text/plain\r\n\r\nx\r\n" + b"".join(f"--b{i}--\r\n".encode() for i in reversed(range(depth)))


def addresses(n):
    return ",\r\n ".join(f"user{i}@peer{i}.test" for i in range(n))


MESSAGES = {
    "many-headers": lambda m: head(m) + b"".join(b"X-H%d: value\r\n" % i for i in range(100_000)) + b"\r\nx\r\n",
    "same-header": lambda m: head(m) + b"Received: from a by b\r\n" * 49 + b"Subject: x\r\n" * 100_000 + b"\r\nx\r\n",
    "huge-header": lambda m: head(m) + b"X-Big: " + b"y" * 10_000_000 + b"\r\n\r\nx\r\n",
    "huge-header-folded": lambda m: head(m) + b"X-Big: a\r\n" + b" yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 250_000 + b"\r\nx\r\n",
    "blank-folding": lambda m: head(m) + b"X-Fold: a\r\n" + b" \r\n" * 300_000 + b"\r\nx\r\n",
    "huge-from": lambda m: b"From: " + b"a" * 1_000_000 + b" <a@peer.test>\r\n" + head(m)[22:] + b"\r\nx\r\n",
    "huge-signature": lambda m: b"DKIM-Signature: v=1; a=rsa-sha256; d=peer.test; s=x; h=" + b"from:" * 200_000 + b"; bh=; b=\r\n" + head(m) + b"\r\nx\r\n",
    "many-signatures": lambda m: b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=peer.test; s=x; h=from; bh=AAAA; b=AAAA\r\n" * 5000 + head(m) + b"\r\nx\r\n",
    "many-to": lambda m: head(m) + b"Cc: " + addresses(10_000).encode() + b"\r\n\r\nx\r\n",
    "many-from": lambda m: b"From: " + addresses(10_000).encode() + b"\r\n" + head(m)[19:] + b"\r\nx\r\n",
    "comments": lambda m: head(m) + b"Cc: " + b"(" * 100_000 + b")" * 100_000 + b" a@peer.test\r\n\r\nx\r\n",
    "quotes": lambda m: head(m) + b"Cc: \"" + b"\\\"" * 200_000 + b"\r\n\r\nx\r\n",
    "encoded-words": lambda m: head(m) + b"X-S: " + b"=?utf-8?Q?=C3=A4?= " * 100_000 + b"\r\n\r\nx\r\n",
    "nested": lambda m: head(m, "MIME-Version: 1.0") + nested(1000),
    "open-nested": lambda m: head(m, "MIME-Version: 1.0") + nested(1000)[:30_000] + b"\r\n",
    "many-parts": lambda m: head(m, "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b") + b"\r\n" + b"--b\r\n\r\nx\r\n" * 50_000 + b"--b--\r\n",
    "same-boundary": lambda m: head(m, "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b") + b"\r\n" + b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * 5000,
    "empty-boundary": lambda m: head(m, "Content-Type: multipart/mixed; boundary=\"\"") + b"\r\n" + b"--\r\n" * 10_000,
    "long-boundary": lambda m: head(m, "Content-Type: multipart/mixed; boundary=\"" + "b" * 100_000 + "\"") + b"\r\n--" + b"b" * 100_000 + b"\r\n\r\nx\r\n",
    "rfc822-chain": lambda m: head(m) + b"Content-Type: message/rfc822\r\n\r\n" * 2000 + b"\r\nx\r\n",
    "long-lines": lambda m: head(m) + b"\r\n" + (b"z" * 1_000_000 + b"\r\n") * 5,
    "long-base64": lambda m: head(m, "Content-Transfer-Encoding: base64") + b"\r\n" + b"QUJD" * 1_000_000 + b"\r\n",
    "html-tags": lambda m: head(m, "Content-Type: text/html") + b"\r\n" + b"<a href=\"http://" * 100_000 + b"\r\n" + b"<" * 500_000 + b"\r\n",
    "links": lambda m: head(m, "Content-Type: text/html") + b"\r\n" + b"".join(b"<a href=\"http://h%d.peer.test/\">x</a>\r\n" % i for i in range(50_000)),
    "no-blank-line": lambda m: head(m),
    "no-headers": lambda m: b"\r\n" + m.encode() + b"\r\n",
    "only-body": lambda m: m.encode() + b" and no header at all\r\nmore of that\r\n",
    "empty-names": lambda m: head(m) + b": nothing\r\n:\r\n \r\n\r\nx\r\n",
    "space-before-colon": lambda m: head(m) + b"From : evil@peer.test\r\nSubject\t: x\r\n\r\nx\r\n",
    "folded-first": lambda m: b" folded before any field\r\n" + head(m) + b"\r\nx\r\n",
    "controls": lambda m: head(m) + b"X-C: " + bytes(c for c in range(1, 32) if c not in (10, 13)) + b"\x7f\r\n\r\n\x1b[2J\x08\r\n",
    "eight-bit": lambda m: head(m) + b"X-8: \xff\xfe\xe9\r\n\r\n\xff\xfe\xe9 \xc3\xa4\r\n",
    "odd-utf8": lambda m: head(m) + b"X-8: \xc0\xaf\xed\xa0\x80\xf8\x88\x80\x80\x80\r\n\r\n\xef\xbb\xbf\xe2\x80\xae\r\n",
    "dots": lambda m: head(m) + b"\r\n" + b".\r\n..\r\n" * 50_000,
    "empty-lines": lambda m: head(m) + b"\r\n" * 1_000_000,
}


@pytest.mark.parametrize("kind", ["mx", "submissions"])
@pytest.mark.parametrize("name", MESSAGES)
def test_message(filtering, name, kind):
    """Refused in words, or stored without a byte changed below what we put on top (and what a forger put there)."""
    mark = token()
    data = MESSAGES[name](mark)
    if kind == "submissions":
        data = data.replace(b"a@peer.test", b"alice@example.test")
    before = peaks(filtering)
    began = time.monotonic()
    reply = give(filtering, data, kind)
    taken = time.monotonic() - began
    assert re.match(r"(250 2|550 5|552 5|554 5|451 4)\S+ \S", reply), reply
    assert taken < 60 * PATIENCE, f"{taken:.1f} s"
    assert name != "folded-first" or reply.startswith("550 5.6.0"), reply  # it would go on with the last field of ours
    if reply.startswith("250"):
        wait_until("the mail", lambda: holding(filtering, mark) or holding_junk(filtering, mark), 30)
        mail, = holding(filtering, mark) + holding_junk(filtering, mark)
        assert mail.raw.endswith(data.replace(b"\r\n", b"\n")), f"{len(mail.raw)} bytes of {len(data)}: {mail.raw[:200]!r}"
    for role, bytes_ in peaks(filtering).items():
        assert role in before, f"{role} died"
        assert bytes_ - before[role] < MEMORY, f"{role} grew by {(bytes_ - before[role]) >> 20} MiB"
    still_fine(filtering)


def holding_junk(server, mark):
    return [m for m in server.mails("alice@example.test", "Junk") if mark.encode() in m.raw]


def find(server, mark):
    wait_until("the mail", lambda: holding(server, mark) or holding_junk(server, mark))
    mail, = holding(server, mark) + holding_junk(server, mark)
    return mail


def test_forged_fields(filtering):
    """What others wrote under our name is gone, or stands below ours; never above."""
    mark = token()
    reply = give(filtering, b"Authentication-Results: mx.example.test; spf=pass; dkim=pass; dmarc=pass\r\n"
                 b"Authentication-Results:\r\n MX.example.test (x) ; dmarc=pass\r\nReturn-Path: <forged@peer.test>\r\n"
                 b"Delivered-To: bob@example.test\r\nX-Spam-Status: No, score=-100\r\nX-Spam-Flag: NO\r\n"
                 b"Authentication-Results: other.test; spf=pass\r\n"
                 b"Received: from bank.test by mx.example.test with ESMTPS id 1; Tue, 24 Nov 2026 11:00:00 +0000\r\n" + head(mark) + b"\r\nx\r\n")
    assert reply.startswith("250")
    mail = find(filtering, mark)
    assert mail.raw.startswith(b"Return-Path: <a@peer.test>\nDelivered-To: alice@example.test\n")
    ours = [v for v in mail.header("Authentication-Results") if "example.test" in v.lower()]
    assert len(ours) == 1 and "dmarc=pass" not in ours[0], ours
    assert "other.test; spf=pass" in " ".join(mail.header("Authentication-Results"))
    first = mail.header("Received")[0]
    assert "client.test" in first and "bank.test" not in first
    assert mail.header("X-Spam-Status")[0].startswith(("Yes, score=", "No, score=")) and "-100" not in mail.header("X-Spam-Status")[0]


@pytest.mark.parametrize("hops,code", [(30, "250"), (60, "554 5.4.6"), (5000, "554 5.4.6")])
def test_hops(filtering, hops, code):
    mark = token()
    reply = give(filtering, b"Received: from a.test by b.test; Tue, 24 Nov 2026 11:00:00 +0000\r\n" * hops + head(mark) + b"\r\nx\r\n")
    assert reply.startswith(code), reply


@pytest.mark.parametrize("hops,code", [(30, "250"), (60, "554 5.4.6")])
def test_hops_far_down(filtering, hops, code):
    """They count wherever in the header they stand."""
    mark = token()
    hop = b"Received: from a.test by b.test; Tue, 24 Nov 2026 11:00:00 +0000\r\n" + b"X-Filler: %s\r\n" % (b"y" * 900) * 4
    reply = give(filtering, head(mark) + hop * hops + b"\r\nx\r\n")
    assert reply.startswith(code), reply


# -- addresses

RCPTS = [
    "bob@example.test'; DROP TABLE users; --", "' OR '1'='1'@example.test", "\"' OR 1=1 --\"@example.test", "\"a\"\"b\"@example.test",
    "../bob@example.test", "alice+../../bob@example.test", "alice+/etc/passwd@example.test", "\"../../../etc/passwd\"@example.test",
    "\"alice/../bob\"@example.test", "alice+..@example.test", "..@example.test", ".@example.test", "alice@example.test/../x",
    "bob%peer.test@example.test", "peer.test!bob@example.test", "bob%peer.test%other.test@example.test", "bob@peer.test@example.test",
    "\"bob@peer.test\"@example.test", "@example.test:bob@peer.test", "@example.test,@example.test:bob@peer.test", "bob@[127.0.0.1]",
    "bob@[IPv6:::1]", "bob@[peer.test]", "bob@127.0.0.1", "bob@localhost", "bob@", "@example.test", "@", "bob", "bob@example.test.",
    "bob@.example.test", "bob@example..test", "al\u0131ce@example.test", "\u0430lice@example.test", "alice@ex\u0430mple.test",
    "alice@example\u3002test", "alice@example.test\u200b", "alice\uff20example.test", "bob@peer.test\u0000@example.test",
    "|/bin/sh@example.test", "\"|/bin/sh -c x\"@example.test", "/tmp/x@example.test", ":include:/etc/passwd@example.test",
    "`id`@example.test", "$(id)@example.test", "%n%s%x@example.test", "alice@example.test> NOTIFY=NEVER <bob@peer.test",
    "alice,bob@example.test", "alice@example.test,bob@peer.test", "alice bob@example.test", "-oQ/tmp@example.test", "*@example.test",
    "%@example.test", "_____@example.test", "a" * 65 + "@example.test", "a@" + "b" * 250 + ".test", "x" * 400 + "@" + "y." * 200 + "test",
    "alice@example.test\x01", "alice@exa\rmple.test", "alice\tbob@example.test", "<alice@example.test>", "(x)alice@example.test",
]


@pytest.mark.parametrize("rcpt", RCPTS, ids=lambda r: ascii(r)[1:50])
def test_recipient(shared, rcpt):
    """Nothing is relayed, nothing is made outside the mail root, and nobody else gets it."""
    mark = token()
    tree = {p for p in shared.state.rglob("*") if "/mail/" not in str(p) and "spool" not in str(p)}
    with Wire(shared) as w:
        w.ask("EHLO client.test")
        assert w.ask("MAIL FROM:<a@peer.test>").startswith("250")
        w.send(f"RCPT TO:<{rcpt}>\r\n".encode())
        reply = w.reply()
        assert re.match(r"(250|5\d\d) [25]\.\d\.\d ", reply), reply
        if reply.startswith("250"):
            assert rcpt.startswith("alice+"), reply  # a tag is alice's, whatever it holds
            assert w.ask("DATA").startswith("354")
            w.send(f"Subject: {mark}\r\n\r\nx\r\n.\r\n".encode())
            assert w.reply().startswith("250")
            wait_until("alice's mail", lambda: mark.encode() in b"".join(p.read_bytes() for p in shared.home("alice@example.test").rglob("*") if p.is_file()))
        assert w.ask("QUIT").startswith("221")
    still_fine(shared)
    made = {p for p in shared.state.rglob("*") if "/mail/" not in str(p) and "spool" not in str(p)}
    assert {p.name.split("-")[0] for p in made - tree} <= {"queue.db", "history.db"}, made - tree
    assert {p.name for p in (shared.state / "mail").iterdir() if not p.name.startswith(".")} <= {"example.test"}
    assert {p.name for p in (shared.state / "mail" / "example.test").iterdir()} <= {"alice", "bob"}


SENDERS = ["a\r\nX-Evil: 1@peer.test", "\"a\\\r\nb\"@peer.test", "a@peer.test> BODY=8BITMIME SIZE=1 <b", "a@peer.test\r", "\"\x1b[31m\"@peer.test",
           "\"x event=delivered to=alice\"@peer.test", "a'\"b@peer.test", "\"a\\\\\\\"b\"@peer.test", "\u202ea@peer.test", "a" * 300 + "@peer.test"]


@pytest.mark.parametrize("sender", SENDERS, ids=lambda r: ascii(r)[1:50])
def test_sender(shared, sender):
    """The log stays one event a line, and the mail's head one field a line."""
    mark = token()
    start = len(shared.log())
    with Wire(shared) as w:
        w.ask("EHLO client.test")
        w.send(f"MAIL FROM:<{sender}>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\nSubject: {mark}\r\n\r\nx\r\n.\r\nQUIT\r\n".encode())
        w.rest()
    still_fine(shared)
    check_log(shared.log()[start:])
    for mail in holding(shared, mark):
        top = mail.raw.split(b"Received:")[0]
        assert re.fullmatch(rb"Return-Path: <[^\n]*>\nDelivered-To: alice@example.test\n", top), top
        assert not mail.header("X-Evil")


def check_log(text):
    for line in text.splitlines():
        assert re.match(r"(\d{4}-\d\d-\d\dT[\d:.]+Z )?\w+( \w+\[|\[|: )", line), f"a line that nobody wrote: {line!r}"
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", line), line


HELOS = ["a b", "<script>", "[127.0.0.1]", "[IPv6:::1]", "x" * 300, "mx.example.test", "localhost", "$(id)", "`id`", "';--", "\x1b[2J", "a\tb",
         "a;b=c", "(comment)", "\u00e4.test", "a\rb", "..", "-", "from=x to=y", "x) by mx.example.test (forged) id 1; now\x0b", "%s%n"]


@pytest.mark.parametrize("name", HELOS, ids=lambda r: ascii(r)[1:40])
def test_helo(shared, name):
    mark = token()
    start = len(shared.log())
    with Wire(shared) as w:
        w.send(f"EHLO {name}\r\n".encode())
        if not w.reply().startswith("250"):
            assert w.ask("HELO client.test").startswith("250")
        assert w.ask("MAIL FROM:<a@peer.test>").startswith("250")
        assert w.ask("RCPT TO:<alice@example.test>").startswith("250")
        assert w.ask("DATA").startswith("354")
        w.send(f"Subject: {mark}\r\n\r\nx\r\n.\r\n".encode())
        assert w.reply().startswith("250")
    mail, = wait_until("the mail", lambda: holding(shared, mark))
    assert len(mail.header("Received")) == 1 and "127.0.0.1" in mail.header("Received")[0]
    assert [l.split(b":")[0] for l in mail.raw.split(b"\n\n")[0].split(b"\n") if l[:1] not in b" \t"] == \
        [b"Return-Path", b"Delivered-To", b"Received", b"Subject"]
    assert all(len(l) <= 998 for l in mail.raw.split(b"\n"))
    check_log(shared.log()[start:])
