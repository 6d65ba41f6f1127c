"""What the relay tells a peer beyond the plain commands, as far as the peer understands it: DSN, SMTPUTF8, BINARYMIME, REQUIRETLS."""
import os
import struct
import subprocess
import tempfile

import pytest

from relay_role import Relay, Smtp, STEP_OK, STEP_PERMANENT, STEP_TEMPORARY

EIGHT, UTF8, BINARY, REQUIRETLS, TLS_OPTIONAL, RET_FULL, RET_HDRS = 4, 8, 64, 128, 256, 512, 1024
NEVER, SUCCESS, FAILURE, DELAY = 1, 2, 4, 8


@pytest.fixture
def relays():
    made = []

    def make(*args, **kw):
        made.append(Relay(*args, **kw))
        return made[-1]
    yield make
    for r in made:
        r.stop()


def to(server, tls="none", host="127.0.0.1"):
    return [("route.*.host", "%s:%d" % (host, server.port)), ("route.*.tls", tls)]


def command(server, verb, n=0):
    return [c for c in server.commands if c.startswith(verb)][n]


# -- DSN

def test_dsn_is_passed_on(relays):
    s = Smtp(offers=["DSN"])
    r = relays(to(s))
    _, rcpts = r.send("x.test", [("a@x.test", NEVER, ""), ("b@x.test", SUCCESS | FAILURE | DELAY, "rfc822;B+2Btag@x.test"), "c@x.test"],
                      flags=RET_HDRS, envid="QQ+2B314")
    assert [x[1] for x in rcpts] == [STEP_OK] * 3 and r.reports == [1, 1, 1]
    assert command(s, "MAIL").endswith(" RET=HDRS ENVID=QQ+2B314")
    assert [command(s, "RCPT", i) for i in range(3)] == [
        "RCPT TO:<a@x.test> NOTIFY=NEVER",
        "RCPT TO:<b@x.test> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;B+2Btag@x.test",
        "RCPT TO:<c@x.test>"]
    r.send("x.test", "d@x.test", flags=RET_FULL)
    assert command(s, "MAIL", 1).endswith(" RET=FULL")


def test_dsn_is_not_told_who_does_not_know_it(relays):
    s = Smtp()
    r = relays(to(s))
    r.send("x.test", [("b@x.test", SUCCESS, "rfc822;b@x.test")], flags=RET_FULL, envid="x")
    assert r.reports == [0]
    assert "RET" not in command(s, "MAIL") and "ENVID" not in command(s, "MAIL")
    assert command(s, "RCPT") == "RCPT TO:<b@x.test>"


def test_many_long_orcpts(relays):
    s = Smtp(offers=["DSN"])
    r = relays(to(s))
    _, rcpts = r.send("x.test", [("%03d@x.test" % i, 14, "rfc822;" + "y" * 490) for i in range(100)])
    assert [x[1] for x in rcpts] == [STEP_OK] * 100 and len(s.mails) == 1


# -- SMTPUTF8

UTF8_BODY = "Subject: Grüße\r\n\r\nhallo\r\n"


@pytest.mark.parametrize("sender,rcpt,body,needed", [
    ("a@own.test", "b@x.test", "Subject: x\r\n\r\nGrüße\r\n", False),
    ("a@own.test", "b@x.test", UTF8_BODY, True),
    ("a@own.test", "b@x.test", "X-Filler: y\r\n" * 20000 + UTF8_BODY, True),
    ("a@own.test", "b@x.test", "X-Filler: y\r\n" * 20000 + "Subject: x\r\n\r\nGrüße\r\n", False),
    ("ä@own.test", "b@x.test", "Subject: x\r\n\r\nx\r\n", True),
    ("a@own.test", "ß@x.test", "Subject: x\r\n\r\nx\r\n", True),
])
def test_smtputf8_when_needed(relays, sender, rcpt, body, needed):
    with_it, without = Smtp(offers=["SMTPUTF8"]), Smtp()
    _, rcpts = relays(to(with_it)).send("x.test", rcpt, body, sender=sender, flags=UTF8)
    assert rcpts[0][1] == STEP_OK
    assert command(with_it, "MAIL").endswith(" SMTPUTF8") == needed
    assert "BODY=8BITMIME" in command(with_it, "MAIL")
    _, rcpts = relays(to(without)).send("x.test", rcpt, body, sender=sender, flags=UTF8)
    if needed:
        assert rcpts[0][1:4] == [STEP_PERMANENT, 0, "5.6.7"] and "ASCII" in rcpts[0][4]
        assert without.mails == [] and not any(c.startswith("MAIL") for c in without.commands)
    else:
        assert rcpts[0][1] == STEP_OK and "SMTPUTF8" not in command(without, "MAIL")


def test_a_header_that_is_added(relays):
    s = Smtp()
    _, rcpts = relays(to(s)).send("x.test", "b@x.test", prefix="Received: from ä\r\n", flags=UTF8)
    assert rcpts[0][3] == "5.6.7"


