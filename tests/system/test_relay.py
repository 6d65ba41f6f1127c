"""Mail for others: to the right host, again when it must, and back when it cannot."""
import re
import smtplib
import time

import pytest

from dns_server import SERVFAIL, TIMEOUT
from peer import Peer
from server import make_certificate, message, wait_until

USER, PASSWORD = "alice@example.test", "alice-secret"


@pytest.fixture
def relaying(make_server):
    """A server whose port for MX hosts is the peer's, and that peer."""
    peers = []

    def make(options=None, extra="", **peer_options):
        peer = Peer(**peer_options)
        peers.append(peer)
        server = make_server({"relay.port": str(peer.port), **(options or {})}, extra)
        server.dns.zones = {
            "peer.test": {"MX": ["10 mx.peer.test."]},
            "mx.peer.test": {"A": ["127.0.0.1"]},
        }
        return server, peer

    yield make
    for p in peers:
        p.stop()


def submit(server, to, sender=USER, text=None):
    to = [to] if isinstance(to, str) else to
    with server.smtp("submissions", USER, PASSWORD) as s:
        s.sendmail(sender, to, (text or message("going out", sender, to[0])).as_bytes())


def test_to_the_mx(relaying):
    server, peer = relaying()
    submit(server, "x@peer.test")
    mail, = peer.wait(1)
    assert (mail.sender, mail.rcpts, mail.helo) == (USER, ["x@peer.test"], "mx.example.test")
    assert b"Subject: going out\r\n" in mail.data
    assert mail.data.startswith(b"Received: ") or b"\r\nReceived: " in mail.data
    server.wait_queue_empty()


def test_order_of_mx(relaying):
    """The first host does not answer: the next one is tried in the same attempt."""
    server, peer = relaying()
    server.dns.zones["peer.test"] = {"MX": ["20 mx.peer.test.", "10 dead.peer.test.", "5 gone.peer.test."]}
    server.dns.zones["dead.peer.test"] = {"A": ["127.0.0.77"]}
    submit(server, "x@peer.test")
    peer.wait(1)


def test_no_mx_means_the_address(relaying):
    server, peer = relaying()
    server.dns.zones["plain.test"] = {"A": ["127.0.0.1"]}
    submit(server, "x@plain.test")
    peer.wait(1)


def test_null_mx(relaying):
    server, peer = relaying()
    server.dns.zones["nomail.test"] = {"MX": ["0 ."], "A": ["127.0.0.1"]}
    submit(server, "x@nomail.test")
    report, = server.wait_mails(USER, 1)
    assert "x@nomail.test" in report.raw.decode()
    assert peer.sessions == 0


def test_no_such_domain(relaying):
    server, _ = relaying()
    submit(server, "x@nothing.invalid-domain.test")
    report, = server.wait_mails(USER, 1)
    assert report.message["Return-Path"] == "<>"


def test_dns_trouble_is_no_end(relaying):
    server, peer = relaying({"resolver.timeout": "1s"})
    server.dns.zones["peer.test"] = {"MX": SERVFAIL}
    submit(server, "x@peer.test")
    wait_until("an attempt", lambda: any(r["attempts"] for m in server.queue() for r in m["recipients"]), 20)
    server.dns.zones["peer.test"] = {"MX": ["10 mx.peer.test."]}
    # a retry is refused while an attempt is under way
    wait_until("delivery", lambda: peer.mails or server.run("queue", "retry", "--all", check=False) is None, 40)
    assert len(peer.mails) == 1


def test_later_then_taken(relaying):
    server, peer = relaying(script={"rcpt": ["451 4.2.0 later", None]})
    submit(server, "x@peer.test")
    wait_until("the reason in the queue", lambda: peer.mails or "4.2.0" in str(server.queue()))
    peer.wait(1)
    server.wait_queue_empty()


def test_each_stage_can_fail_once(relaying):
    for stage in ("connect", "ehlo", "mail", "data", "body"):
        server, peer = relaying(script={stage: ["421 4.3.0 not now", None]})
        submit(server, "x@peer.test")
        peer.wait(1)


def test_dropped_before_the_reply_is_sent_again(relaying):
    server, peer = relaying(script={"body": ["take-and-drop", None]})
    submit(server, "x@peer.test")
    assert len(peer.wait(2)) == 2
    server.wait_queue_empty()


def test_refused_comes_back(relaying):
    server, peer = relaying(script={"rcpt": "550 5.1.1 no such user here"})
    submit(server, "x@peer.test")
    report, = server.wait_mails(USER, 1)
    m = report.message
    assert m["Return-Path"] == "<>"
    assert m.get_content_type() == "multipart/report" and m.get_param("report-type") == "delivery-status"
    kinds = [p.get_content_type() for p in m.iter_parts()]
    assert kinds[:2] == ["text/plain", "message/delivery-status"]
    text = report.raw.decode()
    assert re.search(r"^Final-Recipient: rfc822; ?x@peer\.test$", text, re.M)
    assert re.search(r"^Action: failed$", text, re.M)
    assert re.search(r"^Status: 5\.1\.1$", text, re.M)
    assert "no such user here" in text and "Subject: going out" in text
    server.wait_queue_empty()


