"""Each limit by itself: the reply that docs/limits.md promises, whom it counts (an IPv4 address, an IPv6 /56), and that its
place is free again. Clients have the addresses that a trusted proxy names for them."""
import os
import socket
import time

import pytest

from lines import Lines
from server import Server, free_port, wait_until

PROXY = "127.0.0.2"
# of one client, of one client, of others that are next to it (several: two may share a slot by chance)
V4 = ("192.0.2.7", "192.0.2.7", ["192.0.2.6", "192.0.2.8", "192.0.2.9"])
V6 = ("2001:db8:0:1::1", "2001:db8:0:fe::9", ["2001:db8:0:100::1", "2001:db8:0:200::1", "2001:db8:0:300::1"])
both = pytest.mark.parametrize("one,same,others", [V4, V6], ids=["32", "56"])


@pytest.fixture(scope="module")
def start():
    """start(option=value ...): one server for all tests with the same options."""
    servers = {}

    def begin(**options):
        key = tuple(options.items())
        if key in servers:
            return servers[key]
        s = Server({"trusted_proxies": f'{{"{PROXY}"}}'} | {f"limits.{k}": v for k, v in options.items()})
        s.ports["proxy"] = free_port()
        s.extra = f'listen "proxy" {{ kind = mx address = {{"127.0.0.1:{s.ports["proxy"]}"}} proxy_protocol = true }}'
        s.start()
        servers[key] = s
        s.add_domain("example.test", alice="alice-secret", bob="bob-secret")
        return s

    yield begin
    for s in servers.values():
        s.__exit__(None, None, None)


def connect(server, client):
    return Lines(server, PROXY, "proxy", client)


def greeted(server, client):
    return Lines.greeted(server, PROXY, "proxy", client)


def within(most, what):
    """How often what() is true before it is not: `most` times, or more when a minute ends meanwhile."""
    n = 0
    while what():
        n += 1
        assert n <= 2 * most, "there is no limit"
    assert n >= most
    return n


def any_of(others, what):
    return any(what(o) for o in others)


@both
def test_connections_per_client(start, one, same, others):
    server = start(connections_per_client="3")
    held = [greeted(server, c) for c in (one, same, one)]
    for client in (one, same):
        with connect(server, client) as over:
            over.expect("421 4.7.0 You have too many connections")
            assert over.ended()
    assert any_of(others, lambda o: connect(server, o).reply().startswith("220"))
    held.pop().close()
    wait_until("the place to be free", lambda: connect(server, same).reply().startswith("220"))


def test_connections_per_user(start):
    """At the socket of sendmail; a uid counts, not an address."""
    server = start(connections_per_user="3")

    def local():
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        here = os.getcwd()
        os.chdir(server.state)  # paths of sockets are short
        try:
            s.connect("submit.sock")
        finally:
            os.chdir(here)
        return s, s.recv(200)

    held = [local() for _ in range(3)]
    assert all(said.startswith(b"220") for _, said in held)
    s, said = local()
    assert said.startswith(b"421 4.7.0 You have too many connections") and s.recv(100) == b""
    s.close()
    # nobody else's
    with Lines.greeted(server) as c:
        c.deliver()
    held.pop()[0].close()
    wait_until("the place to be free", lambda: local()[1].startswith(b"220"))
    for s, _ in held:
        s.close()


@both
def test_message_rate(start, one, same, others):
    server = start(message_rate="4")
    c, other = greeted(server, one), greeted(server, same)

    def once():
        reply = c.say("MAIL FROM:<someone@peer.test>")
        if reply.startswith("250"):
            c.cmd("RSET", "250")
            return True
        assert reply == "450 4.7.1 Your network sends too many messages; please wait a minute\r\n"
        return False

    within(4, once)
    # the session goes on, and so do others of the same client, but for new messages
    c.cmd("NOOP", "250")
    assert other.say("MAIL FROM:<someone@peer.test>").startswith(("450 4.7.1", "250"))
    assert any_of(others, lambda o: greeted(server, o).say("MAIL FROM:<someone@peer.test>").startswith("250"))
    c.close()
    other.close()


