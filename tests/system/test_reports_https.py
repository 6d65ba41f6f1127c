"""TLS reports to https: URLs (RFC 8460 5.4): the relay that hands them in, with a control that this test plays, and a whole server."""
import gzip
import http.server
import json
import ssl
import threading

import pytest

from peer import Peer as SmtpPeer
from pki import certificate
from queue_role import PUT_OK, PUT_REFUSED, PUT_TEMPORARY, Peer
from relay_role import Dns, Relay, Role
from server import message, wait_until
from test_reports_sent import publish_keys, rows_of, tls_reports

MEDIA = "application/tlsrpt+gzip"
HOSTS = ("in.test", "wrong.test")


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    d = tmp_path_factory.mktemp("pki")
    certificate(d, "ca", "Test CA")
    certificate(d, "in", "in.test", "ca")
    return d


class Taker:
    """Takes reports at PATH with a status, or a function of the handler that answers by itself."""

    def __init__(self, pem):
        self.answers, self.got = {}, []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(h):
                body = h.rfile.read(int(h.headers["Content-Length"]))
                self.got.append((h.path, h.headers, body))
                answer = self.answers.get(h.path, 201)
                if callable(answer):
                    answer(h)
                    return
                h.send_response(answer)
                h.send_header("Content-Length", "0")
                if 300 <= answer <= 399:
                    h.send_header("Location", "https://in.test:%d/elsewhere" % self.port)
                h.end_headers()

            def log_message(h, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass
        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path="/", host="in.test"):
        return f"https://{host}:{self.port}{path}"

    def paths(self):
        return [path for path, _, _ in self.got]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def taker(pki):
    with Taker(str(pki / "in.pem")) as t:
        yield t


class World:
    def __init__(self, pki, conf=()):
        self.dns = Dns({(host, "A"): ["127.0.0.1"] for host in HOSTS})
        self.resolver = Role("resolver", "base/dns/resolver", [("resolver.servers", "127.0.0.1:%d" % self.dns.port),
                                                               ("resolver.validate", "false"), ("resolver.timeout", "3000")])
        self.relay = Relay(list(conf), resolver=self.resolver, files=[("CA_BUNDLE", str(pki / "ca.crt"))])
        self.control, self.last = Peer(), 0
        self.relay.role.add("CONTROL", self.control.theirs)

    def ask(self, url, data=b"a report"):
        self.last += 1
        self.control.send("REPORT_POST", url, MEDIA, data, id=self.last)
        return self.last

    def end(self, id, timeout=60):
        f = self.control.want("REPORT_POSTED", timeout)
        assert f.id == id
        return tuple(f.f)

    def post(self, url, data=b"a report"):
        return self.end(self.ask(url, data))

    def stop(self):
        self.relay.stop()
        self.resolver.stop()


@pytest.fixture
def world(pki):
    w = World(pki)
    yield w
    w.stop()


def test_handed_in(world, taker):
    data = bytes(range(256)) * 80
    assert world.post(taker.url("/v1/tls?who=us#part"), data) == (PUT_OK, "")
    (path, fields, body), = taker.got
    assert path == "/v1/tls?who=us" and body == data and fields["Host"] == f"in.test:{taker.port}"
    assert fields["Content-Type"] == MEDIA and fields["Expect"] is None
    taker.answers = {"/a": 200, "/b": 204}
    assert world.post(taker.url("/a"))[0] == world.post(taker.url("/b"))[0] == PUT_OK


def test_not_taken(world, taker):
    """Whatever is no 2xx is tried later; a redirect is not followed, a certificate for another host not trusted."""
    taker.answers = {"/busy": 503, "/gone": 404, "/moved": 307, "/hangup": lambda h: h.connection.close(),
                     "/odd": lambda h: h.wfile.write(b"this is no HTTP\r\n\r\n")}
    assert world.post(taker.url("/busy")) == (PUT_TEMPORARY, "the server answered 503")
    assert world.post(taker.url("/gone")) == (PUT_TEMPORARY, "the server answered 404")
    status, why = world.post(taker.url("/moved"))
    assert status == PUT_TEMPORARY and "307" in why and "not followed" in why
    assert "/elsewhere" not in taker.paths()
    assert world.post(taker.url("/hangup"))[0] == PUT_TEMPORARY
    assert world.post(taker.url("/odd"))[0] == PUT_TEMPORARY
    n = len(taker.got)
    assert world.post(taker.url("/", "wrong.test")) == (PUT_TEMPORARY, "its certificate does not verify")
    assert world.post(taker.url("/", "unknown.test")) == (PUT_TEMPORARY, "its server has no address that may be called")
    assert world.post("https://in.test:1/")[0] == PUT_TEMPORARY  # nobody listens
    assert len(taker.got) == n


