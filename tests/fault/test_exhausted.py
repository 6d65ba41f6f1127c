"""Promise 1 when there are no inodes, no descriptors, or the clock is set: refused or late, but nothing lost and nothing twice."""
import mmap
import os
import pathlib
import random
import shutil
import struct
import subprocess
import time

import pytest

from disk import Disk
from fault import Faults
from load import Book, Load, Reader, Session, count_files, kill_tree, leftovers
from peer import Peer
from server import Server, wait_until

USERS = ["alice@example.test", "bob@example.test"]
DAY = 86400


def one(server, book, to, size=2000):
    a = book.new([to])
    with Session(server.ports["mx"]) as s:
        s.deliver(a, size, random.Random(size))
    return a


# -- inodes


def use_inodes(folder, leave):
    """Empty files until only so many more can be made."""
    (folder / "many").mkdir()
    for i in range(100_000):
        if os.statvfs(folder).f_favail <= leave:
            return
        (folder / "many" / str(i)).touch()


def test_no_inodes():
    """Of state and mail: 452, and what was accepted arrives."""
    server, book = Server(), Book()
    try:
        with Disk(server.state, mib=40, inodes=2000, image=server.dir / "image") as disk:
            server.start()
            server.add_domain("example.test", alice="alice-secret", bob="bob-secret")
            use_inodes(disk.folder, 300)
            for i in range(400):
                a = one(server, book, USERS[0], 50_000 if i % 5 == 0 else 1000)
                if a.outcome != "yes":
                    break
            assert a.reply.startswith("452 4.3.1"), a.reply
            use = [disk.folder / f"more{i}" for i in range(400)]
            with pytest.raises(OSError):
                for path in use:
                    path.touch()
            assert one(server, book, USERS[0]).reply.startswith("452 4.3.1")
            server.check_health()
            for path in use:
                path.unlink(missing_ok=True)
            shutil.rmtree(disk.folder / "many")
            wait_until("mail to be taken again", lambda: one(server, book, USERS[1]).outcome == "yes", 15)
            server.wait_queue_empty(30)
            print(f"inodes: {book.summary()}; {book.replies()}")
            book.check(count_files(server, USERS))
            server.check_health()
            server.stop()
    finally:
        server.clean()


def test_no_inodes_for_mailboxes():
    """The mailboxes' disk alone: late, with the reason in words."""
    server, book = Server(), Book()
    try:
        with Disk(server.state / "mail", mib=40, inodes=200, image=server.dir / "image") as disk:
            server.start()
            server.add_domain("example.test", alice="alice-secret", bob="bob-secret")
            one(server, book, USERS[0])
            server.wait_mails(USERS[0], 1)
            use_inodes(disk.folder, 0)
            for i in range(10):
                one(server, book, USERS[0], 50_000 if i % 2 == 0 else 1000)
            assert book.count("yes") > 5, book.replies()
            wait_until("a reason in the queue", lambda: any("No space left" in r["reason"] for m in server.queue()
                                                              for r in m["recipients"]), 15)
            shutil.rmtree(disk.folder / "many")
            server.wait_queue_empty(60)
            book.check(count_files(server, USERS))
            wait_until("stage and spool to be empty", lambda: not leftovers(server), 5)
            server.check_health()
            server.stop()
    finally:
        server.clean()


# -- descriptors


@pytest.mark.parametrize("role", ["smtpd", "queue", "mda"])
def test_no_descriptors(role):
    """A process can open nothing and accept nobody, for some seconds, again and again."""
    book, server = Book(), Server({"limits.connections_per_client": "100"})
    try:
        faults = Faults(server, role)
        server.start(env=faults.env())
        server.add_domain("example.test", alice="alice-secret", bob="bob-secret")
        with Reader(server, USERS) as reader:
            with Load(server, book, USERS, large=0.3, pause=0.002):
                for _ in range(3):
                    time.sleep(0.5)
                    faults.always("open", "make")
                    time.sleep(1.5)
                    faults.always()
            server.wait_queue_empty(60)
            copies = reader.stop()
        print(f"{role}: {book.summary()}; {book.replies()}")
        assert book.count("yes") > 50
        book.check(copies)
        wait_until("stage and spool to be empty", lambda: not leftovers(server), 5)
        server.check_health()
        server.stop()
    finally:
        server.clean()


