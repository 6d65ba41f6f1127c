"""Routes to a delivery agent by LMTP: each recipient has its own fate."""
import os
import re

import pytest

from relay_role import STEP_OK, STEP_PERMANENT, STEP_TEMPORARY, Drop, Smtp
from server import free_port, message, wait_until
from test_relay_role import relays  # noqa: F401


class Lmtp(Smtp):
    """Smtp, but LHLO and a reply for each accepted recipient: `fates` says which, by address. None: hangs up there."""

    def __init__(self, fates=None, offers=(), **rules):
        self.fates = fates or {}
        super().__init__(offers=offers, LHLO=lambda c, line: self.EHLO, BODY=self.taken,
                         EHLO="500 5.5.1 this is LMTP", HELO="500 5.5.1 this is LMTP", **rules)
        self.copies = []  # (recipient, data)

    def taken(self, c, mail):
        for to in mail["to"]:
            fate = self.fates.get(to, "250 2.0.0 kept")
            if fate is None:
                raise Drop
            if fate.startswith("2"):
                self.copies.append((to, mail["data"]))
            c.say(fate)
        mail["to"] = []


def route(s):
    return [("route.*.lmtp", "127.0.0.1:%d" % s.port), ("route.*.tls", "none")]


def test_each_its_own_fate(relays):  # noqa: F811
    s = Lmtp({"b@x.test": "452 4.2.2 full just now", "c@x.test": "550-5.7.1 not\n550 5.7.1 here"},
             RCPT=lambda c, line: "550 5.1.1 who?" if "<no" in line else "250 2.1.5 fine")
    r = relays(route(s))
    _, rcpts = r.send("x.test", ["a@x.test", "no@x.test", "b@x.test", "c@x.test", "d@x.test"])
    assert [x[1:5] for x in rcpts] == [
        [STEP_OK, 250, "2.0.0", "kept"], [STEP_PERMANENT, 550, "5.1.1", "who?"], [STEP_TEMPORARY, 452, "4.2.2", "full just now"],
        [STEP_PERMANENT, 550, "5.7.1", "not here"], [STEP_OK, 250, "2.0.0", "kept"]]
    assert s.commands[0] == "LHLO mx.own.test"
    assert [to for to, _ in s.copies] == ["a@x.test", "d@x.test"]
    assert s.copies[0][1] == "Received: by us\r\nSubject: x\r\n\r\nhello\r\n"
    # and the session is in step
    _, rcpts = r.send("x.test", ["a@x.test", "c@x.test"])
    assert [x[1] for x in rcpts] == [STEP_OK, STEP_PERMANENT] and s.connections == 1


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_connection_lost_between_the_replies(relays, n):  # noqa: F811
    """Who had a reply keeps it; the others may have it, and are tried again. Nothing is sent twice here."""
    s = Lmtp({"r%d@x.test" % n: None})
    _, rcpts = relays(route(s)).send("x.test", ["r%d@x.test" % i for i in range(4)])
    assert [x[1] for x in rcpts] == [STEP_OK] * n + [STEP_TEMPORARY] * (4 - n)
    assert all("may have arrived" in x[4] for x in rcpts[n:])
    assert len(s.copies) == n and s.connections == 1


def test_many_recipients(relays):  # noqa: F811
    names = ["r%d@x.test" % i for i in range(230)]
    s = Lmtp({x: "450 4.2.0 later" for x in names[::3]})
    _, rcpts = relays(route(s)).send("x.test", names)
    assert [x[1] for x in rcpts] == [STEP_TEMPORARY if i % 3 == 0 else STEP_OK for i in range(230)]
    assert [to for to, _ in s.copies] == [x for i, x in enumerate(names) if i % 3]


def test_421_for_the_last(relays):  # noqa: F811
    s = Lmtp({"b@x.test": "421 4.3.2 going down"})
    r = relays(route(s))
    _, rcpts = r.send("x.test", ["a@x.test", "b@x.test"])
    assert [x[1:3] for x in rcpts] == [[STEP_OK, 250], [STEP_TEMPORARY, 421]]
    r.send("x.test", "a@x.test")
    assert s.connections == 2


@pytest.mark.parametrize("reply,status", [("552 5.3.4 too big", STEP_PERMANENT), ("451 4.3.0 trouble", STEP_TEMPORARY)])
def test_refused_in_the_middle_of_the_message(relays, reply, status):  # noqa: F811
    """It is the first recipient's reply: of the others nothing is known."""
    def read(c, line):
        c.exactly(100000)
        c.say(reply)
        while c.sock.recv(65536):  # hanging up on unread bytes would take the reply back
            pass
        raise Drop
    s = Lmtp(READ=read)
    _, rcpts = relays(route(s)).send("x.test", ["a@x.test", "b@x.test"], "Subject: x\r\n\r\n" + ("y" * 76 + "\r\n") * 400000, timeout=30)
    assert rcpts[0][1:3] == [status, int(reply[:3])]
    assert rcpts[1][1] == STEP_TEMPORARY


