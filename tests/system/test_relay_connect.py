"""Which address of a host gets the mail: both kinds, one that never answers, and the address that we come from."""
import contextlib
import os
import re
import socket
import threading

import pytest

from relay_role import Drop, STEP_OK, STEP_TEMPORARY, Smtp
from server import wait_until
from test_relay_role import relays, to, worlds  # noqa: F401


class Dual(Smtp):
    """Listens at more addresses, all at one port; `seen` are the addresses that were called, and who called."""

    def __init__(self, *addresses, **rules):
        self.seen = []
        super().__init__(GREETING=self.greet, **rules)
        for a in addresses:
            s = socket.socket(socket.AF_INET6 if ":" in a else socket.AF_INET)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((a, self.port))
            s.listen(50)
            threading.Thread(target=self.serve_at, args=(s,), daemon=True).start()

    def serve_at(self, listener):
        while True:
            c, _ = listener.accept()
            threading.Thread(target=self.session, args=(c,), daemon=True).start()

    def greet(self, c, _):
        self.seen.append((c.sock.getsockname()[0], c.sock.getpeername()[0]))
        return "220 sink.test ESMTP"


@pytest.fixture
def black():
    """black(address, port): from then on SYNs to it get no answer, since its backlog is full."""
    kept = []

    def make(address, port):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((address, port))
        s.listen(0)
        kept.append(s)
        for _ in range(4):
            c = socket.socket()
            c.setblocking(False)
            c.connect_ex(s.getsockname())
            kept.append(c)
        return s.getsockname()[1]
    yield make
    for s in kept:
        s.close()


def under_way(port, who):
    """Connections of this process to the port that have had no answer yet."""
    ours = set()
    for fd in os.listdir("/proc/%d/fd" % who):
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            ours.add(os.readlink("/proc/%d/fd/%s" % (who, fd)))
    found = 0
    for line in open("/proc/net/tcp").readlines()[1:]:
        f = line.split()
        found += f[2].endswith(":%04X" % port) and f[3] == "02" and "socket:[%s]" % f[9] in ours
    return found


def zone(four=(), six=()):
    return {("x.test", "MX"): ["10 mx.x.test."], **({("mx.x.test", "A"): list(four)} if four else {}),
            **({("mx.x.test", "AAAA"): list(six)} if six else {})}


PATIENT = ("relay.connect_timeout", "600000")  # who waits for that fails the test


@pytest.mark.parametrize("prefer,first", [(None, "127.0.0.1"), ("ipv4", "127.0.0.1"), ("ipv6", "::1")])
def test_preference(worlds, prefer, first):  # noqa: F811
    s = Dual("::1")
    r = worlds(zone(["127.0.0.1"], ["::1"]), [("relay.port", str(s.port))] + ([("relay.prefer", prefer)] if prefer else []))
    assert r.send("x.test", "b@x.test")[1][0][1] == STEP_OK
    assert [a for a, _ in s.seen] == [first]


def test_one_that_refuses(worlds):  # noqa: F811
    """The other kind at once."""
    s = Dual("::1")
    r = worlds(zone(["127.0.0.2"], ["::1"]), [("relay.port", str(s.port)), PATIENT])
    assert r.send("x.test", "b@x.test")[1][0][1] == STEP_OK
    assert [a for a, _ in s.seen] == ["::1"]


@pytest.mark.parametrize("how", ["kind", "same kind"])
def test_one_that_never_answers(worlds, black, how):  # noqa: F811
    """The next one is tried beside it; the slow one is given up as soon as that answers."""
    s = Dual("::1", "127.0.0.3")
    black("127.0.0.2", s.port)
    r = worlds(zone(["127.0.0.2"] + (["127.0.0.3"] if how != "kind" else []), ["::1"] if how == "kind" else []),
               [("relay.port", str(s.port)), PATIENT])
    for n in range(1 if how == "kind" else 6):  # records of one kind come in a random order
        host, rcpts = r.send("x.test", "b@x.test", timeout=60)
        assert rcpts[0][1] == STEP_OK
        r.role.sup.send("SETUP_GO", 1)  # a reload: the session that idles is closed
    assert {a for a, _ in s.seen} == {"::1" if how == "kind" else "127.0.0.3"}
    assert len(s.mails) == (1 if how == "kind" else 6)  # one copy each
    wait_until("the slow ones to be given up", lambda: under_way(s.port, r.role.p.pid) == 0)


