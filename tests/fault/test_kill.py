"""Promise 1 under kill -9: of the whole tree in mid-stream, and of each role alone."""
import os
import random
import time

import pytest

from load import Book, Load, Reader, Session, children, kill_tree, leftovers, name_of
from server import PATIENCE, Server, wait_until

USERS = ["alice@example.test", "bob@example.test"]


@pytest.fixture
def server():
    s = Server({"limits.connections_per_client": "100"})
    s.restarts_expected = True
    with s:
        s.add_domain("example.test", alice="alice-secret", bob="bob-secret")
        yield s


def kill_many(server, kills, seconds):
    rng, book = random.Random(kills), Book()
    end = time.monotonic() + seconds
    done = 0
    with Reader(server, USERS) as reader:
        with Load(server, book, USERS):
            while done < kills and time.monotonic() < end:
                time.sleep(rng.choice([rng.uniform(0.0, 0.1), rng.uniform(0.1, 1.0), rng.uniform(0.1, 3.0)]))
                kill_tree(server, rng)
                server.start()
                done += 1
        server.wait_queue_empty(60)
        copies = reader.stop()
    print(f"{done} kills; attempts: {book.summary()}; {sum(copies.values())} copies")
    assert done == kills, f"only {done} of {kills} kills within {seconds} s"
    assert book.count("yes") > 10 * min(kills, 50) and book.count("open") > 0, book.summary()
    book.check(copies)
    wait_until("stage and spool to be empty", lambda: not leftovers(server), 5)


def test_kill_the_tree_50_times(server):
    kill_many(server, 50, 200 * PATIENCE)


@pytest.mark.long
def test_kill_the_tree_1000_times(server):
    kill_many(server, 1000, 5000 * PATIENCE)


# Every role of the process table; what is not under load (filters are off) must be back all the same.
ROLES = ["control", "resolver", "directory", "auth", "mda", "relay", "scan", "signer", "filter", "queue", "smtpd"]


def of_role(server, role):
    return [p for p in children(server.process.pid) if name_of(p) == role]


def mail_passes(server, book):
    """A whole transaction says 250."""
    a = book.new([USERS[0]])
    try:
        with Session(server.ports["mx"], timeout=5) as s:
            s.deliver(a, 500)
    except OSError:
        pass
    return a.outcome == "yes"


def test_kill_each_role(server):
    """Back within 2 seconds, mail passes again, and nothing is lost or doubled."""
    book = Book()
    with Reader(server, USERS) as reader:
        with Load(server, book, USERS, clients=6, pause=0.002):
            for role in ROLES:
                time.sleep(0.5)
                victims = of_role(server, role)
                assert victims, f"no process {role}"
                os.kill(victims[0], 9)
                wait_until(f"{role} to be back", lambda: len(of_role(server, role)) == len(victims) and
                           victims[0] not in of_role(server, role), 2)
                wait_until(f"mail to pass after {role} died", lambda: mail_passes(server, book), 2)
        server.wait_queue_empty(60)
        copies = reader.stop()
    print(f"attempts: {book.summary()}")
    book.check(copies)
    roles = {r["name"]: int(r["restarts"]) for r in server.status()["roles"]}
    assert all(roles[r] >= 1 or r in ("scan", "filter", "smtpd") for r in ROLES), roles
    wait_until("stage and spool to be empty", lambda: not leftovers(server), 5)
