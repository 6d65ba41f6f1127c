"""Damaged entries of the queue: each is tried three times and then set aside, with the reason in `tegami queue list`; all other mail goes on."""
import pathlib
import random
import shutil
import sqlite3
import subprocess

import pytest

from load import Book, Load, Reader, Session
from peer import Peer
from server import Server, free_port, message, wait_until

# what is done to the message of that number, and what the list says of it
DAMAGE = {
    2: ("UPDATE rcpt SET size = size + 1 WHERE qid = ?", "its body has not the size that its record says"),
    5: ("UPDATE message SET cuts = x'0102' WHERE qid = ?", "its list of cuts is damaged"),
    8: ("spool", "the file of its body is missing in the spool"),
    11: ("DELETE FROM message WHERE qid = ?", "the message is not in the queue"),
    14: ("chain", "damaged"),
}


def damage(server, ids):
    db = sqlite3.connect(server.state / "queue.db")
    for number, (what, _) in DAMAGE.items():
        if what not in ("spool", "chain"):
            assert db.execute(what, (qid_of(ids[number]),)).rowcount == 1
    db.commit()
    assert db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0] == 0
    chain = first_overflow(db, server.state / "queue.db", qid_of(ids[14]))
    db.close()
    (server.state / "spool" / ids[8]).unlink()
    with open(server.state / "queue.db", "r+b") as f:
        f.seek((chain - 1) * 4096)
        f.write(b"\xff\xff\xff\xf0")  # the next page of that body


def first_overflow(db, path, qid):
    """The first page of a body that is longer than a page: known by what is in it."""
    body = db.execute("SELECT body FROM message WHERE qid = ?", (qid,)).fetchone()[0]
    at = path.read_bytes().find(body[6000:6200])
    assert at > 0
    return at // 4096 + 1


def qid_of(text):
    qid = 0
    for c in text:
        qid = qid << 5 | "0123456789abcdefghjkmnpqrstvwxyz".index(c)
    return qid


@pytest.fixture
def server():
    s = Server({"trusted_networks": '{"127.0.0.1"}', "relay.retry": "{1s}"})
    s.peer_port = free_port()
    s.extra = f'route "peer.test" {{ host = "127.0.0.1:{s.peer_port}" tls = none }}'
    s.start()
    s.add_domain("example.test", alice="alice-secret")
    yield s
    s.clean()


def test_damaged_entries(server):
    book = Book()
    for i in range(20):
        a = book.new([f"r{i}@peer.test"])
        with Session(server.ports["mx"]) as s:
            s.deliver(a, 60_000 if i in (8, 9) else 12_000, random.Random(i))
        assert a.outcome == "yes"
    rows = sorted(server.queue(), key=lambda m: int(m["recipients"][0]["to"].partition("@")[0][1:]))
    ids = [m["id"] for m in rows]
    server.stop()
    damage(server, ids)
    with Peer(port=server.peer_port) as peer:
        server.start()
        wait_until("all others at the peer", lambda: len(peer.mails) == 15, 30)
        held = lambda: {m["id"]: m["recipients"][0] for m in server.queue() if m["state"] == "held"}
        wait_until("the damaged ones to be held", lambda: len(held()) == 5, 30)
        for number, (_, reason) in DAMAGE.items():
            assert reason in held()[ids[number]]["reason"], held()[ids[number]]
        assert len(server.queue()) == 5 and server.status()["queue"]["held"] == 5
        text = server.cli("queue", "list")
        assert text.count("because: ") == 5, text
        # a read that fails is tried three times
        assert server.log(server.log_start).count("cannot be read, it is tried again") >= 6
        a = book.new(["alice@example.test"])
        with Session(server.ports["mx"]) as s:
            s.deliver(a, 500)
        server.wait_mails("alice@example.test", 1)
        server.check_health()
        # released, it is tried again, and held again; deleted, it is gone
        server.cli("queue", "release", ids[2])
        wait_until("it to be held again", lambda: ids[2] in held(), 30)
        server.cli("queue", "delete", ids[2])
        assert ids[2] not in held()
        assert len(peer.mails) == 15
        server.stop()


def test_poison(server):
    """A message that kills mda each time is held when it was alone with it three times; nobody else's mail is, and all of it arrives once."""
    cc = shutil.which("cc") or pytest.skip("no C compiler to make the poison with")
    library = server.dir / "poison.so"
    subprocess.run([cc, "-shared", "-fPIC", "-O1", "-o", library, pathlib.Path(__file__).with_name("poison.c"), "-ldl"], check=True)
    library.chmod(0o755)
    server.add_user("bob@example.test", "bob-secret")
    server.restarts_expected = True
    server.stop()
    server.start(env={"LD_PRELOAD": str(library)})
    users, book = ["alice@example.test", "bob@example.test"], Book()
    with Reader(server, users) as reader:
        with Load(server, book, users, clients=3, pause=0.02):
            with server.smtp() as s:
                s.send_message(message("bad", X_Poison="yes"))
            held = wait_until("it to be held", lambda: [m for m in server.queue() if m["state"] == "held"], 60)
            n = book.count("yes")
            wait_until("mail to be taken after that", lambda: book.count("yes") > n + 20, 30)
        assert [r["to"] for r in held[0]["recipients"]] == ["alice@example.test"] and len(held) == 1
        assert "died three times" in held[0]["recipients"][0]["reason"], held
        wait_until("all the others", lambda: len(server.queue()) == 1, 60)
        copies = reader.stop()
    restarts = next(int(r["restarts"]) for r in server.status()["roles"] if r["name"] == "mda")
    print(f"mda died {restarts} times; {book.summary()}")
    assert 3 <= restarts <= 6
    book.check({k: n for k, n in copies.items() if k[0].endswith("@load.test")})
    server.stop()
