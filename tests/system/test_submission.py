"""What a logged-in user may send, as whom, and what is done to it: Date, Message-ID and Bcc, nothing else."""
import os
import smtplib
import socket
import subprocess

import pytest

from server import BUILD, Server, wait_until

ALICE, BOB = "alice@example.test", "bob@example.test"
FULL = "Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <x@client.test>\r\n"
OURS = {"Return-Path", "Delivered-To", "Received", "Authentication-Results", "DKIM-Signature"}


@pytest.fixture(scope="module")
def server():
    with Server({"limits.auth_failures": "1000", "dkim.enabled": "true"}) as s:
        s.add_domain("example.test", alice="alice-secret", bob="bob-secret", carol="carol-secret")
        s.cli("alias", "add", "sales@example.test", ALICE)
        s.cli("alias", "add", "team@example.test", ALICE, BOB)
        s.cli("alias", "add", "board@example.test", "team@example.test")
        s.cli("alias", "add", "support@example.test", BOB)
        s.cli("alias", "add", "carol@example.test", BOB)  # carol's mail is forwarded; she is still carol
        yield s


def send(server, header, body=b"x\r\n", sender=ALICE, user=ALICE, to=(BOB,), kind="submissions"):
    """The whole reply to the end of data; header and body as they are."""
    with server.smtp(kind, user, user and user.split("@")[0] + "-secret") as s:
        s.mail(sender)
        for rcpt in to:
            assert s.rcpt(rcpt)[0] == 250
        header = header.encode() if isinstance(header, str) else header
        data = header + b"\r\n" + body
        assert s.docmd("DATA")[0] == 354
        s.send(b"\r\n".join(b"." + line if line.startswith(b".") else line for line in data.split(b"\r\n")) + b".\r\n")
        code, text = s.getreply()
        return f"{code} {text.decode()}"


def newest(server, address, before):
    return server.wait_mails(address, before + 1)[-1]


@pytest.mark.parametrize("own", [ALICE, "Alice@EXAMPLE.test", "alice+news@example.test", "sales@example.test",
                                 "sales+x@example.test", "team@example.test", "board@example.test"])
def test_own_addresses(server, own):
    """As envelope sender, and as author under another sender of theirs."""
    assert send(server, f"From: A <{own}>\r\n{FULL}", sender=own).startswith("250 ")
    assert send(server, f"From: A <{own}>\r\n{FULL}").startswith("250 ")
    assert send(server, f"From: {ALICE}, {own}\r\n{FULL}", sender="").startswith("250 ")


@pytest.mark.parametrize("other", [BOB, "support@example.test", "nobody@example.test", "alice@elsewhere.test",
                                   "alice@example.test.elsewhere.test", "postmaster@elsewhere.test"])
def test_addresses_of_others(server, other):
    with server.smtp("submissions", ALICE, "alice-secret") as s:
        code, text = s.mail(other)
        assert code == 553 and text.startswith(b"5.7.1 ") and other.encode() in text and b"log in as its owner" in text
        assert s.mail(ALICE)[0] == 250
    for header in (f"From: {other}\r\n", f"From: {ALICE}, {other}\r\n", f"From: \"{ALICE}\" <{other}>\r\n"):
        reply = send(server, header + FULL)
        assert reply.startswith("550 5.7.1 ") and other in reply and "ask the administrator for an alias" in reply, reply
        assert send(server, header + FULL, sender="").startswith("550 5.7.1 ")


@pytest.mark.parametrize("field", ["Sender", "Resent-From", "Resent-Sender"])
def test_other_senders_in_the_header(server, field):
    """Who says in the header that he sent or resent it is held to what is his, as the author is."""
    for own in (ALICE, "sales@example.test"):
        assert send(server, f"From: {ALICE}\r\n{field}: A <{own}>\r\n{FULL}").startswith("250 ")
    for header in (f"{field}: Bob <{BOB}>\r\nFrom: {ALICE}\r\n", f"From: {ALICE}\r\n{field.lower()} :\r\n {BOB}\r\n"):
        reply = send(server, header + FULL)
        assert reply.startswith(f"550 5.7.1 The header's {field}: ") and BOB in reply, reply
    reply = send(server, f"From: {ALICE}\r\n{field}: nobody\r\n")
    assert reply.startswith(f"550 5.6.0 The header's {field} cannot be read"), reply


