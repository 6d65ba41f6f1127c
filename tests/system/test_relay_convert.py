"""What the relay makes of a message for a host that takes less than it holds: no 8BITMIME, no BINARYMIME, no CHUNKING. What arrives
decodes to the same bytes, part by part."""
import email
import os
import pathlib
import re
import tarfile
import tempfile

import dkim
import pytest

from peer import Peer
from relay_role import Relay, Smtp, STEP_OK, STEP_PERMANENT
from test_relay_esmtp import BINARY, EIGHT, UTF8, command, relays, to  # noqa: F401
from server import TOP, Server, wait_until

CORPUS = TOP.parent / "shared/corpus/mime-dev.tar.xz"  # messages that trip readers up; used where it is
GREETING = "Grüße aus 手紙\r\n"


class Seven(Smtp):
    """A host of the old kind."""
    EHLO = Smtp.EHLO.replace("250-8BITMIME\n", "")

    def __init__(self, *args, **kw):
        super().__init__(*args, READ=self.octets, **kw)

    @staticmethod
    def octets(conn, _):
        got = conn.body()
        return got.encode("latin1")


def leaves(raw):
    """(type, decoded bytes) of each part that has no parts."""
    m = email.message_from_bytes(raw)
    return [(p.get_content_type(), p.get_payload(decode=True)) for p in m.walk() if not p.is_multipart()]


def is_seven(raw, header_too=True):
    lines = raw.split(b"\r\n")
    assert b"\n" not in b"".join(lines) and b"\r" not in b"".join(lines) and b"\0" not in raw
    body = lines if header_too else lines[lines.index(b""):]
    return all(len(l) <= 998 for l in body) and all(b < 128 for l in body for b in l)


def one(relays, body, flags=EIGHT, server=None, **kw):  # noqa: F811
    server = server or Seven()
    body = body if isinstance(body, bytes) else body.encode()
    host, rcpts = relays(to(server)).send("x.test", "b@x.test", body, flags=flags, timeout=30, **kw)
    return server, rcpts[0], body


MULTIPART = ("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=b\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
             "preamble ü\r\n--=b\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n"
             "--inner\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n.\r\nGrüße an alle, die das lesen \r\n"
             "\r\n--inner\r\nContent-Type: text/html; charset=iso-2022-jp\r\n\r\n<p>plain</p>\r\n--inner--\r\n"
             "--=b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\n手紙\r\n"
             "--=b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\x89PNG ü\r\n"
             "--=b--\r\n")


def test_parts(relays):  # noqa: F811
    s, rcpt, body = one(relays, MULTIPART)
    assert rcpt[1] == STEP_OK, rcpt
    got = s.mails[0]["data"]
    assert is_seven(got) and leaves(got) == leaves(b"Received: by us\r\n" + body)
    assert got.startswith(b"Received: by us\r\nMIME-Version: 1.0\r\n")
    for how, n in ((b"quoted-printable", 1), (b"base64", 2), (b"7bit", 1), (b"8bit", 0)):
        assert got.count(b"Content-Transfer-Encoding: " + how) == n, got
    mail = command(s, "MAIL")
    assert "BODY=" not in mail and f" SIZE={len(got)}" in mail


def test_no_mime(relays):  # noqa: F811
    s, rcpt, body = one(relays, "Subject: x\r\n\r\n" + GREETING)
    m = email.message_from_bytes(s.mails[0]["data"])
    assert m["MIME-Version"] == "1.0" and m.get_content_charset() == "utf-8"
    assert m.get_payload(decode=True).decode() == GREETING


@pytest.mark.parametrize("body,flags", [
    ("Subject: x\r\n\r\nplain\r\n", EIGHT),
    ("Subject: Grüße\r\n\r\nplain\r\n", EIGHT),
    ("Subject: x\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nplain\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nx\r\n--b--\r\n",
     EIGHT),
])
def test_left_alone(relays, body, flags):  # noqa: F811
    """Nothing in the bodies needs it: the message is the same to the byte, and signatures hold."""
    s, rcpt, body = one(relays, body, flags)
    assert rcpt[1] == STEP_OK and s.mails[0]["data"] == b"Received: by us\r\n" + body


def test_not_for_a_host_that_takes_it(relays):  # noqa: F811
    s = Smtp(READ=Seven.octets)
    s, rcpt, body = one(relays, MULTIPART, server=s)
    assert s.mails[0]["data"] == b"Received: by us\r\n" + body and "BODY=8BITMIME" in command(s, "MAIL")


