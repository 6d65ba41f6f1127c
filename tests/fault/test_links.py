"""A damaged frame ends the link between two roles that live. Both get a new one, without a restart: mail flows again, and every message
of the load is accounted for."""
import os
import time

import pytest

import links
from load import Book, Load, Reader, leftovers
from server import Server, wait_until

USERS = ["alice@example.test", "bob@example.test"]
PAIRS = [("smtpd", "queue"), ("queue", "mda"), ("mda", "queue"), ("smtpd", "filter"), ("smtpd", "directory"), ("directory", "mda")]


@pytest.fixture
def server():
    if os.geteuid() != 0:
        pytest.skip("needs root, to reach the sockets of a role")
    with Server({"limits.connections_per_client": "100"}) as s:
        s.add_domain("example.test", alice="alice-secret", bob="bob-secret")
        yield s


def break_link(server, sender, receiver):
    """Returns when there is another link in its place."""
    a, b = server.pids(sender)[0], server.pids(receiver)[0]
    inode, _ = links.link_of(a, b)
    links.damage(a, b)
    wait_until(f"another link from {sender} to {receiver}", lambda: (links.link_of(a, b) or (inode,))[0] != inode, 10)


def test_damaged_frames_under_load(server):
    book, pids = Book(), server.pids()
    with Reader(server, USERS) as reader:
        with Load(server, book, USERS, pause=0.005):
            for sender, receiver in PAIRS:
                break_link(server, sender, receiver)
                before = book.count("yes")
                wait_until("mail to flow again", lambda: book.count("yes") > before + 20, 10)
        server.wait_queue_empty(30)
        copies = reader.stop()
    print(f"attempts: {book.summary()}; {book.replies()}")
    assert server.pids() == pids
    assert server.log().count("sent a bad frame") == len(PAIRS)
    book.check(copies)
    wait_until("stage and spool to be empty", lambda: not leftovers(server), 5)


def test_a_pair_that_keeps_breaking_waits_longer(server):
    a, b = server.pids("smtpd")[0], server.pids("queue")[0]
    for _ in range(3):
        break_link(server, "smtpd", "queue")
    # the fourth pause is 0.8 s: for that long there is none, and nobody spins making some
    links.damage(a, b)
    wait_until("the link to end", lambda: links.link_of(a, b) is None, 5)
    made = server.log().count("they get a new one")
    wait_until("a new one", lambda: links.link_of(a, b) is not None, 10)
    wait_until("its line in the log", lambda: server.log().count("they get a new one") == made + 1, 5)
    assert server.pids("smtpd")[0] == a and server.pids("queue")[0] == b
