"""What lies in a Maildir is what was sent, and everything around it is as other programs expect."""
import os
import pathlib
import random
import re
import threading

from server import message, wait_until


def send(server, data, to=("alice@example.test",), sender="a@peer.test"):
    with server.smtp() as s:
        s.sendmail(sender, list(to), data)


def body_of(mail):
    """The file with CRLF, from its own last added header on."""
    return mail.raw.replace(b"\n", b"\r\n")


def test_bytes_are_kept(server):
    rng = random.Random(7)
    line = bytes(b for b in range(256) if b not in (0, 10, 13))
    data = b"Subject: bytes\r\nX-Odd:  two  spaces \r\n\tand a tab\r\n\r\n" + b"\r\n".join(
        bytes(rng.choice(line) for _ in range(rng.randrange(0, 200))) for _ in range(200)) + b"\r\n"
    with server.smtp() as s:
        s.mail("a@peer.test")
        s.rcpt("alice@example.test")
        s.docmd("DATA")
        s.send(re.sub(rb"(?m)^\.", b"..", data) + b".\r\n")
        assert s.getreply()[0] == 250
    mail, = server.wait_mails("alice@example.test", 1)
    assert body_of(mail).endswith(data)


def test_large_ones(server):
    """Over 32 KiB a message is a file all the way."""
    for size in (30_000, 32_768, 33_000, 1_000_000, 8_000_000):
        data = b"Subject: %d\r\n\r\n" % size + (b"0123456789" * 7 + b"\r\n") * (size // 72)
        send(server, data)
    mails = server.wait_mails("alice@example.test", 5, seconds=60)
    for m in mails:
        size = int(m.message["Subject"])
        assert body_of(m).endswith(b"Subject: %d\r\n\r\n" % size + (b"0123456789" * 7 + b"\r\n") * (size // 72))
    server.wait_queue_empty()
    assert [p.name for p in (server.state / "spool").iterdir()] == []


def test_names_and_modes(server):
    send(server, message("one").as_bytes())
    mail, = server.wait_mails("alice@example.test", 1)
    m = re.fullmatch(r"(\d+)\.[^,:/]+,S=(\d+)", mail.path.name)
    assert m and int(m.group(2)) == len(mail.raw)
    assert b"\r" not in mail.raw
    home = server.home("alice@example.test")
    for folder in (home, home / "Maildir", home / "Maildir" / "new", home / "Maildir" / "cur", home / "Maildir" / "tmp"):
        assert folder.is_dir() and (folder.stat().st_mode & 0o777) == 0o700, folder
    stage = server.state / "mail" / ".stage"
    assert [p.name for p in stage.iterdir() if not p.name.startswith(".")] == []


def test_headers(server):
    send(server, message("headers").as_bytes())
    mail, = server.wait_mails("alice@example.test", 1)
    names = [k for k, _ in mail.message.items()]
    assert names[:3] == ["Return-Path", "Delivered-To", "Received"]
    received, = mail.header("Received")
    assert re.match(r"from client\.test \(.*\[127\.0\.0\.1\].*\) by mx\.example\.test .*with ESMTP id \S+ for <alice@example\.test>; ", received)


def test_reader_that_moves_and_deletes(server):
    """While a reader takes mail away as soon as it is there, nothing comes twice."""
    seen, stop = [], threading.Event()
    new = server.home("alice@example.test") / "Maildir" / "new"

    def read():
        while not stop.is_set():
            for p in list(new.iterdir()) if new.is_dir() else []:
                text = p.read_bytes()
                seen.append(re.search(rb"^Message-ID: (.*)$", text, re.M | re.I).group(1))
                if len(seen) % 2:
                    cur = new.parent / "cur" / (p.name + ":2,S")
                    os.rename(p, cur)
                else:
                    p.unlink()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with server.smtp() as s:
            for i in range(100):
                s.send_message(message(f"{i}"))
        wait_until("100 mails seen", lambda: len(seen) >= 100)
        server.wait_queue_empty()
        server.restart()
    finally:
        stop.set()
        reader.join()
    assert len(seen) == 100 and len(set(seen)) == 100


def test_both_or_none(server):
    """Several recipients of one message, one of them unknown: the others have it once."""
    with server.smtp() as s:
        refused = s.sendmail("a@peer.test", ["alice@example.test", "nobody@example.test", "bob@example.test"],
                             message("for two").as_bytes())
    assert set(refused) == {"nobody@example.test"}
    server.wait_mails("alice@example.test", 1)
    server.wait_mails("bob@example.test", 1)


def test_null_sender(server):
    send(server, message("a report").as_bytes(), sender="")
    mail, = server.wait_mails("alice@example.test", 1)
    assert mail.message["Return-Path"] == "<>"


def test_maildirsize(server):
    for i in range(3):
        send(server, message(f"{i}").as_bytes())
    mails = server.wait_mails("alice@example.test", 3)
    size_file = server.home("alice@example.test") / "Maildir" / "maildirsize"
    if size_file.exists():  # only users with a quota need one
        rows = [l.split() for l in size_file.read_text().splitlines()[1:]]
        assert sum(int(r[0]) for r in rows) == sum(len(m.raw) for m in mails)
        assert sum(int(r[1]) for r in rows) == 3


def test_disk_layout(server):
    names = {p.name for p in pathlib.Path(server.state).iterdir()}
    assert {"directory.db", "credentials.db", "queue.db", "history.db", "score.db", "spool", "keys", "control.sock"} <= names
