"""MTA-STS (RFC 8461): the relay, our resolver, a policy server of the test's own CA, and a control that this test plays."""
import http.server
import sqlite3
import ssl
import threading
import time

import pytest

from peer import Peer as SmtpPeer
from pki import certificate
from queue_role import Peer
from relay_role import Dns, Relay, Role, Smtp, STEP_OK, STEP_PERMANENT, STEP_TEMPORARY
from server import message, wait_until

REQUIRETLS, TLS_OPTIONAL = 128, 256


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    d = tmp_path_factory.mktemp("pki")
    certificate(d, "ca", "Test CA")
    certificate(d, "mx", "mx.sts.test", "ca")
    certificate(d, "other", "other.test", "ca")
    certificate(d, "policy", "mta-sts.sts.test", "ca")
    certificate(d, "self", "mta-sts.sts.test")
    return d


def policy(mode="enforce", mx="mx.sts.test", age=86400):
    return "version: STSv1\r\nmode: %s\r\nmx: %s\r\nmax_age: %d\r\n" % (mode, mx, age)


class PolicyServer:
    """`text` is what it says: a policy, or a function of the handler that answers by itself."""

    def __init__(self, pem):
        self.text, self.asked, self.type = policy(), [], "text/plain"

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(h):
                self.asked.append((h.headers["Host"].split(":")[0], h.path))
                if callable(self.text):
                    self.text(h)
                    return
                data = self.text.encode()
                h.send_response(200)
                h.send_header("Content-Type", self.type)
                h.send_header("Content-Length", str(len(data)))
                h.end_headers()
                h.wfile.write(data)

            def log_message(h, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass
        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pem)
        self.server.socket = self.context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Control:
    """Keeps policies and counts."""

    def __init__(self, kept=()):
        self.link, self.kept, self.counts, self.asked = Peer(), dict(kept), [], []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while True:
                f = self.link.recv(600)
                if f.name == "STS_GET":
                    self.asked.append(f.f[0])
                    known = self.kept.get(f.f[0])
                    self.link.send("STS_IS", *([1, *known] if known else [0, "", 0, 0, ""]), id=f.id)
                elif f.name == "STS_PUT":
                    self.kept[f.f[0]] = f.f[1:]
                elif f.name == "TLS_COUNT":
                    self.counts += f.groups(0)
        except (EOFError, OSError, AttributeError):
            pass

    def results(self, n=1):
        """(domain, policy type, host, result, sessions) of what was counted."""
        wait_until("%d counts" % n, lambda: len(self.counts) >= n, 20)
        return [(c[1], c[2], c[4], c[7], c[9]) for c in self.counts]


class World:
    def __init__(self, pki):
        self.pki, self.made = pki, []
        self.https = PolicyServer(str(pki / "policy.pem"))
        self.smtp = Smtp(str(pki / "mx.pem"))
        self.dns = Dns({("sts.test", "MX"): ["10 mx.sts.test."], ("mx.sts.test", "A"): ["127.0.0.1"],
                        ("mta-sts.sts.test", "A"): ["127.0.0.1"], ("_mta-sts.sts.test", "TXT"): ['"v=STSv1; id=1;"']})
        self.resolver = Role("resolver", "base/dns/resolver",
                             [("resolver.servers", "127.0.0.1:%d" % self.dns.port), ("resolver.validate", "false"),
                              ("resolver.timeout", "3000")])
        self.relay = None

    def start(self, control=None, conf=(), ca="ca"):
        """A relay, and the control it talks to."""
        if self.relay:
            self.relay.stop()
        self.control = control or Control()
        self.relay = Relay([("relay.port", str(self.smtp.port)), ("relay.mta_sts", "true"), ("relay.sts_port", str(self.https.port))] +
                           list(conf), resolver=self.resolver, files=[("CA_BUNDLE", str(self.pki / (ca + ".crt")))])
        self.relay.role.add("CONTROL", self.control.link.theirs)
        time.sleep(0.2)  # the link is there before the first mail

    def send(self, domain="sts.test", **kw):
        if self.relay is None:
            self.start()
        _, rcpts = self.relay.send(domain, "b@" + domain, timeout=30, **kw)
        return rcpts[0][1], rcpts[0][4]

    def stop(self):
        if self.relay:
            self.relay.stop()
        self.resolver.stop()
        self.https.stop()