@pytest.mark.parametrize("body,status,words", [
    ("Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nGrüße\r\n--b--\r\n", "5.6.2", "signed"),
    ("Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\n\r\nGrüße\r\n--b--\r\n", "5.6.2", "encrypted"),
    ("Content-Type: multipart/mixed; boundary=never\r\n\r\nGrüße\r\n", "5.6.3", "has no part"),
    ("Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/mixed; boundary=never\r\n\r\nGrüße\r\n--a--\r\n",
     "5.6.3", "has no part"),
    ("Content-Type: message/partial; id=x; number=1\r\n\r\nGrüße\r\n", "5.6.3", "by its sender only"),
])
def test_must_not_be_converted(relays, body, status, words):  # noqa: F811
    s, rcpt, _ = one(relays, body)
    assert rcpt[1:4] == [STEP_PERMANENT, 0, status] and words in rcpt[4] and "8BITMIME" in rcpt[4]
    assert not s.mails and not any(c.startswith("MAIL") for c in s.commands)


BINARY_BODY = b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: binary\r\n\r\n.\r\nbare\nlf\rcr\0nul\xff\r\n.\r\nno end"


@pytest.mark.parametrize("server,offers", [(Smtp, []), (Smtp, ["CHUNKING"]), (Smtp, ["BINARYMIME"]), (Seven, []), (Seven, ["CHUNKING"])])
def test_binary(relays, server, offers):  # noqa: F811
    s = server(offers=offers, **({"READ": Seven.octets} if server is Smtp else {}))
    s, rcpt, body = one(relays, BINARY_BODY, BINARY | EIGHT, s)
    assert rcpt[1] == STEP_OK, rcpt
    got = s.mails[0]["data"]
    assert is_seven(got) and leaves(got) == [("a/b", BINARY_BODY.partition(b"\r\n\r\n")[2])]
    assert ("BODY=8BITMIME" in command(s, "MAIL")) == (server is Smtp) and "DATA" in s.commands


def test_binary_that_need_not_be(relays):  # noqa: F811
    s, rcpt, body = one(relays, "Subject: x\r\n\r\n" + GREETING, BINARY | EIGHT, Smtp(READ=Seven.octets))
    assert s.mails[0]["data"] == b"Received: by us\r\n" + body and "BODY=8BITMIME" in command(s, "MAIL")


@pytest.mark.parametrize("end", ["", "x", ".", "\r\n."])
def test_no_last_line_end(relays, end):  # noqa: F811
    """To the byte when the host takes chunks; DATA adds the line end that is missing."""
    body = "Subject: x\r\n\r\nline\r\n" + end
    s, rcpt, body = one(relays, body, 0, Smtp(offers=["CHUNKING"], READ=Seven.octets))
    assert s.mails[0]["data"] == b"Received: by us\r\n" + body
    assert ("DATA" in s.commands) == body.endswith(b"\n") and "BODY=" not in command(s, "MAIL")
    s, rcpt, body = one(relays, body, 0)
    assert s.mails[0]["data"] == b"Received: by us\r\n" + body.removesuffix(b"\r\n") + b"\r\n"
    # what is converted need not gain anything: the coding says where it ends
    s, rcpt, body = one(relays, "Subject: x\r\n\r\nüber dem langen Text\r\n" + end)
    assert leaves(s.mails[0]["data"])[0][1] == body.partition(b"\r\n\r\n")[2]


def test_refused_chunks(relays):  # noqa: F811
    s = Smtp(offers=["CHUNKING"], BDAT="552 5.2.2 full")
    assert one(relays, "Subject: x\r\n\r\nx", 0, s)[1][1:4] == [STEP_PERMANENT, 552, "5.2.2"]
    s = Smtp(offers=["CHUNKING"], RCPT="550 5.1.1 nobody")
    assert one(relays, "Subject: x\r\n\r\nx", 0, s)[1][1:4] == [STEP_PERMANENT, 550, "5.1.1"]
    assert not any(c.startswith("BDAT") for c in s.commands)


