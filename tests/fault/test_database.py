"""Databases that are missing or damaged at start: a clear error that names the file, not a server that runs without its users."""
import os
import subprocess

import pytest

from load import Book, Session
from server import BUILD, Server

DATABASES = ["directory.db", "credentials.db", "queue.db"]


@pytest.fixture
def stopped():
    s = Server()
    s.start()
    s.add_domain("example.test", alice="alice-secret", bob="bob-secret")
    s.stop()
    yield s
    s.clean()


def without_journal(server, name):
    for end in ("-wal", "-shm"):
        path = server.state / (name + end)
        if path.exists():
            path.unlink()


def start_fails(server):
    """The log of a start that ended by itself, with 1."""
    at = len(server.log())
    server.start(wait=False)
    try:
        status = server.process.wait(20)
    except subprocess.TimeoutExpired:
        status = None
        server.kill()
    server.process = None
    log = server.log()[at:]
    assert status == 1, f"exit status {status}\n{log}"
    return log


@pytest.mark.parametrize("name", DATABASES)
def test_damaged(stopped, name):
    path = stopped.state / name
    whole = path.read_bytes()
    without_journal(stopped, name)
    path.write_bytes(b"this is no database, " * 200 + whole[4200:])
    log = start_fails(stopped)
    assert name in log, log
    # with the right file back it runs
    path.write_bytes(whole)
    stopped.start()
    stopped.stop()


@pytest.mark.parametrize("name", DATABASES)
def test_newer_version(stopped, name):
    """Made by a newer Tegami: refused, not overwritten."""
    subprocess.run(["sqlite3", stopped.state / name, "PRAGMA user_version = 9999"], check=True)
    log = start_fails(stopped)
    assert name in log and "newer" in log, log


@pytest.mark.parametrize("name", DATABASES)
def test_is_a_folder(stopped, name):
    path = stopped.state / name
    without_journal(stopped, name)
    path.unlink()
    path.mkdir()
    log = start_fails(stopped)
    assert name in log, log


def test_missing_queue(stopped):
    """An empty queue is a queue: it is made anew."""
    (stopped.state / "queue.db").unlink()
    without_journal(stopped, "queue.db")
    stopped.start()
    book = Book()
    a = book.new(["alice@example.test"])
    with Session(stopped.ports["mx"]) as s:
        s.deliver(a, 500)
    assert a.outcome == "yes"
    stopped.wait_mails("alice@example.test", 1)
    stopped.stop()


@pytest.mark.parametrize("name", ["directory.db", "credentials.db"])
def test_missing_users(stopped, name):
    """Users do not vanish in silence: no start with an empty database in place of theirs."""
    whole = (stopped.state / name).read_bytes()
    (stopped.state / name).unlink()
    without_journal(stopped, name)
    log = start_fails(stopped)
    assert f"{name} is missing" in log and "backup" in log, log
    (stopped.state / name).write_bytes(whole)
    stopped.start()
    assert len(stopped.json("user", "list")) == 2
    stopped.stop()


def test_state_is_no_folder(stopped):
    state = stopped.state
    state.rename(stopped.dir / "moved")
    state.write_text("")
    log = start_fails(stopped)
    assert str(state) in log or "state" in log, log


