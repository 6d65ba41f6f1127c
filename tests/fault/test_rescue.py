"""`tegami queue rescue`: what a damaged queue.db still holds is saved, what was delivered long ago does not come back, and the damaged
files are kept. Bits are flipped and pages cut at places that a seed decides."""
import os
import pathlib
import random
import shutil
import sqlite3
import time

import pytest

from load import Book, Session
from queue_role import JUNK, LOCAL, REMOTE, SPOOLED, make_db, qid_at
from server import Server, wait_until

PAGE = 4096
OWED, TAKEN = 3, "mx.far.test said: 250 2.0.0 got it"  # another server has it, its sender is still to be told so


class Sample:
    """A queue.db with its journal, as a running queue leaves it: some mail came and went, some is there."""

    def __init__(self, folder, seed, messages=400):
        self.dir, self.rng = folder, random.Random(seed)
        self.live, self.gone = {}, set()
        folder.mkdir()
        (folder / "spool").mkdir()
        db = make_db(str(folder))
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("INSERT INTO suspended VALUES ('slow.test', 5, 'by me')")
        for i in range(messages):
            self.add(db, qid_at(seconds_ago=10000 - i, n=i % 1000))
            if i % 7 == 6:
                db.commit()
            if i in (60, 150):
                self.deliver(db, 50)
            if i in (100, 180):
                db.commit()
                db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        # much goes at the end: pages that became empty still hold copies of rows that were moved together first, and then deleted
        for _ in range(8 if messages else 0):
            self.deliver(db, 15)
        # the files as they are now, without SQLite's good-bye
        for name in ("queue.db", "queue.db-wal"):
            shutil.copy(folder / name, folder / (name + ".copy"))
        db.close()
        for name in ("queue.db", "queue.db-wal"):
            os.rename(folder / (name + ".copy"), folder / name)
        (folder / "queue.db-shm").unlink(missing_ok=True)

    def deliver(self, db, n):
        db.commit()
        for qid in self.rng.sample(sorted(self.live), n):
            db.execute("DELETE FROM rcpt WHERE qid = ?", (qid,))
            db.execute("DELETE FROM message WHERE qid = ?", (qid,))
            self.gone.add(qid)
            del self.live[qid]
            (self.dir / "spool" / text_of(qid)).unlink(missing_ok=True)
        db.commit()

    def add(self, db, qid):
        rng = self.rng
        flags = rng.choice([0, 0, JUNK])
        body = b"Subject: %d\r\n\r\n" % qid + bytes(rng.choices(b"abcdefgh \r\n", k=rng.choice([50, 900, 3000, 9000, 30000])))
        size = len(body)
        if rng.random() < 0.1:
            flags |= SPOOLED
            (self.dir / "spool" / text_of(qid)).write_bytes(body)
            body = b""
        sender = f"s{qid}@peer.test"
        db.execute("INSERT INTO message VALUES (?,?,?,?,?,?,?,?)", (qid, sender, f"<{qid}@x>", "192.0.2.1", b"Received: x\r\n", b"", body, ""))
        rows = []
        for n in range(rng.choice([1, 1, 2, 5])):
            local = rng.random() < 0.5
            staged = local and rng.random() < 0.3
            owed = not local and rng.random() < 0.3
            rows.append((qid, n, flags, size, LOCAL if local else REMOTE, OWED if owed else int(staged), 1, 0, 5, f"r{n}.{qid}@example.test",
                         f"example.test/r{n}" if local else "", "", "", TAKEN if owed else "", f"0123456789abcdef/1.Q{qid}R{n}.h,S=5" if staged else "", 0, ""))
        db.executemany("INSERT INTO rcpt VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", rows)
        self.live[qid] = (sender, body, rows)


def text_of(qid):
    digits, out = "0123456789abcdefghjkmnpqrstvwxyz", ""
    for _ in range(13):
        out, qid = digits[qid & 31] + out, qid >> 5
    return out


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    top = tmp_path_factory.mktemp("queue")
    return [Sample(top / str(seed), seed) for seed in range(2)]


@pytest.fixture(scope="module")
def server():
    s = Server()
    s.state.mkdir()
    yield s
    s.clean()


def lay_out(server, sample):
    shutil.rmtree(server.state)
    shutil.copytree(sample.dir, server.state)
    server.write_config()


