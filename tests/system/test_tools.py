"""The tools of these tests, tried by themselves: no server needed."""
import smtplib

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from dns_server import SERVFAIL, TIMEOUT, TRUNCATED, DnsServer
from peer import DROP, Peer
from server import free_port


@pytest.fixture
def names():
    server = DnsServer(free_port(), {
        "peer.test": {"MX": ["10 mx.peer.test."], "TXT": (TRUNCATED, ['"v=spf1 -all"'])},
        "mx.peer.test": {"A": ["127.0.0.1"]},
        "a.loop.test": {"CNAME": ["b.loop.test."]}, "b.loop.test": {"CNAME": ["a.loop.test."]},
        "alias.test": {"CNAME": ["mx.peer.test."]},
        "slow.test": TIMEOUT, "bad.test": {"MX": SERVFAIL},
    }).start()
    yield server
    server.stop()


def ask(names, name, kind, how=dns.query.udp, **options):
    return how(dns.message.make_query(name, kind), "127.0.0.1", port=names.port, timeout=2, **options)


def test_dns_answers(names):
    assert ask(names, "peer.test", "MX").answer[0][0].to_text() == "10 mx.peer.test."
    assert [dns.rdatatype.to_text(r.rdtype) for r in ask(names, "alias.test", "A").answer] == ["CNAME", "A"]
    assert len(ask(names, "a.loop.test", "A").answer) >= 2
    assert ask(names, "nothing.test", "A").rcode() == dns.rcode.NXDOMAIN
    assert ask(names, "peer.test", "A").rcode() == dns.rcode.NOERROR
    assert ask(names, "loop.test", "A").rcode() == dns.rcode.NOERROR
    assert ask(names, "bad.test", "MX").rcode() == dns.rcode.SERVFAIL
    with pytest.raises(dns.exception.Timeout):
        dns.query.udp(dns.message.make_query("slow.test", "A"), "127.0.0.1", port=names.port, timeout=0.2)
    assert ("peer.test", "MX") in names.asked


def test_dns_truncation(names):
    assert not ask(names, "peer.test", "TXT", ignore_trailing=True).answer
    assert ask(names, "peer.test", "TXT", dns.query.tcp).answer


def test_peer_takes_and_scripts():
    with Peer(script={"rcpt": ["451 4.2.0 later", None]}) as peer:
        with smtplib.SMTP("127.0.0.1", peer.port) as s:
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                s.sendmail("a@x.test", ["b@peer.test"], "Subject: x\r\n\r\n.dot\r\n")
            s.sendmail("a@x.test", ["b@peer.test"], "Subject: x\r\n\r\n.dot\r\n")
        mail, = peer.wait(1)
        assert (mail.sender, mail.rcpts) == ("a@x.test", ["b@peer.test"])
        assert mail.data.endswith(b"\r\n.dot\r\n")


def test_peer_drops():
    with Peer(script={"body": DROP}) as peer, smtplib.SMTP("127.0.0.1", peer.port) as s:
        with pytest.raises(smtplib.SMTPServerDisconnected):
            s.sendmail("a@x.test", ["b@peer.test"], "x")
        assert peer.mails == []
