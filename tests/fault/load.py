"""Load that keeps a book: what each attempt was told, and what became of it. Promise 1 is checked against the book.

    book = Book()
    with Load(server, book, ["alice@example.test", "bob@example.test"]):
        ...
    ...drain...
    book.check(copies)          # {(message id, address): how often it was delivered}

An attempt is one message in one transaction under a Message-ID of its own: "yes" = 250 was seen, "no" = another reply was
seen, or the final dot was never sent; "open" = the connection broke before the final reply. Each recipient of a "yes" has
exactly one copy, of a "no" none, of an "open" none or one.
"""
import collections
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time

from server import alive, wait_until

MESSAGE_ID = re.compile(rb"^Message-ID: <([^>]*)>", re.M)


class Attempt:
    def __init__(self, number, recipients):
        self.id = f"{number}.{os.getpid()}@load.test"
        self.recipients = recipients
        self.outcome = "no"
        self.reply = ""
        self.at = 0.0           # when the final reply was seen


class Book:
    def __init__(self):
        self.lock = threading.Lock()
        self.attempts = {}
        self.cuts = []          # (from, to): a reply seen then may have come from a dead disk

    def new(self, recipients):
        with self.lock:
            a = Attempt(len(self.attempts), recipients)
            self.attempts[a.id] = a
            return a

    def count(self, outcome):
        return sum(a.outcome == outcome for a in list(self.attempts.values()))

    def replies(self):
        """How often each refusal was seen, without what differs from one to the next."""
        return collections.Counter(a.reply[:9] for a in list(self.attempts.values()) if a.outcome == "no" and a.reply)

    def outcome(self, a):
        """As promise 1 sees it: what was said after a power cut says nothing."""
        if any(start <= a.at <= end for start, end in self.cuts):
            return "open"
        return a.outcome

    def problems(self, copies):
        found = []
        for a in self.attempts.values():
            outcome = self.outcome(a)
            for address in a.recipients:
                n = copies.get((a.id, address), 0)
                if n not in {"yes": (1,), "no": (0,), "open": (0, 1)}[outcome]:
                    found.append(f"{a.id} for {address}: {n} copies, but the client saw {a.reply or outcome!r}")
        for (message_id, address), n in copies.items():
            known = self.attempts.get(message_id)
            if message_id.endswith("@load.test") and (known is None or address not in known.recipients):
                found.append(f"{message_id}: delivered to {address}, who was no recipient")
        return found

    def check(self, copies):
        found = self.problems(copies)
        assert not found, f"promise 1 is broken {len(found)} times of {len(self.attempts)}:\n" + "\n".join(found[:20])

    def summary(self):
        return ", ".join(f"{self.count(o)} {o}" for o in ("yes", "no", "open"))


class Load:
    """Some clients at once, each sending one message after the other until stopped. They survive the server."""

    def __init__(self, server, book, addresses, clients=8, large=0.08, pause=0.0, several=0.2):
        self.port, self.book, self.addresses = server.ports["mx"], book, addresses
        self.large, self.pause, self.several = large, pause, several
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.client, args=(i,), daemon=True) for i in range(clients)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for t in self.threads:
            t.join(60)
            assert not t.is_alive(), "a client of the load hangs"

    def client(self, seed):
        rng = random.Random(seed)
        while not self.ending.is_set():
            try:
                with Session(self.port) as s:
                    for _ in range(rng.randint(1, 5)):
                        if self.ending.is_set():
                            break
                        self.send(s, rng)
                        time.sleep(self.pause)
            except OSError:
                time.sleep(0.02)    # the server is away

    def send(self, session, rng):
        n = min(len(self.addresses), 2 if rng.random() < self.several else 1)
        a = self.book.new(rng.sample(self.addresses, n))
        size = rng.randint(40_000, 150_000) if rng.random() < self.large else rng.randint(100, 6_000)
        session.deliver(a, size, rng)


