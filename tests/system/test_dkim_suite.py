"""DKIM: the public vectors, every rule that a signature or a key can break, and fields made to cost time."""
import base64
import glob
import itertools
import json
import os
import re
import subprocess
import time

import dkim
import pytest

from filter_role import Filter

SUITE = os.path.join(os.path.dirname(__file__), "../../../shared/conformance/dkim")
NOW = int(time.time())
FIELDS = [b"from", b"to", b"subject", b"date"]
MAIL = (b"From: boss@peer.test\r\nTo: alice@example.test\r\nSubject: news\r\nDate: Tue, 24 Nov 2026 05:52:28 +0000\r\n"
        b"Message-ID: <1@peer.test>\r\n\r\nThe true words.\r\n")


def made_key(*words):
    """(private key as PEM, public key in base64)."""
    private = subprocess.run(["openssl", *words], capture_output=True, check=True).stdout
    public = subprocess.run(["openssl", "pkey", "-pubout", "-outform", "DER"], input=private, capture_output=True, check=True).stdout
    return private, base64.b64encode(public).decode()


@pytest.fixture(scope="module")
def rsa():
    return made_key("genrsa", "-traditional", "2048")


@pytest.fixture(scope="module")
def ed25519():
    private = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-outform", "DER"], capture_output=True, check=True).stdout
    public = subprocess.run(["openssl", "pkey", "-inform", "DER", "-pubout", "-outform", "DER"], input=private, capture_output=True,
                            check=True).stdout
    return base64.b64encode(private[-32:]), base64.b64encode(public[-32:]).decode()


@pytest.fixture(scope="module")
def f(tmp_path_factory):
    f = Filter(tmp_path_factory.mktemp("filter"), {}, conf=[("spam.enabled", "false"), ("dmarc.enabled", "false")])
    assert f.ready, f.why
    yield f
    f.stop()


def judged(f, mail, zone):
    """[(result, reason)] of each signature, from the top."""
    f.zone.zone = {(name, "TXT"): [text] if isinstance(text, str) else text for name, text in zone.items()}
    v = f.judge(mail, now=NOW * 1000000)
    found = re.findall(r'\bdkim=(\w+)(?: \(test mode\))?(?: reason="([^"]*)")?', v.results)
    f.last = v
    return found


def one(f, mail, record, selector="sel", domain="peer.test"):
    return judged(f, mail, {f"{selector}._domainkey.{domain}": record})[0]


def signed(key, mail=MAIL, **words):
    algorithm = {"signature_algorithm": b"ed25519-sha256"} if len(key[0]) < 100 else {}
    return dkim.sign(mail, b"sel", b"peer.test", key[0], **{"include_headers": FIELDS, **algorithm, **words}) + mail


def crlf(data):
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


# -- public vectors

def vector(name):
    with open(os.path.join(SUITE, name), "rb") as file:
        return file.read()


def record_of(name):
    return vector(name).decode().strip()


needs_suite = pytest.mark.skipif(not os.path.exists(SUITE), reason="the suite is not here")


@needs_suite
def test_signed_vectors(f):
    zone = {name: "".join(records["TXT"][0]) for name, records in json.loads(vector("rfc8463/dns.json")).items()}
    assert judged(f, crlf(vector("rfc8463/signed.eml")), zone) == [("pass", ""), ("pass", "")]
    mail = crlf(vector("dkimpy/rfc6376.signed.msg"))
    assert judged(f, mail, zone) == [("pass", ""), ("pass", "")]
    for old, new in ((b"lost", b"won"), (b"Joe SixPack <", b"Joe  SixPack <"), (b"Is dinner", b"is dinner")):
        assert [r for r, _ in judged(f, mail.replace(old, new), zone)] == ["fail", "fail"]
    sed = {"sed._domainkey.test.ex": record_of("dkimpy/eximtest.dns")}
    wanted = "pass" if dkim.verify(vector("dkimpy/ed25519test2.msg"), dnsfunc=lambda *a, **k: vector("dkimpy/eximtest.dns")) else "fail"
    assert judged(f, crlf(vector("dkimpy/ed25519test2.msg")), sed)[0][0] == wanted
    # others whose keys are not there
    for name in ("message.mbox", "test2.message"):
        assert [r for r, _ in judged(f, crlf(vector("dkimpy/" + name)), {})] == ["permerror"], name