def test_one_reply_too_many(relays):  # noqa: F811
    """What nobody asked for ends the session, and counts for nothing."""
    s = Lmtp({"a@x.test": "250 2.0.0 kept\n550 5.0.0 and not kept"})
    r = relays(route(s))
    assert r.send("x.test", "a@x.test")[1][0][1] == STEP_OK
    s.fates.clear()
    assert r.send("x.test", "a@x.test")[1][0][1] == STEP_OK
    assert s.connections == 2


def test_data_without_recipients(relays):  # noqa: F811
    """An agent that takes DATA for nobody gets no message, and the next one a new connection."""
    s = Lmtp(RCPT="550 5.1.1 who?", DATA="354 go on")
    r = relays(route(s))
    assert r.send("x.test", "a@x.test")[1][0][1] == STEP_PERMANENT
    s.rules["RCPT"] = "250 fine"
    assert r.send("x.test", "a@x.test")[1][0][1] == STEP_OK
    assert s.connections == 2 and len(s.copies) == 1


def test_chunks(relays):  # noqa: F811
    """A message without a last line end goes by BDAT, with as many replies."""
    s = Lmtp(offers=["CHUNKING"], BDAT="250 2.0.0 kept\n452 4.2.2 full")
    _, rcpts = relays(route(s)).send("x.test", ["a@x.test", "b@x.test"], "Subject: x\r\n\r\nno end")
    assert [x[1] for x in rcpts] == [STEP_OK, STEP_TEMPORARY]
    assert "BDAT 37 LAST" in s.commands


def test_a_host_that_speaks_smtp(relays):  # noqa: F811
    """A mistake in the route returns no mail."""
    s = Smtp(LHLO="500 5.5.1 what?")
    _, rcpts = relays(route(s)).send("x.test", "a@x.test")
    assert rcpts[0][1] == STEP_TEMPORARY and "does not speak LMTP" in rcpts[0][4]
    assert "HELO mx.own.test" not in s.commands


# -- whole servers

def submit(server, to):
    with server.smtp("submissions", "alice@example.test", "alice-secret") as s:
        s.sendmail("alice@example.test", to, message("by lmtp", "alice@example.test", to[0]).as_bytes())


def test_to_our_own_listener(make_server):
    port = free_port()
    store = make_server(extra=f'listen "lmtp" {{ kind = lmtp address = {{"127.0.0.1:{port}"}} }}')
    store.add_domain("store.test", carol="carol-secret", dave="dave-secret")
    server = make_server(extra=f'route "store.test" {{ lmtp = "127.0.0.1:{port}" }}')
    submit(server, ["carol@store.test", "nobody@store.test", "dave@store.test"])
    for name in ("carol", "dave"):
        mail, = store.wait_mails(name + "@store.test", 1)
        assert "LMTP" in mail.header("Received")[0]
    report, = server.wait_mails("alice@example.test", 1)  # for the one that nobody is
    assert re.findall(r"Final-Recipient: *rfc822; *(\S+)", report.raw.decode()) == ["nobody@store.test"]
    server.wait_queue_empty()
    assert "by LMTP" in server.cli("route", "carol@store.test")


@pytest.mark.root
@pytest.mark.skipif(not os.path.exists("/usr/lib/dovecot/lmtp"), reason="no dovecot-lmtpd here")
def test_to_dovecot(make_server):
    """Debian's: a recipient that is known gets its mail, one that is not comes back."""
    from dovecot_lmtp import DovecotLmtp
    server = make_server()
    agent = DovecotLmtp(server.dir, ["carol@store.test", "dave@store.test"])
    try:
        server.extra = f'route "store.test" {{ lmtp = "127.0.0.1:{agent.port}" }}'
        server.reload()
        submit(server, ["carol@store.test", "nobody@store.test", "dave@store.test"])
        wait_until("both mails", lambda: [len(agent.mails(n)) for n in ("carol", "dave")] == [1, 1])
        report, = server.wait_mails("alice@example.test", 1)
        assert "nobody@store.test" in report.raw.decode()
        server.wait_queue_empty()
        assert [len(agent.mails(n)) for n in ("carol", "dave")] == [1, 1]
    finally:
        agent.stop()
