"""Logging in, and what it permits."""
import smtplib
import subprocess

import pytest

from server import message


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


def test_swaks(server):
    """Another client's idea of STARTTLS and AUTH."""
    p = subprocess.run(
        ["swaks", "--server", "127.0.0.1", "--port", str(server.ports["submission"]), "--tls", "--auth", "LOGIN",
         "--auth-user", "alice@example.test", "--auth-password", "alice-secret", "--from", "alice@example.test",
         "--to", "bob@example.test", "--timeout", "30"], capture_output=True, text=True)
    assert p.returncode == 0, p.stdout + p.stderr
    server.wait_mails("bob@example.test", 1)
