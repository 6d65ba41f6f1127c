"""DANE (RFC 7672): the relay, our resolver, and an nsd with signed zones; every host is a scripted SMTP server on 127.0.0.x."""
import datetime
import shutil
import threading

import pytest

from pki import certificate
from relay_role import Relay, Role, Smtp, STEP_OK, STEP_PERMANENT, STEP_TEMPORARY
from signed_zones import SignedZones, tlsa

REQUIRETLS, TLS_OPTIONAL = 128, 256

pytestmark = pytest.mark.skipif(not shutil.which("ldns-signzone") or not (shutil.which("nsd") or shutil.which("/usr/sbin/nsd")),
                                reason="needs nsd and ldnsutils")


def expired(folder):
    """expired.pem, which ended yesterday."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=expired.example")
    now = datetime.datetime.utcnow()
    cert = x509.CertificateBuilder(name, name, key.public_key(), 1, now - datetime.timedelta(9), now - datetime.timedelta(1))
    cert = cert.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (folder / "expired.crt").write_bytes(cert)
    (folder / "expired.pem").write_bytes(cert + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                                  serialization.NoEncryption()))


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    d = tmp_path_factory.mktemp("pki")
    certificate(d, "ca", "Test CA")
    certificate(d, "other-ca", "Other CA")
    certificate(d, "leaf", "mx.signed.example", "ca")
    certificate(d, "domain", "ta-domain.signed.example", "ca")
    certificate(d, "stranger", "nobody.example", "ca")
    certificate(d, "self", "no.matter.example")
    expired(d)
    return d


@pytest.fixture(scope="module")
def world(pki, tmp_path_factory):
    """Hosts by number: hN.signed.example is 127.0.0.1 for all N; which certificate is shown decides the test."""
    def at(name):
        return str(pki / (name + ".crt"))
    s = Smtp()   # its port is that of all mail hosts
    port = s.port
    zones = SignedZones(tmp_path_factory.mktemp("zones"))

    def host(name, *records):
        return ["%s MX 10 mx-%s" % (name, name), "mx-%s A 127.0.0.1" % name] + \
            ["_%d._tcp.mx-%s %s" % (port, name, r) for r in records]
    zones.add(
        "signed.example",
        *host("right", tlsa(at("self"))),
        *host("right0", tlsa(at("self"), 3, 0, 0)),
        *host("right512", tlsa(at("self"), 3, 1, 2)),
        *host("wrong", tlsa(at("leaf"))),
        *host("rolled", tlsa(at("leaf")), tlsa(at("self"))),
        *host("expired", tlsa(at("expired"))),
        *host("ta", tlsa(at("ca"), 2, 0, 1)),
        *host("ta-wrong", tlsa(at("other-ca"), 2, 0, 1)),
        *host("ta-domain", tlsa(at("ca"), 2, 1, 1)),
        *host("none"),
        *host("pkix", tlsa(at("self"), 1, 1, 1), tlsa(at("self"), 0, 1, 1)),
        *host("odd", "TLSA 3 1 1 abcd", "TLSA 9 1 1 abcd", "TLSA 3 7 1 " + "ab" * 32, "TLSA 3 1 9 abcd"),
        *host("mixed", tlsa(at("self"), 1, 1, 1), tlsa(at("self"))),
        "named MX 10 mx", "mx A 127.0.0.1", "_%d._tcp.mx %s" % (port, tlsa(at("ca"), 2, 0, 1)),
        "alias MX 10 alias-mx", "alias-mx CNAME mx-right",
        "alias2 MX 10 alias2-mx", "alias2-mx CNAME target", "target A 127.0.0.1", "_%d._tcp.alias2-mx %s" % (port, tlsa(at("self"))),
        "out MX 10 out-mx", "out-mx CNAME mx.plain.example.", "_%d._tcp.out-mx %s" % (port, tlsa(at("self"))),
        "bogus-host MX 10 mx.old.example.", "both MX 10 mx-wrong", "both MX 20 mx-right",
        "address A 127.0.0.1", "_%d._tcp.address %s" % (port, tlsa(at("leaf"))),
        "tlsa-alias MX 10 mx-tlsa-alias", "mx-tlsa-alias A 127.0.0.1", "_%d._tcp.mx-tlsa-alias CNAME _%d._tcp.mx-wrong" % (port, port),
        "to-plain MX 10 mx.plain.example.")
    zones.add("plain.example", "@ MX 10 mx", "mx A 127.0.0.1", "_%d._tcp.mx %s" % (port, tlsa(at("leaf"))), "signed-mx MX 10 mx-wrong.signed.example.",
              sign=False)
    zones.add("old.example", "@ MX 10 mx", "mx A 127.0.0.1", expired=True)
    zones.start()
    w = World(s, zones)
    yield w
    w.stop()
    zones.stop()


class World:
    def __init__(self, smtp, zones):
        self.smtp, self.zones = smtp, zones
        self.resolver = Role("resolver", "base/dns/resolver",
                             [("resolver.servers", "127.0.0.1:%d" % zones.port), ("resolver.validate", "true"),
                              ("resolver.trust_anchor", zones.anchor), ("resolver.timeout", "5000")])
        self.relays = []

    def relay(self, conf=(), files=()):
        self.relays.append(Relay([("relay.port", str(self.smtp.port)), ("relay.mta_sts", "false")] + list(conf), resolver=self.resolver, files=files))
        return self.relays[-1]

    def send(self, domain, cert=None, conf=(), files=(), **kw):
        """A mail, by a relay of its own, to a host that shows this certificate: (status, words, mails taken, relay)."""
        self.smtp.cert = cert
        self.smtp.mails.clear()
        r = self.relay(conf, files)
        _, rcpts = r.send(domain, "b@" + domain, timeout=20, **kw)
        r.stop()
        return rcpts[0][1], rcpts[0][4], list(self.smtp.mails), r

    def stop(self):
        self.resolver.stop()


GOOD = [("right", "self"), ("right0", "self"), ("right512", "self"), ("rolled", "self"), ("rolled", "leaf"), ("expired", "expired"),
        ("ta-domain", "domain"), ("mixed", "self"), ("named", "leaf"), ("alias", "self"), ("alias2", "self"), ("out", "self"),
        ("address", "leaf"), ("tlsa-alias", "leaf")]


@pytest.mark.parametrize("domain,cert", GOOD)
def test_proven(world, pki, domain, cert):
    status, words, mails, r = world.send(domain + ".signed.example", str(pki / (cert + ".pem")))
    assert status == STEP_OK and mails[0]["tls"], words
    assert r.tls.startswith("TLSv1.3 ") and r.tls.endswith("DANE, verified")


@pytest.mark.parametrize("domain,cert", [
    ("right", "leaf"), ("right", "expired"), ("wrong", "self"), ("rolled", "expired"), ("ta", "leaf"), ("ta-wrong", "leaf"),
    ("named", "stranger"), ("alias", "leaf"), ("alias2", "leaf"), ("out", "leaf"), ("address", "self"), ("mixed", "leaf"),
    ("tlsa-alias", "self")])
def test_not_proven(world, pki, domain, cert):
    """Never in plain text, never to this host, and it is tried again later."""
    before = world.smtp.connections
    status, words, mails, _ = world.send(domain + ".signed.example", str(pki / (cert + ".pem")))
    assert status == STEP_TEMPORARY and mails == [] and "DANE" in words, words
    assert world.smtp.connections == before + 1


@pytest.mark.parametrize("domain", ["right.signed.example", "odd.signed.example"])
def test_no_starttls(world, domain):
    status, words, mails, _ = world.send(domain)
    assert status == STEP_TEMPORARY and mails == [] and "starttls-not-supported" in words


def test_broken_handshake_is_no_way_round(world, pki):
    def garbage(c, line):
        c.say("220 go ahead")
        c.sock.recv(1000)
        c.sock.sendall(b"this is no TLS at all\r\n" * 5)
    world.smtp.rules["STARTTLS"] = garbage
    try:
        status, _, mails, _ = world.send("right.signed.example", str(pki / "self.pem"))
    finally:
        world.smtp.rules.clear()
    assert status == STEP_TEMPORARY and mails == []


@pytest.mark.parametrize("domain", ["pkix", "odd"])
def test_unusable_records_mean_tls_with_anybody(world, pki, domain):
    status, words, mails, r = world.send(domain + ".signed.example", str(pki / "stranger.pem"))
    assert status == STEP_OK and mails[0]["tls"], words
    assert "DANE without a usable record" in r.tls


@pytest.mark.parametrize("domain", ["none.signed.example", "plain.example", "to-plain.signed.example", "signed-mx.plain.example"])
@pytest.mark.parametrize("cert", ["stranger", None])
def test_no_dane_there(world, pki, domain, cert):
    """No records (proven), an unsigned zone, a signed domain with an unsigned host, an unsigned domain with a signed host."""
    status, words, mails, r = world.send(domain, cert and str(pki / (cert + ".pem")))
    assert status == STEP_OK and mails[0]["tls"] == bool(cert), words
    assert "opportunistic" in r.tls


@pytest.mark.parametrize("domain", ["old.example", "bogus-host.signed.example"])
def test_bogus_zones_defer(world, pki, domain):
    before = world.smtp.connections
    status, words, mails, _ = world.send(domain, str(pki / "self.pem"))
    assert status == STEP_TEMPORARY and mails == [] and "signature is wrong" in words, words
    assert world.smtp.connections == before


def test_the_next_host_when_the_first_fails(world, pki):
    before = world.smtp.connections
    status, words, mails, r = world.send("both.signed.example", str(pki / "self.pem"))
    assert status == STEP_OK and r.tls.endswith("DANE, verified"), words
    assert world.smtp.connections == before + 2


def test_switched_off(world, pki):
    for conf in ([("relay.dane", "false")], [("relay.tls", "none")]):
        assert world.send("wrong.signed.example", str(pki / "self.pem"), conf)[0] == STEP_OK
    assert world.send("wrong.signed.example", str(pki / "self.pem"), flags=TLS_OPTIONAL)[0] == STEP_OK


def test_a_route_by_name(world, pki):
    """The administrator names the host: its records count all the same."""
    conf = [("route.x.test.host", "mx-right.signed.example:%d" % world.smtp.port), ("route.x.test.tls", "opportunistic")]
    assert world.send("x.test", str(pki / "self.pem"), conf)[3].tls.endswith("DANE, verified")
    assert world.send("x.test", str(pki / "leaf.pem"), conf)[0] == STEP_TEMPORARY


def test_requiretls(world, pki):
    world.smtp.EHLO = world.smtp.EHLO.replace("250 ENH", "250-REQUIRETLS\n250 ENH")
    try:
        status, words, mails, _ = world.send("right.signed.example", str(pki / "self.pem"), flags=REQUIRETLS)
        assert status == STEP_OK and mails, words
        status, words, mails, _ = world.send("right.signed.example", str(pki / "leaf.pem"), flags=REQUIRETLS)
        assert status == STEP_PERMANENT and mails == [], words
    finally:
        del world.smtp.EHLO


def test_sessions_are_not_shared_across_policies(world, pki):
    """The route by name is opportunistic without DANE there; its session may not carry mail that needs proof."""
    world.smtp.cert = str(pki / "leaf.pem")
    world.smtp.mails.clear()
    r = world.relay()
    assert r.send("none.signed.example", "b@x", timeout=20)[1][0][1] == STEP_OK
    assert r.send("wrong.signed.example", "b@x", timeout=20)[1][0][1] == STEP_OK
    assert r.tls.endswith("DANE, verified")
    assert r.send("right.signed.example", "b@x", timeout=20)[1][0][1] == STEP_TEMPORARY
    r.stop()


def test_keys_that_roll(world, pki):
    """A zone that changes while we run: the new key counts as soon as the old records' time (1 s) is over."""
    assert world.send("right.signed.example", str(pki / "self.pem"))[0] == STEP_OK
    port = world.smtp.port
    world.zones.change("signed.example", "right MX 10 mx-right", "mx-right A 127.0.0.1",
                       "_%d._tcp.mx-right %s" % (port, tlsa(str(pki / "leaf.crt"))))
    for _ in range(20):
        status = world.send("right.signed.example", str(pki / "leaf.pem"))[0]
        if status == STEP_OK:
            break
        threading.Event().wait(0.3)
    assert status == STEP_OK
    assert world.send("right.signed.example", str(pki / "self.pem"))[0] == STEP_TEMPORARY
