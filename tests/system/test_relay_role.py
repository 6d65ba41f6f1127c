"""The relay between a queue that this test plays and SMTP servers that behave badly in every way."""
import os
import socket
import struct
import subprocess
import tempfile
import time

import pytest

from relay_role import BUILD, Dns, Drop, Relay, Role, Smtp, STEP_OK, STEP_PERMANENT, STEP_TEMPORARY


@pytest.fixture(scope="session")
def cert(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("tls") / "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path + ".key", "-out", path,
                    "-days", "2", "-subj", "/CN=sink.test"], check=True, capture_output=True)
    with open(path, "a") as f:
        f.write(open(path + ".key").read())
    return path


@pytest.fixture
def relays():
    made = []

    def make(*args, **kw):
        made.append(Relay(*args, **kw))
        return made[-1]
    yield make
    for r in made:
        r.stop()


def to(server, tls="none"):
    """Options that send everything to this server."""
    return [("route.*.host", "127.0.0.1:%d" % server.port), ("route.*.tls", tls)]


def statuses(rcpts):
    return [r[1] for r in rcpts]


# -- what is sent

def test_one_mail(relays):
    s = Smtp()
    host, rcpts = relays(to(s)).send("x.test", "b@x.test", "Subject: s\r\n\r\n.dot\r\n..two\r\nend\r\n", flags=4)
    assert rcpts == [[0, STEP_OK, 250, "2.0.0", "taken as 4711"]]
    assert host == "127.0.0.1[127.0.0.1]:%d" % s.port
    assert s.mails[0]["data"] == "Received: by us\r\nSubject: s\r\n\r\n.dot\r\n..two\r\nend\r\n"
    assert s.mails[0]["to"] == ["b@x.test"]
    size = len("Received: by us\r\nSubject: s\r\n\r\n.dot\r\n..two\r\nend\r\n")
    assert s.commands[:3] == ["EHLO mx.own.test", "MAIL FROM:<a@own.test> SIZE=%d BODY=8BITMIME" % size, "RCPT TO:<b@x.test>"]


@pytest.mark.parametrize("body", ["", ".", ".\r\n", "no end", "a\r\n.\r\nb\r\n", "\r\n.\r\n", "x" * 30000 + "\r\n"])
def test_odd_bodies(relays, body):
    s = Smtp()
    _, rcpts = relays(to(s)).send("x.test", "b@x.test", body, prefix="")
    assert statuses(rcpts) == [STEP_OK]
    want = body if body == "" or body.endswith("\r\n") else body + "\r\n"
    assert s.mails[0]["data"] == want


def test_cuts(relays):
    s = Smtp()
    relays(to(s)).send("x.test", "b@x.test", "A: 1\r\nBcc: secret\r\nB: 2\r\n\r\n.x\r\n", prefix="", cuts=struct.pack("<QQ", 6, 13))
    assert s.mails[0]["data"] == "A: 1\r\nB: 2\r\n\r\n.x\r\n"
    assert "SIZE=18" in s.commands[1]


def test_null_sender(relays):
    s = Smtp()
    relays(to(s)).send("x.test", "b@x.test", sender="")
    assert s.commands[1].startswith("MAIL FROM:<> ")


def anonymous(r):
    return int([x for x in open("/proc/%d/status" % r.role.p.pid) if x.startswith("RssAnon")][0].split()[1])


def test_large_file_without_holding_it(relays):
    s = Smtp()
    r = relays(to(s) + [("relay.data_timeout", "60000")])
    before = anonymous(r)
    line = ("." + "y" * 77 + "\r\n") * 1000
    with tempfile.TemporaryFile() as f:
        for _ in range(400):
            f.write(line.encode())
        f.flush()
        fd = os.open("/proc/self/fd/%d" % f.fileno(), os.O_RDONLY)
        _, rcpts = r.send("x.test", "b@x.test", "", fd=fd, flags=2, timeout=60)
        os.close(fd)
    assert statuses(rcpts) == [STEP_OK]
    assert s.mails[0]["data"] == "Received: by us\r\n" + line * 400
    if b"__asan_init" not in open(os.path.join(BUILD, "delivery/relay"), "rb").read():  # it keeps what is freed
        assert anonymous(r) < before + 16000


