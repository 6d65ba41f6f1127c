"""What is judged before the 250, with every reason in words."""
import base64
import email.message
import email.policy
import io
import os
import pathlib
import re
import signal
import smtplib
import time
import zipfile

import dkim
import pytest

from dns_server import SERVFAIL
from peer import Peer
from server import message, wait_until

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
ON = {f"{name}.enabled": "true" for name in ("spf", "dkim", "dmarc", "arc", "spam")}


@pytest.fixture
def filtering(make_server):
    def make(options=None, **words):
        server = make_server({**ON, **(options or {})}, quiet=False, **words)
        server.dns.zones = {
            "peer.test": {"A": ["127.0.0.1"], "MX": ["10 peer.test."], "TXT": ['"v=spf1 ip4:127.0.0.1 -all"']},
            "client.test": {"A": ["127.0.0.1"]},
            "1.0.0.127.in-addr.arpa": {"PTR": ["client.test."]},
            "strict.test": {"A": ["192.0.2.1"], "TXT": ['"v=spf1 -all"']},
            "_dmarc.strict.test": {"TXT": ['"v=DMARC1; p=reject"']},
        }
        return server

    return make


def crlf(data):
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def send(server, data, sender="someone@peer.test", to="alice@example.test"):
    with server.smtp() as s:
        s.sendmail(sender, [to], crlf(data if isinstance(data, bytes) else data.as_bytes()))


def results(mail):
    """{method: result} of our Authentication-Results."""
    line, = [h for h in mail.header("Authentication-Results") if h.startswith("mx.example.test")]
    return dict(reversed(re.findall(r"(?<![.\w])(spf|dkim|dmarc|arc)=(\w+)", line)))  # of several the first: SPF of the sender


def test_good_mail(filtering):
    server = filtering()
    send(server, message("good"))
    mail, = server.wait_mails("alice@example.test", 1)
    assert results(mail)["spf"] == "pass"
    status, = mail.header("X-Spam-Status")
    assert re.match(r"No, score=-?[\d.]+ required=5", status)
    assert mail.header("X-Spam-Flag") == []


def test_spf_fail(filtering):
    server = filtering({"dmarc.enabled": "false"})
    try:
        send(server, message("forged", "boss@strict.test"), "boss@strict.test")
    except smtplib.SMTPResponseException as e:
        assert e.smtp_code == 550 and b"5.7.1" in e.smtp_error
        return
    mail = wait_until("the mail", lambda: server.mails("alice@example.test") + server.mails("alice@example.test", "Junk"))[0]
    assert results(mail)["spf"] == "fail"
    assert "SPF" in mail.header("X-Spam-Status")[0]


KEY = None


def signed(server, m, selector=b"sel", domain=b"peer.test"):
    """The message signed by an independent implementation, its key in the DNS."""
    global KEY
    from subprocess import run

    if KEY is None:
        private = run(["openssl", "genrsa", "-traditional", "2048"], capture_output=True, check=True).stdout
        public = run(["openssl", "rsa", "-pubout", "-outform", "DER"], input=private, capture_output=True, check=True).stdout
        KEY = private, base64.b64encode(public).decode()
    private, public = KEY
    text = f"v=DKIM1; k=rsa; p={public}"
    server.dns.zones[f"{selector.decode()}._domainkey.{domain.decode()}"] = {
        "TXT": [" ".join(f'"{text[i:i + 200]}"' for i in range(0, len(text), 200))]}
    data = crlf(m.as_bytes())
    return dkim.sign(data, selector, domain, private, include_headers=[b"from", b"to", b"subject", b"date"]) + data


def test_dkim_pass_and_altered(filtering):
    server = filtering()
    data = signed(server, message("signed", body="the true words\n"))
    send(server, data)
    mail, = server.wait_mails("alice@example.test", 1)
    assert results(mail)["dkim"] == "pass"
    assert "header.d=peer.test" in mail.header("Authentication-Results")[0]
    send(server, data.replace(b"the true words", b"the false words"), to="bob@example.test")
    mail = wait_until("the other", lambda: server.mails("bob@example.test") + server.mails("bob@example.test", "Junk"))[0]
    assert results(mail)["dkim"] == "fail"


def test_dkim_key_not_to_be_had(filtering):
    server = filtering()
    data = signed(server, message("signed"))
    server.dns.zones["sel._domainkey.peer.test"] = SERVFAIL
    send(server, data)
    mail, = server.wait_mails("alice@example.test", 1)
    assert results(mail)["dkim"] == "temperror"