def test_one_sender(server):
    reply = send(server, f"From: {ALICE}\r\nSender: {ALICE}, sales@example.test\r\n")
    assert reply.startswith("550 5.6.0 The header's Sender names several addresses"), reply
    reply = send(server, f"From: {ALICE}\r\nSender: {ALICE}\r\nSender: {ALICE}\r\n")
    assert reply.startswith("550 5.6.0 The header has more than one Sender field; it must have none or one"), reply
    assert send(server, f"From: {ALICE}\r\nResent-From: {ALICE}, sales@example.test\r\nResent-From: {ALICE}\r\n").startswith("250 ")
    reply = send(server, f"From: {ALICE}\r\nResent-From: {ALICE}\r\nResent-From: {BOB}\r\n")
    assert reply.startswith("550 5.7.1 The header's Resent-From: "), reply
    reply = send(server, f"Resent-From: {ALICE}\r\n" * 17 + f"From: {ALICE}\r\n")
    assert reply.startswith("550 5.6.0 The header was resent too often"), reply


def test_forwarded_user_is_still_herself(server):
    carol = "carol@example.test"
    assert send(server, f"From: {carol}\r\n{FULL}", sender=carol, user=carol).startswith("250 ")


@pytest.mark.parametrize("header,says", [
    (FULL, "no From field"),
    (f"From: {ALICE}\r\nFrom: {ALICE}\r\n", "more than one From"),
    (f"From: {ALICE}\r\nfrom : {BOB}\r\n", "more than one From"),
    ("From: Alice\r\n", "cannot be read"),
    ("From:\r\n", "cannot be read"),
    (f"From: {BOB} <{ALICE}>\r\n", "cannot be read"),
    (f"From: team: {ALICE};\r\n", "cannot be read"),
    (f"X-From: {ALICE}\r\n", "no From field"),
    (f"From: {ALICE}\r\nno field\r\nFrom: {BOB}\r\n", "some readers see its From and others do not"),
    (f"From: {ALICE}\r\nno field\r\nbcc: {BOB}\r\n", "some readers see its Bcc and others do not"),
    (f"From\v: {BOB}\r\nFrom: {ALICE}\r\n", "some readers see its From and others do not"),
], ids=range(11))
def test_no_author(server, header, says):
    reply = send(server, header)
    assert reply.startswith("550 5.6.0 ") and says in reply, reply