def test_many_recipients_and_transactions(relays):
    s = Smtp()
    names = ["r%d@x.test" % i for i in range(250)]
    _, rcpts = relays(to(s)).send("x.test", names)
    assert statuses(rcpts) == [STEP_OK] * 250
    assert [len(m["to"]) for m in s.mails] == [100, 100, 50]
    assert s.connections == 1


def test_too_many_recipients_go_in_the_next_transaction(relays):
    seen = []

    def rcpt(c, line):
        seen.append(line)
        return "250 ok" if len(seen) % 3 else "452 4.5.3 too many recipients"
    s = Smtp(RCPT=rcpt)
    _, rcpts = relays(to(s)).send("x.test", ["r%d@x.test" % i for i in range(6)])
    assert statuses(rcpts) == [STEP_OK] * 6
    assert sorted(x for m in s.mails for x in m["to"]) == ["r%d@x.test" % i for i in range(6)]


def test_without_pipelining_and_ehlo(relays):
    s = Smtp(EHLO="502 what?")
    _, rcpts = relays(to(s)).send("x.test", ["b@x.test", "c@x.test"])
    assert statuses(rcpts) == [STEP_OK, STEP_OK]
    assert s.commands[:6] == ["EHLO mx.own.test", "HELO mx.own.test", "MAIL FROM:<a@own.test>", "RCPT TO:<b@x.test>",
                              "RCPT TO:<c@x.test>", "DATA"]


# -- replies

@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("stage,reply,want", [
    ("MAIL", "550 5.7.1 go away", [STEP_PERMANENT, 550, "5.7.1", "go away"]),
    ("MAIL", "451 4.7.1 later", [STEP_TEMPORARY, 451, "4.7.1", "later"]),
    ("RCPT", "550-5.1.1 No such\n550 5.1.1 user", [STEP_PERMANENT, 550, "5.1.1", "No such user"]),
    ("RCPT", "450 greylisted", [STEP_TEMPORARY, 450, "4.0.0", "greylisted"]),
    ("RCPT", "550 4.1.1 classes differ", [STEP_PERMANENT, 550, "5.0.0", "4.1.1 classes differ"]),
    ("DATA", "554 5.5.1 no", [STEP_PERMANENT, 554, "5.5.1", "no"]),
    ("DATA", "421 4.3.2 closing", [STEP_TEMPORARY, 421, "4.3.2", "closing"]),
    ("BODY", "554 5.7.1 virus\x1b[31m\xe9", [STEP_PERMANENT, 554, "5.7.1", "virus?[31m?"]),
    ("BODY", "452 4.3.1 full", [STEP_TEMPORARY, 452, "4.3.1", "full"]),
    ("BODY", "354 again?", [STEP_TEMPORARY, 354, "4.0.0", "again?"]),
])
def test_refusals(relays, pipelining, stage, reply, want):
    s = Smtp(**{stage: reply})
    if not pipelining:
        s.EHLO = "250 sink"
    r = relays(to(s))
    assert r.send("x.test", "b@x.test")[1] == [[0] + want]
    # the session (or a new one) works for the next mail
    s.rules.clear()
    assert statuses(r.send("x.test", "b@x.test")[1]) == [STEP_OK]
    assert len(s.mails) == 1


def test_each_recipient_has_its_own_result(relays):
    s = Smtp(RCPT=lambda c, line: "550 5.1.1 no" if "bad" in line else "451 4.2.1 wait" if "slow" in line else "250 ok")
    _, rcpts = relays(to(s)).send("x.test", ["good@x.test", "bad@x.test", "slow@x.test", "fine@x.test"])
    assert statuses(rcpts) == [STEP_OK, STEP_PERMANENT, STEP_TEMPORARY, STEP_OK]
    assert s.mails[0]["to"] == ["good@x.test", "fine@x.test"]