# -- the clock


class Clock:
    def __init__(self, server):
        cc = shutil.which("cc") or pytest.skip("no C compiler to set the clock with")
        source = pathlib.Path(__file__).with_name("clock.c")
        self.path, self.library = server.dir / "offset", server.dir / "clock.so"
        self.path.write_bytes(bytes(8))
        self.path.chmod(0o644)
        subprocess.run([cc, "-shared", "-fPIC", "-O1", f'-DOFFSET="{self.path}"', "-o", self.library, source, "-ldl"], check=True)
        self.library.chmod(0o755)
        self.file = open(self.path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 8)

    def set(self, seconds):
        self.map[:] = struct.pack("q", seconds)


def test_clock_jumps_under_load():
    """Forward by ten days, back by twenty: mail flows, also after kills in between, and each arrives once."""
    server, book = Server({"limits.connections_per_client": "100"}), Book()
    server.restarts_expected = True
    try:
        clock = Clock(server)
        env = {"LD_PRELOAD": str(clock.library)}
        server.start(env=env)
        server.add_domain("example.test", alice="alice-secret", bob="bob-secret")
        with Reader(server, USERS) as reader:
            with Load(server, book, USERS, clients=6, pause=0.002):
                for offset in (10 * DAY, -10 * DAY, 3600, -7200, 0):
                    before = book.count("yes")
                    clock.set(offset)
                    wait_until("mail to be taken", lambda: book.count("yes") > before + 20, 20)
                    if offset % 7200 == 0:
                        kill_tree(server)
                        server.start(env=env)
            server.wait_queue_empty(60)
            copies = reader.stop()
        print(f"clock: {book.summary()}; {book.replies()}")
        book.check(copies)
        server.stop()
    finally:
        server.clean()


def waiting(server):
    return [r for m in server.queue() for r in m["recipients"]]


@pytest.mark.parametrize("jump", [10 * DAY, -10 * DAY])
def test_clock_jump_while_mail_waits(jump):
    """The lifetime of what waits does not end because the clock was set, nor is it forgotten until the clock is there again."""
    later = {"rcpt": "451 4.2.0 later"}
    with Peer(script=later) as peer:
        server = Server({"trusted_networks": '{"127.0.0.1"}', "relay.lifetime": "5d", "relay.retry": "{2s}"},
                        extra=f'route "peer.test" {{ host = "127.0.0.1:{peer.port}" tls = none }}')
        try:
            clock = Clock(server)
            server.start(env={"LD_PRELOAD": str(clock.library)})
            server.add_domain("example.test", alice="alice-secret")
            a = one(server, Book(), "far@peer.test")
            assert a.outcome == "yes", a.reply
            wait_until("a first attempt", lambda: any(r["attempts"] >= 1 for r in waiting(server)), 15)
            clock.set(jump)
            server.wait_log("the clock was set")
            before = max(r["attempts"] for r in waiting(server))
            wait_until("two attempts more", lambda: any(r["attempts"] >= before + 2 for r in waiting(server)), 30)
            peer.script.clear()
            peer.wait(1, 30)
            server.wait_queue_empty(15)
            server.check_health()
            server.stop()
        finally:
            server.clean()


def test_clock_set_back_while_down():
    """What was planned for a time that is far away now is tried at the start."""
    with Peer(script={"rcpt": ["451 4.2.0 later", None]}) as peer:
        server = Server({"trusted_networks": '{"127.0.0.1"}', "relay.retry": "{1h}"},
                        extra=f'route "peer.test" {{ host = "127.0.0.1:{peer.port}" tls = none }}')
        try:
            clock = Clock(server)
            env = {"LD_PRELOAD": str(clock.library)}
            server.start(env=env)
            server.add_domain("example.test", alice="alice-secret")
            one(server, Book(), "far@peer.test")
            wait_until("a first attempt", lambda: any(r["attempts"] >= 1 for r in waiting(server)), 15)
            server.stop()
            clock.set(-10 * DAY)
            server.start(env=env)
            peer.wait(1)
            server.wait_queue_empty(15)
            server.stop()
        finally:
            server.clean()
