"""Chains of ARC seals: made by an independent implementation, judged by the filter; the public suite where it is there."""
import json
import os
import re
import subprocess

import dkim
import pytest

from filter_role import ACCEPT, REFUSE, Filter

SUITE = os.path.join(os.path.dirname(__file__), "../../../shared/conformance/arc/arc-validation-dev.json")
HEADER = [b"from", b"to", b"subject", b"date"]
MAIL = (b"From: boss@strict.test\r\nTo: alice@example.test\r\nSubject: news\r\nDate: Tue, 24 Nov 2026 05:52:28 +0000\r\n"
        b"Message-ID: <1@strict.test>\r\n\r\nA list brings this.\r\n")


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    private = subprocess.run(["openssl", "genrsa", "-traditional", "2048"], capture_output=True, check=True).stdout
    public = subprocess.run(["openssl", "rsa", "-pubout"], input=private, capture_output=True, check=True).stdout.decode()
    return private, "v=DKIM1; k=rsa; p=" + "".join(public.split("\n")[1:-2])


@pytest.fixture
def filtering(tmp_path):
    running = []

    def make(zone, conf=()):
        running.append(Filter(tmp_path, zone, conf=[("spam.enabled", "false"), *conf]))
        assert running[-1].ready, running[-1].why
        return running[-1]

    yield make
    for f in running:
        f.stop()


def chain(v):
    """What our field says of the chain."""
    return re.search(r"\barc=(\w+)", v.results).group(1)


def sealed(mail, domain, key, saw="dmarc=pass header.from=strict.test", header=HEADER):
    """One more set on top, by another implementation."""
    mail = f"Authentication-Results: {domain}; arc={'pass' if b'ARC-Seal' in mail else 'none'}; {saw}\r\n".encode() + mail
    return b"".join(dkim.arc_sign(mail, b"s", domain.encode(), key[0], domain.encode(), include_headers=header)) + mail


def zone_for(key, *domains):
    zone = {(f"s._domainkey.{d}", "TXT"): [key[1]] for d in domains}
    zone["_dmarc.strict.test", "TXT"] = ["v=DMARC1; p=reject"]
    return zone


def test_whole_and_altered_chains(filtering, key):
    f = filtering(zone_for(key, "one.test", "two.test", "three.test"))
    mail = MAIL.replace(b"strict", b"other")
    for n, domain in enumerate(("one.test", "two.test", "three.test"), 1):
        mail = sealed(mail, domain, key)
        v = f.judge(mail)
        assert chain(v) == "pass" and f"({n} seal" in v.results and domain in v.results, v.results
    for old, new in ((b"A list", b"A fist"), (b"news", b"noise"), (b"dmarc=pass", b"dmarc=fail"), (b"cv=pass", b"cv=none"),
                     (b"i=2", b"i=1"), (b"d=one.test", b"d=two.test")):
        assert chain(f.judge(mail.replace(old, new, 1))) == "fail", (old, new)
    # the last set taken away: what is left is whole, and a middle one taken away is not
    top = mail.index(b"ARC-Seal: i=2") if b"ARC-Seal: i=2" in mail else mail.index(b"ARC-Seal", 10)
    assert chain(f.judge(mail[top:])) == "pass"
    assert f.judge(MAIL.replace(b"strict", b"other")).results.endswith("arc=none smtp.remote-ip=192.0.2.1")


def test_keys_that_are_not_there(filtering, key):
    f = filtering({**zone_for(key, "one.test"), ("s._domainkey.two.test", "TXT"): ["v=DKIM1; k=rsa; p="]})
    mail = sealed(MAIL, "one.test", key)
    assert chain(f.judge(sealed(mail, "two.test", key))) == "fail"
    assert chain(f.judge(sealed(mail, "gone.test", key))) == "fail"


def test_trusted_sealers(filtering, key):
    f = filtering(zone_for(key, "one.test", "two.test"), conf=[("arc.trusted", "one.test")])
    assert f.judge(MAIL).verdict == REFUSE
    v = f.judge(sealed(MAIL, "one.test", key))
    assert v.verdict == ACCEPT and "dmarc=fail" in v.results and "one.test of arc.trusted saw DMARC pass" in v.results
    # it did not see it pass, or for somebody else
    assert f.judge(sealed(MAIL, "one.test", key, saw="dmarc=fail header.from=strict.test")).verdict == REFUSE
    assert f.judge(sealed(MAIL, "one.test", key, saw="dmarc=pass header.from=other.test")).verdict == REFUSE
    assert f.judge(sealed(MAIL, "one.test", key, saw='spf=fail reason="; dmarc=pass"')).verdict == REFUSE
    assert f.judge(sealed(MAIL, "one.test", key, saw="spf=fail (; dmarc=pass)")).verdict == REFUSE
    # a stranger is the last one: it could have written anything
    assert f.judge(sealed(sealed(MAIL, "one.test", key), "two.test", key)).verdict == REFUSE
    # the chain is broken
    assert f.judge(sealed(MAIL, "one.test", key).replace(b"A list", b"A fist")).verdict == REFUSE


def test_a_long_chain_does_not_hide_the_policy(filtering, key):
    seals = b"".join(b"ARC-Seal: i=%d; a=rsa-sha256; b=QUJD; cv=%s; d=d%d.test; s=s%d; t=1\r\n"
                     b"ARC-Message-Signature: i=%d; a=rsa-sha256; b=QUJD; bh=QUJD; d=d%d.test; h=from; s=m%d; t=1\r\n"
                     b"ARC-Authentication-Results: i=%d; x; dmarc=pass\r\n"
                     % (i, b"none" if i == 1 else b"pass", i, i, i, i, i, i) for i in range(50, 0, -1))
    f = filtering(zone_for(key))
    v = f.judge(seals + MAIL)
    assert (v.verdict, chain(v)) == (REFUSE, "fail")
    assert len(f.zone.asked) <= 50


def test_a_list_of_fields_has_an_end(filtering, key):
    f = filtering(zone_for(key, "one.test"))
    mail = MAIL.replace(b"strict", b"other")
    assert chain(f.judge(sealed(mail, "one.test", key, header=HEADER + [b"x"] * 900))) == "pass"
    assert chain(f.judge(sealed(mail, "one.test", key, header=HEADER + [b"x"] * 1100))) == "fail"


def suite():
    if not os.path.exists(SUITE):
        return []
    with open(SUITE) as file:
        return [pytest.param(scenario["txt-records"], test, id=name) for scenario in json.load(file)
                for name, test in scenario["tests"].items()]


def test_public_suite(filtering):
    if not suite():
        pytest.skip("the suite is not here")
    wrong, f = [], None
    for case in suite():
        records, test = case.values
        zone = {(name.lower(), "TXT"): [re.sub(r"\s+", " ", text)] for name, text in records.items()}
        if f is None:
            f = filtering(zone)
        f.zone.zone = zone
        v = f.judge(test["message"].replace("\r\n", "\n").replace("\n", "\r\n").encode())
        if chain(v) != (test["cv"] or "none").lower():
            wrong.append((case.id, test["cv"], v.results))
    assert not wrong, wrong