@both
def test_recipient_rate(start, one, same, others):
    server = start(recipient_rate="4")
    before = len(server.mails("alice@example.test"))
    c = greeted(server, one)
    c.cmd("MAIL FROM:<someone@peer.test>", "250")

    def once():
        reply = c.say("RCPT TO:<alice@example.test>")
        assert reply.startswith("250") or reply == (
            "450 4.7.1 Your network sends too many recipients; please wait a minute\r\n"), reply
        return reply.startswith("250")

    within(4, once)
    # what was accepted is delivered
    c.cmd("DATA", "354")
    c.cmd("Subject: x\r\n\r\nx\r\n.", "250")

    def first(client):
        with greeted(server, client) as n:
            n.cmd("MAIL FROM:<someone@peer.test>", "250")
            return n.say("RCPT TO:<alice@example.test>")

    assert first(same).startswith(("450 4.7.1", "250"))
    assert any_of(others, lambda o: first(o).startswith("250"))
    c.close()
    server.wait_mails("alice@example.test", before + 1)


def within_one_minute(what):
    """what(i) until smtpd's minute (of CLOCK_MONOTONIC) was the same before and after; i counts the tries."""
    for i in range(10):
        minute = time.monotonic() // 60
        result = what(i)
        if time.monotonic() // 60 == minute:
            return result
    return pytest.fail("no try fitted into one minute")


@pytest.mark.parametrize("network", [("192.0.{0}.7", "192.0.{0}.7", "192.0.{0}.{1}"), ("2001:db8:{0}:1::1", "2001:db8:{0}:fe::9", "2001:db8:{0}:{1}00::1")],
                         ids=["32", "56"])
def test_connection_rate(start, network):
    """Counted by all processes of smtpd together: each connection is some process's, and not one more is let in."""
    server = start(connection_rate="8", connections_per_client="2")

    def greeting(client):
        with connect(server, client) as c:
            reply = c.reply()
            if reply.startswith("220"):
                c.cmd("QUIT", "221")  # its place is free
            assert c.ended()
            return reply

    def once(i):
        return [greeting(network[n % 2].format(i)) for n in range(14)], [greeting(network[2].format(i, n)) for n in (2, 3, 4)]

    replies, others = within_one_minute(once)
    assert [r[:3] for r in replies] == ["220"] * 8 + ["421"] * 6
    assert set(replies[8:]) == {"421 4.7.0 Your network connects too often; please wait a minute\r\n"}
    assert any(r.startswith("220") for r in others)
    assert server.status()["clients"]["turned_away"] == 0  # that is of overload


def spend(server, one, same):
    """(two sessions, what they and new ones are told) once the clients of one network have used what its minute has."""
    c, other = greeted(server, one), greeted(server, same)
    for session in (c, other):
        session.cmd("MAIL FROM:<someone@peer.test>", "250")
        session.cmd("RCPT TO:<alice@example.test>", "250")
    replies = [other.say("RCPT TO:<bob@example.test>"), (c.say("RSET"), c.say("MAIL FROM:<someone@peer.test>"))[1]]
    for i in range(3):
        with connect(server, (one, same)[i % 2]) as more:
            replies.append(more.reply())
    return c, other, [r[:9] for r in replies]


SPENT = ["450 4.7.1", "450 4.7.1", "220 mx.ex", "220 mx.ex", "421 4.7.0"]
LITTLE = {"connection_rate": "4", "message_rate": "2", "recipient_rate": "2"}


def test_a_network_shares_its_counts(start):
    server = start(**LITTLE)

    def once(i):
        c, other, replies = spend(server, f"2001:db8:{i}:1::1", f"2001:db8:{i}:fe::9")
        c.close()
        other.close()
        return replies

    assert within_one_minute(once) == SPENT


@pytest.mark.long  # waits for it; tests/unit/smtp/test_clients.c sets the clock
def test_a_new_minute(start):
    """All of them begin anew, in sessions that are under way too."""
    server = start(**LITTLE)
    c, other, replies = within_one_minute(lambda i: spend(server, f"2001:db8:8{i}:1::1", f"2001:db8:8{i}:fe::9"))
    assert replies == SPENT
    time.sleep(60 - time.monotonic() % 60 + 0.1)
    other.cmd("RCPT TO:<bob@example.test>", "250")
    c.cmd("MAIL FROM:<someone@peer.test>", "250")
    c.close()
    other.close()


# -- tarpit

def test_tarpit_grows(start):
    """The reply comes at once; what is said next waits, ever longer, at least so long."""
    server = start(errors="10000", tarpit="1s")
    with Lines.greeted(server) as c:
        for i in range(1, 46):
            c.cmd("FROB", "500 5.5.1")
            began = time.monotonic()
            c.cmd("NOOP", "250")
            assert time.monotonic() - began >= max(0, i - 20) * 0.009 - 0.005, i  # the clock of an event loop is a little behind
    # others do not wait with it: this one has made no mistake
    with Lines.greeted(server) as c:
        c.deliver()


