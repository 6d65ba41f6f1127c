"""The report about mail that a peer refuses, when queue's calls and its memory fail while it is made: each sender hears of each of
his messages, once."""
import collections
import re
import smtplib
import time

import pytest

from fault import Faults
from load import kill_tree
from peer import Peer
from server import PATIENCE, Server, message

ALICE, PASSWORD = "alice@example.test", "alice-secret"


@pytest.fixture
def server():
    with Peer(script={"rcpt": "550 5.1.1 Nobody of that name"}) as peer:
        s = Server({"relay.port": str(peer.port)})
        s.restarts_expected = True
        s.start()
        s.dns.zones = {"peer.test": {"MX": ["10 mx.peer.test."]}, "mx.peer.test": {"A": ["127.0.0.1"]}}
        s.add_domain("example.test", alice=PASSWORD)
        s.stop()
        yield s
        s.clean()


def submit(server, name):
    """True when the server took it over, False when it said no for good, None when nobody knows: what it puts off because something
    failed may be stored all the same."""
    text = message(name, ALICE, "x@peer.test", f"This is {name}.\n").as_bytes()
    s = None
    try:
        s = server.smtp("submissions", ALICE, PASSWORD)
        s.sendmail(ALICE, ["x@peer.test"], text, [], ["NOTIFY=FAILURE"])
        return True
    except smtplib.SMTPResponseException as e:
        return False if e.smtp_code >= 500 else None
    except (smtplib.SMTPException, OSError):
        return None
    finally:
        if s is not None:
            s.close()


@pytest.mark.parametrize("seconds", [8, pytest.param(300, marks=pytest.mark.long)])
def test_each_is_told_once(server, seconds):
    faults, asked, told = Faults(server, "queue", 0.05), {}, collections.Counter()
    server.start(env=faults.env())
    end = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < end or (sum(y is True for y in asked.values()) < 4 and time.monotonic() < end + 90 * PATIENCE):
        faults.switch(True, memory=True)
        name = f"letter-{len(asked)}"
        asked[name] = submit(server, name)
        time.sleep(0.02)
    faults.switch(False)
    took = [name for name, yes in asked.items() if yes]
    print(f"{len(took)} of {len(asked)} taken; {faults.report()}")
    assert len(took) > 3 and faults.counts()[1] > 3
    kill_tree(server)
    server.start()
    for m in server.queue():  # too much failed on the way: set aside until somebody says otherwise
        if m["state"] == "held":
            server.cli("queue", "release", m["id"])
    server.wait_queue_empty(60)
    for mail in server.mails(ALICE):
        assert b"5.1.1" in mail.raw and b"Nobody of that name" in mail.raw, mail.raw
        told.update(set(re.findall(rb"letter-\d+", mail.raw)))
    assert [n for n in took if told[n.encode()] != 1] == []
    assert [n for n, yes in asked.items() if yes is False and told[n.encode()]] == [] and max(told.values()) == 1
    server.stop()