def test_data_taken_without_recipients(relays):
    s = Smtp(RCPT="550 5.1.1 no", DATA="354 go on all the same", BODY="554 no recipients")
    r = relays(to(s))
    assert statuses(r.send("x.test", "b@x.test")[1]) == [STEP_PERMANENT]
    s.rules.clear()
    assert statuses(r.send("x.test", "b@x.test")[1]) == [STEP_OK]
    assert s.connections == 1 and len(s.mails) == 1


def test_size_limit_is_known_before(relays):
    s = Smtp()
    s.EHLO = "250-sink\n250 SIZE 1000"
    assert relays(to(s)).send("x.test", "b@x.test", "x" * 2000 + "\r\n")[1][0][1:4] == [STEP_PERMANENT, 0, "5.3.4"]
    assert "MAIL" not in " ".join(s.commands)


def test_no_smtputf8(relays):
    assert relays(to(Smtp())).send("x.test", "b@x.test", sender="ä@own.test", flags=8)[1][0][1:4] == [STEP_PERMANENT, 0, "5.6.7"]


@pytest.mark.parametrize("field", ["to", "from"])
def test_no_line_breaks_in_commands(relays, field):
    s = Smtp()
    evil = "b@x.test>\r\nRCPT TO:<c@x.test"
    kw = {"sender": evil} if field == "from" else {}
    _, rcpts = relays(to(s)).send("x.test", evil if field == "to" else "b@x.test", **kw)
    assert statuses(rcpts) == [STEP_PERMANENT]
    assert s.commands == []


# -- reuse

def test_sessions_are_used_again(relays):
    s = Smtp()
    r = relays(to(s))
    for _ in range(20):
        assert statuses(r.send("x.test", "b@x.test")[1]) == [STEP_OK]
    assert s.connections == 1 and len(s.mails) == 20
    assert "RSET" not in s.commands


@pytest.mark.parametrize("how", ["close", "421", "reset"])
def test_dead_idle_session_costs_nothing(relays, how):
    conns = []

    def body(c, mail):
        conns.append(c)
        return "250 ok"
    s = Smtp(BODY=body)
    r = relays(to(s))
    assert statuses(r.send("x.test", "b@x.test")[1]) == [STEP_OK]
    time.sleep(0.1)
    c = conns[0]
    if how == "421":
        c.say("421 4.4.2 idle too long")
    elif how == "reset":
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.sock.shutdown(socket.SHUT_RD)
    else:
        c.sock.shutdown(socket.SHUT_RDWR)
    assert how == "421" or c.gone.wait(10)
    assert statuses(r.send("x.test", "b@x.test")[1]) == [STEP_OK]
    assert len(s.mails) == 2


def test_session_that_dies_at_the_next_mail(relays):
    def mail(c, line):
        c.n = getattr(c, "n", 0) + 1
        if c.n == 2:
            raise Drop
        return "250 ok"
    s = Smtp(MAIL=mail)
    r = relays(to(s))
    for _ in range(4):
        assert statuses(r.send("x.test", "b@x.test")[1]) == [STEP_OK]
    assert len(s.mails) == 4


def test_session_that_dies_before_the_final_dot(relays):
    # the peer has said yes to something on a session it then drops: it cannot have the mail, so a new session may bring it
    def data(c, line):
        c.n = getattr(c, "n", 0) + 1
        if c.n == 2:
            raise Drop
        return "354 go on"
    s = Smtp(DATA=data)
    r = relays(to(s))
    for _ in range(4):
        assert statuses(r.send("x.test", "b@x.test")[1]) == [STEP_OK]
    assert len(s.mails) == 4


def test_421_to_the_next_mail(relays):
    def mail(c, line):
        c.n = getattr(c, "n", 0) + 1
        if c.n == 2:
            c.say("421 4.7.0 enough for one connection")
            raise Drop
        return "250 ok"
    s = Smtp(MAIL=mail)
    r = relays(to(s))
    for _ in range(3):
        assert statuses(r.send("x.test", "b@x.test")[1]) == [STEP_OK]


