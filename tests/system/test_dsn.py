"""A whole server between a client that asks for reports and peers that know of them, or not; letters beyond ASCII on the same way."""
import email
import email.policy

import pytest

from peer import Peer
from server import message

ALICE, BOB, PASSWORD = "alice@example.test", "bob@example.test", "alice-secret"
USUAL = ["PIPELINING", "8BITMIME", "SIZE 52428800", "ENHANCEDSTATUSCODES"]


@pytest.fixture
def relaying(make_server):
    """A server whose port for MX hosts is the peer's, and that peer with extensions beside the usual ones."""
    peers = []

    def make(*extensions, **options):
        peer = Peer(extensions=USUAL + list(extensions), script=options.pop("script", None))
        peers.append(peer)
        server = make_server({"relay.port": str(peer.port), **options}, "")
        mx = {"MX": ["10 mx.peer.test."]}
        server.dns.zones = {"peer.test": mx, "xn--bcher-kva.test": mx, "mx.peer.test": {"A": ["127.0.0.1"]}}
        return server, peer

    yield make
    for p in peers:
        p.stop()


def submit(server, to, rcpt_options=(), mail_options=(), sender=ALICE, text=None):
    with server.smtp("submissions", ALICE, PASSWORD) as s:
        s.sendmail(sender, [to], text or message("going out", sender, "x@peer.test").as_bytes(), list(mail_options), list(rcpt_options))


def report_of(raw):
    """(subject, what came back, [Action, Final-Recipient, Original-Recipient]*), as Python's email reads it."""
    m = email.message_from_bytes(raw, policy=email.policy.default)
    assert m.get_content_type() == "multipart/report" and m.defects == []
    text, status, back = m.iter_parts()
    blocks = status.get_payload()
    return m["Subject"], back, blocks[0]["Original-Envelope-Id"], [
        (b["Action"], b["Final-Recipient"], b["Original-Recipient"]) for b in blocks[1:]]


def test_a_peer_with_dsn_reports_itself(relaying):
    server, peer = relaying("DSN")
    submit(server, "x@peer.test", ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;X+2Btag@peer.test"], ["RET=HDRS", "ENVID=QQ+2B314"])
    mail, = peer.wait(1)
    assert "RET=HDRS" in mail.options and "ENVID=QQ+2B314" in mail.options
    assert "RCPT TO:<x@peer.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;X+2Btag@peer.test" in peer.commands
    server.wait_queue_empty()
    assert server.mails(ALICE) == []


def test_a_peer_without_dsn(relaying):
    server, peer = relaying()
    submit(server, "x@peer.test", ["NOTIFY=SUCCESS", "ORCPT=rfc822;X+2Btag@peer.test"], ["ENVID=QQ+2B314"])
    peer.wait(1)
    assert "RCPT TO:<x@peer.test>" in peer.commands
    mail, = server.wait_mails(ALICE, 1)
    assert mail.message["Return-Path"] == "<>"
    subject, _, envid, rcpts = report_of(mail.raw)
    assert subject == "Your mail was handed on" and envid == "QQ+314"
    assert rcpts == [("relayed", "rfc822;x@peer.test", "rfc822;X+tag@peer.test")]
    server.wait_queue_empty()


def test_delivered_here(relaying):
    """The report to a stranger goes where he is, and asks for no report itself."""
    server, peer = relaying("DSN")
    with server.smtp() as s:
        s.sendmail("a@peer.test", [ALICE, BOB], message("for both").as_bytes(), [], ["NOTIFY=SUCCESS"])
    server.wait_mails(ALICE, 1)
    server.wait_mails(BOB, 1)
    server.wait_queue_empty()
    named = []
    for mail in peer.mails:
        assert mail.sender == "" and mail.rcpts == ["a@peer.test"]
        subject, _, _, rcpts = report_of(mail.data)
        assert subject == "Your mail was delivered"
        named += rcpts
    assert sorted(named) == [("delivered", "rfc822;" + a, "rfc822;" + a) for a in (ALICE, BOB)]
    assert "RCPT TO:<a@peer.test> NOTIFY=NEVER" in peer.commands


@pytest.mark.parametrize("notify,told", [("NEVER", False), ("DELAY", False), ("FAILURE", True)])
def test_failure(relaying, notify, told):
    server, peer = relaying(script={"rcpt": "550 5.1.1 Nobody of that name"})
    submit(server, "x@peer.test", ["NOTIFY=" + notify], ["RET=FULL"], text=message("whole", ALICE, body="All of it.\n").as_bytes())
    server.wait_queue_empty()
    if not told:
        assert server.mails(ALICE) == []
        return
    mail, = server.wait_mails(ALICE, 1)
    _, back, _, rcpts = report_of(mail.raw)
    assert rcpts[0][0] == "failed" and back.get_content_type() == "message/rfc822"
    assert "All of it." in back.get_content().get_content()


def test_the_question_survives_a_restart(relaying):
    server, peer = relaying(script={"mail": ["451 4.3.0 Later", None]}, **{"relay.retry": '{1s}'})
    submit(server, "x@peer.test", ["NOTIFY=SUCCESS", "ORCPT=rfc822;X@peer.test"], ["ENVID=abc"])
    server.restart()
    peer.wait(1)
    mail, = server.wait_mails(ALICE, 1)
    assert report_of(mail.raw)[2:] == ("abc", [("relayed", "rfc822;x@peer.test", "rfc822;X@peer.test")])


# -- beyond ASCII

UTF8_TEXT = "From: alice@example.test\r\nTo: Jörg <jörg@bücher.test>\r\nSubject: Grüße\r\n\r\nHallo.\r\n".encode()


def test_utf8_goes_out(relaying):
    server, peer = relaying("SMTPUTF8")
    submit(server, "jörg@bücher.test", [], ["SMTPUTF8", "BODY=8BITMIME"], text=UTF8_TEXT)
    mail, = peer.wait(1)
    assert "SMTPUTF8" in mail.options and mail.rcpts == ["jörg@bücher.test"]
    assert mail.data.endswith(UTF8_TEXT) and b"with UTF8SMTPSA" in mail.data


def test_utf8_that_the_peer_cannot_take(relaying):
    server, peer = relaying()
    submit(server, "jörg@bücher.test", [], ["SMTPUTF8", "BODY=8BITMIME"], text=UTF8_TEXT)
    mail, = server.wait_mails(ALICE, 1)
    assert b"5.6.7" in mail.raw and b"only ASCII" in mail.raw
    assert b"Final-Recipient: utf-8;j\xc3\xb6rg@b\xc3\xbccher.test" in mail.raw and peer.mails == []


def test_a_domain_of_ours_in_either_form(make_server):
    server = make_server({}, "")
    server.add_domain("xn--bcher-kva.test", carl="carl-secret")
    with server.smtp() as s:
        for domain in ("bücher.test", "BÜCHER.test", "xn--bcher-kva.test"):
            s.sendmail("a@peer.test", ["carl@" + domain], message("to " + domain.encode("idna").decode()).as_bytes(),
                       ["SMTPUTF8"] if "ü" in domain.lower() else [])
    mails = server.wait_mails("carl@xn--bcher-kva.test", 3)
    assert {m.message["Delivered-To"] for m in mails} == {"carl@xn--bcher-kva.test"}
