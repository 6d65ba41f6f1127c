"""Promise 1 when system calls fail: every one that queue and mda make, once with each error that fits it (faults.c), under load and at
the start."""
import collections
import errno
import mmap
import pathlib
import re
import shutil
import struct
import subprocess
import time

import pytest

from load import Book, Load, Reader, kill_tree, leftovers
from server import PATIENCE, Server, wait_until

USERS = ["alice@example.test", "bob@example.test"]
SOURCE = pathlib.Path(__file__).with_name("faults.c")
KINDS = re.findall(r"^\tX\((\w+),", SOURCE.read_text(), re.M)
SITES = NOTES = 16384
HEAD = struct.Struct("16sIIIIIIQ128x")  # as struct ctl begins
SHORT_COUNT = 1000


class Lenient(Book):
    def outcome(self, a):
        """Refused because something failed: it may have been stored all the same."""
        return "open" if a.outcome == "no" and a.reply.startswith("4") and a.at else super().outcome(a)


class Faults:
    """The file that is shared with faults.c."""

    def __init__(self, server, role, pause=0.02):
        cc = shutil.which("cc") or pytest.skip("no C compiler to make the faults with")
        self.path, self.library = server.dir / "faults", server.dir / "faults.so"
        self.path.write_bytes(HEAD.pack(role.encode(), 0, 0, 0, int(pause * 1e6), 0, 0, 0) + bytes(SITES * 16 + NOTES * 4))
        self.path.chmod(0o666)
        subprocess.run([cc, "-shared", "-fPIC", "-O1", f'-DCTL="{self.path}"', "-o", self.library, SOURCE, "-ldl"], check=True)
        self.library.chmod(0o755)
        self.file = open(self.path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 0)

    def env(self):
        return {"LD_PRELOAD": str(self.library)}

    def switch(self, on, start=False, memory=False):
        self.map[16:28] = struct.pack("III", on, start, memory)

    def counts(self):
        """Sites seen, errors made."""
        return struct.unpack_from("II", self.map, 32)

    def notes(self):
        found = collections.Counter()
        for i in range(min(self.counts()[1], NOTES)):
            kind, error = struct.unpack_from("HH", self.map, HEAD.size + SITES * 16 + 4 * i)
            found[KINDS[kind], "short" if error == SHORT_COUNT else errno.errorcode[error]] += 1
        return found

    def report(self):
        sites, made = self.counts()
        by_kind = collections.defaultdict(list)
        for (kind, error), n in sorted(self.notes().items()):
            by_kind[kind].append(f"{n} {error}")
        return f"{made} errors at {sites} places: " + "; ".join(f"{k}: {', '.join(v)}" for k, v in by_kind.items())


@pytest.fixture
def server():
    s = Server({"limits.connections_per_client": "100"})
    s.restarts_expected = True
    s.start()
    s.add_domain("example.test", alice="alice-secret", bob="bob-secret")
    s.stop()
    yield s
    s.clean()


def again(server, faults):
    """A process that died young waits ever longer: all anew."""
    faults.switch(False)
    kill_tree(server)
    server.start(env=faults.env())


def under_load(server, faults, seconds, memory):
    """Until nothing new fails for a while, or the time is over."""
    end, moved, made = time.monotonic() + seconds, time.monotonic(), 0
    restarts = 0
    while time.monotonic() < end and restarts < 4:
        faults.switch(True, memory=memory)
        time.sleep(0.5)
        if faults.counts()[1] != made:
            made, moved = faults.counts()[1], time.monotonic()
        elif time.monotonic() > moved + 6:
            again(server, faults)
            restarts += 1
            moved = time.monotonic()
    faults.switch(False)


def at_start(server, faults, seconds):
    """Starts, each with one or a few errors, until one has none."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        made = faults.counts()[1]
        faults.switch(True, start=True)
        server.start(wait=False, env=faults.env())
        started = time.monotonic()
        while time.monotonic() < started + 2 * PATIENCE and server.process.poll() is None:
            time.sleep(0.05)
        faults.switch(False)
        if server.process.poll() is None:
            kill_tree(server)
        else:
            assert server.process.returncode == 1, server.log(server.log_start)
            server.process = None
        if faults.counts()[1] == made:
            break


def settle(server, book, reader):
    """The rest without faults: all that was accepted arrives, once."""
    if server.process is not None:
        kill_tree(server)
    server.start()
    server.wait_queue_empty(60)
    copies = reader.stop()
    bounces = server.log().count("event=bounced")
    assert bounces == 0, "mail was bounced because a call failed"
    book.check(copies)
    wait_until("stage and spool to be empty", lambda: not leftovers(server), 5)
    server.stop()


@pytest.mark.parametrize("role", ["queue", "mda"])
@pytest.mark.parametrize("seconds", [20, pytest.param(900, marks=pytest.mark.long)])
def test_calls_fail_under_load(server, role, seconds):
    book, faults = Lenient(), Faults(server, role, 0.02 if seconds < 100 else 0.05)
    server.start(env=faults.env())
    with Reader(server, USERS) as reader:
        with Load(server, book, USERS, clients=6, pause=0.002):
            under_load(server, faults, seconds * PATIENCE, memory=seconds > 100)
        print(f"{role}: {faults.report()}\nattempts: {book.summary()}; {book.replies()}")
        assert faults.counts()[1] > 20 and book.count("yes") > 50
        settle(server, book, reader)


@pytest.mark.parametrize("role", ["queue", "mda"])
@pytest.mark.parametrize("seconds", [15, pytest.param(900, marks=pytest.mark.long)])
def test_calls_fail_at_start(server, role, seconds):
    """With mail that waits in every state."""
    book, faults = Lenient(), Faults(server, role, 0.3)
    with Reader(server, USERS) as reader:
        server.start()
        with Load(server, book, USERS, clients=12):
            time.sleep(1.5)
            kill_tree(server)
        at_start(server, faults, seconds * PATIENCE)
        print(f"{role} at start: {faults.report()}")
        assert faults.counts()[1] > 2
        settle(server, book, reader)