def test_idle_session_says_quit(relays):
    s = Smtp()
    r = relays(to(s))
    r.send("x.test", "b@x.test")
    time.sleep(5.5)
    assert s.commands[-1] == "QUIT"


def test_many_at_once(relays):
    s = Smtp(BODY=lambda c, m: time.sleep(0.05) or "250 ok")
    r = relays(to(s))
    for _ in range(200):
        r.put("x.test", "b@x.test")
    done = {r.result()[0] for _ in range(200)}
    assert done == set(range(1, 201)) and len(s.mails) == 200


# -- misbehaviour: it costs this session only

def hang(c, arg):
    time.sleep(30)


def drop(c, arg):
    raise Drop


def endless(c, arg):
    while True:
        c.sock.sendall(b"250-and more\r\n" * 1000)


def no_line(c, arg):
    while True:
        c.sock.sendall(b"2" * 10000)


def dribble(c, arg):
    while True:
        c.sock.sendall(b"250-x\r\n")
        time.sleep(0.2)


BAD = [hang, drop, endless, no_line, dribble, "not SMTP at all", "999 what", "250-a\n251 b", "100 no"]


@pytest.mark.parametrize("how", BAD, ids=lambda h: h if isinstance(h, str) else h.__name__)
@pytest.mark.parametrize("stage", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "BODY"])
def test_misbehaviour(relays, stage, how):
    bad, good = Smtp(**{stage: how}), Smtp()
    r = relays([("route.bad.test.host", "127.0.0.1:%d" % bad.port), ("route.bad.test.tls", "none"),
                ("relay.command_timeout", "1000"), ("relay.data_timeout", "1000"),
                ("route.good.test.host", "127.0.0.1:%d" % good.port), ("route.good.test.tls", "none")])
    first = r.put("bad.test", "b@bad.test")
    second = r.put("good.test", "b@good.test")
    results = dict((x[0], x[2]) for x in (r.result(12), r.result(12)))
    assert statuses(results[second]) == [STEP_OK]
    assert statuses(results[first]) == [STEP_TEMPORARY]
    assert bad.mails == []
    if stage == "BODY":
        assert "may have arrived" in results[first][0][4]
        assert bad.connections == 1


def test_connection_lost_in_the_message(relays):
    def read(c, line):
        c.sock.recv(100)
        raise Drop
    s = Smtp(READ=read)
    _, rcpts = relays(to(s)).send("x.test", "b@x.test", "x" * 30000 + "\r\n")
    assert statuses(rcpts) == [STEP_TEMPORARY]


def test_refusal_in_the_middle_of_the_message(relays):
    def read(c, line):
        c.sock.recv(100)
        c.say("552 5.3.4 too big, stop")
        time.sleep(0.5)
        raise Drop
    s = Smtp(READ=read)
    with tempfile.TemporaryFile() as f:
        f.write(b"x" * 70 + b"\r\n")
        f.truncate(50_000_000)
        _, rcpts = relays(to(s)).send("x.test", "b@x.test", "", fd=f.fileno())
    assert rcpts == [[0, STEP_PERMANENT, 552, "5.3.4", "too big, stop"]]


def test_peer_that_stops_reading(relays):
    s = Smtp(READ=hang)
    with tempfile.TemporaryFile() as f:
        f.write(b"x" * 70 + b"\r\n")
        f.truncate(20_000_000)
        r = relays(to(s) + [("relay.data_timeout", "1000")])
        r.role.sup.send("SETUP_GO", 0)
        # 1 s, and a second for each 32 KiB
        with tempfile.TemporaryFile() as small:
            small.truncate(30000)
            _, rcpts = r.send("x.test", "b@x.test", "", fd=small.fileno(), timeout=8)
    assert statuses(rcpts) == [STEP_TEMPORARY]


