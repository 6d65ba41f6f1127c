"""Mail that an alias of ours leads to another server: its sender, the way back, circles, spam; and what `tegami route` says of it."""
import re
import smtplib
import sqlite3

import pytest

from peer import Peer
from server import message

STRANGER = "bob.sender@peer.test"


@pytest.fixture
def forwarding(make_server):
    """A server whose alias out@example.test leads to outside.test; strangers are at peer.test."""
    with Peer() as outside, Peer() as strangers:
        def make(options=None, extra="", quiet=True):
            server = make_server(options, f"""
route "outside.test" {{ host = "127.0.0.1:{outside.port}" tls = none }}
route "peer.test" {{ host = "127.0.0.1:{strangers.port}" tls = none }}
""" + extra, quiet)
            server.cli("alias", "add", "out@example.test", "x@outside.test")
            return server
        yield make, outside, strangers


def send(server, sender, to, text=None):
    with server.smtp() as s:
        s.sendmail(sender, [to], text or message("on", sender or STRANGER, to).as_bytes())


def refused(server, sender, to, text=None):
    with pytest.raises((smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError)) as e:
        send(server, sender, to, text)
    return e.value.recipients[to] if isinstance(e.value, smtplib.SMTPRecipientsRefused) else (e.value.smtp_code, e.value.smtp_error)


def test_sender_leads_back(forwarding):
    make, outside, strangers = forwarding
    server = make()
    send(server, STRANGER, "out@example.test")
    mail, = outside.wait(1)
    assert re.fullmatch(r"SRS0=[A-Z2-7]{6}=[A-Z2-7]{2}=peer\.test=bob\.sender@example\.test", mail.sender), mail.sender
    assert mail.rcpts == ["x@outside.test"]
    assert mail.data.startswith(b"Delivered-To: out@example.test\r\n")
    # the other side cannot deliver it after all: its report comes back, and goes to who wrote the mail
    report = message("Undelivered", "MAILER-DAEMON@outside.test", mail.sender, "no such user\n").as_bytes()
    send(server, "", mail.sender.lower(), report)
    back, = strangers.wait(1)
    assert (back.sender, back.rcpts) == ("", [STRANGER]) and b"no such user" in back.data
    server.wait_queue_empty()
    # nobody else gets anything to anyone by it
    assert refused(server, "spammer@evil.test", mail.sender)[0] == 550
    code, text = refused(server, "", mail.sender.replace("bob", "rob"))
    assert code == 550 and b"not made by this server" in text
    code, text = refused(server, "", "SRS0=AAAAAA=AA=peer.test=victim@example.test")
    assert code == 550
    assert refused(server, "", "SRS1=AAAAAA=peer.test==AAAAAA=AA=peer.test=victim@example.test")[0] == 550
    # the way is shown
    told = server.json("route", mail.sender)
    assert [t["address"] for t in told["targets"]] == [STRANGER] and told["steps"][0]["is"] == "return-address"


def test_key_is_kept_and_changes(forwarding):
    make, outside, strangers = forwarding
    server = make()
    send(server, STRANGER, "out@example.test")
    first = outside.wait(1)[0].sender
    server.stop()
    db = sqlite3.connect(server.state / "directory.db")
    rows = db.execute("SELECT created, length(secret) FROM forward_keys").fetchall()
    assert len(rows) == 1 and rows[0][1] == 32
    db.execute("UPDATE forward_keys SET created = created - 31 * 86400 * 1000000")
    db.commit()
    db.close()
    server.start()
    send(server, STRANGER, "out@example.test")
    second = outside.wait(2)[1].sender
    assert second != first
    for sender in (first, second):  # both still lead back
        send(server, "", sender)
    strangers.wait(2)
    server.stop()
    db = sqlite3.connect(server.state / "directory.db")
    assert db.execute("SELECT count(*) FROM forward_keys").fetchone() == (2,)
    db.close()
    server.start()


def test_from_another_forwarder(forwarding):
    make, outside, strangers = forwarding
    server = make()
    first = "SRS0=abcd=XY=start.test=bob@peer.test"
    send(server, first, "out@example.test")
    sender = outside.wait(1)[0].sender
    assert re.fullmatch(r"SRS1=[A-Z2-7]{6}=peer\.test==abcd=XY=start\.test=bob@example\.test", sender)
    send(server, "", sender)
    assert strangers.wait(1)[0].rcpts == [first]


