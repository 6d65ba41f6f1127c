"""Logging in, and what it permits."""
import base64
import os
import select
import signal
import smtplib
import socket
import subprocess
import time

import pytest

from server import client_tls, message, wait_until


def submit(server, user="alice@example.test", password="alice-secret", kind="submission", to="bob@example.test",
           sender=None):
    sender = sender or user
    with server.smtp(kind, user, password) as s:
        s.sendmail(sender, [to], message("submitted", sender, to).as_bytes())


@pytest.mark.parametrize("kind", ["submission", "submissions"])
def test_submit(server, kind):
    submit(server, kind=kind)
    mail, = server.wait_mails("bob@example.test", 1)
    received = mail.header("Received")[0]
    assert "with ESMTPSA" in received
    assert "127.0.0.1" not in mail.message["Subject"]


def test_changed_password(server):
    server.cli("user", "passwd", "alice@example.test", "--password-stdin", input="another one\n")
    with pytest.raises(smtplib.SMTPAuthenticationError):
        submit(server)
    submit(server, password="another one")


def test_disabled_user(server):
    server.cli("user", "disable", "alice@example.test")
    with pytest.raises(smtplib.SMTPAuthenticationError):
        submit(server)
    server.cli("user", "enable", "alice@example.test")
    submit(server)


def test_app_password(server):
    row = server.json("user", "app-password", "add", "alice@example.test", "--label", "phone", "--scope", "smtp")
    row = row[0] if isinstance(row, list) else row
    submit(server, password=row["password"])
    listed = server.json("user", "app-password", "list", "alice@example.test")
    assert [r["label"] for r in listed] == ["phone"]
    assert row["password"] not in server.cli("user", "app-password", "list", "alice@example.test")
    server.cli("user", "app-password", "remove", "alice@example.test", "--label", "phone")
    with pytest.raises(smtplib.SMTPAuthenticationError):
        submit(server, password=row["password"])


def test_app_password_of_another_scope(server):
    row = server.json("user", "app-password", "add", "alice@example.test", "--label", "reader", "--scope", "imap")
    row = row[0] if isinstance(row, list) else row
    with pytest.raises(smtplib.SMTPAuthenticationError):
        submit(server, password=row["password"])


def test_sender_must_be_ones_own(server):
    server.cli("alias", "add", "sales@example.test", "alice@example.test")
    submit(server, sender="sales@example.test")
    with pytest.raises(smtplib.SMTPSenderRefused):
        submit(server, sender="bob@example.test")
    with pytest.raises(smtplib.SMTPSenderRefused):
        submit(server, sender="someone@elsewhere.test")


def test_flood_of_wrong_passwords(make_server):
    """After so many wrong ones the client is refused for a while, even with the right one; others' mail goes on."""
    server = make_server({"limits.auth_failures": "5"})
    for _ in range(8):
        try:
            with server.smtp("submissions", "alice@example.test", "guess"):
                pass
        except smtplib.SMTPException:
            pass
    with pytest.raises(smtplib.SMTPException) as e:
        submit(server, kind="submissions")
    assert e.value.smtp_code in (421, 454, 535)
    with server.smtp() as s:
        s.send_message(message("on mx"))
    server.wait_mails("alice@example.test", 1)


def test_secrets_are_nowhere(server):
    """Neither the log nor a database holds a password."""
    submit(server)
    try:
        submit(server, password="the-wrong-one")
    except smtplib.SMTPException:
        pass
    for f in [server.log_file, *server.state.glob("*.db*")]:
        data = f.read_bytes()
        assert b"alice-secret" not in data and b"the-wrong-one" not in data, f


@pytest.mark.parametrize("password", ["gr\u00fcn \u624b\u7d19", " blanks ", "=,\"\\'", "x" * 256], ids=["utf-8", "blanks", "marks", "256 bytes"])
def test_any_password(server, password):
    """PLAIN and LOGIN carry every password that may be set."""
    server.add_user("carol@example.test", password)
    for first in (plain("carol@example.test", password), None):
        c = Raw(server)
        if first is None:
            c.cmd("AUTH LOGIN")
            c.cmd(base64.b64encode(b"carol@example.test").decode())
            first = base64.b64encode(password.encode()).decode()
        assert c.cmd(first).startswith("235")
        c.close()


