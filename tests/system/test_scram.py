"""SCRAM-SHA-256 with and without channel binding: a client of our own, and GNU SASL's."""
import base64
import subprocess

import pytest

from scram import Client, Scram, b64
from server import Server

ALICE = "alice@example.test"


@pytest.fixture(scope="module")
def server():
    with Server({"limits.auth_failures": "1000"}) as s:
        s.add_domain("example.test", alice="alice-secret", bob="bob-secret")
        yield s


def app_password(server, user, label, *more):
    return server.json("user", "app-password", "add", user, "--label", label, *more)["password"]


@pytest.fixture(scope="module")
def passwords(server):
    """Three app passwords of alice."""
    return [app_password(server, ALICE, label) for label in ("phone", "tablet", "laptop")]


def bindings(client):
    return [client.exporter(), client.end_point()]


def test_offered(server):
    with Client(server) as c:
        offered = [line for line in c.ehlo.split("\n") if line[4:].startswith("AUTH ")]
        assert offered == ["250-AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"]
    with server.smtp("submission") as s:
        assert "auth" not in s.esmtp_features
    with server.smtp("mx") as s:
        assert "auth" not in s.esmtp_features


@pytest.mark.parametrize("initial", [True, False])
@pytest.mark.parametrize("binding", [None, "tls-exporter", "tls-server-end-point"])
@pytest.mark.parametrize("slot", [0, 1, 2])
def test_every_app_password(server, passwords, slot, binding, initial):
    with Client(server) as c:
        chosen = next((b for b in bindings(c) if b[0] == binding), None)
        assert c.scram(Scram(ALICE, passwords[slot], chosen), initial=initial) == "235 2.7.0 Welcome"
        assert c.cmd(f"MAIL FROM:<{ALICE}>").startswith("250")


def test_tls_1_2(server, passwords):
    """There is no tls-exporter there; the certificate is as good."""
    with Client(server, "1.2") as c:
        exporter, end_point = bindings(c)
        assert c.scram(Scram(ALICE, passwords[0], exporter)).startswith("535")
        assert c.scram(Scram(ALICE, passwords[0], end_point)).startswith("235")


def test_name_is_not_case_sensitive(server, passwords):
    with Client(server) as c:
        assert c.scram(Scram("Alice@EXAMPLE.test", passwords[0], authzid="a=alice@example.test")).startswith("235")


@pytest.mark.parametrize("spoil", [
    lambda c, p: Scram(ALICE, p, ("tls-exporter", bytes(32))),
    lambda c, p: Scram(ALICE, p, ("tls-exporter", c.end_point()[1])),
    lambda c, p: Scram(ALICE, p, ("tls-server-end-point", c.exporter()[1])),
    lambda c, p: Scram(ALICE, p, ("tls-unique", bytes(12))),
    lambda c, p: Scram(ALICE, p, flag="y"),
    lambda c, p: Scram(ALICE, p, authzid="a=bob@example.test"),
    lambda c, p: Scram(ALICE, p + "x"),
    lambda c, p: Scram("bob@example.test", p),
    lambda c, p: Scram("nobody@example.test", p),
    lambda c, p: Scram(ALICE, "alice-secret"),
    lambda c, p: Scram("not an address", p),
], ids=["binding", "end-point as exporter", "exporter as end-point", "tls-unique", "y", "authzid", "password", "user",
        "unknown", "main password", "no address"])
def test_refused(server, passwords, spoil):
    with Client(server) as c:
        assert c.scram(spoil(c, passwords[0])).startswith("535 5.7.8 ")
        assert c.cmd(f"MAIL FROM:<{ALICE}>").startswith("530 5.7.0")
        assert c.scram(Scram(ALICE, passwords[0])).startswith("235")


def test_binding_of_another_connection(server, passwords):
    """What a man in the middle could offer."""
    with Client(server) as one, Client(server) as two:
        assert two.scram(Scram(ALICE, passwords[0], one.exporter())).startswith("535")
        assert two.scram(Scram(ALICE, passwords[0], two.exporter())).startswith("235")


def test_mechanism_and_flag_must_agree(server, passwords):
    with Client(server) as c:
        assert c.scram(Scram(ALICE, passwords[0]), "SCRAM-SHA-256-PLUS").startswith("535")
        assert c.scram(Scram(ALICE, passwords[0], c.exporter()), "SCRAM-SHA-256").startswith("535")