@needs_suite
@pytest.mark.parametrize("record,result", [
    ("test.txt", "pass"), ("test2.txt", "pass"), ("test_bad.txt", "permerror"), ("badk.txt", "permerror"),
    ("badversion.txt", "permerror"), ("test_tlsrpt.txt", "permerror")])
def test_key_vectors(f, record, result):
    key = vector("dkimpy/test.private")
    for name in ("test.message", "test_extra.message", "rfc6376.msg"):
        mail = crlf(vector("dkimpy/" + name))
        for canon in itertools.product((b"simple", b"relaxed"), repeat=2):
            data = dkim.sign(mail, b"test", b"example.com", key, canonicalize=canon) + mail
            assert one(f, data, record_of("dkimpy/" + record), "test", "example.com")[0] == result, (name, canon)
            assert one(f, data + b"more\r\n", record_of("dkimpy/" + record), "test", "example.com")[0] != "pass"


@needs_suite
def test_ed25519_vectors(f):
    mail = crlf(vector("dkimpy/ed25519test.msg"))
    for canon in itertools.product((b"simple", b"relaxed"), repeat=2):
        data = dkim.sign(mail, b"test", b"example.com", vector("dkimpy/ed25519test.key").strip(), canonicalize=canon,
                         signature_algorithm=b"ed25519-sha256") + mail
        assert one(f, data, record_of("dkimpy/ed25519test.dns"), "test", "example.com") == ("pass", "")
        assert one(f, data, record_of("dkimpy/test.txt"), "test", "example.com")[0] == "permerror"


@needs_suite
def test_no_vector_is_left_out():
    used = {"test.private", "test.message", "test_extra.message", "rfc6376.msg", "rfc6376.signed.msg", "ed25519test.msg", "ed25519test.key",
            "ed25519test.dns", "ed25519test2.msg", "eximtest.dns", "message.mbox", "test2.message", "test.txt", "test2.txt", "test_bad.txt",
            "badk.txt", "badversion.txt", "test_tlsrpt.txt"}
    for signing in ("rfc8032_7_1.key", "test2.private", "test_nofrom.message"):  # only for signers
        used.add(signing)
    assert {os.path.basename(p) for p in glob.glob(SUITE + "/dkimpy/*")} == used


# -- rules for keys

def test_key_sizes(f):
    for bits, result in ((512, "policy"), (1023, "policy"), (1024, "pass"), (2048, "pass"), (4096, "pass")):
        key = made_key("genrsa", "-traditional", str(bits))
        got = one(f, signed(key), "v=DKIM1; k=rsa; p=" + key[1])
        assert got == (result, "the key is too short" if result == "policy" else ""), bits