def test_swaks(server):
    """Another client's idea of STARTTLS and AUTH."""
    p = subprocess.run(
        ["swaks", "--server", "127.0.0.1", "--port", str(server.ports["submission"]), "--tls", "--auth", "LOGIN",
         "--auth-user", "alice@example.test", "--auth-password", "alice-secret", "--from", "alice@example.test",
         "--to", "bob@example.test", "--timeout", "30"], capture_output=True, text=True)
    assert p.returncode == 0, p.stdout + p.stderr
    server.wait_mails("bob@example.test", 1)


def plain(user, password):
    return "AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode()


class Raw:
    """SMTP over TLS from an address of ours, line by line, without waiting."""

    def __init__(self, server, source="127.0.0.1"):
        plain_socket = socket.create_connection(("127.0.0.1", server.ports["submissions"]), 60, source_address=(source, 0))
        self.s = client_tls().wrap_socket(plain_socket)
        self.f = self.s.makefile("rb")
        assert self.reply().startswith("220")
        self.cmd("EHLO client.test")

    def send(self, line):
        self.s.sendall(line.encode() + b"\r\n")

    def reply(self):
        line = self.f.readline().decode()
        return self.reply() if line[3:4] == "-" else line.rstrip()

    def cmd(self, line):
        self.send(line)
        return self.reply()

    def has_answer(self):
        return self.s.pending() > 0 or bool(select.select([self.s], [], [], 0)[0])

    def close(self):
        self.f.close()
        self.s.close()


def test_slow_checks_hold_up_nobody(make_server):
    """While passwords are checked in threads, other exchanges are answered and tickets are confirmed: both come before the
    checks that were asked for first have been answered."""
    server = make_server({"limits.auth_failures": "1000"})
    logged_in = Raw(server)
    assert logged_in.cmd(plain("alice@example.test", "alice-secret")).startswith("235")
    for line in ("MAIL FROM:<alice@example.test>", "RCPT TO:<bob@example.test>"):
        assert logged_in.cmd(line).startswith("250")
    assert logged_in.cmd("DATA").startswith("354")
    slow = [Raw(server) for _ in range(40)]
    other = Raw(server)
    for c in slow:
        c.send(plain("alice@example.test", "wrong"))
    wait_until("the checks to begin", lambda: any(c.has_answer() for c in slow))
    assert other.cmd("AUTH LOGIN").startswith("334 ")
    assert other.cmd("*").startswith("501")
    assert logged_in.cmd("From: alice@example.test\r\n\r\nx\r\n.").startswith("250")
    waiting = [c for c in slow if not c.has_answer()]
    assert waiting, "all checks were done before anything else was answered"
    for c in slow:
        assert c.reply().startswith("535 5.7.8")
        c.close()
    other.close()
    logged_in.close()


def test_same_words_for_all(make_server):
    """Whoever guesses learns nothing but that it was wrong."""
    server = make_server({"limits.auth_failures": "1000"})
    server.cli("user", "disable", "bob@example.test")
    server.json("user", "app-password", "add", "alice@example.test", "--label", "reader", "--scope", "imap")
    replies = set()
    for user in ("alice@example.test", "bob@example.test", "nobody@example.test", "x@elsewhere.test", "alice", "a b@@", "\u00e9"):
        for password in ("wrong", "bob-secret", "abcd-efgh-abcd-efgh-abcd-efgh-2345", "x" * 300):
            c = Raw(server)
            replies.add(c.cmd(plain(user, password)))
            c.close()
            if len(replies) > 1:
                assert False, f"{user} {password}: {replies}"
    assert replies == {"535 5.7.8 wrong user or password"}


def test_guesses_elsewhere_do_not_lock_out(make_server):
    """The network that guesses is refused, for this account and all; the owner comes in from another."""
    server = make_server({"limits.auth_failures": "5"})
    guesser = Raw(server, "127.0.0.2")
    replies = [guesser.cmd(plain("alice@example.test", f"guess {i}")) for i in range(7)]
    assert [r[:9] for r in replies] == ["535 5.7.8"] * 5 + ["454 4.7.0"] * 2
    assert "too many failed logins from your network; try again in" in replies[-1]
    assert guesser.cmd(plain("bob@example.test", "bob-secret")).startswith("454 4.7.0")
    owner = Raw(server, "127.0.0.3")
    assert owner.cmd(plain("alice@example.test", "alice-secret")).startswith("235")
    for c in (guesser, owner):
        c.close()


