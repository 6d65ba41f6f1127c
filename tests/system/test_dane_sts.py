"""A domain that has both TLSA records and an MTA-STS policy: DANE decides (RFC 8461 2)."""
import time

import pytest

from pki import certificate
from relay_role import STEP_OK, STEP_TEMPORARY, Relay, Role, Smtp
from signed_zones import SignedZones, tlsa
from test_mta_sts import Control, PolicyServer, policy


@pytest.fixture
def both(tmp_path):
    """both(tlsa of which certificate or None, certificate shown, policy's mx): status, words, TLS in words, mails."""
    certificate(tmp_path, "ca", "Test CA")
    certificate(tmp_path, "mx", "mx.both.example", "ca")
    certificate(tmp_path, "self", "no.matter.example")
    certificate(tmp_path, "policy", "mta-sts.both.example", "ca")
    made = []

    def make(record, shown, mx):
        smtp = Smtp(str(tmp_path / (shown + ".pem")))
        https = PolicyServer(str(tmp_path / "policy.pem"))
        https.text = policy(mx=mx)
        zones = SignedZones(tmp_path / "zones")
        zones.add("both.example", "@ MX 10 mx", "mx A 127.0.0.1", "mta-sts A 127.0.0.1", '_mta-sts TXT "v=STSv1; id=1;"',
                  *(["_%d._tcp.mx %s" % (smtp.port, tlsa(str(tmp_path / (record + ".crt"))))] if record else []))
        zones.start()
        resolver = Role("resolver", "base/dns/resolver",
                        [("resolver.servers", "127.0.0.1:%d" % zones.port), ("resolver.validate", "true"),
                         ("resolver.trust_anchor", zones.anchor), ("resolver.timeout", "5000")])
        relay = Relay([("relay.port", str(smtp.port)), ("relay.mta_sts", "true"), ("relay.sts_port", str(https.port))], resolver=resolver,
                      files=[("CA_BUNDLE", tmp_path / "ca.crt")])
        made.extend([relay, resolver, https, zones])
        relay.role.add("CONTROL", Control().link.theirs)
        time.sleep(0.2)  # the link is there before the mail
        _, rcpts = relay.send("both.example", "b@both.example", timeout=60)
        return rcpts[0][1], rcpts[0][4], relay.tls, smtp.mails, https.asked
    (tmp_path / "zones").mkdir()
    yield make
    for m in made:
        m.stop()


@pytest.mark.parametrize("mx", ["mx.both.example", "another.example"])
def test_dane_passes_where_sts_would_not(both, mx):
    """By MTA-STS the certificate would be nobody's, and in the second case the host not even named."""
    status, words, tls, mails, asked = both("self", "self", mx)
    assert status == STEP_OK, words
    assert "DANE, verified" in tls and mails[0]["tls"] and asked


def test_dane_fails_where_sts_would_pass(both):
    status, words, _, mails, asked = both("self", "mx", "mx.both.example")
    assert status == STEP_TEMPORARY and "DANE" in words and mails == [] and asked


@pytest.mark.parametrize("shown,status", [("mx", STEP_OK), ("self", STEP_TEMPORARY)])
def test_without_records_the_policy_decides(both, shown, status):
    """What the tests above would be without DANE."""
    got, words, tls, mails, _ = both(None, shown, "mx.both.example")
    assert got == status and len(mails) == (status == STEP_OK)
    assert "MTA-STS" in (tls if status == STEP_OK else words)