def hosts(*rows):
    """x.test and y.test with these (name, address)es as their hosts, the best one first."""
    mx = ["%d0 %s.test." % (i + 1, n) for i, (n, _) in enumerate(rows)]
    return {("x.test", "MX"): mx, ("y.test", "MX"): mx, **{(n + ".test", "A"): [a] for n, a in rows}}


def test_best_host_never_answers(worlds, black):  # noqa: F811
    """The next one is tried beside it, and the next mail goes there at once."""
    s = Dual("127.0.0.3")
    black("127.0.0.2", s.port)
    r = worlds(hosts(("best", "127.0.0.2"), ("next", "127.0.0.3")), [("relay.port", str(s.port)), PATIENT])
    host, rcpts = r.send("x.test", "b@x.test", timeout=60)
    assert rcpts[0][1] == STEP_OK and host == "next.test[127.0.0.3]:%d" % s.port
    wait_until("the slow one to be given up", lambda: under_way(s.port, r.role.p.pid) == 0)
    tried = []
    done = threading.Event()

    def watch():
        while not done.is_set():
            tried.append(under_way(s.port, r.role.p.pid))
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        host, rcpts = r.send("y.test", "b@y.test", timeout=60)  # another destination, the same hosts
    finally:
        done.set()
        watcher.join()
    assert rcpts[0][1] == STEP_OK and host.startswith("next.test")
    assert not any(tried)
    assert len(s.mails) == 2


def test_silent_host_comes_last(worlds, black):  # noqa: F811
    """One that was silent comes after the others, and is tried all the same."""
    s = Dual("127.0.0.3", "127.0.0.4")
    black("127.0.0.2", s.port)
    zone = hosts(("best", "127.0.0.2"), ("next", "127.0.0.3"))
    zone.update({("z.test", "MX"): ["10 best.test.", "20 gone.test."], ("gone.test", "A"): ["127.0.0.5"]})
    r = worlds(zone, [("relay.port", str(s.port)), ("relay.connect_timeout", "6000")])
    assert r.send("x.test", "b@x.test", timeout=60)[1][0][1] == STEP_OK
    host, rcpts = r.send("z.test", "b@z.test", timeout=60)
    assert rcpts[0][1:4] == [STEP_TEMPORARY, 0, "4.4.1"] and "refused" in rcpts[0][4] and host.startswith("gone.test")


@pytest.mark.parametrize("after", ["connects", "greets"])
def test_hosts_that_are_slow_to_greet(worlds, after):  # noqa: F811
    """A host that takes connections, and says nothing, holds nothing up; nor does one that hangs up without a word."""
    quiet = threading.Event()

    def greet(c, _):
        if c.sock.getsockname()[0] == "127.0.0.2":
            if after == "greets":
                raise Drop
            quiet.wait(120)
        return "220 sink.test ESMTP"
    s = Dual("127.0.0.2", "127.0.0.3")
    s.rules["GREETING"] = greet
    r = worlds(hosts(("best", "127.0.0.2"), ("next", "127.0.0.3")),
               [("relay.port", str(s.port)), ("relay.command_timeout", "600000")])
    try:
        host, rcpts = r.send("x.test", "b@x.test", timeout=60)
    finally:
        quiet.set()
    assert rcpts[0][1] == STEP_OK and host == "next.test[127.0.0.3]:%d" % s.port


def test_order_of_hosts_when_all_answer(worlds):  # noqa: F811
    s = Dual("127.0.0.2", "127.0.0.3", "127.0.0.4")
    r = worlds(hosts(("best", "127.0.0.4"), ("next", "127.0.0.2"), ("last", "127.0.0.3")), [("relay.port", str(s.port))])
    for _ in range(5):
        assert r.send("x.test", "b@x.test")[1][0][1] == STEP_OK
        r.role.sup.send("SETUP_GO", 1)
    assert {a for a, _ in s.seen} == {"127.0.0.4"}