@pytest.mark.parametrize("size", [100, 40000])
def test_refused_then_next(server, size):
    """After a refusal the session goes on, and nothing was delivered."""
    before = len(server.mails(BOB))
    with server.smtp("submissions", ALICE, "alice-secret") as s:
        with pytest.raises(smtplib.SMTPDataError) as e:
            s.sendmail(ALICE, [BOB], f"From: {BOB}\r\n{FULL}\r\n" + "x" * 70 + "\r\n" * (size // 2))
        assert e.value.smtp_code == 550
        s.sendmail(ALICE, [BOB], f"From: {ALICE}\r\n{FULL}\r\nthe second\r\n")
    mail = newest(server, BOB, before)
    assert mail.body == b"the second\n"


def without_ours(raw):
    """The file as CRLF, without the fields that the server wrote on top."""
    lines, rest = raw.replace(b"\n", b"\r\n").split(b"\r\n"), []
    skipping = True
    while lines and skipping:
        skipping = lines[0].partition(b":")[0].decode() in OURS or lines[0][:1] in b" \t"
        if skipping:
            lines.pop(0)
    return b"\r\n".join(rest + lines)


ODD = (f"X-Odd:   two  blanks \t\r\nfRoM:\t\"A. Lice\"\r\n   <{ALICE}> (c)\r\nTo: undisclosed:;\r\nsubject: =?utf-8?q?=C3=A9?=\r\n"
       f"{FULL}X-Empty:\r\nReceived: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\nX-Long: {'y' * 900}\r\nX-8bit: ").encode()
ODD += b"\xc3\xa9\xff\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n"
BODY = b"\r\n..two dots\r\n.\r\n\ttab  \r\nFrom the start\r\nBcc: not a header\r\n--=_b\r\n\x00\xff\x80"[:-3] + b"\xff\x80\r\n\r\n\r\n"


@pytest.mark.parametrize("big", [False, True], ids=["in frame", "spooled"])
@pytest.mark.parametrize("bcc", [b"", b"Bcc: x@y.test\r\n", b"bCC : a@b.test,\r\n\tc@d.test\r\n \r\n e@f.test\r\nBcc:\r\n",
                                 b"Resent-Bcc: x@y.test\r\n"], ids=["none", "one", "folded", "resent"])
@pytest.mark.parametrize("kind", ["submission", "submissions"])
def test_byte_identical(server, kind, bcc, big):
    """All but Bcc arrives as it was, first field to last byte."""
    body = BODY * 1000 if big else BODY
    before = len(server.mails(BOB))
    head = ODD + bcc + b"X-Last: 1\r\n" + bcc
    assert send(server, head, body, kind=kind).startswith("250 ")
    assert without_ours(newest(server, BOB, before).raw) == ODD + b"X-Last: 1\r\n\r\n" + body


def test_bcc_behind_a_long_header(server):
    """A thousand recipients in To: author and Bcc stand where only the spooled file has them."""
    before = len(server.mails(BOB))
    to = ("To: " + ",\r\n ".join(f"someone-with-a-long-name-{i}@example.test" for i in range(2000)) + "\r\n").encode()
    tail = f"From: {ALICE}\r\nSubject: y\r\n".encode()
    assert send(server, to + b"Bcc: hidden@y.test\r\n" + tail + b"Bcc: hidden2@y.test\r\n").startswith("250 ")
    raw = newest(server, BOB, before).raw
    assert b"hidden" not in raw
    mail = raw.replace(b"\n", b"\r\n")
    assert mail.endswith(to + tail + b"\r\nx\r\n")
    assert mail.count(b"\r\nMessage-ID: ") == 1 and mail.count(b"\r\nDate: ") == 1
    reply = send(server, to + f"From: {BOB}\r\n".encode())
    assert reply.startswith("550 5.7.1 ")


def test_header_without_end(server):
    reply = send(server, b"".join(b"X-%d: %s\r\n" % (i, b"y" * 900) for i in range(400)) + f"From: {ALICE}\r\n".encode())
    assert reply.startswith("550 5.6.0 ") and "longer than 256 KiB" in reply


def test_too_many_bcc(server):
    reply = send(server, f"From: {ALICE}\r\n" + "Bcc: x@y.test\r\nX: y\r\n" * 65)
    assert reply.startswith("550 5.6.0 ") and "Bcc" in reply


@pytest.mark.parametrize("given,added", [("", {"Date", "Message-ID"}), (FULL[:38], {"Message-ID"}), (FULL[38:], {"Date"}), (FULL, set())],
                         ids=["both", "id", "date", "none"])
def test_what_is_missing_is_added(server, given, added):
    before = len(server.mails(BOB))
    assert send(server, f"From: {ALICE}\r\n{given}Subject: z\r\n").startswith("250 ")
    mail = newest(server, BOB, before)
    top = mail.raw.split(b"From: alice")[0].decode()
    for name in ("Date", "Message-ID"):
        assert len(mail.message.get_all(name)) == 1
        assert (f"\n{name}: " in top) == (name in added)


def test_mx_keeps_all(server):
    """Mail from strangers is not touched, and says from whom it likes."""
    before = len(server.mails(BOB))
    text = b"Bcc: bob@example.test\r\nFrom: someone@peer.test\r\n"
    assert send(server, text, user=None, kind="mx", sender="someone@peer.test").startswith("250 ")
    raw = newest(server, BOB, before).raw.replace(b"\n", b"\r\n")
    assert raw.endswith(text + b"\r\nx\r\n") and b"Message-ID" not in raw and b"\r\nDate:" not in raw


def test_signed_by_the_authors_domain(make_server):
    """An alias in another domain of ours: its key signs, and a domain that is not the user's never does."""
    server = make_server({"dkim.enabled": "true"})
    server.cli("domain", "add", "other.test")
    server.cli("alias", "add", "sales@other.test", ALICE)
    for domain in ("example.test", "other.test"):
        server.cli("dkim", "create", domain)
    server.restart()
    for author, domain in ((ALICE, "example.test"), ("sales@other.test", "other.test")):
        before = len(server.mails(BOB))
        assert send(server, f"From: {author}\r\n{FULL}Bcc: x@y.test\r\n").startswith("250 ")
        signatures = newest(server, BOB, before).header("DKIM-Signature")
        assert [s.split(" a=")[1].split(";")[0] for s in signatures] == ["rsa-sha256", "ed25519-sha256"]
        assert all(f" d={domain};" in s for s in signatures)
    assert send(server, f"From: bob@other.test\r\n{FULL}").startswith("550 5.7.1 ")


# -- sendmail and the socket behind it

def sendmail(server, *words, text):
    return subprocess.run([BUILD / "sendmail", *words], input=text, capture_output=True, timeout=60,
                          env={**os.environ, "TEGAMI_CONFIG": str(server.conf)})


def test_sendmail(server):
    before = len(server.mails(BOB))
    p = sendmail(server, "-i", "-f", "cron@example.test", BOB, text=b"Subject: from cron\nBcc: a@b.test\n c@d.test\n\nBcc: stays\n")
    assert p.returncode == 0, p.stderr
    mail = newest(server, BOB, before)
    assert mail.header("From") == ["cron@example.test"] and mail.header("Bcc") == []
    assert mail.body == b"Bcc: stays\n" and "local user, uid" in mail.header("Received")[0]
    assert len(mail.header("Date")) == len(mail.header("Message-ID")) == 1


def test_local_socket_keeps_from(server):
    """Root and the system's own users may send as any address; a From that is there stays alone."""
    before = len(server.mails(BOB))
    p = sendmail(server, "-t", text=f"From: Backup <backup@example.test>\nTo: {BOB}\nBcc: {ALICE}\n\nx\n".encode())
    assert p.returncode == 0, p.stderr
    mail = newest(server, BOB, before)
    assert mail.header("From") == ["Backup <backup@example.test>"] and mail.header("Bcc") == []


# -- who is not there

def test_directory_is_away(make_server):
    """A 4xx, not a guess; and the next try is fine."""
    server = make_server()
    server.restarts_expected = True
    with server.smtp("submissions", ALICE, "alice-secret") as s:
        assert s.mail(ALICE)[0] == 250 and s.rcpt(BOB)[0] == 250
        s.docmd("DATA")
        pid, = server.pids("directory")
        os.kill(pid, 19)
        s.send(f"From: sales@example.test\r\n{FULL}\r\nx\r\n.\r\n".encode())
        os.kill(pid, 9)
        assert s.getreply()[0] == 451
    wait_until("the directory to be back", lambda: server.pids("directory") not in ([], [pid]))

    def accepted():
        return send(server, f"From: {ALICE}\r\n{FULL}").startswith("250 ")
    wait_until("mail to be taken again", accepted)


def test_trusted_network_is_not_asked(make_server):
    """Printers and scanners do not log in; their mail has the author it says, and is not signed."""
    server = make_server({"trusted_networks": '{"127.0.0.1/32"}'})
    with server.smtp("submission") as s:
        s.sendmail("scanner@example.test", [BOB], f"From: scanner@example.test\r\nBcc: x@y.test\r\n\r\nx\r\n")
    mail, = server.wait_mails(BOB, 1)
    assert mail.header("Bcc") == [] and len(mail.header("Message-ID")) == 1