def test_lifetime_ends(relaying):
    server, peer = relaying({"relay.lifetime": "2s", "relay.warn_after": "0"}, script={"rcpt": "451 4.2.0 never"})
    submit(server, "x@peer.test")
    report, = server.wait_mails(USER, 1, seconds=30)
    assert "never" in report.raw.decode()
    server.wait_queue_empty()


def test_several_recipients_one_transaction(relaying):
    server, peer = relaying(script={"rcpt": ("550 5.1.1 not this one", "b@peer.test")})
    submit(server, ["a@peer.test", "b@peer.test", "c@peer.test"])
    mail, = peer.wait(1)
    assert sorted(mail.rcpts) == ["a@peer.test", "c@peer.test"]
    report, = server.wait_mails(USER, 1)
    assert "b@peer.test" in report.raw.decode()


def test_tls_when_offered(relaying, tmp_path):
    server, peer = relaying(tls=make_certificate(tmp_path, "mx.peer.test"))
    submit(server, "x@peer.test")
    assert peer.wait(1)[0].tls


def test_tls_required_and_not_there(relaying):
    server, peer = relaying({"relay.tls": "required", "relay.lifetime": "2s"})
    submit(server, "x@peer.test")
    server.wait_mails(USER, 1, seconds=30)
    assert peer.mails == []


def test_smarthost(relaying):
    smart = Peer()
    server, peer = relaying({"relay.smarthost": f'"127.0.0.1:{smart.port}"'})
    submit(server, "x@anything.test")
    assert smart.wait(1)[0].rcpts == ["x@anything.test"]
    assert peer.sessions == 0
    smart.stop()


def test_route(relaying):
    other = Peer()
    server, peer = relaying(extra=f'route "routed.test" {{ host = "127.0.0.1:{other.port}" tls = none }}')
    submit(server, ["x@routed.test", "y@peer.test"])
    assert other.wait(1)[0].rcpts == ["x@routed.test"]
    assert peer.wait(1)[0].rcpts == ["y@peer.test"]
    other.stop()


def test_one_destination_does_not_delay_another(relaying):
    """A host that accepts connections and says nothing holds up only its own mail."""
    import socket

    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen()
    server, peer = relaying(extra=f'route "silent.test" {{ host = "127.0.0.1:{silent.getsockname()[1]}" tls = none }}')
    for i in range(10):
        submit(server, f"{i}@silent.test")
    start = time.monotonic()
    submit(server, "x@peer.test")
    peer.wait(1)
    assert time.monotonic() - start < 10
    assert len(server.queue()) == 10
    silent.close()


def test_alias_outside(relaying):
    """An alias whose target is elsewhere: mail from outside is sent on."""
    server, peer = relaying()
    server.cli("alias", "add", "away@example.test", "x@peer.test", "bob@example.test")
    with server.smtp() as s:
        s.sendmail("someone@third.test", ["away@example.test"], message("onward", "someone@third.test").as_bytes())
    assert peer.wait(1)[0].rcpts == ["x@peer.test"]
    server.wait_mails("bob@example.test", 1)


def test_trusted_networks(relaying):
    server, peer = relaying({"trusted_networks": '{"127.0.0.1"}'})
    with server.smtp() as s:
        s.sendmail("printer@example.test", ["x@peer.test"], message("scan", "printer@example.test").as_bytes())
    peer.wait(1)


def test_no_report_for_a_report(relaying):
    """A message from <> that cannot be delivered ends there."""
    server, peer = relaying({"trusted_networks": '{"127.0.0.1"}'}, script={"rcpt": "550 5.1.1 no"})
    with server.smtp() as s:
        s.sendmail("", ["x@peer.test"], message("a report").as_bytes())
    wait_until("the attempt", lambda: any(c.startswith("RCPT") for c in peer.commands))
    server.wait_queue_empty()
    assert server.mails(USER) == [] and server.mails("bob@example.test") == []


def test_unreachable_dns_keeps_mail(relaying):
    server, peer = relaying({"resolver.timeout": "1s"})
    server.dns.zones["peer.test"] = TIMEOUT
    submit(server, "x@peer.test")
    time.sleep(3)
    listed, = server.queue()
    assert listed["recipients"][0]["to"] == "x@peer.test"
    with pytest.raises(smtplib.SMTPException):
        with server.smtp() as s:
            s.sendmail("a@third.test", ["x@peer.test"], "x")