def test_hosts_beside_each_other_are_bounded(worlds, black):  # noqa: F811
    """Ten silent hosts: at most five connections at a time, a temporary failure in the end."""
    port = black("127.0.0.10", 0)
    rows = [("h%d" % n, "127.0.0.%d" % n) for n in range(10, 20)]
    for _, a in rows[1:]:
        black(a, port)
    r = worlds(hosts(*rows), [("relay.port", str(port)), ("relay.connect_timeout", "8000")])
    r.put("x.test", "b@x.test")
    most, done = [0], threading.Event()

    def watch():
        while not done.is_set():
            most[0] = max(most[0], under_way(port, r.role.p.pid))
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        _, host, rcpts = r.result(120)
    finally:
        done.set()
        watcher.join()
    assert rcpts[0][1:4] == [STEP_TEMPORARY, 0, "4.4.1"] and "took too long" in rcpts[0][4]
    assert 3 <= most[0] <= 6, most


def test_so_many_and_no_more(worlds, black):  # noqa: F811
    port = black("127.0.0.10", 0)
    addresses = ["127.0.0.%d" % n for n in range(10, 18)]
    for a in addresses[1:]:
        black(a, port)
    r = worlds(zone(addresses), [("relay.port", str(port)), ("relay.connect_timeout", "4000")])
    r.put("x.test", "b@x.test")
    most, done = [0], threading.Event()

    def watch():
        while not done.is_set():
            most[0] = max(most[0], under_way(port, r.role.p.pid))
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        _, host, rcpts = r.result(60)
    finally:
        done.set()
        watcher.join()
    assert rcpts[0][1:4] == [STEP_TEMPORARY, 0, "4.4.1"] and "took too long" in rcpts[0][4]
    assert host.startswith("mx.x.test[127.0.0.")
    assert 2 <= most[0] <= 4, most  # three, and for a moment the next one of one that failed


def test_all_refuse(worlds):  # noqa: F811
    s = Dual()
    r = worlds(zone(["127.0.0.2", "127.0.0.3"], ["::1"]), [("relay.port", str(s.port))])
    host, rcpts = r.send("x.test", "b@x.test")
    assert rcpts[0][1:4] == [STEP_TEMPORARY, 0, "4.4.1"] and "refused" in rcpts[0][4]
    assert re.match(r"mx\.x\.test\[.*\]:%d" % s.port, host)


def test_dropped_while_connecting(worlds, black):  # noqa: F811
    """The queue goes away: nothing is left of the connections, and its successor's mail goes out."""
    port = black("127.0.0.10", 0)
    r = worlds(zone(["127.0.0.10"]), [("relay.port", str(port)), PATIENT])
    r.put("x.test", "b@x.test")
    wait_until("the connection", lambda: under_way(port, r.role.p.pid) == 1)
    r.queue.close()
    wait_until("nothing", lambda: under_way(port, r.role.p.pid) == 0)
    assert r.role.p.poll() is None


def test_source(worlds):  # noqa: F811
    s = Dual("::1")
    conf = [("relay.port", str(s.port)), ("relay.source", ""), ("relay.source", "127.0.0.9"), ("relay.source", "::1")]
    r = worlds({("four.test", "A"): ["127.0.0.1"], ("six.test", "AAAA"): ["::1"]}, conf)
    for name in ("four", "six"):
        assert r.send(name + ".test", "b@x.test")[1][0][1] == STEP_OK
    assert s.seen == [("127.0.0.1", "127.0.0.9"), ("::1", "::1")]


def test_source_of_the_other_kind_only(worlds):  # noqa: F811
    s = Dual("::1")
    r = worlds({("six.test", "AAAA"): ["::1"]}, [("relay.port", str(s.port)), ("relay.source", ""), ("relay.source", "127.0.0.9")])
    assert r.send("six.test", "b@x.test")[1][0][1] == STEP_OK


def test_source_that_is_not_ours(relays):  # noqa: F811
    s = Dual()
    _, rcpts = relays(to(s) + [("relay.source", ""), ("relay.source", "192.0.2.77")]).send("x.test", "b@x.test")
    assert rcpts[0][1] == STEP_TEMPORARY and "relay.source" in rcpts[0][4] and "192.0.2.77" in rcpts[0][4]
    assert s.seen == []