def test_dmarc_policies(filtering):
    server = filtering()
    server.dns.zones.update({"_dmarc.soft.test": {"TXT": ['"v=DMARC1; p=quarantine"']},
                             "soft.test": {"A": ["192.0.2.1"]},
                             "_dmarc.down.test": SERVFAIL})
    # refused in words that name the domain
    with pytest.raises(smtplib.SMTPDataError) as e:
        send(server, message("spoof", "boss@strict.test"))
    assert e.value.smtp_code == 550 and e.value.smtp_error.startswith(b"5.7.1 strict.test")
    # a signature of the same organization proves it
    send(server, signed(server, message("true", "boss@mail.strict.test"), domain=b"strict.test"))
    mail, = server.wait_mails("alice@example.test", 1)
    assert results(mail)["dmarc"] == "pass"
    # to Junk
    send(server, message("soft", "boss@soft.test"), to="bob@example.test")
    mail, = wait_until("Junk", lambda: server.mails("bob@example.test", "Junk"))
    assert results(mail)["dmarc"] == "fail" and mail.header("X-Spam-Flag") == ["YES"]
    # trouble with DNS never refuses
    send(server, message("down", "boss@down.test"))
    server.wait_mails("alice@example.test", 2)
    assert "temperror" in [results(m)["dmarc"] for m in server.mails("alice@example.test")]


@pytest.mark.parametrize("field", ["From: a@peer.test\r\nFrom: b@peer.test", "From: a@peer.test, b@peer.test", "From: nobody",
                                   "From: a@peer.test <b@evil.test>"])
def test_from_must_be_one_address(filtering, field):
    server = filtering()
    with pytest.raises(smtplib.SMTPDataError) as e:
        send(server, field.encode() + b"\r\nTo: alice@example.test\r\nSubject: x\r\n\r\nx\r\n")
    assert e.value.smtp_code == 550 and b"one From field" in e.value.smtp_error


def test_forged_results_are_removed(filtering):
    server = filtering()
    data = (b"Authentication-Results: mx.example.test; dkim=pass header.d=bank.test\r\n"
            b"Authentication-Results: other.test; spf=pass\r\nX-Spam-Flag: NO\r\nX-Spam-Status: No, score=-100\r\n" + message("forged").as_bytes())
    send(server, data)
    mail, = server.wait_mails("alice@example.test", 1)
    assert "bank.test" not in str(mail.header("Authentication-Results"))
    assert len([h for h in mail.header("Authentication-Results") if h.startswith("mx.example.test")]) == 1
    assert any(h.startswith("other.test") for h in mail.header("Authentication-Results"))
    assert "score=-100" not in str(mail.header("X-Spam-Status"))


def test_listed_client_goes_to_junk(filtering):
    server = filtering({"spam.junk_score": "3", "spam.refuse_score": "50"}, extra='spam { dnsbl "bl.test" { weight = 9 } }')
    server.dns.zones["1.0.0.127.bl.test"] = {"A": ["127.0.0.2"], "TXT": ['"listed"']}
    send(server, message("from a bad place"))
    mail, = server.wait_mails("alice@example.test", 1, folder="Junk")
    assert server.mails("alice@example.test") == []
    assert mail.header("X-Spam-Flag") == ["YES"]
    assert re.match(r"Yes, score=\d", mail.header("X-Spam-Status")[0])
    assert re.search(r"DNSBL\w*\(9", mail.header("X-Spam-Status")[0], re.I)


def test_very_spammy_is_refused(filtering):
    server = filtering(extra='spam { dnsbl "bl.test" { weight = 20 } }')
    server.dns.zones["1.0.0.127.bl.test"] = {"A": ["127.0.0.2"]}
    with pytest.raises(smtplib.SMTPResponseException) as e:
        send(server, message("from a very bad place"))
    assert e.value.smtp_code == 550 and e.value.smtp_error.startswith(b"5.7.1")
    assert server.mails("alice@example.test") == [] and server.mails("alice@example.test", "Junk") == []


def with_attachment(data, name="photos.zip"):
    m = email.message.EmailMessage(policy=email.policy.SMTP)
    for k, v in message("with a file").items():
        if k not in ("Content-Type", "Content-Transfer-Encoding", "MIME-Version"):
            m[k] = v
    m.set_content("see the file\n")
    m.add_attachment(data, maintype="application", subtype="zip", filename=name)
    return m