@pytest.fixture
def world(pki):
    w = World(pki)
    yield w
    w.stop()


def test_enforced_and_kept(world):
    for _ in range(3):
        status, words = world.send()
        assert status == STEP_OK, words
        assert world.relay.tls.endswith("MTA-STS, verified")
    assert world.https.asked == [("mta-sts.sts.test", "/.well-known/mta-sts.txt")]
    assert world.smtp.connections == 1
    id, fetched, expires, text = world.control.kept["sts.test"]
    assert id == "1" and expires - fetched == 86400 * 10**6 and "mode: enforce\nmx: mx.sts.test\n" in text
    assert world.control.results() == [("sts.test", "sts", "", "", 1)]
    assert world.control.counts[0][3] == "version: STSv1\nmode: enforce\nmx: mx.sts.test\nmax_age: 86400"


@pytest.mark.parametrize("cert,result", [
    ("other.pem", "certificate-host-mismatch"), ("self.pem", "certificate-not-trusted"), (None, "starttls-not-supported")])
@pytest.mark.parametrize("mode", ["enforce", "testing"])
def test_hosts_that_prove_nothing(world, pki, cert, result, mode):
    world.smtp.cert = cert and str(pki / cert)
    world.https.text = policy(mode)
    status, words = world.send()
    if mode == "enforce":
        assert status == STEP_TEMPORARY and world.smtp.mails == [] and result in words and "MTA-STS" in words
    else:
        assert status == STEP_OK and world.relay.tls.endswith("MTA-STS in testing, " + result)
    assert world.control.results() == [("sts.test", "sts", "mx.sts.test", result, 1)]
    assert world.control.counts[0][5:7] == ["127.0.0.1", "127.0.0.1"]


def test_handshake_that_fails(world):
    def garbage(c, line):
        c.say("220 go ahead")
        c.sock.recv(1000)
        c.sock.sendall(b"this is no TLS at all\r\n" * 5)
    world.smtp.rules["STARTTLS"] = garbage
    assert world.send()[0] == STEP_TEMPORARY and world.smtp.mails == []
    assert world.control.results() == [("sts.test", "sts", "mx.sts.test", "validation-failure", 1)]


@pytest.mark.parametrize("mx,named", [("*.sts.test", True), ("MX.sts.TEST", True), ("*.test", False), ("sts.test", False),
                                      ("other.test\r\nmx: mx.sts.test", True)])
@pytest.mark.parametrize("mode", ["enforce", "testing"])
def test_patterns(world, mx, named, mode):
    world.https.text = policy(mode, mx)
    status, words = world.send()
    assert status == (STEP_OK if named or mode == "testing" else STEP_TEMPORARY), words
    if not named:
        assert ("sts.test", "sts", "mx.sts.test", "validation-failure", 1) in world.control.results()
        assert mode == "testing" or "does not name the mail host" in words and world.smtp.connections == 0


def test_an_address_as_mx_is_no_way_round(world):
    world.dns.zone[("sts.test", "MX")] = ["10 127.0.0.1."]
    assert world.send()[0] == STEP_TEMPORARY and world.smtp.connections == 0


def test_the_next_host_that_is_named(world):
    world.dns.zone[("sts.test", "MX")] = ["5 evil.test.", "10 mx.sts.test."]
    world.dns.zone[("evil.test", "A")] = ["127.0.0.1"]
    assert world.send()[0] == STEP_OK
    assert world.relay.tls.endswith("MTA-STS, verified") and world.smtp.connections == 1


def big(h):
    h.send_response(200)
    h.send_header("Content-Type", "text/plain")
    h.end_headers()
    for _ in range(100):
        h.wfile.write(b"x: y\r\n" * 1000)