def test_large(relays):  # noqa: F811
    """Two large parts; other mail goes out while that is looked through, and the session is used again."""
    s = Seven()
    r = relays(to(s))
    text = ("Zeile mit Ü und = und \t\r\n" * 400_000).encode()
    parts = (b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n" + text
             + b"\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\n" + bytes(range(128, 256)) * 40_000 + b"\r\n--b--\r\n")
    with tempfile.TemporaryFile() as f:
        f.write(parts)
        f.flush()
        fd = os.open("/proc/self/fd/%d" % f.fileno(), os.O_RDONLY)
        big = r.put("x.test", "b@x.test", "", fd=fd, flags=EIGHT | 2)
        os.close(fd)
        small = r.put("x.test", "c@x.test")
        jobs = {job: rcpts for job, _, rcpts in (r.result(60), r.result(60))}
        assert jobs[big][0][1] == jobs[small][0][1] == STEP_OK, jobs
        assert r.send("x.test", "d@x.test")[1][0][1] == STEP_OK
    mail, = (m for m in s.mails if m["to"] == ["b@x.test"])
    assert is_seven(mail["data"]) and leaves(mail["data"]) == leaves(parts)
    assert command(s, "MAIL", [c for c in s.commands if c.startswith("MAIL")].index(mail["from"])).endswith("SIZE=%d" % len(mail["data"]))


