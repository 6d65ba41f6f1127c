"""The resolver against a scripted DNS server."""
import time

import pytest

from relay_role import (DNS_BOGUS, DNS_NO_DATA, DNS_NXDOMAIN, DNS_OK, DNS_TEMPORARY, Dns, Peer, Role)

A, CNAME, PTR, MX, TXT, AAAA = 1, 5, 12, 15, 16, 28


class Asker:
    def __init__(self, zone, conf=()):
        self.dns = Dns(zone)
        self.link = Peer()
        self.role = Role("resolver", "base/dns/resolver",
                         [("resolver.servers", "127.0.0.1:%d" % self.dns.port), ("resolver.validate", "false"),
                          ("resolver.timeout", "1000")] + list(conf), [("FILTER", self.link.theirs)])
        self.id = 0

    def start(self, name, kind):
        self.id += 1
        self.link.send("DNS_ASK", name, kind, id=self.id)
        return self.id

    def take(self, timeout=5):
        f = self.link.want("DNS_IS", timeout)
        return f.id, f.f[0], f.f[3], f.f[4:]

    def ask(self, name, kind):
        id = self.start(name, kind)
        got, status, text, rdata = self.take()
        assert got == id
        return status, text, rdata


@pytest.fixture(scope="module")
def asker():
    a = Asker({
        ("a.test", "A"): ["192.0.2.1", "192.0.2.2"],
        ("mail.test", "MX"): ["10 mx1.mail.test.", "20 mx2.mail.test."],
        ("null.test", "MX"): ["0 ."],
        ("alias.test", "CNAME"): ["a.test."],
        ("dangling.test", "CNAME"): ["nowhere.test."],
        ("x.invalid", "A"): ["192.0.2.3"],
        ("host.onion", "A"): ["192.0.2.4"],
        ("localhost", "A"): ["192.0.2.5"],
        ("1.0.0.10.in-addr.arpa", "PTR"): ["ten.test."],
        ("1.0.0.127.in-addr.arpa", "PTR"): ["loop.test."],
        ("1.2.0.192.in-addr.arpa", "PTR"): ["a.test."],
        ("5.16.172.in-addr.arpa", "PTR"): ["b.test."],
        ("long.test", "TXT"): ['"%s" "%s"' % ("x" * 200, "y" * 200)],
        ("many.test", "TXT"): ['"%04d %s"' % (i, "z" * 200) for i in range(150)],
        ("huge.test", "TXT"): ['"%04d %s"' % (i, "z" * 220) for i in range(270)],
        ("broken.test", "A"): "SERVFAIL",
        ("silent.test", "A"): "DROP",
    })
    yield a
    a.role.stop()


@pytest.mark.parametrize("name,kind,status,n", [
    ("a.test", A, DNS_OK, 2), ("A.Test.", A, DNS_OK, 2), ("a.test", AAAA, DNS_NO_DATA, 0), ("none.test", A, DNS_NXDOMAIN, 0),
    ("alias.test", A, DNS_OK, 2), ("alias.test", CNAME, DNS_OK, 1), ("dangling.test", A, DNS_NXDOMAIN, 0),
    ("mail.test", MX, DNS_OK, 2), ("null.test", MX, DNS_OK, 1), ("broken.test", A, DNS_TEMPORARY, 0),
    ("x.invalid", A, DNS_OK, 1), ("host.onion", A, DNS_OK, 1), ("localhost", A, DNS_OK, 1),
    ("1.0.0.10.in-addr.arpa", PTR, DNS_OK, 1), ("1.0.0.127.in-addr.arpa", PTR, DNS_OK, 1),
    ("1.2.0.192.in-addr.arpa", PTR, DNS_OK, 1), ("5.16.172.in-addr.arpa", PTR, DNS_OK, 1),
    ("long.test", TXT, DNS_OK, 1), ("many.test", TXT, DNS_OK, 150),
    ("", A, DNS_NXDOMAIN, 0), ("a..test", A, DNS_NXDOMAIN, 0), ("a b.test", A, DNS_NXDOMAIN, 0),
    ("x" * 64 + ".test", A, DNS_NXDOMAIN, 0), ("x." * 200, A, DNS_NXDOMAIN, 0),
])
def test_answers(asker, name, kind, status, n):
    got, text, rdata = asker.ask(name, kind)
    assert (got, len(rdata)) == (status, n), text


def test_names_are_uncompressed(asker):
    _, _, rdata = asker.ask("mail.test", MX)
    assert sorted(rdata)[0] == b"\0\x0a\3mx1\4mail\4test\0"


def test_canonical_name(asker):
    assert asker.ask("alias.test", A)[1] == "a.test"


def test_answer_that_fits_no_frame_is_said_in_words(asker):
    status, text, rdata = asker.ask("huge.test", TXT)
    assert status == DNS_TEMPORARY and "too large" in text and rdata == []


def test_silence_ends_after_the_timeout(asker):
    begin = time.time()
    status, text, _ = asker.ask("silent.test", A)
    assert status == DNS_TEMPORARY and "in time" in text
    assert 0.8 < time.time() - begin < 3


def test_silence_holds_up_nobody_else(asker):
    slow = asker.start("silent.test", A)
    assert asker.start("a.test", A) == slow + 1
    assert asker.take()[:2] == (slow + 1, DNS_OK)
    assert asker.take()[:2] == (slow, DNS_TEMPORARY)


def test_questions_in_flight_are_bounded():
    a = Asker({("x.silent.test", "A"): "DROP"})
    a.dns.zone = type("All", (dict,), {"get": lambda self, k, d=None: "DROP" if k[1] != "CNAME" else None})()
    for i in range(1100):
        a.start("n%d.silent.test" % i, A)
    words = [a.take()[2] for _ in range(1100)]
    assert sum("too many" in w for w in words) == 1100 - 1024
    assert sum("in time" in w for w in words) == 1024
    a.role.stop()