@pytest.mark.parametrize("url", ["http://in.test/", "https://127.0.0.1:{}/", "https://127.1:{}/", "https://0x7f000001:{}/", "https://2130706433:{}/",
                                 "https://[::1]:{}/", "https://u:p@in.test:{}/", "ftp://in.test/", "file:///etc/passwd", "https://in.test:99999/",
                                 "https:///", ""])
def test_never_asked(world, taker, url):
    """What is no host of the open network is refused for good, however it is written."""
    assert world.post(url.format(taker.port))[0] == PUT_REFUSED
    assert not taker.got


def test_inside_is_not_called(pki, taker):
    world = World(pki, [("relay.allow_loopback", "false")])
    try:
        assert world.post(taker.url()) == (PUT_TEMPORARY, "its server has no address that may be called")
        assert not taker.got
    finally:
        world.stop()


def test_slow_and_endless(world, taker):
    """A server that never answers, or never ends, is left; others are served meanwhile. A 2xx counts, whatever comes behind it."""
    done = threading.Event()

    def endless(h):
        h.wfile.write(b"HTTP/1.1 %s\r\nContent-Type: text/html\r\n\r\n" % (b"200 OK" if h.path == "/endless" else b"500 Oh"))
        try:
            while True:
                h.wfile.write(b"x" * 10000)
        except OSError:
            pass
    taker.answers = {"/hang": lambda h: done.wait(300), "/endless": endless, "/endless-500": endless}
    slow = world.ask(taker.url("/hang"))
    wait_until("it hangs", lambda: "/hang" in taker.paths())
    assert world.post(taker.url("/endless")) == (PUT_OK, "")
    assert world.post(taker.url("/endless-500")) == (PUT_TEMPORARY, "the server answered 500")
    assert world.end(slow, 120) == (PUT_TEMPORARY, "it took too long")
    done.set()


def findings(server):
    return json.loads(server.run("--json", "check", check=False).stdout)


def test_whole_server(make_server, pki, taker):
    """mailto: and https: of one record both get the same report; what fails waits, is shown, and is tried again; then it is given up."""
    taker.answers = {"/flaky": 500, "/moved": 302}
    with SmtpPeer() as readers:
        server = make_server({"reports.interval": "1s", "relay.ca_bundle": f'"{pki / "ca.crt"}"'},
                             f'route "reports.test" {{ host = "127.0.0.1:{readers.port}" tls = none }}')
        with SmtpPeer(tls=(server.cert, server.key)) as mx:
            server.options["relay.port"] = str(mx.port)
            server.cli("dkim", "create", "example.test")
            server.restart()
            server.dns.zones = {"in.test": {"A": ["127.0.0.1"]}}
            for name, rua in (("both", f"mailto:tls@reports.test,{taker.url('/both')}"), ("flaky", taker.url("/flaky")),
                              ("moved", taker.url("/moved"))):
                server.dns.zones[f"{name}.test"] = {"MX": [f"10 mx.{name}.test."]}
                server.dns.zones[f"mx.{name}.test"] = {"A": ["127.0.0.1"]}  # a session of its own
                server.dns.zones[f"_smtp._tls.{name}.test"] = {"TXT": [f'"v=TLSRPTv1; rua={rua}"']}
            publish_keys(server)
            for name in ("both", "flaky", "moved"):
                with server.smtp("submission", "alice@example.test", "alice-secret") as s:
                    s.sendmail("alice@example.test", [f"bob@{name}.test"], message("x", "alice@example.test", "x@y.test").as_bytes())
            mx.wait(3)
            wait_until("both ways", lambda: "/both" in taker.paths() and "both.test" in tls_reports(readers))
            # what waits is shown
            row = wait_until("the check to say so", lambda: next(
                (r for r in findings(server) if r["name"] == "reports" and "flaky.test" in r["text"]), None))
            assert row["state"] == "warning" and "the server answered 500" in row["text"] and taker.url("/flaky") in row["text"]
            assert "next try" in row["advice"]
            server.wait_log("the TLS report on flaky.test to https://in.test:.* waits: the server answered 500")
            taker.answers["/flaky"] = 200
            server.wait_log("TLS report .* on flaky.test goes to https://in.test:")
            server.wait_log("the TLS report on moved.test to .* is given up after 24 tries: the server answered 302", 120)
            wait_until("nothing is left", lambda: not rows_of(server, "tls_report"))
            assert not [r for r in findings(server) if r["name"] == "reports"]
            server.wait_queue_empty()
            (_, name, told, _), = tls_reports(readers)["both.test"]
    assert "/elsewhere" not in taker.paths() and taker.paths().count("/moved") == 24
    (_, fields, body), = [g for g in taker.got if g[0] == "/both"]
    assert json.loads(gzip.decompress(body)) == told and fields["Content-Type"] == MEDIA
    assert told["policies"][0]["policy"]["policy-domain"] == "both.test"
    ids = {json.loads(gzip.decompress(b))["report-id"] for p, _, b in taker.got if p == "/flaky"}
    assert len(ids) == 1 and taker.paths().count("/flaky") > 1