def salt_told(client, user):
    reply = client.cmd("AUTH SCRAM-SHA-256 " + b64(Scram(user, "").first.encode()))
    assert reply.startswith("334 ")
    values = dict(part.split("=", 1) for part in base64.b64decode(reply[4:]).decode().split(","))
    assert client.cmd("*").startswith("501 5.7.0")
    return values["s"], values["i"]


def test_salts_tell_nothing(server, passwords):
    """A stranger sees a salt for every name: its own, the same each time, also after a restart, and before and after the
    account gets its first app password."""
    names = [ALICE, "bob@example.test", "nobody@example.test", "nobody2@example.test", "no address"]
    with Client(server) as c:
        before = [salt_told(c, n) for n in names]
        assert before == [salt_told(c, n.upper()) for n in names[:-1]] + [salt_told(c, names[-1])]
    assert len({s for s, _ in before}) == len(names) and {i for _, i in before} == {"4096"}
    assert {len(s) for s, _ in before} == {24}
    password = app_password(server, "bob@example.test", "first")
    server.restart()
    with Client(server) as c:
        assert [salt_told(c, n) for n in names] == before
        assert c.scram(Scram("bob@example.test", password)).startswith("235")


def test_removed_during_the_exchange(server):
    """What counts is what is kept when the proof comes."""
    password = app_password(server, ALICE, "short-lived")
    with Client(server) as c:
        scram = Scram(ALICE, password)
        reply = c.cmd("AUTH SCRAM-SHA-256 " + b64(scram.first.encode()))
        server.cli("user", "app-password", "remove", ALICE, "--label", "short-lived")
        final = scram.final(base64.b64decode(reply[4:]).decode())
        assert c.cmd(b64(final.encode())).startswith("535")


def test_other_scope(server):
    password = app_password(server, ALICE, "reader", "--scope", "imap")
    with Client(server) as c:
        assert c.scram(Scram(ALICE, password)).startswith("535")


def test_a_proof_is_good_once(server, passwords):
    with Client(server) as c:
        scram = Scram(ALICE, passwords[0])
        reply = c.cmd("AUTH SCRAM-SHA-256 " + b64(scram.first.encode()))
        final = b64(scram.final(base64.b64decode(reply[4:]).decode()).encode())
        assert c.cmd("*").startswith("501")
        c.cmd("AUTH SCRAM-SHA-256 " + b64(scram.first.encode()))
        assert c.cmd(final).startswith("535")


def test_not_logged_in_before_the_end(server, passwords):
    """The client must have seen our proof; words instead of the empty line end the exchange."""
    with Client(server) as c:
        scram = Scram(ALICE, passwords[0])
        reply = c.cmd("AUTH SCRAM-SHA-256 " + b64(scram.first.encode()))
        assert c.cmd(b64(scram.final(base64.b64decode(reply[4:]).decode()).encode())).startswith("334 ")
        assert c.cmd("*").startswith("501")
        assert c.cmd(f"MAIL FROM:<{ALICE}>").startswith("530")
        assert c.scram(Scram(ALICE, passwords[0])).startswith("235")


def test_trace_tells_why(server):
    """The client is told what everyone is told; the administrator that this program needs an app password."""
    with Client(server) as c:
        server.add_user("carol@example.test", "carol-secret")
        assert c.scram(Scram("carol@example.test", "carol-secret")).startswith("535 5.7.8 ")
    from server import wait_until
    wait_until("the reason in trace", lambda: "only app passwords can serve" in
               server.run("trace", "carol@example.test", check=False).stdout)


def gsasl(server, mechanism, password, *options):
    return subprocess.run(
        ["gsasl", "--client", f"--connect=127.0.0.1:{server.ports['submission']}", "--smtp", f"--mechanism={mechanism}",
         f"--authentication-id={ALICE}", f"--password={password}", "--starttls", "--x509-ca-file=", *options],
        input="QUIT\n", text=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("mechanism,options", [
    ("PLAIN", []), ("LOGIN", []), ("SCRAM-SHA-256-PLUS", []),
    ("SCRAM-SHA-256", ["--no-cb"]),  # without, it refuses by itself to do with less than PLUS
])
def test_gsasl(server, passwords, mechanism, options):
    p = gsasl(server, mechanism, passwords[1], *options)
    assert "\n235 " in p.stdout and "Client authentication finished" in p.stderr, p.stdout + p.stderr
    p = gsasl(server, mechanism, "wrong" + passwords[1], *options)
    assert "\n535 " in p.stdout and p.returncode != 0, p.stdout + p.stderr