def test_giant_keys(f, rsa):
    """A key of 16384 bits, and one whose exponent is as long as it: neither is computed with."""
    n = (1 << 16383) + 1

    def number(value):
        data = value.to_bytes(value.bit_length() // 8 + 1, "big")
        return b"\x02\x82" + len(data).to_bytes(2, "big") + data

    for modulus, exponent in ((n, 65537), (n, n - 2), ((1 << 4095) + 1, (1 << 4095) - 1)):
        der = number(modulus) + (number(exponent) if exponent > 65537 else b"\x02\x03\x01\x00\x01")
        record = "p=" + base64.b64encode(b"\x30\x82" + len(der).to_bytes(2, "big") + der).decode()
        result, why = one(f, signed(rsa), record)
        assert result == "permerror" and ("too long" in why or "malformed" in why), why


@pytest.mark.parametrize("tags,result", [
    ("v=DKIM1; p=%s", "pass"), ("p=%s", "pass"), ("v=DKIM1; k=rsa; h=sha256; s=email; n=a note; p=%s", "pass"), ("h=sha1:sha256; p=%s", "pass"),
    ("s=*; p=%s;", "pass"), ("s=other:email; p=%s", "pass"), ("v=DKIM1; x-new=1; p=%s", "permerror"), ("v=DKIM1; new=1; p=%s", "pass"),
    ("h=sha1; p=%s", "permerror"), ("h=; p=%s", "permerror"), ("s=tlsrpt; p=%s", "permerror"), ("k=ed25519; p=%s", "permerror"),
    ("k=dsa; p=%s", "permerror"), ("v=DKIM2; p=%s", "permerror"), ("p=%s; v=DKIM1", "permerror"), ("v=DKIM1; p=", "permerror"),
    ("v=DKIM1; k=rsa", "permerror"), ("v=DKIM1; p=%s; p=%s", "permerror"), ("v=DKIM1; p=%%%%", "permerror"), ("", "permerror"),
    ("v=DKIM1; t=s; p=%s", "pass"), ("v=DKIM1; n=" + "x" * 5000 + "; p=%s", "permerror"), ("a=" + ";".join("b%d=" % i for i in range(40)) + ";p=%s",
                                                                                         "permerror")])
def test_key_records(f, rsa, tags, result):
    record = tags.replace("%s", rsa[1]).replace("%%", "%")
    assert one(f, signed(rsa), record)[0] == result


def test_several_records_and_revoked(f, rsa):
    good = "v=DKIM1; p=" + rsa[1]
    assert one(f, signed(rsa), [good, good]) == ("permerror", "there are several keys")
    assert one(f, signed(rsa), "v=DKIM1; p=") == ("permerror", "the key was revoked")


def test_test_mode(f, rsa):
    record = "v=DKIM1; t=y; p=" + rsa[1]
    assert one(f, signed(rsa), record) == ("pass", "")
    assert "dkim=pass (test mode)" in f.last.results
    assert one(f, signed(rsa).replace(b"true", b"false"), record)[0] == "fail"
    assert f.last.hits["dkim"][1] == 0  # no points for a test that failed


def test_strict_identity(f, rsa):
    """t=s in the key: i= must be of the very domain."""
    for record, identity, result in (("", b"a@sub.peer.test", "pass"), ("t=s; ", b"a@sub.peer.test", "permerror"), ("t=s; ", b"a@peer.test", "pass"),
                                     ("t=y:s; ", b"a@sub.peer.test", "permerror")):
        assert one(f, signed(rsa, identity=identity), f"v=DKIM1; {record}p={rsa[1]}")[0] == result, (record, identity)


# -- rules for signatures: each is signed truly, so that nothing but the rule speaks against it

class Unruled(dkim.DKIM):
    """Signs whatever it is given: the tags are changed before they are signed."""

    def gen_header(self, fields, include_headers, canon, header_name, pk, *args, **words):
        return super().gen_header(self.change(fields), include_headers, canon, header_name, pk, *args, **words)


def odd(key, change, mail=MAIL, names=FIELDS):
    """`change` takes and gives [(tag, value)]."""
    signer = Unruled(mail, signature_algorithm=b"rsa-sha256")
    signer.change = change
    return signer.sign(b"sel", b"peer.test", key[0], include_headers=names) + mail


def put(**tags):
    """Set tags; None takes one away."""
    def change(fields):
        new = {k.encode(): v for k, v in tags.items()}
        out = [(k, new.pop(k, v)) for k, v in fields]
        return [(k, v) for k, v in out[:-1] + list(new.items()) + out[-1:] if v is not None]
    return change


RULES = [
    (put(), "pass", ""),
    (put(x=b"%d" % (NOW + 100000)), "pass", ""),
    (put(x=b"%d" % (NOW - 100), t=b"%d" % (NOW - 200)), "fail", "at this time"),
    (put(x=b"%d" % (NOW - 300), t=b"%d" % (NOW - 200)), "permerror", "ends"),
    (put(x=b"soon"), "permerror", "(x=)"),
    (put(t=b"%d" % (NOW + 86400)), "fail", "at this time"),
    (put(t=b"-1"), "permerror", "(t=)"),
    (put(i=b"boss@peer.test"), "pass", ""),
    (put(i=b"@deep.sub.peer.test"), "pass", ""),
    (put(i=b"@Peer.TEST"), "pass", ""),
    (put(i=b"boss@other.test"), "permerror", "(i=)"),
    (put(i=b"boss@badpeer.test"), "permerror", "(i=)"),
    (put(i=b"boss@peer.test.other.test"), "permerror", "(i=)"),
    (put(i=b"boss"), "permerror", "(i=)"),
    (put(v=b"2"), "permerror", "(v=)"),
    (put(v=None), "permerror", "(v=)"),
    (put(s=None), "permerror", "(s=)"),
    (put(d=b"peer.test/x"), "permerror", "(d=)"),
    (put(a=b"rsa-sha1"), "policy", "rsa-sha1"),
    (put(a=b"rsa-sha512"), "permerror", "(a=)"),
    (put(a=b"ed25519-sha256"), "permerror", "algorithm"),
    (put(q=b"dns/txt"), "pass", ""),
    (put(q=b"finger"), "permerror", "(q=)"),
    (put(q=b"new/way:dns/txt"), "pass", ""),
    (put(h=b"to:subject"), "permerror", "(h=)"),
    (put(c=b"odd/simple"), "permerror", ""),
    (put(l=b"many"), "permerror", "(l=)"),
    (put(l=b"%d" % len(b"The true words.\r\n")), "pass", ""),
    (put(l=b"4"), None, ""),
    (put(l=b"99999"), None, ""),
    (put(z=b"From:boss@peer.test|To:" + b"x" * 8000), "pass", ""),
    (put(unknown=b"tag"), "pass", ""),
]


@pytest.mark.parametrize("n", range(len(RULES)))
def test_rule(f, rsa, n):
    change, result, text = RULES[n]
    got, why = one(f, odd(rsa, change), "v=DKIM1; p=" + rsa[1])
    assert (got == result if result else got != "pass") and text in why, (got, why)


@pytest.mark.parametrize("record, words, result", [
    ("v=DKIM1; p=", {}, "permerror"), (None, {}, "permerror"), ("v=DKIM1; p=QUJD", {}, "permerror"),
    ("%s", {"signature_algorithm": b"rsa-sha1"}, "policy"), ("%s", {}, "pass")])
def test_a_signature_over_one_that_does_not_count(f, rsa, record, words, result):
    """What is not verified itself is still part of what a later signature is over."""
    first = dkim.sign(MAIL, b"old", b"first.test", rsa[0], include_headers=FIELDS, **words) + MAIL
    signer = dkim.DKIM(first)
    signer.should_not_sign = set()
    both = signer.sign(b"sel", b"peer.test", rsa[0], include_headers=[*FIELDS, b"dkim-signature"]) + first
    zone = {"sel._domainkey.peer.test": "p=" + rsa[1], "old._domainkey.first.test": record and record.replace("%s", "p=" + rsa[1])}
    zone = {name: text for name, text in zone.items() if text}
    assert [r for r, _ in judged(f, both, zone)] == ["pass", result], f.last.results
    changed = both.replace(b"s=old", b"s=odd")
    assert judged(f, changed, zone)[0][0] == "fail", f.last.results


@pytest.mark.parametrize("ahead, result", [(-10, "pass"), (1800, "pass"), (7200, "fail")])
def test_a_clock_that_is_ahead(f, rsa, monkeypatch, ahead, result):
    monkeypatch.setattr(time, "time", lambda: NOW + ahead)
    assert one(f, signed(rsa), "p=" + rsa[1])[0] == result, f.last.results


def test_length_with_text_beyond(f, rsa):
    record = "v=DKIM1; p=" + rsa[1]
    data = signed(rsa, length=True)
    assert one(f, data, record) == ("pass", "")
    for more in (b"x\r\n", b"More.\r\n" * 1000, b"--b\r\nContent-Type: text/html\r\n\r\n<b>buy</b>\r\n"):
        assert one(f, data + more, record) == ("policy", "text follows what was signed (l=)")


def test_sha1(f, rsa):
    assert one(f, signed(rsa, signature_algorithm=b"rsa-sha1"), "v=DKIM1; p=" + rsa[1]) == ("policy", "rsa-sha1 is not accepted any more")


def test_both_algorithms(f, rsa, ed25519):
    data = signed(rsa, signed(ed25519).replace(b"s=sel", b"s=sel"))
    zone = {"sel._domainkey.peer.test": "v=DKIM1; p=" + rsa[1]}
    assert [r for r, _ in judged(f, data, zone)] == ["pass", "permerror"]
    assert one(f, signed(ed25519), "v=DKIM1; k=ed25519; p=" + ed25519[1]) == ("pass", "")
    assert "header.a=ed25519-sha256 header.i=@peer.test" in f.last.results


# -- fields that are to cost time: what they cost is counted, not measured

def test_many_signatures(f, rsa):
    """Of 500 the first ten are looked at, and their keys are all that is asked for."""
    lines = b"".join(b"DKIM-Signature: v=1; a=rsa-sha256; d=d%d.test; s=s; h=from; bh=QUJD; b=QUJD\r\n" % i for i in range(500))
    f.zone.asked.clear()
    assert len(judged(f, lines + MAIL, {})) == 10
    assert {n for n, _ in f.zone.asked if "_domainkey" in n} == {f"s._domainkey.d{i}.test" for i in range(10)}
    good = signed(rsa)
    zone = {"sel._domainkey.peer.test": "v=DKIM1; p=" + rsa[1]}
    assert [r for r, _ in judged(f, lines[:lines.index(b"DKIM", 400)] + good, zone)][-1] == "pass"


@pytest.mark.parametrize("field,why", [
    (b"v=1; " + b"".join(b"t%d=;" % i for i in range(20000)), "too long"),
    (b"v=1; " + b"".join(b"t%d=;" % i for i in range(1000)), "too many tags"),
    (b"v=1; a=rsa-sha256; d=peer.test; s=sel; h=from; bh=QUJD; z=" + b"x" * 20000 + b"; b=QUJD", "too long"),
    (b"v=1; a=rsa-sha256; d=peer.test; s=sel; h=from; bh=QUJD; b=" + b"A" * 60000, "too long"),
    (b"v=1; a=rsa-sha256; d=peer.test; s=sel; h=from; bh=QUJD; b=" + b"A" * 5000, "(b=)"),
    (b"v=1; a=rsa-sha256; d=peer.test; s=sel; h=from; bh=" + b"A" * 5000 + b"; b=QUJD", "(bh=)"),
    (b"v=1; a=rsa-sha256; d=peer.test; s=sel; h=from" + b":from" * 1000 + b"; bh=QUJD; b=QUJD", "(h=)"),
    (b"v=1; a=rsa-sha256; d=" + b"a." * 500 + b"test; s=sel; h=from; bh=QUJD; b=QUJD", "(d=)"),
    (b";" * 10000, "malformed"), (b"=" * 10000, "malformed"), (b"", "malformed"), (b"v", "malformed"),
    (b"v=1;\r\n\t" * 300, "malformed"),
])
def test_hostile_field(f, rsa, field, why):
    data = b"DKIM-Signature: " + field + b"\r\n" + signed(rsa)
    got = judged(f, data, {"sel._domainkey.peer.test": "v=DKIM1; p=" + rsa[1]})
    assert got[0][0] == "permerror" and why in got[0][1], got
    assert got[1] == ("pass", "")  # the good one below it still counts


def test_a_signature_of_a_mebibyte(f, rsa):
    """The header is too long to be judged; the filter lives and the next message is."""
    data = b"DKIM-Signature: v=1; a=rsa-sha256; d=peer.test; s=sel; h=from; bh=QUJD; b=" + b"A" * (1 << 20) + b"\r\n" + signed(rsa)
    assert "pass" not in [r for r, _ in judged(f, data, {"sel._domainkey.peer.test": "v=DKIM1; p=" + rsa[1]})]
    assert f.last.reply.startswith("550 5.7.1")
    assert one(f, signed(rsa), "v=DKIM1; p=" + rsa[1]) == ("pass", "")