def test_no_connection(relays):
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    _, rcpts = relays([("route.*.host", "127.0.0.1:%d" % s.getsockname()[1])]).send("x.test", "b@x.test")
    assert rcpts[0][1:4] == [STEP_TEMPORARY, 0, "4.4.1"] and "refused" in rcpts[0][4]


# -- TLS

def test_opportunistic_tls(relays, cert):
    s = Smtp(cert)
    r = relays(to(s, "opportunistic"))
    for _ in range(3):
        assert statuses(r.send("x.test", "b@x.test")[1]) == [STEP_OK]
    assert [m["tls"] for m in s.mails] == [True] * 3 and s.connections == 1


def test_tls_none(relays, cert):
    s = Smtp(cert)
    assert statuses(relays(to(s, "none")).send("x.test", "b@x.test")[1]) == [STEP_OK]
    assert not s.mails[0]["tls"]


def test_required_tls(relays, cert):
    s = Smtp(cert)
    assert statuses(relays(to(s, "required")).send("x.test", "b@x.test")[1]) == [STEP_OK]
    assert s.mails[0]["tls"]


def test_required_but_not_offered(relays):
    s = Smtp()
    _, rcpts = relays(to(s, "required")).send("x.test", "b@x.test")
    assert rcpts[0][1:4] == [STEP_TEMPORARY, 0, "4.7.4"]
    assert s.mails == []


def garbage_tls(c, line):
    c.say("220 go ahead")
    c.sock.recv(1000)
    c.sock.sendall(b"this is no TLS at all\r\n" * 5)
    raise Drop


def test_handshake_fails_opportunistic(relays, cert):
    s = Smtp(cert, STARTTLS=garbage_tls)
    _, rcpts = relays(to(s, "opportunistic")).send("x.test", "b@x.test")
    assert statuses(rcpts) == [STEP_OK]
    assert s.connections == 2 and not s.mails[0]["tls"]


def test_handshake_fails_required(relays, cert):
    s = Smtp(cert, STARTTLS=garbage_tls)
    _, rcpts = relays(to(s, "required")).send("x.test", "b@x.test")
    assert statuses(rcpts) == [STEP_TEMPORARY] and s.mails == []


def test_starttls_refused(relays, cert):
    s = Smtp(cert, STARTTLS="454 4.7.0 not now")
    assert statuses(relays(to(s, "opportunistic")).send("x.test", "b@x.test")[1]) == [STEP_OK]
    assert statuses(relays(to(s, "required")).send("x.test", "b@x.test")[1]) == [STEP_TEMPORARY]


def test_replies_glued_to_starttls_do_not_count(relays, cert):
    """Somebody in between answers our commands ahead, in plain text."""
    s = Smtp(cert, STARTTLS="220 go ahead\n250-evil.test\n250 SIZE 1\n250 ok\n250 ok")
    _, rcpts = relays(to(s, "required")).send("x.test", "b@x.test")
    assert statuses(rcpts) == [STEP_OK] and s.mails[0]["tls"]


# -- routes and MX

class World:
    """A DNS server, the resolver on it, and the relay on that."""

    def __init__(self, zone, conf, relays):
        self.dns = Dns(zone)
        self.resolver = Role("resolver", "base/dns/resolver",
                             [("resolver.servers", "127.0.0.1:%d" % self.dns.port), ("resolver.validate", "false"),
                              ("resolver.timeout", "1000")])
        self.relay = relays(conf, resolver=self.resolver)


@pytest.fixture
def worlds(relays):
    made = []

    def make(zone, conf):
        made.append(World(zone, conf, relays))
        return made[-1].relay
    yield make
    for w in made:
        w.resolver.stop()


