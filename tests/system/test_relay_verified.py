"""tls = verified, and hosts of the same preference."""
import struct

import pytest

from pki import certificate
from relay_role import STEP_OK, STEP_TEMPORARY, Smtp
from test_relay_role import relays  # noqa: F401


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    d = tmp_path_factory.mktemp("pki")
    certificate(d, "ca", "Test CA")
    certificate(d, "good", "localhost", "ca")
    certificate(d, "other", "other.test", "ca")
    certificate(d, "self", "localhost")
    return d


@pytest.mark.parametrize("cert,words", [
    ("good", None), ("other", "not for localhost"), ("self", "not trusted"), (None, "does not offer STARTTLS"),
])
def test_verified(relays, pki, cert, words):  # noqa: F811
    """A host that does not prove its name gets nothing, neither in plain text nor in TLS; the mail waits, and it is said why."""
    s = Smtp(cert=str(pki / (cert + ".pem")) if cert else None)
    r = relays([("route.*.host", "localhost:%d" % s.port), ("route.*.tls", "verified")], files=[("CA_BUNDLE", pki / "ca.crt")])
    _, rcpts = r.send("x.test", "b@x.test")
    if words is None:
        assert rcpts[0][1] == STEP_OK and s.mails[0]["tls"] and "verified" in r.tls
    else:
        assert rcpts[0][1] == STEP_TEMPORARY and words in rcpts[0][4], rcpts
        assert rcpts[0][3] in ("4.7.5", "4.7.4")
        assert s.mails == [] and not any(c.startswith(("MAIL", "RCPT", "DATA")) for c in s.commands)


def test_broken_handshake_is_no_way_round(relays, pki):  # noqa: F811
    def starttls(c, line):
        c.say("220 go ahead")
        c.sock.sendall(b"no TLS at all\r\n")
        c.line()
        return None
    s = Smtp(cert=str(pki / "good.pem"), STARTTLS=starttls)
    r = relays([("route.*.host", "localhost:%d" % s.port), ("route.*.tls", "verified")], files=[("CA_BUNDLE", pki / "ca.crt")])
    assert r.send("x.test", "b@x.test")[1][0][1] == STEP_TEMPORARY
    assert s.mails == [] and not any(c.startswith("MAIL") for c in s.commands)


def test_equal_preference_is_shuffled(relays):  # noqa: F811
    """Each of many domains with the same two hosts begins with one by chance, though DNS names them in the same order each time; a
    third, of less preference, gets nothing."""
    hosts = [Smtp()]
    for n in (2, 3):
        hosts.append(Smtp(at=("127.0.0.%d" % n, hosts[0].port)))
    mx = [struct.pack("!H", p) + b"\2h%d\4test\0" % n for n, p in ((1, 10), (2, 10), (3, 20))]
    r = relays([("relay.port", str(hosts[0].port))])
    for i in range(30):
        r.put("x%d.test" % i, "b@x%d.test" % i)
        ask = r.dns.want("DNS_ASK")
        r.dns.send("DNS_IS", 0, 0, 60, ask.f[0], *mx, id=ask.id)
        for _ in range(2):
            ask = r.dns.want("DNS_ASK")
            answer = [0, 0, 60, ask.f[0], bytes([127, 0, 0, int(ask.f[0][1])])] if ask.f[1] == 1 else [1, 0, 60, ""]
            r.dns.send("DNS_IS", *answer, id=ask.id)
        assert r.result()[2][0][1] == STEP_OK
    got = [len(s.mails) for s in hosts]
    assert got[2] == 0 and sum(got) == 30
    assert got[0] > 0 and got[1] > 0, got  # all at one of them: once in half a billion runs