def test_tarpit_is_bounded(start):
    """After thousands of mistakes (made while there was no tarpit) the pause is limits.tarpit, not their number: 50 s here, so that
    another's idle_timeout would pass first."""
    server = start(errors="10000", tarpit="0s", idle_timeout="25s")
    c = Lines.greeted(server)
    for _ in range(50):
        c.send("FROB\r\n" * 100)
        for _ in range(100):
            c.expect("500")
    server.options["limits.tarpit"] = "1s"
    server.reload()
    idle = Lines.greeted(server)
    began = time.monotonic()
    c.cmd("FROB", "500")
    c.cmd("NOOP", "250")
    assert time.monotonic() - began >= 0.995
    idle.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        idle.sock.recv(100)
    for s in (c, idle):
        s.close()


def test_tarpit_is_for_strangers(start):
    server = start(errors="10000", tarpit="1m")
    server.options["trusted_networks"] = '{"127.0.0.7"}'
    server.reload()
    with Lines.greeted(server, "127.0.0.7") as c:
        for _ in range(100):
            c.cmd("FROB", "500 5.5.1")
        c.deliver()


# -- commands that bring nothing on

IDLE = {
    "NOOP": ["NOOP"], "RSET": ["RSET"], "HELP": ["HELP"], "VRFY": ["VRFY alice"], "EHLO": ["EHLO client.test"],
    "HELO": ["HELO client.test"], "begun and given up": ["MAIL FROM:<someone@peer.test>", "RCPT TO:<alice@example.test>", "RSET"],
    "begun and greeted": ["MAIL FROM:<someone@peer.test>", "EHLO client.test"], "empty chunks": ["BDAT 0"],
    "too many recipients": ["RCPT TO:<bob@example.test>"],
}
BEGIN = ["MAIL FROM:<someone@peer.test>", "RCPT TO:<alice@example.test>"]


@pytest.mark.parametrize("name", IDLE)
def test_commands(start, name):
    server = start(commands="30", connections_per_client="1", recipients="1")
    row, source = IDLE[name], f"127.0.4.{list(IDLE).index(name) + 1}"
    with Lines.greeted(server, source) as c:
        if name in ("empty chunks", "too many recipients"):
            for line in BEGIN:
                c.cmd(line, "250")
        replies = []
        while not replies or (replies[-1] and not replies[-1].startswith("421")):
            replies.append(c.say(row[len(replies) % len(row)]))
            assert len(replies) < 200
        assert replies[-1] == "421 4.7.0 Too many commands and no message; please come back with one\r\n"
        assert len(replies) >= 25
        assert c.ended()
    # the place is free
    def again():
        with Lines(server, source) as n:
            return n.reply().startswith("220") and (n.cmd("EHLO client.test", "250"), n.deliver(), True)[2]

    wait_until("the place to be free", again)
    wait_until("it in history", lambda: "Too many commands and no message" in server.run("trace", source, check=False).stdout)


def test_commands_of_starttls_in_tls(start):
    """In error, which has the shorter limit."""
    server = start(commands="1000", errors="5")
    s = server.smtp("submissions")
    replies = [s.docmd("STARTTLS")[0] for _ in range(5)]
    assert replies == [503] * 5
    assert s.getreply()[0] == 421


def test_commands_of_honest_clients(start):
    """Any accepted message begins the count anew, however many there are; recipients and chunks that are taken count for nothing."""
    server = start(commands="20")
    with Lines.greeted(server) as c:
        for i in range(15):
            for _ in range(10):
                c.cmd("NOOP", "250")
            c.cmd("RSET", "250")
            c.deliver("bob@example.test")
        c.cmd("MAIL FROM:<someone@peer.test>", "250")
        for _ in range(60):
            c.cmd("RCPT TO:<alice@example.test>", "250")
        c.send("BDAT 12\r\nSubject: x\r\n")
        c.expect("250")
        for _ in range(60):
            c.send("BDAT 3\r\nx\r\n")
            c.expect("250")
        c.cmd("BDAT 0 LAST", "250")
        c.cmd("QUIT", "221")
    server.wait_mails("bob@example.test", 15)
    server.wait_mails("alice@example.test", 1)
