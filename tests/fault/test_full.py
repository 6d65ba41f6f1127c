"""Full disks: a clear 452 or a delay, the server goes on, and what was accepted arrives when there is room again."""
import random

import pytest

from disk import Disk
from load import Book, Session, count_files, leftovers
from server import Server, wait_until

USER = "alice@example.test"


@pytest.fixture
def server():
    s = Server({"limits.min_free": "4M"})
    yield s
    s.clean()


def send(server, book, size):
    a = book.new([USER])
    with Session(server.ports["mx"]) as s:
        s.deliver(a, size, random.Random(size))
    return a


def send_until_full(server, book, size, most):
    for _ in range(most):
        a = send(server, book, size)
        if a.outcome != "yes":
            return a
    raise AssertionError(f"{most} messages of {size} bytes were taken")


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
@pytest.mark.parametrize("size", [3_000, 200_000])
def test_full(server, kind, size):
    book = Book()
    with Disk(server.state, kind, 40, image=server.dir / "image") as disk:
        server.start()
        server.add_domain("example.test", alice="alice-secret")
        disk.fill(leave=(6 << 20) if size < 10_000 else (12 << 20))
        refused = send_until_full(server, book, size, 2000)
        assert refused.reply.startswith("452 4.3.1"), refused.reply
        server.wait_queue_empty(30)     # what was accepted is delivered from the room kept free
        # not one byte is left: still an answer, to the client and to the administrator
        filler = disk.fill()
        refused = send(server, book, size)
        assert refused.reply.startswith("452 4.3.1"), refused.reply
        server.check_health()
        filler.unlink()
        wait_until("mail to be taken again", lambda: send(server, book, 1000).outcome == "yes", 15)
        server.wait_queue_empty(30)
        print(f"{kind}, {size} bytes: {book.summary()}; {book.replies()}")
        book.check(count_files(server, [USER]))
        wait_until("stage and spool to be empty", lambda: not leftovers(server), 5)
        server.check_health()
        server.stop()


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_mailboxes_full(server, kind):
    """Only the mailboxes' disk is full: what was accepted is delayed, with the reason in words, and not lost."""
    book = Book()
    with Disk(server.state / "mail", kind, 24, image=server.dir / "image") as disk:
        server.start()
        server.add_domain("example.test", alice="alice-secret")
        send(server, book, 1000)
        server.wait_mails(USER, 1)
        filler = disk.fill(leave=1 << 20)
        for i in range(12):
            send(server, book, 200_000 if i % 2 == 0 else 5_000)
        accepted = book.count("yes")
        assert accepted > 6, book.replies()
        wait_until("a reason in the queue", lambda: any("No space left" in r["reason"] for m in server.queue()
                                                          for r in m["recipients"]), 15)
        server.check_health()
        filler.unlink()
        server.wait_queue_empty(60)
        assert book.count("yes") == accepted
        book.check(count_files(server, [USER]))
        wait_until("stage and spool to be empty", lambda: not leftovers(server), 5)
        server.check_health()
        server.stop()
