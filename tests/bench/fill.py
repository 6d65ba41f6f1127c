"""What the benchmarks put into a stopped server's files: a queue, a company's mailboxes."""
import os
import pathlib
import re
import sqlite3
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests/system"), str(TOP / "tests/fault")]
from queue_role import LOCAL, REMOTE, SPOOLED, qid_at  # noqa: E402
from test_rescue import text_of  # noqa: E402


def fill_queue(state, messages, local=False):
    """So many messages that wait for an hour, of 4 KiB, every hundredth of 60 KiB in the spool."""
    db = sqlite3.connect(state / "queue.db")
    db.execute("PRAGMA synchronous = OFF")
    owner = os.stat(state / "queue.db")
    body = b"Subject: x\r\n\r\n" + b"0123456789abcdef 0123456789abcdef 0123456789abcdef 01234567\r\n" * 66
    large = body * 15
    next_try = int((time.time() + 3600) * 1e6)
    for i in range(messages):
        qid = qid_at(seconds_ago=50000, n=0) + (i << 14)
        spooled = i % 100 == 99
        size = len(large if spooled else body)
        if spooled:
            path = state / "spool" / text_of(qid)
            path.write_bytes(large)
            os.chown(path, owner.st_uid, owner.st_gid)
        db.execute("INSERT INTO message (qid, sender, msgid, ip, prefix, cuts, body) VALUES (?,?,?,?,?,?,?)",
                   (qid, "sender@example.test", f"<{i}@example.test>", "192.0.2.1", b"Received: x\r\n" * 10, b"", b"" if spooled else body))
        db.execute("INSERT INTO rcpt (qid, n, flags, size, kind, state, attempts, warned, next, address, home, folder, original, reason, file)"
                   " VALUES (?,0,?,?,?,0,3,0,?,?,?,'',?,'',?)",
                   (qid, SPOOLED if spooled else 0, size, LOCAL if local else REMOTE, next_try,
                    f"user{i % 100}@example.test" if local else f"user{i}@far{i % 1000}.test",
                    f"example.test/user{i % 100}" if local else "", f"user{i}@far{i % 1000}.test", ""))
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    db.close()


def fill_mailboxes(server, domain, number):
    """Users u0, u1, ... of the domain with their Maildirs, as after their first mail."""
    db = sqlite3.connect(server.state / "directory.db")
    row, = db.execute("SELECT id FROM domains WHERE name = ?", (domain,)).fetchone()
    now = int(time.time())
    db.executemany("INSERT INTO users (domain, local, quota, enabled, created) VALUES (?, ?, -1, 1, ?)", ((row, f"u{i}", now) for i in range(number)))
    db.commit()
    db.close()
    mail = server.state / "mail"
    owner = os.stat(mail)
    for i in range(number):
        home = mail / domain / f"u{i}"
        for folder in (mail / domain, home, home / "Maildir", *(home / "Maildir" / part for part in ("tmp", "new", "cur", ".stage"))):
            if not folder.exists():
                folder.mkdir(mode=0o700)
                os.chown(folder, owner.st_uid, owner.st_gid)


def memory_of(pid):
    """PSS and its peak RSS, in MiB."""
    pss = re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
    peak = re.search(r"^VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(pss[1]) / 1024, int(peak[1]) / 1024