@pytest.mark.parametrize("domain,want,code", [
    ("ok.test", STEP_OK, "2.0.0"), ("alias.test", STEP_OK, "2.0.0"), ("address.test", STEP_OK, "2.0.0"),
    ("null.test", STEP_PERMANENT, "5.1.10"), ("none.test", STEP_PERMANENT, "5.1.2"), ("nothing.test", STEP_PERMANENT, "5.1.2"),
    ("broken.test", STEP_TEMPORARY, "4.4.3"), ("loop.test", STEP_PERMANENT, "5.4.6"), ("better.test", STEP_OK, "2.0.0"),
    ("badhost.test", STEP_PERMANENT, "5.4.4"), ("halfbad.test", STEP_OK, "2.0.0"), ("brokenhost.test", STEP_TEMPORARY, "4.4.3"),
    ("[127.0.0.1]", STEP_OK, "2.0.0"), ("[nonsense]", STEP_PERMANENT, "5.1.2"), ("mx.own.test", STEP_PERMANENT, "5.4.6"),
    ("nobody.test", STEP_PERMANENT, "5.4.4"), ("routed.test", STEP_OK, "2.0.0"), ("bad..name", STEP_PERMANENT, "5.1.2"),
])
def test_destinations(worlds, domain, want, code):
    s = Smtp()
    r = worlds({
        ("ok.test", "MX"): ["10 h.test."], ("h.test", "A"): ["127.0.0.1"],
        ("alias.test", "CNAME"): ["ok.test."],
        ("address.test", "A"): ["127.0.0.1"],
        ("null.test", "MX"): ["0 ."],
        ("nothing.test", "TXT"): ['"x"'],
        ("broken.test", "MX"): "SERVFAIL",
        ("loop.test", "MX"): ["10 mx.own.test.", "20 h.test."],
        ("better.test", "MX"): ["5 h.test.", "10 mx.own.test.", "20 x.test."],
        ("badhost.test", "MX"): ["10 missing.test."],
        ("halfbad.test", "MX"): ["10 missing.test.", "20 h.test."],
        ("brokenhost.test", "MX"): ["10 sf.test."], ("sf.test", "A"): "SERVFAIL", ("sf.test", "AAAA"): "SERVFAIL",
        ("mx.own.test", "A"): ["127.0.0.1"],
        ("nobody.test", "MX"): ["10 zero.test."], ("zero.test", "A"): ["0.0.0.0", "224.0.0.1"],
    }, [("relay.port", str(s.port)), ("route.routed.test.host", "127.0.0.1:%d" % s.port)])
    _, rcpts = r.send(domain, "b@x.test")
    assert rcpts[0][1] == want and rcpts[0][3] == code, rcpts


def test_inside_addresses_are_refused(worlds):
    s = Smtp()
    r = worlds({
        ("evil.test", "MX"): ["10 h.test."], ("h.test", "A"): ["127.0.0.1", "10.0.0.1", "192.168.1.1"],
        ("h.test", "AAAA"): ["::1", "fe80::1", "::ffff:127.0.0.1"],
    }, [("relay.port", str(s.port)), ("relay.allow_loopback", "false"), ("route.fine.test.host", "127.0.0.1:%d" % s.port)])
    assert r.send("evil.test", "b@evil.test")[1][0][1:4] == [STEP_PERMANENT, 0, "5.4.4"]
    assert r.send("[127.0.0.1]", "b@x.test")[1][0][1] == STEP_PERMANENT
    assert s.connections == 0
    assert statuses(r.send("fine.test", "b@fine.test")[1]) == [STEP_OK]


def test_next_host_when_the_first_fails(worlds):
    """127.0.0.2 is down, 127.0.0.3 says 4xx, 127.0.0.4 hangs up, 127.0.0.1 works."""
    s = Smtp()
    others = []
    for ip, rule in (("127.0.0.3", {"GREETING": "421 busy"}), ("127.0.0.4", {"RCPT": drop})):
        o = Smtp(**rule)
        o.sock.close()
        o.sock = socket.socket()
        o.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        o.sock.bind((ip, s.port))
        o.sock.listen(5)
        others.append(o)
        import threading
        threading.Thread(target=o.serve, daemon=True).start()
    r = worlds({
        ("x.test", "MX"): ["10 a.test.", "20 b.test.", "30 c.test.", "40 d.test."],
        ("a.test", "A"): ["127.0.0.2"], ("b.test", "A"): ["127.0.0.3"], ("c.test", "A"): ["127.0.0.4"],
        ("d.test", "A"): ["127.0.0.1"],
    }, [("relay.port", str(s.port))])
    host, rcpts = r.send("x.test", "b@x.test")
    assert statuses(rcpts) == [STEP_OK] and host.startswith("d.test[127.0.0.1]")
    assert [o.connections for o in others] == [1, 1]