def test_one_recipient_needs_it(relays):
    s = Smtp()
    _, rcpts = relays(to(s)).send("x.test", ["b@x.test", "ß@x.test", "c@x.test"], flags=UTF8)
    assert [x[3] for x in rcpts] == ["2.0.0", "5.6.7", "2.0.0"]
    assert s.mails[0]["to"] == ["b@x.test", "c@x.test"]


def test_domains_in_ascii(relays):
    """A peer without SMTPUTF8 gets the domain as A-labels, which is the same address; routes are found by A-labels."""
    s, other = Smtp(), Smtp(offers=["SMTPUTF8"])
    r = relays([("route.xn--bcher-kva.test.host", "127.0.0.1:%d" % s.port), ("route.xn--bcher-kva.test.tls", "none")] + to(other))
    _, rcpts = r.send("BÜCHER.test", "b@bücher.test", sender="a@bücher.test", flags=UTF8)
    assert rcpts[0][1] == STEP_OK
    assert s.mails[0]["to"] == ["b@xn--bcher-kva.test"] and command(s, "MAIL").startswith("MAIL FROM:<a@xn--bcher-kva.test>")
    r.send("x.test", "b@bücher.test", sender="a@own.test", flags=UTF8)
    assert command(other, "RCPT").encode("latin1").decode() == "RCPT TO:<b@bücher.test>"


def test_orcpt_without_smtputf8(relays):
    s = Smtp(offers=["DSN"])
    relays(to(s)).send("x.test", [("b@x.test", FAILURE, "utf-8;ß@x.test")], flags=UTF8)
    assert command(s, "RCPT") == "RCPT TO:<b@x.test> NOTIFY=FAILURE ORCPT=utf-8;\\x{DF}@x.test"


# -- BINARYMIME

BINARY_BODY = "Subject: x\r\n\r\n.\r\nbare\nlf\rcr\x00nul\r\n.\r\nno end"


@pytest.mark.parametrize("pipelining", [True, False])
def test_binary(relays, pipelining):
    s = Smtp(offers=["CHUNKING", "BINARYMIME"])
    if not pipelining:
        s.EHLO = s.EHLO.replace("250-PIPELINING\n", "")
    r = relays(to(s))
    for _ in range(2):
        _, rcpts = r.send("x.test", ["b@x.test", "c@x.test"], BINARY_BODY.encode(), flags=BINARY)
        assert rcpts[0] == [0, STEP_OK, 250, "2.0.0", "taken as 4712"] and rcpts[1][1] == STEP_OK
    want = b"Received: by us\r\n" + BINARY_BODY.encode()
    assert [m["data"] for m in s.mails] == [want, want] and s.mails[0]["to"] == ["b@x.test", "c@x.test"]
    assert " BODY=BINARYMIME" in command(s, "MAIL") and command(s, "BDAT") == "BDAT %d LAST" % len(want)
    assert s.connections == 1 and not any(c.startswith("DATA") for c in s.commands)


def test_binary_refusals(relays):
    s = Smtp(offers=["CHUNKING", "BINARYMIME"], RCPT=lambda c, line: "550 5.1.1 no" if "bad" in line else "250 ok")
    r = relays(to(s))
    _, rcpts = r.send("x.test", ["bad@x.test", "b@x.test"], flags=BINARY)
    assert [x[1] for x in rcpts] == [STEP_PERMANENT, STEP_OK]
    _, rcpts = r.send("x.test", ["bad@x.test"], flags=BINARY)
    assert rcpts[0][1:3] == [STEP_PERMANENT, 550] and len(s.mails) == 1
    s.rules["BDAT"] = "451 4.3.0 not now"
    _, rcpts = r.send("x.test", ["b@x.test"], flags=BINARY)
    assert rcpts[0][1:3] == [STEP_TEMPORARY, 451]
    s.rules["MAIL"] = "552 5.3.4 no"
    _, rcpts = r.send("x.test", ["b@x.test"], flags=BINARY)
    assert rcpts[0][1:3] == [STEP_PERMANENT, 552]
    s.rules.clear()
    assert r.send("x.test", ["b@x.test"], flags=BINARY)[1][0][1] == STEP_OK and s.connections == 1


def test_large_binary(relays):
    s = Smtp(offers=["CHUNKING", "BINARYMIME"])
    r = relays(to(s))
    with tempfile.TemporaryFile() as f:
        data = bytes(range(256)) * 4000
        f.write(data)
        f.flush()
        fd = os.open("/proc/self/fd/%d" % f.fileno(), os.O_RDONLY)
        _, rcpts = r.send("x.test", "b@x.test", "", fd=fd, flags=BINARY | 2, timeout=60)
        os.close(fd)
    assert rcpts[0][1] == STEP_OK, rcpts
    assert s.mails[0]["data"] == b"Received: by us\r\n" + data


# -- TLS

