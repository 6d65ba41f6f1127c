"""Domains, users, aliases: on the command line, and what they do to mail."""
import smtplib

import pytest

from server import message


def accepts(server, address, sender="a@peer.test"):
    """(code, text) of RCPT for the address."""
    with server.smtp() as s:
        s.mail(sender)
        code, text = s.rcpt(address)
        s.rset()
        return code, text.decode()


def test_domains(server):
    server.cli("domain", "add", "second.test")
    assert {d["domain"] for d in server.json("domain", "list")} == {"example.test", "second.test"}
    assert server.run("domain", "add", "second.test", check=False).returncode == 1
    assert server.run("domain", "add", "not a domain", check=False).returncode in (1, 2)
    assert accepts(server, "x@second.test")[0] == 550
    server.cli("domain", "remove", "second.test")
    assert accepts(server, "x@second.test")[1].startswith("5.7.1")


def test_users(server):
    server.add_user("carol@example.test", "carol-secret", "--name", "Carol", "--quota", "10M")
    users = {u["address"]: u for u in server.json("user", "list", "example.test")}
    assert set(users) == {"alice@example.test", "bob@example.test", "carol@example.test"}
    assert accepts(server, "carol@example.test")[0] == 250
    assert server.run("user", "add", "carol@example.test", "--password-stdin", input="x\n", check=False).returncode == 1
    assert server.run("user", "add", "x@nowhere.test", "--password-stdin", input="x\n", check=False).returncode == 1
    server.cli("user", "disable", "carol@example.test")
    assert accepts(server, "carol@example.test")[0] == 550
    server.cli("user", "enable", "carol@example.test")
    assert accepts(server, "carol@example.test")[0] == 250
    server.cli("user", "remove", "carol@example.test")
    assert accepts(server, "carol@example.test") == (550, accepts(server, "carol@example.test")[1])


def test_a_change_counts_at_once(server):
    """Front ends remember who exists; a change must reach all of them."""
    server.add_user("dora@example.test", "dora-secret")
    for _ in range(3):
        for _ in range(8):  # each front end is asked
            assert accepts(server, "dora@example.test")[0] == 250
        server.cli("user", "disable", "dora@example.test")
        for _ in range(8):
            assert accepts(server, "dora@example.test")[0] == 550
        server.cli("user", "enable", "dora@example.test")
    server.cli("user", "remove", "dora@example.test")
    assert accepts(server, "dora@example.test")[0] == 550


def test_aliases(server):
    server.cli("alias", "add", "all@example.test", "alice@example.test", "bob@example.test")
    server.cli("alias", "add", "again@example.test", "all@example.test", "alice@example.test")
    with server.smtp() as s:
        s.sendmail("a@peer.test", ["again@example.test"], message("to all").as_bytes())
    server.wait_mails("alice@example.test", 1)
    mail, = server.wait_mails("bob@example.test", 1)
    assert mail.header("Delivered-To") == ["bob@example.test"]
    server.cli("alias", "remove", "all@example.test", "bob@example.test")
    listed = {a["address"]: a for a in server.json("alias", "list", "example.test")}
    assert "all@example.test" in listed
    server.cli("alias", "remove", "again@example.test")
    assert accepts(server, "again@example.test")[0] == 550


def test_circle_of_aliases_ends(server):
    server.cli("alias", "add", "one@example.test", "two@example.test")
    p = server.run("alias", "add", "two@example.test", "one@example.test", check=False)
    code, _ = accepts(server, "one@example.test")
    assert p.returncode == 1 or code >= 400
    with server.smtp() as s:
        assert s.noop()[0] == 250


def test_catch_all(server):
    server.cli("alias", "add", "@example.test", "bob@example.test")
    with server.smtp() as s:
        s.sendmail("a@peer.test", ["anything@example.test", "alice@example.test"], message("caught").as_bytes())
    server.wait_mails("bob@example.test", 1)
    server.wait_mails("alice@example.test", 1)


def test_offline(server):
    """The command line works on the files while the server is down."""
    server.stop()
    server.cli("domain", "add", "offline.test")
    server.add_user("dora@offline.test", "dora-secret")
    server.cli("alias", "add", "d@offline.test", "dora@offline.test")
    assert {d["domain"] for d in server.json("domain", "list")} == {"example.test", "offline.test"}
    server.start()
    with server.smtp() as s:
        s.sendmail("a@peer.test", ["d@offline.test"], message("made offline").as_bytes())
    server.wait_mails("dora@offline.test", 1)
    with server.smtp("submissions", "dora@offline.test", "dora-secret") as s:
        assert s.noop()[0] == 250


def test_names_that_want_to_be_more(server):
    for name in ("../../etc", "a/b", "x'; DROP TABLE user; --", "", ".", "..", "a\nb", "-x"):
        p = server.run("user", "add", "--password-stdin", "--", f"{name}@example.test", input="x\n", check=False)
        if p.returncode == 0:
            server.cli("user", "remove", "--", f"{name}@example.test")
        home = server.state / "mail" / "example.test"
        assert not home.exists() or all(c.parent == home for c in home.iterdir())
    assert {u["address"] for u in server.json("user", "list", "example.test")} == {"alice@example.test", "bob@example.test"}


def test_quota(server):
    server.add_user("small@example.test", "s", "--quota", "3K")
    big = message("big", body="x" * 60 + "\n" * 1 + ("y" * 70 + "\n") * 25)
    with server.smtp() as s:
        s.sendmail("a@peer.test", ["small@example.test"], big.as_bytes())
    server.wait_mails("small@example.test", 1)
    with server.smtp() as s:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as e:
            for n in (2, 3):
                s.sendmail("a@peer.test", ["small@example.test"], big.as_bytes())
                server.wait_mails("small@example.test", n)
        code, text = e.value.recipients["small@example.test"]
        assert code == 452 and text.startswith(b"4.2.2")
    server.cli("user", "quota", "small@example.test", "10M")
    assert accepts(server, "small@example.test")[0] == 250