def away(h):
    h.send_response(302)
    h.send_header("Location", "https://mta-sts.sts.test/other")
    h.end_headers()


def missing(h):
    h.send_error(404)


@pytest.mark.parametrize("text,result", [
    (big, "sts-policy-fetch-error"), (away, "sts-policy-fetch-error"), (missing, "sts-policy-fetch-error"),
    ("version: STSv2\nmode: enforce\nmx: a\nmax_age: 1", "sts-policy-invalid"),
    ("version: STSv1\nmode: enforce\nmax_age: 1000", "sts-policy-invalid"),
    ("version: STSv1\nmode: on\nmx: a\nmax_age: 1000", "sts-policy-invalid"), ("", "sts-policy-invalid"),
    ("version: STSv1\nmode: enforce\nmx: a\nmax_age: many", "sts-policy-invalid"), ("\0\xff" * 1000, "sts-policy-invalid")])
def test_policies_that_cannot_be_had(world, pki, text, result):
    """There is none, then; the failure is counted; and it is not asked again at once."""
    world.smtp.cert = str(pki / "other.pem")
    world.https.text = text
    for _ in range(2):
        status, words = world.send()
        assert status == STEP_OK and "opportunistic" in world.relay.tls, words
    assert ("sts.test", "sts", "", result, 1) in world.control.results(2)
    assert len(world.https.asked) == 1


def test_wrong_type(world):
    world.https.type = "text/html"
    assert world.send()[0] == STEP_OK and "opportunistic" in world.relay.tls


def test_policy_server_with_a_wrong_certificate(world, pki):
    world.https.context.load_cert_chain(str(pki / "self.pem"))
    world.smtp.cert = str(pki / "other.pem")
    assert world.send()[0] == STEP_OK
    assert ("sts.test", "sts", "", "sts-webpki-invalid", 1) in world.control.results(2)
    assert world.https.asked == []


@pytest.mark.parametrize("records", [None, ['"v=STSv1; id=1;"', '"v=STSv1; id=2;"'], ['"v=STSv1; id=not-good;"'], ['"v=STSv1"'],
                                     ['"v=spf1 -all"'], "SERVFAIL"])
def test_no_record(world, records):
    world.dns.zone.pop(("_mta-sts.sts.test", "TXT"))
    if records:
        world.dns.zone[("_mta-sts.sts.test", "TXT")] = records
    assert world.send()[0] == STEP_OK
    assert "opportunistic" in world.relay.tls and world.https.asked == []


def kept(id="1", mode="enforce", age=86400, life=86400):
    now = time.time_ns() // 1000
    return {"sts.test": (id, now - (age - life) * 10**6, now + life * 10**6, policy(mode, age=age).replace("\r\n", "\n").strip())}


@pytest.mark.parametrize("cut", ["dns", "https", "record"])
def test_a_kept_policy_outlives_a_restart_and_cuts(world, pki, cut):
    """Somebody in between keeps DNS or HTTPS from us: what we know stays in force."""
    if cut == "https":
        world.https.text = missing
        world.dns.zone[("_mta-sts.sts.test", "TXT")] = ['"v=STSv1; id=2;"']
    elif cut == "dns":
        world.dns.zone[("_mta-sts.sts.test", "TXT")] = "SERVFAIL"
    else:
        world.dns.zone.pop(("_mta-sts.sts.test", "TXT"))
    world.start(Control(kept()))
    world.smtp.cert = str(pki / "other.pem")
    assert world.send()[0] == STEP_TEMPORARY and world.smtp.mails == []
    world.smtp.cert = str(pki / "mx.pem")
    assert world.send()[0] == STEP_OK
    assert world.control.asked == ["sts.test"]


def test_a_new_id_means_a_new_policy(world, pki):
    world.dns.zone[("_mta-sts.sts.test", "TXT")] = ['"v=STSv1; id=2;"']
    world.https.text = policy("none")
    world.start(Control(kept()))
    world.smtp.cert = str(pki / "other.pem")
    assert world.send()[0] == STEP_OK and "opportunistic" in world.relay.tls
    assert world.control.kept["sts.test"][0] == "2"