def zipped(data, name="a.com"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr(name, data)
    return out.getvalue()


@pytest.fixture
def scanning(make_server, tmp_path_factory):
    """A server with an own little database that knows EICAR."""
    database = tmp_path_factory.mktemp("signatures")
    database.chmod(0o755)
    database.parent.chmod(0o755)
    database.parent.parent.chmod(0o755)
    (database / "own.ndb").write_text(f"Eicar-Own:0:*:{EICAR.hex()}\n")
    return make_server({"antivirus.enabled": "true", "antivirus.database": f'"{database}"'})


def test_virus_in_zip_is_refused(scanning):
    server = scanning
    with pytest.raises(smtplib.SMTPResponseException) as e:
        send(server, with_attachment(zipped(EICAR)))
    assert e.value.smtp_code == 550 and e.value.smtp_error.startswith(b"5.7.1") and b"Eicar" in e.value.smtp_error
    with pytest.raises(smtplib.SMTPResponseException):
        send(server, with_attachment(zipped(zipped(EICAR), "inner.zip")))
    send(server, with_attachment(zipped(b"nothing bad")))
    server.wait_mails("alice@example.test", 1)


def test_virus_of_a_user_is_refused(scanning):
    server = scanning
    with pytest.raises(smtplib.SMTPResponseException):
        with server.smtp("submissions", "alice@example.test", "alice-secret") as s:
            s.sendmail("alice@example.test", ["bob@example.test"], crlf(with_attachment(zipped(EICAR)).as_bytes()))


def test_large_clean_message_is_scanned(scanning):
    server = scanning
    big = with_attachment(zipped(bytes(range(256)) * 4000) + b"\0" * 2_000_000)
    send(server, big)
    server.wait_mails("alice@example.test", 1, seconds=60)


def test_no_signatures_means_later(make_server, tmp_path):
    """A scanner without signatures: 451 with the reason in the log, never an unscanned 250."""
    server = make_server({"antivirus.enabled": "true", "antivirus.database": f'"{tmp_path}"'})
    with pytest.raises(smtplib.SMTPResponseException) as e:
        send(server, message("unscanned"))
    assert e.value.smtp_code == 451 and e.value.smtp_error.startswith(b"4.7.1")
    assert server.mails("alice@example.test") == []
    assert "antivirus.database" in server.log()


def test_scanner_down_means_later(scanning):
    """While the scanners are away: 451, never an unscanned 250; and when they are back, mail goes on."""
    server = scanning
    server.restarts_expected = True
    signatures = pathlib.Path(server.options["antivirus.database"].strip('"')) / "own.ndb"
    away = signatures.with_suffix(".away")
    signatures.rename(away)
    for pid in server.pids("scan"):
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(smtplib.SMTPResponseException) as e:
        send(server, message("unscanned"))
    assert e.value.smtp_code == 451 and e.value.smtp_error.startswith(b"4.7.1")
    assert server.mails("alice@example.test") == []
    away.rename(signatures)

    def goes_on():
        try:
            send(server, message("scanned"))
            return True
        except smtplib.SMTPResponseException as e:
            assert e.smtp_code == 451
            time.sleep(0.5)

    wait_until("a scanner", goes_on, 120)
    server.wait_mails("alice@example.test", 1)


def test_outgoing_is_signed(make_server):
    """A submitted message bears a signature that an independent implementation verifies."""
    with Peer() as peer:
        server = make_server(extra=f'route "peer.test" {{ host = "127.0.0.1:{peer.port}" tls = none }}')
        server.cli("dkim", "create", "example.test")
        zone = server.cli("dns", "show", "example.test")
        with server.smtp("submissions", "alice@example.test", "alice-secret") as s:
            s.sendmail("alice@example.test", ["x@peer.test"], message("signed", "alice@example.test").as_bytes())
        mail, = peer.wait(1)

    def txt(name, timeout=5):
        label = name.decode().rstrip(".").split("._domainkey")[0]
        record = re.search(rf"^{re.escape(label)}\._domainkey\S*\s.*?TXT\s+(\((?:[^)]*)\)|.*)$", zone, re.M | re.S)
        text = record.group(1) if record.group(1).startswith("(") else record.group(1).splitlines()[0]
        return "".join(re.findall(r'"([^"]*)"', text)).encode()

    assert b"DKIM-Signature: " in mail.data
    assert dkim.verify(mail.data, dnsfunc=txt), (zone, mail.data)


def test_classifier_learns(filtering, tmp_path):
    server = filtering()
    spam, ham = tmp_path / "spam", tmp_path / "ham"
    spam.mkdir(), ham.mkdir()
    for i in range(40):
        (spam / str(i)).write_bytes(message(f"cheap pills {i}", body="buy cheap pills casino lottery winner now\n" * 3).as_bytes())
        (ham / str(i)).write_bytes(message(f"meeting {i}", body="the minutes of our project meeting on tuesday\n" * 3).as_bytes())
    server.cli("spam", "learn", "--spam", spam)
    server.cli("spam", "learn", "--ham", ham)
    assert server.json("spam", "stats")

    def score(text):
        f = tmp_path / "one"
        f.write_bytes(message("one", body=text).as_bytes())
        verdict = server.json("filter", "test", f, "--ip", "127.0.0.1", "--helo", "client.test", "--from", "someone@peer.test",
                              "--to", "alice@example.test")
        return float(verdict["score"])

    assert score("buy cheap pills casino lottery winner now\n") > score("the minutes of our project meeting on tuesday\n") + 1


def test_filter_test(filtering, tmp_path):
    server = filtering()
    f = tmp_path / "m"
    f.write_bytes(message("a question").as_bytes())
    v = server.json("filter", "test", f, "--ip", "127.0.0.1", "--helo", "client.test", "--from", "someone@peer.test",
                    "--to", "alice@example.test")
    assert v["verdict"] == "accept" and float(v["required"]) == 5
    assert all({"name", "result", "score", "text"} <= set(c) for c in v["checks"])
    assert v["authentication_results"].startswith("mx.example.test") and "spf=pass" in v["authentication_results"]
    v = server.json("filter", "test", f, "--ip", "192.0.2.9", "--helo", "x", "--from", "boss@strict.test")
    assert "spf=fail" in v["authentication_results"]
    assert server.mails("alice@example.test") == []