def test_sessions_are_shared_by_domains_with_the_same_host(worlds):
    s = Smtp()
    r = worlds({("a.test", "MX"): ["10 h.test."], ("b.test", "MX"): ["10 h.test."], ("h.test", "A"): ["127.0.0.1"]},
               [("relay.port", str(s.port))])
    for d in ("a.test", "b.test", "a.test"):
        assert statuses(r.send(d, "x@" + d)[1]) == [STEP_OK]
    assert s.connections == 1


def test_smarthost(relays):
    s = Smtp()
    r = relays([("relay.smarthost", "127.0.0.1:%d" % s.port), ("relay.allow_loopback", "false")])
    assert statuses(r.send("x.test", "b@x.test")[1]) == [STEP_OK]


def test_resolver_gone(relays):
    r = relays()
    job = r.put("x.test", "b@x.test")
    assert r.dns.want("DNS_ASK").f == ["x.test", 15]
    r.dns.close()
    got, _, rcpts = r.result()
    assert got == job and rcpts[0][1:4] == [STEP_TEMPORARY, 0, "4.4.3"]
    assert r.send("x.test", "b@x.test")[1][0][1:4] == [STEP_TEMPORARY, 0, "4.4.3"]


# -- coming and going

def test_new_queue_sends_again(relays):
    """When queue dies, what has not left is dropped, and the relay serves its successor."""
    s = Smtp(RCPT=hang)
    r = relays(to(s))
    r.put("x.test", "b@x.test")
    time.sleep(0.3)
    r.queue.close()
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    r.role.add("QUEUE", b)
    r.queue.s = a
    s.rules.clear()
    assert statuses(r.send("x.test", "b@x.test")[1]) == [STEP_OK]
    assert len(s.mails) == 1


def test_stop_waits_for_the_last_reply(relays):
    s = Smtp(BODY=lambda c, m: time.sleep(1) or "250 ok")
    r = relays(to(s))
    r.put("x.test", "b@x.test")
    time.sleep(0.4)
    r.role.sup.send("SETUP_STOP")
    assert statuses(r.result()[2]) == [STEP_OK]
    assert r.role.p.wait(3) == 0


def test_reload(relays):
    one, two = Smtp(), Smtp()
    r = relays(to(one))
    r.send("x.test", "b@x.test")
    r.role.sup.send("SETUP_CONFIG", *[x for p in [("hostname", "new.test")] + to(two) for x in p])
    r.role.sup.send("SETUP_GO", 1)
    assert r.role.sup.recv().name == "ROLE_READY"
    r.send("x.test", "b@x.test")
    assert len(one.mails) == len(two.mails) == 1 and two.commands[0] == "EHLO new.test"


# -- more work than it can do

def test_work_is_bounded(relays):
    """A peer that takes connections and says nothing: 1000 jobs try, 2000 wait, the rest is put off at once; all are answered."""
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen(4096)
    good = Smtp()
    r = relays([("route.*.host", "127.0.0.1:%d" % silent.getsockname()[1]), ("route.*.tls", "none"),
                ("route.good.test.host", "127.0.0.1:%d" % good.port), ("relay.command_timeout", "8000")])
    jobs = [r.put("x.test", "b@x.test") for _ in range(3100)]
    words = {}
    for _ in jobs:
        job, _, rcpts = r.result(60)
        assert job not in words and rcpts[0][1] == STEP_TEMPORARY
        words[job] = rcpts[0][4]
    # exactly 100, unless the machine is so slow that some have given up before the last came
    assert 0 < sum("too much to do" in w for w in words.values()) <= 100
    assert statuses(r.send("good.test", "b@good.test")[1]) == [STEP_OK]