def test_own_senders_and_reports_stay(forwarding):
    make, outside, _ = forwarding
    server = make()
    with server.smtp("submission", "alice@example.test", "alice-secret") as s:
        s.sendmail("alice@example.test", ["out@example.test"], message("own", "alice@example.test", "out@example.test").as_bytes())
    assert outside.wait(1)[0].sender == "alice@example.test"
    send(server, "", "out@example.test")
    assert outside.wait(2)[1].sender == ""


def test_switched_off(forwarding):
    make, outside, _ = forwarding
    server = make({"srs.enabled": "false"})
    send(server, STRANGER, "out@example.test")
    assert outside.wait(1)[0].sender == STRANGER


def test_a_circle_ends(forwarding):
    """What went out by the alias comes back to it: refused, with a word that says so."""
    make, outside, _ = forwarding
    server = make()
    send(server, STRANGER, "out@example.test")
    mail, = outside.wait(1)
    code, text = refused(server, mail.sender, "out@example.test", mail.data)
    assert code == 554 and b"circle" in text
    # in a mailbox it ends
    send(server, mail.sender, "alice@example.test", mail.data)
    server.wait_mails("alice@example.test", 1)


def test_spam_does_not_go_on(forwarding):
    make, outside, strangers = forwarding
    server = make({"spam.enabled": "true", "spam.junk_score": "0.1", "spam.refuse_score": "999"})  # mail of a test has so much
    server.cli("alias", "add", "team@example.test", "bob@example.test", "y@outside.test")
    spam = message("cheap", STRANGER, "out@example.test").as_bytes()
    code, text = refused(server, STRANGER, "out@example.test", spam)
    assert code == 550 and b"spam" in text
    send(server, STRANGER, "team@example.test", spam)
    server.wait_mails("bob@example.test", 1, folder="Junk")
    server.wait_queue_empty()
    assert outside.mails == []
    server.wait_trace(STRANGER, "not sent on")


def test_aliases_of_one_place_go_apart(forwarding):
    """Two aliases lead to one domain: each copy says by which alias it came."""
    make, outside, _ = forwarding
    server = make()
    server.cli("alias", "add", "other@example.test", "z@outside.test")
    with server.smtp() as s:
        s.sendmail(STRANGER, ["out@example.test", "other@example.test"], message("two", STRANGER, "x").as_bytes())
    outside.wait(2)
    assert {m.data.split(b"\r\n")[0] for m in outside.mails} == {b"Delivered-To: out@example.test", b"Delivered-To: other@example.test"}


def test_mx_that_is_ourselves(make_server):
    """A domain whose MX leads back here but that is not set up here: an end at once, not a loop."""
    with Peer(script={"ehlo": "250 mx.example.test"}) as peer:
        server = make_server({"relay.port": str(peer.port)})
        server.dns.zones = {"loop.test": {"MX": ["10 there.loop.test."]}, "there.loop.test": {"A": ["127.0.0.1"]}}
        with server.smtp("submission", "alice@example.test", "alice-secret") as s:
            s.sendmail("alice@example.test", ["x@loop.test"], message("round", "alice@example.test", "x@loop.test").as_bytes())
        mail, = server.wait_mails("alice@example.test", 1)
        assert b"leads back to this server" in mail.raw and b"circle between servers" in mail.raw.replace(b"\n      ", b" ")
        assert peer.mails == []


# -- tegami route

