"""queue and mda together, real ones: either is killed at random moments, a reader takes and deletes mail meanwhile, every accepted
message arrives once for each recipient."""
import os
import random
import re
import select
import signal
import socket
import sqlite3
import subprocess
import time

import pytest

from queue_role import BUILD, LOCAL, PUT_OK, ROLE, SETUP_FILE, Peer, make_db, qid_at


class Role:
    """A program of the server with this test as its supervisor."""

    def __init__(self, name, cwd, files=(), conf=()):
        self.sup = Peer()
        fd = self.sup.theirs.fileno()
        self.p = subprocess.Popen([os.path.join(BUILD, "delivery", name)], cwd=cwd, preexec_fn=lambda: os.dup2(fd, 3),
                                  close_fds=False)
        self.sup.theirs.close()
        for path, value in conf:
            self.sup.send("SETUP_CONFIG", path, value)
        for kind, path in files:
            f = os.open(path, os.O_PATH)
            self.sup.send("SETUP_FILE", SETUP_FILE["SETUP_FILE_" + kind], "", fd=f)
            os.close(f)

    def link(self, peer, sock):
        self.sup.send("SETUP_LINK", ROLE["ROLE_" + peer], 0, fd=sock.fileno())
        sock.close()

    def go(self):
        self.sup.send("SETUP_GO", 0)
        f = self.sup.want("ROLE_READY", 10)
        return f

    def kill(self):
        self.p.send_signal(signal.SIGKILL)
        self.p.wait()
        self.sup.close()


class Pair:
    def __init__(self, top):
        self.state, self.mail = os.path.join(top, "state"), os.path.join(top, "mail")
        os.makedirs(self.state + "/spool")
        os.makedirs(self.mail + "/.stage", mode=0o700)
        make_db(self.state).close()
        self.q = self.m = None
        self.start("qm")

    def start(self, which):
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if "m" in which:
            self.m = Role("mda", self.mail, files=[("MAIL_DIR", self.mail)])
        if "q" in which:
            self.q = Role("queue", self.state, files=[("SPOOL_DIR", self.state + "/spool")])
            self.smtpd, self.control = Peer(), Peer()
            self.q.link("SMTPD", self.smtpd.theirs)
            self.q.link("CONTROL", self.control.theirs)
        self.m.link("QUEUE", a)
        self.q.link("MDA", b)
        for r, name in ((self.m, "m"), (self.q, "q")):
            if name in which:
                r.go()

    def die(self, which):
        for name in which:
            r = self.m if name == "m" else self.q
            r.kill()
            if name == "q":
                self.smtpd.close()
                self.control.close()
        self.start(which)

    def put(self, n, qid, users, body):
        fields = []
        for u in users:
            a = "%s@example.test" % u
            fields += [LOCAL, a, "example.test/" + u, "", a, 0, ""]
        self.smtpd.send("QUEUE_PUT", qid, 0, "s@x.example", "<%d@x>" % n, "192.0.2.1", "", b"", b"Received: x\r\n", b"", len(body),
                        body, *fields, id=n)


def collect(mail, seen, rng):
    """The reader: takes what is in new/, counts it, moves it to cur/ or deletes it."""
    root = os.path.join(mail, "example.test")
    for user in os.listdir(root) if os.path.isdir(root) else ():
        new = os.path.join(root, user, "Maildir/new")
        cur = os.path.join(root, user, "Maildir/cur")
        for name in os.listdir(new) if os.path.isdir(new) else ():
            path = os.path.join(new, name)
            text = open(path, "rb").read()
            id = int(re.search(rb"Message-ID: <(\d+)@x>", text).group(1))
            assert text.endswith(b"end\n") and int(name.rpartition(",S=")[2]) == len(text)
            seen[id, user] = seen.get((id, user), 0) + 1
            if rng.random() < 0.5:
                os.unlink(path)
            else:
                os.rename(path, os.path.join(cur, name + ":2,"))


@pytest.mark.parametrize("seed", range(int(os.environ.get("QUEUE_KILLS", "2"))))
def test_kills(tmp_path, seed):
    rng = random.Random(seed)
    s = Pair(str(tmp_path))
    sent, acked, seen, waiting = {}, {}, {}, {}
    n = kills = 0
    end = time.time() + 8
    next_kill, next_read = time.time() + 0.3, 0
    while time.time() < end:
        while len(waiting) < 20:
            n += 1
            users = rng.sample(["u%d" % i for i in range(12)], rng.choice((1, 1, 1, 2, 5)))
            body = b"Subject: t\r\nMessage-ID: <%d@x>\r\n\r\n" % n + b"x" * rng.choice((10, 3000, 20000)) + b"\r\nend\r\n"
            sent[n] = users
            waiting[n] = users
            s.put(n, qid_at(n=n % 64), users, body)
        ready = select.select([s.smtpd.s, s.control.s], [], [], 0.01)[0]
        if s.control.s in ready:
            s.control.recv()
        if s.smtpd.s in ready:
            f = s.smtpd.recv()
            users = waiting.pop(f.id)
            if f.f[0] == PUT_OK:
                acked[f.id] = users
        if time.time() > next_kill:
            which = rng.choice(("q", "m", "qm"))
            s.die(which)
            if "q" in which:
                waiting = {}
            kills += 1
            next_kill = time.time() + rng.uniform(0.02, 0.5)
        if time.time() > next_read:
            collect(s.mail, seen, rng)
            next_read = time.time() + 0.05
    stop = time.time() + 20
    db = os.path.join(s.state, "queue.db")
    while time.time() < stop:
        while select.select([s.smtpd.s], [], [], 0.05)[0]:
            f = s.smtpd.recv()
            if f.f[0] == PUT_OK:
                acked[f.id] = waiting.pop(f.id)
        c = sqlite3.connect(db)
        left = c.execute("SELECT qid, n, state, reason FROM rcpt").fetchall()
        c.close()
        if not left:
            break
    collect(s.mail, seen, rng)
    s.q.kill()
    s.m.kill()
    print("%d accepted, %d deaths" % (len(acked), kills))
    assert left == []
    assert {k for k, users in acked.items() for u in users if seen.get((k, u)) != 1} == set()
    assert {k for k, c in seen.items() if c != 1} == set()
    assert [f for f in os.listdir(os.path.join(s.mail, ".stage")) if not f.startswith(".")] == []
    assert len(acked) > 100 and kills > 5