class Session:
    """One SMTP connection, as raw as it takes to know what was sent and what was answered."""

    def __init__(self, port, timeout=20):
        self.s = socket.create_connection(("127.0.0.1", port), timeout)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.s.makefile("rb")
        self.expect("220")
        self.command("EHLO load.test", "250")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.s.close()

    def reply(self):
        while True:
            line = self.file.readline(2000)
            if not line.endswith(b"\n"):
                raise ConnectionResetError("the server closed the connection")
            if line[3:4] != b"-":
                return line.decode(errors="replace").strip()

    def expect(self, code):
        reply = self.reply()
        if not reply.startswith(code):
            raise ConnectionAbortedError(reply)
        return reply

    def command(self, line, code):
        self.s.sendall(line.encode() + b"\r\n")
        return self.expect(code)

    def deliver(self, a, size, rng=random):
        """Fills in what became of the attempt; OSError when the connection is of no more use."""
        try:
            self.command("MAIL FROM:<sender@peer.test>", "250")
            for address in a.recipients:
                self.command(f"RCPT TO:<{address}>", "250")
            self.command("DATA", "354")
        except ConnectionAbortedError as e:
            a.reply = str(e)
            if a.reply.startswith("421"):
                raise
            self.command("RSET", "250")
            return
        line = b"".join(rng.choice([b"abcdef ", b"ghi ", b"jklmno ", b"pq "]) for _ in range(8)) + b"\r\n"
        self.s.sendall(b"From: sender@peer.test\r\nMessage-ID: <" + a.id.encode() +
                       b">\r\nDate: Tue, 24 Nov 2026 05:52:28 +0000\r\nSubject: load\r\n\r\n" +
                       line * (size // len(line) + 1))
        a.outcome = "open"
        self.s.sendall(b".\r\n")
        reply = self.reply()
        a.at, a.reply = time.monotonic(), reply
        a.outcome = "yes" if reply.startswith("2") else "no"
        if reply.startswith("421"):
            raise ConnectionAbortedError(reply)


# -- what arrived


def message_id(path):
    with open(path, "rb") as f:
        found = MESSAGE_ID.search(f.read(4000))
    return found.group(1).decode() if found else ""


def assert_whole(path):
    size = int(re.search(r",S=(\d+)", path.name).group(1))
    content = path.read_bytes()
    assert len(content) == size and b"\0" not in content, f"{path} is not whole: {len(content)} bytes"


def count_files(server, addresses):
    """{(message id, address): files} of INBOX, when nobody reads meanwhile."""
    copies = collections.Counter()
    for address in addresses:
        maildir = server.home(address) / "Maildir"
        for path in list(maildir.glob("new/*")) + list(maildir.glob("cur/*")):
            assert_whole(path)
            copies[message_id(path), address] += 1
    return copies


class Reader:
    """A process that moves mail from new/ to cur/, deletes most of it, and writes down every mail it took out of new/."""

    def __init__(self, server, addresses):
        self.log = server.dir / f"reader-{time.monotonic_ns()}"
        self.process = subprocess.Popen(
            [sys.executable, __file__, self.log, *(f"{a}={server.home(a)}/Maildir" for a in addresses)],
            stdin=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})

    def stop(self):
        """Everything in new/ is taken before it ends. Returns the copies."""
        self.process.stdin.close()
        assert self.process.wait(60) == 0
        copies = collections.Counter()
        for line in self.log.read_text().splitlines():
            address, name = line.split(" ")
            copies[name, address] += 1
        return copies

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def take_all(boxes, log, rng):
    taken = 0
    for address, maildir in boxes:
        try:
            names = os.listdir(maildir / "new")
        except FileNotFoundError:
            continue
        for name in names:
            there, cur = maildir / "new" / name, maildir / "cur" / (name + ":2,S")
            found = message_id(there)
            assert_whole(there)
            os.rename(there, cur)
            log.write(f"{address} {found or 'none'}\n")
            log.flush()
            taken += 1
            if rng.random() < 0.8:
                os.unlink(cur)
    return taken


def reader_main():
    rng = random.Random(1)
    boxes = [(a, pathlib.Path(m)) for a, _, m in (w.partition("=") for w in sys.argv[2:])]
    ending = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ending.set()), daemon=True).start()
    with open(sys.argv[1], "a") as log:
        while True:
            last = ending.is_set()
            if take_all(boxes, log, rng) == 0:
                if last:
                    return
                time.sleep(0.005)


# -- the server under it


def children(pid):
    try:
        return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def kill_tree(server, rng=random):
    """kill -9 of the supervisor and all roles, in any order, as fast as it goes."""
    pids = [server.process.pid] + children(server.process.pid)
    rng.shuffle(pids)
    for pid in pids:
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            pass
    server.process.wait()
    server.process = None
    # also a role that was just being started again must be gone: all exit within 1 second
    wait_until("all processes to be gone", lambda: not any(alive(p) for p in pids) and not listens(server.ports["mx"]), 1)


def stop_tree(server):
    """Nobody runs any more, until kill_tree."""
    for pid in [server.process.pid] + children(server.process.pid):
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            pass


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def leftovers(server):
    """Stage and spool files that nothing needs any more."""
    mail = server.state / "mail"
    folders = [mail / ".stage", server.state / "spool", *mail.glob("*/*/.stage")]
    return [p for d in folders if d.exists() for p in d.iterdir() if not p.name.startswith(".")]


if __name__ == "__main__":
    reader_main()