def test_auth_is_away(server):
    server.restarts_expected = True
    c = Raw(server)
    pid, = server.pids("auth")
    os.kill(pid, signal.SIGSTOP)
    c.send(plain("alice@example.test", "alice-secret"))
    os.kill(pid, signal.SIGKILL)
    assert c.reply().startswith("454 4.7.0")
    wait_until("auth to be back", lambda: c.cmd(plain("alice@example.test", "alice-secret"))[:3] in ("235", "503"))
    c.close()


def app_list(server):
    return {r["label"]: r for r in server.json("user", "app-password", "list", "alice@example.test")}


def test_app_password_life(server):
    """Labels, scopes and expiry are kept and shown; which one was used is known at once; a used-up slot is free again."""
    made = [server.json("user", "app-password", "add", "alice@example.test", *words) for words in (
        [], ["--label", "phone", "--scope", "smtp"], ["--label", "both", "--scope", "smtp,imap"], ["--label", "old", "--expires", "30d"])]
    assert [m["label"] for m in made] == ["app 1", "phone", "both", "old"]
    assert [m["slot"] for m in made] == [1, 2, 3, 4] and len({m["password"] for m in made}) == 4
    before = app_list(server)
    assert [before[k].get("scope") or "" for k in ("app 1", "phone", "both")] == ["", "smtp", "smtp,imap"]
    assert before["old"]["expires"] and not before["phone"].get("expires")
    assert not any(r.get("last_used") for r in before.values())
    submit(server, password=made[1]["password"])
    after = app_list(server)
    assert after["phone"]["last_used"] and not after["app 1"].get("last_used")
    for i in range(4):
        server.cli("user", "app-password", "add", "alice@example.test", "--label", f"more {i}")
    p = server.run("user", "app-password", "add", "alice@example.test", "--label", "nine", check=False)
    assert p.returncode != 0 and "remove one first" in p.stderr
    server.cli("user", "app-password", "remove", "alice@example.test", "--label", "phone")
    text = server.cli("user", "app-password", "add", "alice@example.test", "--label", "nine", "--scope", "imap")
    assert "shown this once only" in text and "serves for imap only" in text
    assert app_list(server)["nine"]["slot"] == 2
    server.cli("user", "app-password", "remove", "alice@example.test", "--label", "old")
    for words in (["--scope", "http"], ["--label", "both"], ["--expires", "soon"]):
        p = server.run("user", "app-password", "add", "alice@example.test", *words, check=False)
        assert p.returncode != 0 and words[1] in p.stderr, (words, p)


def test_app_password_expires(server):
    made = server.json("user", "app-password", "add", "alice@example.test", "--expires", "3s")
    c = Raw(server)

    def refused():
        reply = c.cmd(plain("alice@example.test", made["password"]))
        if reply.startswith("235"):
            c.close()
            c.__init__(server)
        return reply.startswith("535 5.7.8")
    wait_until("the password to expire", refused, 30)
    c.close()


def test_removed_password_ends_its_sessions(server):
    """A session that is open keeps no right for longer than the queue trusts what auth said of it (10 s)."""
    made = server.json("user", "app-password", "add", "alice@example.test", "--label", "lost")
    with server.smtp("submissions", "alice@example.test", made["password"]) as s:
        s.sendmail("alice@example.test", ["bob@example.test"], message("one", "alice@example.test").as_bytes())
        server.cli("user", "app-password", "remove", "alice@example.test", "--label", "lost")

        def refused():
            try:
                s.sendmail("alice@example.test", ["bob@example.test"], message("two", "alice@example.test").as_bytes())
            except smtplib.SMTPDataError as e:
                return e.smtp_code // 100 in (4, 5)
            time.sleep(0.5)
        wait_until("the session to have no right any more", refused, 30)