def test_route_tells_the_way(forwarding):
    make, outside, _ = forwarding
    server = make({}, """
route "bulk" { sender = {"news.example.org"} host = "192.0.2.9:26" tls = required }
""")
    server.cli("alias", "add", "@example.test", "alice@example.test")
    server.dns.zones = {"far.test": {"MX": ["20 b.far.test.", "10 a.far.test."]},
                        "a.far.test": {"A": ["127.0.0.5"]}, "b.far.test": {"A": ["127.0.0.6"]}}
    told = server.json("route", "someone@far.test")
    assert told["status"] == "elsewhere"
    place, = told["elsewhere"]
    assert place["by"] == "mx" and [(h["host"], h["address"]) for h in place["hosts"]] == [("a.far.test", "127.0.0.5"), ("b.far.test", "127.0.0.6")]
    place, = server.json("route", "someone@far.test", "--from", "x@news.example.org")["elsewhere"]
    assert (place["route"], place["host"], place["port"], place["tls"]) == ("bulk", "192.0.2.9", "26", "required")
    place, = server.json("route", "out@example.test")["elsewhere"]
    assert (place["address"], place["route"], place["hosts"][0]["address"]) == ("x@outside.test", "outside.test", "127.0.0.1")
    told = server.json("route", "nobody@example.test")
    assert [(s["address"], s["is"]) for s in told["steps"]] == [("nobody@example.test", "catch-all"), ("alice@example.test", "mailbox")]
    place, = server.json("route", "x@gone.test")["elsewhere"]
    assert place["problems"][0]["status"] == "permanent" and "does not exist" in place["problems"][0]["text"]
    server.cli("queue", "suspend", "far.test", "--reason", "they are moving")
    text = server.cli("route", "someone@far.test")
    assert "1. a.far.test [127.0.0.5]" in text and "SUSPENDED" in text and "they are moving" in text
    assert "they are moving" in server.cli("status") and "they are moving" in server.cli("queue", "list")
    assert [d["domain"] for d in server.status()["destinations"]] == ["far.test"]
    server.restart()
    assert "they are moving" in server.cli("queue", "destinations")
    server.cli("queue", "resume", "far.test")
    assert server.run("queue", "resume", "far.test", check=False).returncode == 1
    assert server.run("route", "nonsense", check=False).returncode == 2
    server.stop()
    assert "is an alias" in server.cli("route", "out@example.test")  # the way is known while it is down
    server.start()


def test_route_by_sender_holds(make_server):
    with Peer() as usual, Peer() as bulk:
        server = make_server({}, f"""
route "*" {{ host = "127.0.0.1:{usual.port}" tls = none }}
route "bulk" {{ sender = {{"bob@example.test"}} host = "127.0.0.1:{bulk.port}" tls = none }}
""")
        for who in ("alice", "bob"):
            with server.smtp("submission", f"{who}@example.test", f"{who}-secret") as s:
                s.sendmail(f"{who}@example.test", ["x@far.test"], message("m", f"{who}@example.test", "x@far.test").as_bytes())
        assert usual.wait(1)[0].sender == "alice@example.test" and bulk.wait(1)[0].sender == "bob@example.test"


def test_times_by_route(make_server):
    """lifetime of a route: its mail is given up, that of others waits on."""
    with Peer(script={"rcpt": "451 4.2.1 not now"}) as peer:
        server = make_server({}, f"""
route "short.test" {{ host = "127.0.0.1:{peer.port}" tls = none lifetime = 2s }}
route "long.test" {{ host = "127.0.0.1:{peer.port}" tls = none }}
""")
        with server.smtp("submission", "alice@example.test", "alice-secret") as s:
            s.sendmail("alice@example.test", ["x@short.test", "y@long.test"], message("m", "alice@example.test", "x").as_bytes())
        mail, = server.wait_mails("alice@example.test", 1)
        assert b"x@short.test" in mail.raw and b"y@long.test" not in mail.raw.split(b"\n\n", 1)[1].split(b"text/rfc822-headers")[0]
        waiting, = server.queue()
        assert [r["to"] for r in waiting["recipients"]] == ["y@long.test"]
        r, = waiting["recipients"]
        assert r["class"] == "disabled" and r["means"] and r["advice"]
        shown = server.cli("queue", "show", waiting["id"])
        assert "that means:" in shown and "to do:" in shown
        server.wait_trace(waiting["id"], "that means:")


def test_times_by_sender_are_refused(make_server):
    server = make_server()
    conf = server.dir / "other.conf"
    conf.write_text(server.config_text() + '\nroute "bulk" { sender = {"a.test"} host = "192.0.2.1" lifetime = 1d }\n')
    import subprocess
    from server import BUILD
    p = subprocess.run([BUILD / "tegamid", "-c", conf, "-t"], capture_output=True, text=True)
    assert p.returncode == 1 and "names senders" in p.stderr
