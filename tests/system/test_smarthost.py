"""A whole server that sends through another one with a login."""
import json
import random
import subprocess

import pytest

from peer import Peer
from pki import certificate
from server import BUILD, message, wait_until

USER, PASSWORD = "alice@example.test", "alice-secret"


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    d = tmp_path_factory.mktemp("pki")
    d.chmod(0o755)
    certificate(d, "ca", "Test CA")
    certificate(d, "localhost", "localhost", "ca")
    return d


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return path


def submit(server, to):
    with server.smtp("submissions", USER, PASSWORD) as s:
        s.sendmail(USER, [to], message("by the smarthost", USER, to).as_bytes())


def through(where, secret, pki, **more):
    return {"relay.smarthost": '"%s"' % where, "relay.username": '"%s"' % USER, "relay.password_file": '"%s"' % secret,
            "relay.ca_bundle": '"%s"' % (pki / "ca.crt"), **more}


@pytest.fixture
def isp(make_server, pki):
    """Another Tegami, whose submission listener is the smarthost."""
    server = make_server()
    server.stop()
    server.tls = f'tls {{ certificate = "{pki}/localhost.crt" key = "{pki}/localhost.key" }}'
    server.start()
    server.add_domain("isp.test", carol="carol-secret")
    return server


@pytest.mark.parametrize("app", [False, True])
def test_through_another_tegami(make_server, isp, pki, secret, app):
    """With the account's password, and with an app password by SCRAM when nothing proves the host's name."""
    more = {}
    if app:
        secret.write_text(isp.json("user", "app-password", "add", USER, "--label", "relay")["password"] + "\n")
        more = {"relay.tls": "required"}
    server = make_server(through("localhost:%d" % isp.ports["submission"], secret, pki, **more))
    submit(server, "carol@isp.test")
    mail, = isp.wait_mails("carol@isp.test", 1)
    assert "ESMTPSA" in mail.header("Received")[0]
    server.wait_queue_empty()
    server.wait_trace("carol@isp.test", "accepted by localhost")


def test_wrong_password_keeps_mail_until_it_is_right(make_server, isp, pki, secret):
    secret.write_text("wrong-password-7b1\n")
    server = make_server(through("localhost:%d" % isp.ports["submission"], secret, pki))
    submit(server, "carol@isp.test")
    wait_until("the reason", lambda: "refuses our login (535" in str(server.queue()))
    shown = server.cli("queue", "show", server.queue()[0]["id"]) + server.cli("config", "show") + server.wait_trace("carol@isp.test", "535")
    assert "relay.password_file" in shown and "wrong-password" not in shown
    secret.write_text(PASSWORD + "\n")
    server.cli("reload")
    server.cli("queue", "retry", "--all")
    isp.wait_mails("carol@isp.test", 1)
    server.wait_queue_empty()
    assert "wrong-password" not in server.log() and PASSWORD not in server.log()
    assert server.mails(USER) == []  # no report


def test_port_465_is_tls_from_the_start(make_server, pki, secret):
    """Nothing is said before the handshake."""
    address = "127.%d.%d.%d" % (random.randint(64, 250), random.randint(1, 250), random.randint(1, 250))
    certificate(pki, "address", "localhost", "ca", extra=())
    (pki / "ext").write_text("subjectAltName=IP:%s\n" % address)
    subprocess.run(["openssl", "x509", "-req", "-in", "address.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                    "-extfile", "ext", "-out", "address.crt"], check=True, capture_output=True, cwd=pki)
    try:
        peer = Peer(address=address, port=465, tls=(str(pki / "address.crt"), str(pki / "address.key")), implicit=True,
                    extensions=("PIPELINING", "AUTH PLAIN"))
    except PermissionError:
        pytest.skip("only root may listen at port 465")
    peer.passwords = {USER: PASSWORD}
    with peer:
        server = make_server(through(address + ":465", secret, pki))
        submit(server, "x@peer.test")
        mail, = peer.wait(1)
        assert mail.tls and "STARTTLS" not in peer.commands
        server.wait_queue_empty()


@pytest.mark.parametrize("section,words", [
    ('relay { username = "u" password_file = "SECRET" }', "there is no relay.smarthost"),
    ('relay { smarthost = "h:587" username = "u" }', "no password_file"),
    ('relay { smarthost = "h:587" password_file = "SECRET" }', "no username"),
    ('relay { smarthost = "h:587" username = "u" password_file = "SECRET" tls = none }', "open to all"),
    ('route "a.test" { host = "h:587" username = "u" password_file = "SECRET" tls = none }', "open to all"),
])
def test_what_does_not_go_together(tmp_path, secret, section, words):
    conf = tmp_path / "tegami.conf"
    conf.write_text(f'hostname = "mx.example.test"\nstate_dir = "{tmp_path}/state"\n'
                    f'tls {{ certificate = "{secret}" key = "{secret}" }}\n' + section.replace("SECRET", str(secret)) + "\n")
    p = subprocess.run([BUILD / "tegami", "-c", conf, "config", "show"], capture_output=True, text=True)
    assert p.returncode != 0 and f"{conf}:4: " in p.stderr and words in p.stderr, p.stderr


def test_a_password_that_others_can_read(make_server, pki, secret):
    """The server does not start with it, a reload keeps what was, and `check` names it."""
    server = make_server(through("localhost:1", secret, pki))
    secret.chmod(0o640)
    p = server.run("reload", check=False)
    assert p.returncode != 0 and "chmod 0600" in p.stdout + p.stderr
    row, = [r for r in json.loads(server.run("--json", "check", check=False).stdout) if str(secret) in r["text"]]
    assert (row["state"], row["advice"]) == ("error", "chmod 0600 it")
    server.stop()
    p = subprocess.run([BUILD / "tegamid", "-c", server.conf], capture_output=True, text=True, timeout=60, cwd=server.dir)
    assert p.returncode != 0 and "chmod 0600" in p.stderr
    secret.chmod(0o600)
    server.start()


def test_route_says_what_tls_would_be(make_server, pki, secret):
    """At each host, by the configuration or what its domain publishes."""
    server = make_server(through("localhost:587", secret, pki), extra='route "plain.test" { host = "127.0.0.1" tls = none }')
    place, = server.json("route", "x@far.test")["elsewhere"]
    assert (place["tls"], place["hosts"][0]["policy"]) == ("verified", "by configuration")
    place, = server.json("route", "x@plain.test")["elsewhere"]
    assert (place["tls"], place["hosts"][0]["policy"]) == ("none", "switched off")
    assert "[127.0.0.1], TLS: switched off" in server.cli("route", "x@plain.test")
