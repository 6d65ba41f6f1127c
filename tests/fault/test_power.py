"""Promise 1 when the power goes: the file systems stop in mid-stream, the server with them, and what the disk has must be enough."""
import os
import pwd
import random
import time

import pytest

from disk import Disk
from load import Book, Load, count_files, kill_tree, leftovers, stop_tree
from server import Server, wait_until

USERS = ["alice@example.test", "bob@example.test"]


def give_to_mda(folder):
    try:
        user = pwd.getpwnam("vmail")
    except KeyError:
        pytest.skip("there is no account vmail")
    os.chown(folder, user.pw_uid, user.pw_gid)
    folder.chmod(0o700)


def remount(disks):
    for d in reversed(disks):
        d.umount()
    for d in disks:
        d.mount()


def cut(server, disks, book, rng):
    """All of a sudden. What clients hear from now on comes from the page cache, at best.

    Of two disks either both go in the same instant, in which nobody runs, or that of the mail goes first: its barriers fail
    and nothing may be lost or doubled by that. The other way round is left out: a file system that was shut down in the
    middle of an fsync can still answer that it is done (ext4, appending to one file while others are synced: 6 of 148 cuts), and
    what is built on a journal that lies cannot be told from the truth."""
    start = time.monotonic()
    if len(disks) > 1 and rng.random() < 0.5:
        stop_tree(server)
    for d in reversed(disks):
        d.cut_power()
    time.sleep(rng.choice([0, 0, 0.1]))
    kill_tree(server, rng)
    remount(disks)
    book.cuts.append((start, time.monotonic()))
    server.start()


def run(server, disks, cuts):
    rng, book = random.Random(cuts), Book()
    server.restarts_expected = True
    server.start()
    server.add_domain("example.test", alice="alice-secret", bob="bob-secret")
    server.restart()            # what made the users is not what is tested
    os.sync()
    with Load(server, book, USERS):
        for _ in range(cuts):
            time.sleep(rng.choice([rng.uniform(0.05, 0.5), rng.uniform(0.3, 2.0)]))
            cut(server, disks, book, rng)
    server.wait_queue_empty(60)
    print(f"{cuts} cuts; attempts: {book.summary()}")
    # refused too often: it was not the disk that was tested
    assert book.count("yes") > 20 * cuts, f"{book.summary()}\n{book.replies()}"
    book.check(count_files(server, USERS))
    wait_until("stage and spool to be empty", lambda: not leftovers(server), 5)
    server.stop()


@pytest.fixture
def server():
    s = Server({"limits.connections_per_client": "100"})
    yield s
    s.clean()


def image(server, name):
    return server.dir / f"{name}.image"


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_cuts(server, kind):
    """State and mail on one file system."""
    with Disk(server.state, kind, mib=512, image=image(server, "state")) as one:
        run(server, [one], 6)


@pytest.mark.parametrize("state,mail", [("ext4", "xfs"), ("xfs", "ext4")])
def test_mail_on_its_own_disk(server, state, mail):
    with Disk(server.state, state, mib=320, image=image(server, "state")) as one, \
            Disk(server.state / "mail", mail, mib=320, image=image(server, "mail")) as two:
        run(server, [one, two], 5)


def test_homes_on_another_disk(server):
    """A domain's homes are not where mail_dir is: staged in home/.stage."""
    with Disk(server.state, mib=256, image=image(server, "state")) as one:
        mail = server.state / "mail"
        mail.mkdir()
        give_to_mda(mail)
        with Disk(mail / "example.test", mib=256, image=image(server, "homes")) as two:
            give_to_mda(two.folder)
            run(server, [one, two], 4)
            assert (server.home(USERS[0]) / ".stage").is_dir()


def test_file_system_not_mounted(server):
    """Staged mail on a disk that is missing at the next start is not taken for delivered: it waits for the disk."""
    with Disk(server.state, mib=256, image=image(server, "state")) as one, \
            Disk(server.state / "mail", mib=256, image=image(server, "mail")) as two:
        book = Book()
        server.restarts_expected = True
        server.start()
        server.add_domain("example.test", alice="alice-secret", bob="bob-secret")
        with Load(server, book, USERS, clients=12):
            time.sleep(1.0)
            kill_tree(server)
        two.umount()
        server.start()
        time.sleep(1.5)
        kill_tree(server)
        # what was delivered meanwhile went into the folder under the mount point
        under = count_files(server, USERS)
        two.mount()
        server.start()
        server.wait_queue_empty(60)
        book.check(count_files(server, USERS) + under)
        server.stop()
        assert one.mounted