@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """A CA of ours, a certificate of it for localhost, one for another name, and one that nobody signed."""
    d = tmp_path_factory.mktemp("pki")

    def run(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=d)
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test CA")
    for name, host in (("good", "localhost"), ("other", "other.test")):
        run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + host)
        (d / "ext").write_text("subjectAltName=DNS:%s\n" % host)
        run("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "ext",
            "-out", name + ".crt")
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "self.key", "-out", "self.crt", "-days", "2", "-subj", "/CN=localhost")
    for name in ("good", "other", "self"):
        (d / (name + ".pem")).write_text((d / (name + ".crt")).read_text() + (d / (name + ".key")).read_text())
    return d


def test_requiretls(relays, pki):
    s = Smtp(cert=str(pki / "good.pem"), offers=["REQUIRETLS"])
    r = relays(to(s, "opportunistic", "localhost"), files=[("CA_BUNDLE", pki / "ca.pem")])
    _, rcpts = r.send("x.test", "b@x.test", flags=REQUIRETLS)
    assert rcpts[0][1] == STEP_OK, rcpts
    assert s.mails[0]["tls"] and " REQUIRETLS" in command(s, "MAIL")
    r.send("x.test", "b@x.test")
    assert "REQUIRETLS" not in command(s, "MAIL", 1)
    assert r.send("x.test", "b@x.test", flags=REQUIRETLS | TLS_OPTIONAL)[1][0][1] == STEP_OK
    assert " REQUIRETLS" in command(s, "MAIL", 2)


@pytest.mark.parametrize("cert,offers,words", [
    (None, ["REQUIRETLS"], "does not offer STARTTLS"),
    ("good.pem", [], "does not offer REQUIRETLS"),
    ("other.pem", ["REQUIRETLS"], "not for localhost"),
    ("self.pem", ["REQUIRETLS"], "not trusted"),
])
def test_requiretls_that_the_peer_cannot_keep(relays, pki, cert, offers, words):
    s = Smtp(cert=str(pki / cert) if cert else None, offers=offers)
    r = relays(to(s, "opportunistic", "localhost"), files=[("CA_BUNDLE", pki / "ca.pem")])
    r.send("x.test", "b@x.test")  # leaves a session that must not be used
    _, rcpts = r.send("x.test", "b@x.test", "Subject: secret\r\n\r\nsecret\r\n", flags=REQUIRETLS)
    assert rcpts[0][1:4] == [STEP_PERMANENT, 0, "5.7.30"] and words in rcpts[0][4], rcpts
    assert len(s.mails) == 1


def test_requiretls_without_cas(relays, pki):
    s = Smtp(cert=str(pki / "good.pem"), offers=["REQUIRETLS"])
    _, rcpts = relays(to(s, "none", "localhost")).send("x.test", "b@x.test", flags=REQUIRETLS)
    assert rcpts[0][3] == "5.7.30" and s.mails == []


def test_tls_required_no(relays):
    """The sender would rather have it arrive (RFC 8689 5): a route that demands TLS does not for this message, and only for this."""
    s = Smtp()
    r = relays(to(s, "required"))
    assert r.send("x.test", "b@x.test")[1][0][1:4] == [STEP_TEMPORARY, 0, "4.7.4"]
    assert r.send("x.test", "b@x.test", flags=TLS_OPTIONAL)[1][0][1] == STEP_OK
    assert r.send("x.test", "b@x.test")[1][0][1:4] == [STEP_TEMPORARY, 0, "4.7.4"]
    assert len(s.mails) == 1


def mx_rdata(name):
    return struct.pack("!H", 10) + b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0"


@pytest.mark.parametrize("secure", [0, 1])
def test_requiretls_by_mx(relays, pki, secure):
    """Who answers for a domain must be proven too: its MX records are signed, or nothing is sent."""
    s = Smtp(cert=str(pki / "other.pem"), offers=["REQUIRETLS"])
    r = relays([("relay.port", str(s.port))], files=[("CA_BUNDLE", pki / "ca.pem")])
    job = r.put("x.test", "b@x.test", flags=REQUIRETLS)
    ask = r.dns.want("DNS_ASK")
    assert ask.f[0] == "x.test"
    r.dns.send("DNS_IS", 0, secure, 60, "x.test", mx_rdata("other.test"), id=ask.id)
    if secure:
        for _ in range(2):
            ask = r.dns.want("DNS_ASK")
            answer = [0, 0, 60, "other.test", bytes([127, 0, 0, 1])] if ask.f[1] == 1 else [1, 0, 60, ""]
            r.dns.send("DNS_IS", *answer, id=ask.id)
    got, _, rcpts = r.result()
    assert got == job
    if secure:
        assert rcpts[0][1] == STEP_OK and s.mails[0]["tls"], rcpts
    else:
        assert rcpts[0][1:4] == [STEP_PERMANENT, 0, "5.7.30"] and "DNSSEC" in rcpts[0][4] and s.connections == 0