def test_the_same_id_is_not_fetched_again_but_when_it_is_old(world):
    world.start(Control(kept()))
    assert world.send()[0] == STEP_OK and world.https.asked == []
    world.start(Control(kept(life=1000)))
    assert world.send()[0] == STEP_OK
    wait_until("a fresh copy", lambda: world.control.kept["sts.test"][1] > (time.time() - 60) * 10**6, 20)
    assert len(world.https.asked) == 1


def test_a_slow_policy_server_delays_only_its_domain(world):
    go = threading.Event()

    def slow(h):
        go.wait(20)
        h.close_connection = True
    world.https.text = slow
    world.dns.zone[("other.test", "MX")] = ["10 mx.sts.test."]
    world.start()
    first = world.relay.put("sts.test", "b@sts.test")
    assert world.send("other.test")[0] == STEP_OK
    go.set()
    job, _, rcpts = world.relay.result(20)
    assert job == first and rcpts[0][1] == STEP_OK


def test_inside_addresses_are_not_called(world):
    """A stranger's DNS may not make us call our own machines."""
    world.start(conf=[("relay.allow_loopback", "false")])
    world.send()
    assert world.https.asked == [] and ("mta-sts.sts.test", "A") in world.dns.asked


def test_senders_who_would_rather_have_it_arrive(world, pki):
    world.smtp.cert = None
    assert world.send(flags=TLS_OPTIONAL)[0] == STEP_OK
    assert world.send()[0] == STEP_TEMPORARY


@pytest.mark.parametrize("known", [True, False])
def test_requiretls(world, known):
    """A policy proves who takes the domain's mail, as DNSSEC would (RFC 8689 4.2.1)."""
    if not known:
        world.dns.zone.pop(("_mta-sts.sts.test", "TXT"))
    world.smtp.EHLO = world.smtp.EHLO.replace("250 ENH", "250-REQUIRETLS\n250 ENH")
    status, words = world.send(flags=REQUIRETLS)
    assert status == (STEP_OK if known else STEP_PERMANENT), words


def test_whole_server(make_server, pki):
    """The trace tells it, history.db counts it and keeps the policy over a restart."""
    peer = SmtpPeer(tls=(str(pki / "mx.crt"), str(pki / "mx.key")))
    https = PolicyServer(str(pki / "policy.pem"))
    server = make_server({"relay.port": str(peer.port), "relay.sts_port": str(https.port), "relay.ca_bundle": '"%s"' % (pki / "ca.crt")})
    server.dns.zones = {"sts.test": {"MX": ["10 mx.sts.test."]}, "mx.sts.test": {"A": ["127.0.0.1"]},
                        "mta-sts.sts.test": {"A": ["127.0.0.1"]}, "_mta-sts.sts.test": {"TXT": ['"v=STSv1; id=1;"']}}

    def submit():
        with server.smtp("submissions", "alice@example.test", "alice-secret") as s:
            s.sendmail("alice@example.test", ["x@sts.test"], message("out", "alice@example.test", "x@sts.test").as_bytes())
    submit()
    peer.wait(1)
    server.wait_queue_empty()
    server.wait_trace("x@sts.test", "MTA-STS, verified")

    def rows():
        with sqlite3.connect("file:%s/history.db?mode=ro" % server.state, uri=True) as db:
            return (db.execute("SELECT domain, type, host, result, sessions FROM tls_session").fetchall(),
                    db.execute("SELECT domain, id FROM sts_policy").fetchall())
    wait_until("counts", lambda: rows() == ([("sts.test", "sts", "", "", 1)], [("sts.test", "1")]), 20)
    del server.dns.zones["_mta-sts.sts.test"]
    server.restart()
    peer.tls = None
    submit()
    server.wait_trace("x@sts.test", "starttls-not-supported")
    assert len(peer.mails) == 1
    server.cli("queue", "delete", "--all")
    peer.stop()
    https.stop()