def rescue(server, *words):
    return server.json("queue", "rescue", *words)


def held_of(rows):
    return {r[0] for r in rows if r[5] == 2}


def check(server, sample, said, worst, altered=False, held=0, before=None, forgets=False):
    """`worst`: so many messages may be lost; `altered`: bytes may have changed where nobody can notice; `held`: may wait to be asked."""
    db = sqlite3.connect(server.state / "queue.db")
    db.text_factory = lambda text: text.decode(errors="replace")
    try:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        messages = {r[0]: r for r in db.execute("SELECT * FROM message")}
        suspended = db.execute("SELECT * FROM suspended").fetchall()
        rows = db.execute("SELECT * FROM rcpt").fetchall()
    finally:
        db.close()
    assert said["messages"] == len(messages) and said["recipients"] == len(rows)
    doubtful = held_of(rows)
    assert said["held"] == len(doubtful) and len(doubtful) <= held, f"{len(doubtful)} are held"
    for r in rows:
        assert r[0] in messages
        assert r[5] != 2 or "may have been delivered" in r[13]
    # what was delivered does not come back, unless it waits to be asked (or the note of it is gone, as if it had never been made)
    assert forgets or not (set(messages) - set(sample.live)) & sample.gone - doubtful
    if not altered:
        assert not set(messages) - set(sample.live) - doubtful
    assert suspended == [("slow.test", 5, "by me")] or worst or held
    saved = 0
    for qid, (sender, body, rcpts) in sample.live.items():
        now = [r for r in rows if r[0] == qid]
        if qid in messages and len(now) == len(rcpts):
            saved += 1
            if not altered and qid not in doubtful:
                assert messages[qid][1] == sender and messages[qid][6] == body and now == rcpts
    assert saved >= len(sample.live) - worst, f"{saved} of {len(sample.live)} saved"
    kept = pathlib.Path(said["kept"])
    for name, content in before.items():
        assert (kept / name).read_bytes() == content, f"{name} is not kept as it was"
    assert not (server.state / "queue.rescue").exists()
    return saved


