"""Promise 1 under kill -9: of the whole tree in mid-stream, and of each role alone."""
import os
import random
import shutil
import time

import pytest

from dovecot import Dovecot
from imap_reader import ImapReader
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


def kill_some(server, rng):
    """kill -9 of one to four roles at once; the supervisor starts them again."""
    pids = [p for p in children(server.process.pid) if name_of(p) in WORKING]
    for pid in rng.sample(pids, min(len(pids), rng.randint(1, 4))):
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            pass


# What a message passes; the roles that are killed alone or in company.
WORKING = ("queue", "mda", "smtpd", "directory", "control")


def kill_many(server, reader, kills, seconds, alone=3):
    """Rounds of so many kills of some roles, soon one after the other, and then one of the whole tree."""
    rng, book = random.Random(kills), Book()
    end = time.monotonic() + seconds
    trees = some = 0
    with reader:
        with Load(server, book, USERS):
            while trees + some < kills and time.monotonic() < end:
                for _ in range(min(alone, kills - trees - some - 1)):
                    time.sleep(rng.choice([rng.uniform(0.0, 0.05), rng.uniform(0.0, 0.3)]))
                    kill_some(server, rng)
                    some += 1
                time.sleep(rng.choice([rng.uniform(0.0, 0.1), rng.uniform(0.1, 0.6), rng.uniform(0.1, 1.5)]))
                kill_tree(server, rng)
                server.start()
                trees += 1
        server.wait_queue_empty(60)
        copies = reader.stop()
    print(f"{trees} kills of the tree, {some} of some roles; attempts: {book.summary()}; {sum(copies.values())} copies")
    assert trees + some == kills, f"only {trees + some} of {kills} kills within {seconds} s"
    assert book.count("yes") > 5 * min(kills, 100) and book.count("open") > 0, book.summary()
    book.check(copies)
    wait_until("stage and spool to be empty", lambda: not leftovers(server), 5)


def test_200_kills(server):
    kill_many(server, Reader(server, USERS), 200, 600 * PATIENCE)


@pytest.mark.long
def test_1000_kills(server):
    kill_many(server, Reader(server, USERS), 1000, 7200 * PATIENCE, alone=1)


@pytest.mark.root
@pytest.mark.skipif(not shutil.which("dovecot"), reason="no dovecot here")
@pytest.mark.parametrize("kills", [24, pytest.param(200, marks=pytest.mark.long)])
def test_kills_beside_dovecot(server, kills):
    """Between rename and crash a user's program moves or deletes the mail over IMAP: it does not come back."""
    dovecot = Dovecot(server)
    try:
        reader = ImapReader(dovecot, {"alice@example.test": "alice-secret", "bob@example.test": "bob-secret"})
        kill_many(server, reader, kills, 20 * kills * PATIENCE, alone=2)
        print(f"{reader.moved} moved, {reader.deleted} deleted over IMAP")
        assert min(reader.moved, reader.deleted) > 20
        # Dovecot has nothing to complain of: no file that is not whole, no name twice
        assert "Error" not in dovecot.log.read_text(), dovecot.log.read_text()
    finally:
        dovecot.stop()


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