@pytest.mark.parametrize("top", [
    "Delivered-To: out@own.test\r\nDKIM-Signature: eight;\r\n\tb=8\r\n",
    "ARC-Seal: eight\r\nDelivered-To: out@own.test\r\nDKIM-Signature: eight;\r\n\tb=8\r\n",
    "DKIM-Signature: eight;\r\n\tb=8\r\nDelivered-To: out@own.test\r\n",
])
def test_signature_of_what_an_alias_sends_on(relays, top):  # noqa: F811
    """Converted, it has the signature that was made for that form, and not the dead one; an alias's Delivered-To stays."""
    s = Seven()
    prefix = top + "Received: by us\r\n\tand more\r\n\0DKIM-Signature: seven;\r\n\tb=7\r\n"
    _, rcpts = relays(to(s)).send("x.test", "b@x.test", "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                                  "Content-Transfer-Encoding: 8bit\r\n\r\nü\r\n", flags=EIGHT, prefix=prefix)
    assert rcpts[0][1] == STEP_OK
    assert s.mails[0]["data"].startswith(b"DKIM-Signature: seven;\r\n\tb=7\r\nDelivered-To: out@own.test\r\n"
                                         b"Received: by us\r\n\tand more\r\nSubject: x\r\n")
    assert b"eight" not in s.mails[0]["data"]


def test_next_host_takes_it(relays):  # noqa: F811
    """What was found out for one host does not count for another."""
    s = Seven(BODY="451 4.3.0 later")
    r = relays(to(s))
    assert r.send("x.test", "b@x.test", MULTIPART, flags=EIGHT)[1][0][2] == 451
    s.rules["BODY"] = "250 2.0.0 ok"
    assert r.send("x.test", "b@x.test", MULTIPART, flags=EIGHT)[1][0][1] == STEP_OK
    assert is_seven(s.mails[0]["data"])


def test_header_beyond_ascii(relays):  # noqa: F811
    """It cannot be converted for its sender; the report says what can be done."""
    s, rcpt, _ = one(relays, "Subject: Grüße\r\n\r\nplain\r\n", UTF8)
    assert rcpt[1:4] == [STEP_PERMANENT, 0, "5.6.7"] and "encoded words" in rcpt[4]
    s, rcpt, _ = one(relays, "Subject: x\r\n\r\nplain\r\n", UTF8, sender="ä@own.test")
    assert rcpt[3] == "5.6.7" and "address in ASCII" in rcpt[4]


# -- the whole server: what is submitted, signed and sent

SEVEN_BITS = ("PIPELINING", "SIZE 52428800", "ENHANCEDSTATUSCODES")
TAKES = {  # what the other server offers
    "seven.test": SEVEN_BITS, "eight.test": SEVEN_BITS + ("8BITMIME",), "chunks.test": SEVEN_BITS + ("8BITMIME", "CHUNKING"),
    "binary.test": SEVEN_BITS + ("8BITMIME", "CHUNKING", "BINARYMIME"),
}


@pytest.fixture(scope="module")
def signing():
    """(our server, which signs; the servers of the domains in TAKES)"""
    peers = {name: Peer(extensions=offers) for name, offers in TAKES.items()}
    s = Server()
    s.extra = "".join(f'route "{name}" {{ host = "127.0.0.1:{p.port}" tls = none }}\n' for name, p in peers.items())
    with s:
        s.add_domain("example.test", alice="alice-secret")
        s.cli("dkim", "create", "example.test")
        yield s, peers
    for p in peers.values():
        p.stop()


BODIES = {
    "german": "Grüße an alle, die das lesen \r\n.\r\n\r\n", "japanese": "手紙\r\n" * 20, "parts": MULTIPART, "no end": "Grüße an alle",
    "dot": "über alles\r\n.", "ascii": "plain\r\n", "ascii, no end": "plain", "long": "x" * 3000 + " ü\r\n", "large": "Zeile mit ü\r\n" * 5000,
}


@pytest.mark.parametrize("to_domain", TAKES)
@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("how", ["8BITMIME", "BINARYMIME"])
def test_signed_as_it_leaves(signing, to_domain, name, how):
    """However it has to leave, its signatures are for that, one by each key."""
    server, peers = signing
    before = len(peers[to_domain].mails)
    body = BODIES[name] if name == "parts" else "\r\n" + BODIES[name]
    sent = f"From: alice@example.test\r\nTo: bob@{to_domain}\r\nSubject: x\r\nBcc: x@y.test\r\n{body}".encode()
    with server.smtp("submissions", "alice@example.test", "alice-secret") as s:
        assert s.mail("alice@example.test", [f"BODY={how}"])[0] == s.rcpt("bob@" + to_domain)[0] == 250
        s.send(b"BDAT %d LAST\r\n%s" % (len(sent), sent))
        assert s.getreply()[0] == 250
    mail = wait_until("the mail", lambda: peers[to_domain].mails[before:])[0]
    zone = {f"{k['selector']}._domainkey.example.test.": k["record"] for k in server.json("dkim", "list")}
    assert mail.data.count(b"DKIM-Signature:") == 2 and b"\nBcc" not in mail.data
    for i in range(2):
        assert dkim.DKIM(mail.data).verify(idx=i, dnsfunc=lambda n, timeout=5: zone[n.decode()].encode()), mail.data
    seven = to_domain == "seven.test"
    if seven:
        assert is_seven(mail.data)
    got, was = leaves(mail.data), leaves(sent)
    if got != was:  # DATA has ended the last line of what was not converted
        assert "no end" in name or name == "dot"
        assert not seven or name.startswith("ascii")
        assert to_domain in ("seven.test", "eight.test")
        assert [(t, b.removesuffix(b"\r\n")) for t, b in got] == was
    if to_domain == "binary.test" and how == "BINARYMIME":
        assert mail.data.endswith(sent.partition(b"Bcc: x@y.test\r\n")[2]) and "BODY=BINARYMIME" in mail.options
    assert not (seven and "BODY=" in mail.options)


def corpus():
    """The messages as they would come in: CR LF, no mbox line; those with a bare CR, NUL or a first blank are refused before."""
    with tarfile.open(CORPUS) as t:
        for member in t:
            if not member.name.endswith(".eml"):
                continue
            raw = re.sub(rb"\r?\n", b"\r\n", t.extractfile(member).read())
            raw = re.sub(rb"^From .*\r\n", b"", raw)
            if b"\0" not in raw and not re.search(rb"\r(?!\n)", raw) and raw[:1] not in b" \t":
                yield member.name, raw


@pytest.mark.skipif(not CORPUS.exists(), reason="the messages are not here")
def test_corpus(relays):  # noqa: F811
    s = Seven()
    r = relays(to(s))
    changed = 0
    for name, raw in corpus():
        before = len(s.mails)
        with tempfile.TemporaryFile() as f:
            f.write(raw)
            f.flush()
            fd = os.open("/proc/self/fd/%d" % f.fileno(), os.O_RDONLY)
            _, rcpts = r.send("x.test", "b@x.test", "", fd=fd, flags=EIGHT | 2, prefix="", timeout=60)
            os.close(fd)
        if rcpts[0][1] != STEP_OK:
            assert rcpts[0][3] in ("5.6.2", "5.6.3"), (name, rcpts)
            continue
        got = s.mails[before]["data"]
        if got not in (raw, raw + b"\r\n"):  # DATA ends the last line
            changed += 1
            assert leaves(got) == leaves(raw), name
    assert changed > 10