def damage(server, sample, how, rng):
    """Returns how many messages that may cost, and how many may be held."""
    db, wal = server.state / "queue.db", server.state / "queue.db-wal"
    data, log = bytearray(db.read_bytes()), bytearray(wal.read_bytes())
    worst = held = 0
    if how == "flip":
        for _ in range(rng.randint(1, 6)):
            # most of a file are bodies: every second bit is one of those that lead to them
            tree = [p for p in range(0, len(data), PAGE) if data[p] in (2, 5, 10, 13)]
            at = rng.choice([rng.randrange(len(data)), rng.choice(tree) + rng.randrange(100)])
            data[at] ^= 1 << rng.randrange(8)
            worst, held = worst + 45, 500
    elif how == "page":
        for _ in range(rng.randint(1, 3)):
            page = rng.randrange(1, len(data) // PAGE)
            data[page * PAGE:(page + 1) * PAGE] = rng.choice([bytes(PAGE), bytes(rng.choices(range(256), k=PAGE))])
            worst, held = worst + 45, held + 500
    elif how == "cut":
        del data[rng.randrange(PAGE, len(data)):]
        worst, held = len(sample.live), 500
    elif how == "header":
        data[:100] = bytes(100)
        held = 500
    elif how == "first page":
        data[:PAGE] = bytes(rng.choices(range(256), k=PAGE))
        held = 500
    elif how == "journal flip":
        log[rng.randrange(32, len(log))] ^= 1 << rng.randrange(8)
        worst, held = 45, 500
    elif how == "journal cut":
        del log[rng.randrange(32, len(log)):]
        worst = len(sample.live)
    elif how == "journal lost":
        log = None
        data[:100] = bytes(100)
        worst, held = len(sample.live), 500
    db.write_bytes(data)
    if log is None:
        wal.unlink()
    else:
        wal.write_bytes(log)
    return worst, held, {"queue.db": bytes(data), **({} if log is None else {"queue.db-wal": bytes(log)})}


def test_sound(server, samples):
    """Nothing is wrong: nothing is touched."""
    for sample in samples:
        lay_out(server, sample)
        said = rescue(server)
        assert said["whole"] and said["messages"] == len(sample.live), said
        assert sorted(p.name for p in server.state.iterdir()) == ["lock", "queue.db", "queue.db-wal", "spool"]
        assert (server.state / "queue.db").read_bytes() == (sample.dir / "queue.db").read_bytes()


def owed_are_told(server):
    """Whoever releases such a one sends it a second time: that stands in its reason."""
    db = sqlite3.connect(server.state / "queue.db")
    told = {(state, reason) for state, reason in db.execute("SELECT state, reason FROM rcpt WHERE reason LIKE '%got it%'")}
    db.close()
    assert told == {(2, f"another server has taken it, only the report of that may be missing ({TAKEN}); "
                        "the journal of queue.db was missing: it may have been delivered already")}


@pytest.mark.parametrize("how", ["flip", "page", "cut", "header", "first page", "journal flip", "journal cut", "journal lost"])
def test_damage(server, samples, how, pytestconfig):
    saved, live, whole = 0, 0, 0
    for seed in range(100 if pytestconfig.getoption("--long") else 10):
        rng, sample = random.Random(f"{how} {seed}"), samples[seed % len(samples)]
        lay_out(server, sample)
        worst, held, before = damage(server, sample, how, rng)
        said = rescue(server)
        if said["whole"]:   # it hit nothing that is in use, or a byte of a body
            whole += 1
            assert (server.state / "queue.db").read_bytes() == before["queue.db"] and said["kept"] == ""
            assert said["messages"] >= len(sample.live) - worst
            continue
        saved += check(server, sample, said, worst, altered=how in ("flip", "page", "journal cut", "journal lost", "journal flip"), held=held, before=before,
                       forgets=how in ("journal flip", "journal cut"))
        live += len(sample.live)
        if how == "journal lost":
            owed_are_told(server)
    print(f"{how}: {saved} of {live} messages saved; {whole} times nothing was wrong")


def test_deleted_mail_is_held(server, tmp_path):
    """Without its header nobody knows which pages are free: copies of deleted rows there are saved, but held; the live ones are not."""
    folder = tmp_path / "state"
    sample = Sample(folder, 7, messages=0)
    for path in folder.glob("queue.db*"):
        path.unlink()
    db = make_db(str(folder))
    for i in range(30):
        sample.add(db, qid_at(seconds_ago=1000 - i, n=i))
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    before = (folder / "queue.db").read_bytes()
    sample.deliver(db, 10)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    db.close()
    data = (folder / "queue.db").read_bytes()
    pages = [before[at:at + PAGE] for at in range(PAGE, len(before), PAGE)]
    (folder / "queue.db").write_bytes(bytes(100) + data[100:] + b"".join(p for p in pages if p[0] in (2, 10, 13)))
    (folder / "queue.db-wal").write_bytes(b"")
    lay_out(server, sample)
    said = rescue(server)
    db = sqlite3.connect(server.state / "queue.db")
    held = {q for q, in db.execute("SELECT qid FROM rcpt WHERE state = 2")}
    waiting = {q for q, in db.execute("SELECT qid FROM rcpt WHERE state <> 2")}
    db.close()
    assert waiting == set(sample.live)
    assert held and held <= sample.gone and said["held"] == len(held)


# -- with the server


@pytest.fixture
def whole():
    """A server whose relay finds nobody: mail to peer.test waits."""
    s = Server(extra='route "peer.test" { host = "127.0.0.1:1" tls = none }')
    s.options["relay.retry"] = "{1h}"
    s.options["trusted_networks"] = '{"127.0.0.1"}'
    s.start()
    s.add_domain("example.test", alice="alice-secret")
    yield s
    s.clean()


def fill(server, messages=60, recipients=1):
    book = Book()
    for i in range(messages):
        a = book.new([f"r{i}.{n}@peer.test" for n in range(recipients)])
        with Session(server.ports["mx"]) as s:
            s.deliver(a, 60_000 if i % 10 == 0 else 4_000, random.Random(i))
        assert a.outcome == "yes"
    return book


def start_fails(server):
    at = len(server.log())
    server.start(wait=False)
    assert server.process.wait(20) == 1
    server.process = None
    return server.log()[at:]


def test_server_after_rescue(whole):
    """Damaged while it was down: it says what to type, and after that goes on with what was saved."""
    fill(whole)
    assert "the server is running" in whole.run("queue", "rescue", check=False).stderr
    ids = {m["id"] for m in whole.queue()}
    whole.stop()
    db = whole.state / "queue.db"
    db.write_bytes(bytes(PAGE) + db.read_bytes()[PAGE:])
    log = start_fails(whole)
    assert "tegami queue rescue" in log and "queue.db" in log, log
    tried = whole.json("queue", "rescue", "--dry-run")
    assert tried["messages"] == 60 and tried["dry_run"] and tried["kept"] == ""
    assert "tegami queue rescue" in start_fails(whole)
    text = whole.cli("queue", "rescue")
    assert "Saved 60 messages for 60 recipients" in text and "queue.damaged-" in text, text
    whole.start()
    assert {m["id"] for m in whole.queue()} == ids
    whole.stop()


def test_interrupted_rescue(whole):
    """As a power cut in its middle leaves it: no start, and the next rescue begins again with the damaged files."""
    fill(whole, 12)
    whole.stop()
    db = whole.state / "queue.db"
    db.write_bytes(bytes(100) + db.read_bytes()[100:])
    folder = whole.state / "queue.rescue"
    folder.mkdir()
    shutil.copy(db, folder / "queue.db")
    shutil.copy(whole.state / "queue.db-wal", folder / "queue.db-wal")
    for path in [folder, *folder.iterdir()]:
        os.chown(path, db.stat().st_uid, db.stat().st_gid)
    (folder / "new.db").write_bytes(b"half of it")
    os.chown(folder / "new.db", db.stat().st_uid, db.stat().st_gid)
    (whole.state / "queue.db-wal").unlink()
    assert "not finished" in start_fails(whole)
    assert whole.json("queue", "rescue")["messages"] == 12
    whole.start()
    assert len(whole.queue()) == 12
    whole.stop()


def test_journal_damaged_in_the_middle(whole):
    """SQLite would leave out all behind it and say nothing: the start is refused, and the rescue saves what stands behind it."""
    whole.restarts_expected = True
    fill(whole, 40)
    whole.kill()
    wal = whole.state / "queue.db-wal"
    log = bytearray(wal.read_bytes())
    assert len(log) > 60 * (PAGE + 24)
    log[32 + 20 * (PAGE + 24) + 24 + 2000] ^= 1
    wal.write_bytes(log)
    said = start_fails(whole)
    assert "tegami queue rescue" in said, said
    assert whole.json("queue", "rescue")["messages"] >= 38
    whole.start()
    whole.stop()


def pages_of(path, table):
    """Numbers of the pages of a table, leaves last."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return [r[0] for r in db.execute("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,))]
    finally:
        db.close()


def test_damaged_rows_stop_nothing_else(whole):
    """A page of the running queue's file cannot be read: the others' mail is listed, tried and delivered, the list says what is missing,
    and no file that such a row may name is tidied away."""
    fill(whole, 100, recipients=5)
    whole.stop()
    db = whole.state / "queue.db"
    leaves = pages_of(db, "rcpt")
    assert len(leaves) > 8
    data = bytearray(db.read_bytes())
    at = (leaves[len(leaves) // 2] - 1) * PAGE
    data[at:at + PAGE] = bytes(range(256)) * (PAGE // 256)
    db.write_bytes(data)
    spooled = sorted(p.name for p in (whole.state / "spool").iterdir())
    assert len(spooled) == 10
    whole.start()
    assert "tegami queue rescue" in whole.log(whole.log_start)
    p = whole.run("--json", "queue", "list", check=False)
    assert p.returncode == 1 and "that is not all" in p.stderr and "tegami queue rescue" in p.stderr
    assert sorted(p.name for p in (whole.state / "spool").iterdir()) == spooled
    book = Book()
    a = book.new(["alice@example.test"])
    with Session(whole.ports["mx"]) as s:
        s.deliver(a, 500)
    assert a.outcome == "yes", a.reply
    whole.wait_mails("alice@example.test", 1)
    whole.stop()
    said = whole.json("queue", "rescue")
    assert said["messages"] + len({d["id"] for d in said["damaged"]}) >= 100 and said["messages"] > 80, said
    kept = pathlib.Path(said["kept"])
    lost = {d["id"] for d in said["damaged"]}
    assert lost and all((kept / f"{i}.eml").exists() for i in lost)
    if set(spooled) & lost:
        assert {p.name for p in (kept / "spool").iterdir()} == set(spooled) & lost
    whole.start()
    p = whole.run("--json", "queue", "list")
    whole.stop()