def test_a_failed_question_never_gets_the_answer_to_another():
    """When libunbound gives a question up by itself, the buffer it calls back with still holds what it answered last."""
    a = Asker({("good.test", "TXT"): ["v=here"]}, conf=[("resolver.timeout", "30000")])
    zone = a.dns.zone
    a.dns.zone = type("Some", (dict,), {"get": lambda self, k, d=None: zone.get(k, d) if k[0] == "good.test"
                                        else "DROP" if k[1] != "CNAME" else None})()
    assert a.ask("good.test", TXT)[0] == DNS_OK
    for i in range(60):
        a.start("s%d.test" % i, TXT)
        good = a.start("good.test", TXT)
        assert a.take()[:2] == (good, DNS_OK)
    for _ in range(60):
        _, status, text, rdata = a.take(40)
        assert (status, rdata) == (DNS_TEMPORARY, []), text
    a.role.stop()


def test_equal_questions_are_asked_once():
    a = Asker({("a.test", "A"): ["192.0.2.1"]})
    for _ in range(50):
        a.start("a.test", A)
    assert all(a.take()[1] == DNS_OK for _ in range(50))
    assert a.dns.asked.count(("a.test", "A")) == 1
    a.role.stop()


def test_reload_takes_new_servers():
    a = Asker({("a.test", "A"): ["192.0.2.1"]})
    assert a.ask("a.test", A)[2] == [b"\xc0\0\2\1"]
    other = Dns({("a.test", "A"): ["192.0.2.9"]})
    a.role.sup.send("SETUP_CONFIG", "resolver.servers", "127.0.0.1:%d" % other.port, "resolver.validate", "false")
    a.role.sup.send("SETUP_GO", 1)
    assert a.role.sup.recv(5).name == "ROLE_READY"
    assert a.ask("a.test", A)[2] == [b"\xc0\0\2\x09"]
    a.role.stop()


def test_without_servers_it_starts_from_the_root():
    link = Peer()
    role = Role("resolver", "base/dns/resolver", [("resolver.timeout", "500")], [("FILTER", link.theirs)])
    link.send("DNS_ASK", "localhost", A, id=1)
    assert link.want("DNS_IS").f[4:] == [b"\x7f\0\0\1"]
    role.stop()


assert DNS_BOGUS == 4


# -- DNSSEC

class SignedDns(Dns):
    """Below signed.example every answer is signed; what is said of names in `forged` is another than was signed."""

    def __init__(self, zone, forged):
        import dns.dnssec
        import dns.name
        import dns.rrset
        from cryptography.hazmat.primitives.asymmetric import ec

        self.forged = forged
        self.origin = dns.name.from_text("signed.example.")
        self.private = ec.generate_private_key(ec.SECP256R1())
        key = dns.dnssec.make_dnskey(self.private.public_key(), dns.dnssec.Algorithm.ECDSAP256SHA256, flags=257)
        self.keys = dns.rrset.from_rdata(self.origin, 60, key)
        self.anchor = "signed.example. IN DS " + dns.dnssec.make_ds(self.origin, key, "SHA256").to_text()
        super().__init__(zone)

    def sign(self, rrset):
        import dns.dnssec
        import dns.rrset

        sig = dns.dnssec.sign(rrset, self.private, self.origin, self.keys[0], lifetime=3600)
        return dns.rrset.from_rdata(rrset.name, 60, sig)

    def answer(self, wire, limit):
        import dns.message
        import dns.rdatatype
        import dns.rrset

        q = dns.message.from_wire(wire)
        name, kind = q.question[0].name, q.question[0].rdtype
        if not name.is_subdomain(self.origin):
            return super().answer(wire, limit)
        r = dns.message.make_response(q, recursion_available=True)
        if name == self.origin and kind == dns.rdatatype.DNSKEY:
            rrset = self.keys
        else:
            data = self.zone.get((name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(kind)))
            if data is None:
                return r.to_wire()
            rrset = dns.rrset.from_text(name, 60, "IN", dns.rdatatype.to_text(kind), *data)
        r.answer += [rrset, self.sign(rrset)]
        if name.to_text(omit_final_dot=True) in self.forged:
            r.answer[0] = dns.rrset.from_text(name, 60, "IN", dns.rdatatype.to_text(kind), "192.0.2.66")
        return r.to_wire()


def test_signed_answers(tmp_path):
    pytest.importorskip("cryptography")
    server = SignedDns({("a.signed.example", "A"): ["192.0.2.1"], ("b.signed.example", "A"): ["192.0.2.2"],
                        ("a.test", "A"): ["192.0.2.3"]}, {"b.signed.example"})
    anchor = tmp_path / "anchor"
    anchor.write_text("; the zone's key\n" + server.anchor + "\n")
    link = Peer()
    role = Role("resolver", "base/dns/resolver",
                [("resolver.servers", "127.0.0.1:%d" % server.port), ("resolver.validate", "true"),
                 ("resolver.trust_anchor", str(anchor)), ("resolver.timeout", "3000")], [("FILTER", link.theirs)])
    got = {}
    for i, name in enumerate(("a.signed.example", "b.signed.example", "a.test")):
        link.send("DNS_ASK", name, A, id=i + 1)
        got[name] = link.want("DNS_IS").f
    assert got["a.signed.example"][:2] == [DNS_OK, 1] and got["a.signed.example"][4:] == [b"\xc0\0\2\1"]
    assert got["b.signed.example"][:2] == [DNS_BOGUS, 0] and got["b.signed.example"][4:] == [] and got["b.signed.example"][3]
    assert got["a.test"][:2] == [DNS_OK, 0]
    role.stop()
