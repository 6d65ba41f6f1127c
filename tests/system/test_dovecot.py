"""Debian's Dovecot on our mailboxes and databases, with the example configuration as it is, but for its paths."""
import imaplib
import shutil

import pytest

from dovecot import Dovecot
from server import Server, message, wait_until

pytestmark = [pytest.mark.root, pytest.mark.skipif(not shutil.which("dovecot"), reason="no dovecot here")]


@pytest.fixture(scope="module")
def both():
    with Server() as server:
        server.add_domain("example.test", alice="alice-secret", bob="bob-secret")
        dovecot = Dovecot(server)
        try:
            yield server, dovecot
        finally:
            dovecot.stop()


def test_reads_what_we_deliver(both):
    server, dovecot = both
    with server.smtp() as s:
        s.send_message(message("over imap"))
    server.wait_mails("alice@example.test", 1)
    imap = dovecot.login("alice@example.test", "alice-secret")
    assert imap.select("INBOX")[1] == [b"1"]
    data = imap.fetch("1", "(RFC822)")[1][0][1]
    assert b"Subject: over imap\r\n" in data and b"Delivered-To: alice@example.test\r\n" in data
    size = int(imap.fetch("1", "(RFC822.SIZE)")[1][0].split()[-1].rstrip(b")"))
    assert size == len(data)
    imap.store("1", "+FLAGS", "\\Deleted")
    imap.expunge()
    imap.logout()
    assert server.mails("alice@example.test") == []
    server.wait_queue_empty()
    assert "Error" not in dovecot.log.read_text(), dovecot.log.read_text()


def test_delivers_beside_an_open_session(both):
    server, dovecot = both
    imap = dovecot.login("bob@example.test", "bob-secret")
    imap.select("INBOX")
    with server.smtp() as s:
        s.send_message(message("while it is open", to="bob@example.test"))
    server.wait_mails("bob@example.test", 1)
    wait_until("the mail over IMAP", lambda: imap.noop() and imap.select("INBOX")[1] == [b"1"])
    imap.logout()


def test_wrong_password(both):
    with pytest.raises(imaplib.IMAP4.error):
        both[1].login("alice@example.test", "wrong")


def test_app_password(both):
    server, dovecot = both
    row = server.json("user", "app-password", "add", "bob@example.test", "--label", "tablet")
    row = row[0] if isinstance(row, list) else row
    dovecot.login("bob@example.test", row["password"]).logout()
    dovecot.login("bob@example.test", "bob-secret").logout()
    server.cli("user", "app-password", "remove", "bob@example.test", "--label", "tablet")
    with pytest.raises(imaplib.IMAP4.error):
        dovecot.login("bob@example.test", row["password"])


def test_app_passwords_share_a_salt_and_each_opens(both):
    """As the server keeps them for SCRAM; those for other services and the expired one do not."""
    server, dovecot = both
    made = {label: server.json("user", "app-password", "add", "bob@example.test", "--label", label, *words)["password"]
            for label, words in (("one", []), ("two", ["--scope", "imap"]), ("three", ["--scope", "smtp,imap"]),
                                 ("send", ["--scope", "smtp"]), ("brief", ["--expires", "1s"]))}
    for label in ("one", "two", "three"):
        dovecot.login("bob@example.test", made[label]).logout()

    def refused(label):
        try:
            dovecot.login("bob@example.test", made[label]).logout()
        except imaplib.IMAP4.error:
            return True
    assert refused("send")
    wait_until("the brief one to expire", lambda: refused("brief"), 30)
    for label in made:
        server.cli("user", "app-password", "remove", "bob@example.test", "--label", label)


def test_disabled_and_removed(both):
    server, dovecot = both
    server.add_user("carol@example.test", "carol-secret")
    dovecot.login("carol@example.test", "carol-secret").logout()
    server.cli("user", "disable", "carol@example.test")
    with pytest.raises(imaplib.IMAP4.error):
        dovecot.login("carol@example.test", "carol-secret")
    server.cli("user", "enable", "carol@example.test")
    dovecot.login("carol@example.test", "carol-secret").logout()


def test_after_our_server_stopped(both):
    server, dovecot = both
    server.stop()
    dovecot.login("alice@example.test", "alice-secret").logout()
    server.start()
