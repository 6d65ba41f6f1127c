"""ARC seals that we put on what aliases send on: judged by two independent implementations, and by a second server of ours."""
import json
import os
import pathlib
import signal
import subprocess

import dkim
import pytest

from peer import Peer
from server import TOP, message

AUTH = {"spf.enabled": "true", "dkim.enabled": "true", "dmarc.enabled": "true", "arc.enabled": "true", "trusted_proxies": '{"127.0.0.1"}'}
STRANGER = "bob@peer.test"
CLIENT = "192.0.2.7"  # whom peer.test lets send
NODE = pathlib.Path(os.environ.get("TEGAMI_CLIENTS", TOP / "build-check" / "clients")) / "node"
DATE = "Tue, 24 Nov 2026 05:52:28 +0000"


def key_pair():
    private = subprocess.run(["openssl", "genrsa", "-traditional", "2048"], capture_output=True, check=True).stdout
    public = subprocess.run(["openssl", "rsa", "-pubout"], input=private, capture_output=True, check=True).stdout.decode()
    return private, "v=DKIM1; k=rsa; p=" + "".join(public.split("\n")[1:-2])


@pytest.fixture(scope="module")
def key():
    return key_pair()


def publish(server, *others):
    """The server's keys, as its DNS and as text by name."""
    records = {f"{k['selector']}._domainkey.{k['domain']}": k["record"] for k in server.json("dkim", "list")}
    for name, text in others:
        records[name] = text
    server.dns.zones = {**server.dns.zones, **{name: txt(text) for name, text in records.items()}}
    return records


def txt(text):
    return {"TXT": [" ".join(f'"{text[i:i + 255]}"' for i in range(0, len(text), 255))]}


@pytest.fixture
def forwarding(make_server, key):
    """A server that seals as example.test, with the alias out@example.test to x@outside.test."""
    peers = []

    def make(options=None, extra="", create=("example.test",), peer=None):
        peer = peer or Peer()
        peers.append(peer)
        server = make_server({**AUTH, **(options or {})}, f'route "outside.test" {{ host = "127.0.0.1:{peer.port}" tls = none }}\n' + extra)
        server.cli("alias", "add", "out@example.test", "x@outside.test")
        for domain in create:
            server.cli("dkim", "create", domain)
        server.dns.zones = {"peer.test": txt(f"v=spf1 ip4:{CLIENT} -all")}
        records = publish(server, *((f"s._domainkey.{d}", key[1]) for d in ("peer.test", "one.test", "two.test")))
        return server, peer, records

    yield make
    for p in peers:
        p.stop()


def send(server, text, to=("out@example.test",), sender=STRANGER, ip=CLIENT, options=()):
    with server.smtp() as s:
        s.docmd("XCLIENT", f"ADDR={ip} NAME=mail.peer.test")
        s.ehlo("mail.peer.test")
        s.sendmail(sender, list(to), text, mail_options=list(options))


def arc(data, records):
    """(cv, sets) as dkimpy sees it; the domain's key by name."""
    def find(name, timeout=5):
        text = records.get(name.decode().rstrip("."))
        return text.encode() if text is not None else None
    cv, results, reason = dkim.arc_verify(data, dnsfunc=find)
    return (cv or b"none").decode(), results, reason


def sealed(mail, domain, key, saw="dmarc=pass header.from=peer.test"):
    """One more set on top, by dkimpy."""
    mail = f"Authentication-Results: {domain}; arc={'pass' if b'ARC-Seal' in mail else 'none'}; {saw}\r\n".encode() + mail
    return b"".join(dkim.arc_sign(mail, b"s", domain.encode(), key[0], domain.encode(),
                                  include_headers=[b"from", b"to", b"subject", b"date"])) + mail


HEAD = f"From: Bob <{STRANGER}>\r\nTo: out@example.test\r\nSubject: news\r\nDate: {DATE}\r\nMessage-ID: <1@peer.test>\r\n"
MIME = ("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHello \t there \r\n\r\n\r\n"
        "--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAw==\r\n--b--\r\n\r\n\r\n")
EIGHT = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n.\r\n..dots\r\n"
MESSAGES = {
    "plain": HEAD + "\r\nHello\r\n",
    "mime": HEAD + MIME,
    "eight": HEAD + EIGHT,
    "empty": HEAD + "\r\n",
    "blank-lines": HEAD + "\r\n\r\n \t\r\n\r\n",
    "blanks": HEAD + "\r\n  a  b\t\tc \r\n\t\r\nx\r\n",
    "long-header": HEAD + "X-Long: " + "y" * 900 + "\r\nReferences: " + "\r\n ".join(f"<{i}@peer.test>" for i in range(300)) + "\r\n\r\nHello\r\n",
    "odd-header": HEAD.replace("Subject: news", "Subject:  a \t\r\n\t b  ") + "Cc: a@x.test\r\nCC: b@x.test\r\ncc: c@x.test\r\n\r\nHello\r\n",
    "large": HEAD + "\r\n" + "0123456789 abcdefghijklmnopqrstuvwxyz\r\n" * 4000,
    "forged": "Authentication-Results: mx.example.test; dkim=pass header.d=bank.test\r\nX-Spam-Status: No\r\n" + HEAD
              + "Authentication-Results: mx.example.test; dmarc=pass\r\nAuthentication-Results: other.test; spf=pass\r\n\r\nHello\r\n",
}


def mailauth(data, records, tmp_path):
    """What the npm library says of the chain; None: it is not here."""
    if not (NODE / "node_modules/mailauth").exists():
        return None
    (tmp_path / "mail").write_bytes(data)
    (tmp_path / "records").write_text(json.dumps(records))
    script = """
const { authenticate } = require(process.argv[1] + '/node_modules/mailauth'), fs = require('fs');
const records = JSON.parse(fs.readFileSync(process.argv[3]));
authenticate(fs.readFileSync(process.argv[2]), { ip: '192.0.2.99', helo: 'x', sender: 'x@y.test', disableDmarc: true, disableBimi: true,
  resolver: async (name, type) => { if (type === 'TXT' && records[name]) return [[records[name]]];
    const e = new Error('none'); e.code = 'ENOTFOUND'; throw e; } })
  .then(r => console.log(JSON.stringify(r.arc)));
"""
    p = subprocess.run(["node", "-e", script, NODE, tmp_path / "mail", tmp_path / "records"], capture_output=True, text=True, timeout=60)
    assert p.returncode == 0, p.stderr
    return json.loads(p.stdout)


def test_first_sets(forwarding, key, tmp_path):
    server, peer, records = forwarding()
    mails = {name: text.encode() for name, text in MESSAGES.items()}
    plain = mails["plain"]
    mails["signed"] = dkim.sign(plain, b"s", b"peer.test", key[0], include_headers=[b"from", b"subject"]) + plain
    for n, (name, mail) in enumerate(mails.items(), 1):
        send(server, mail, options=["BODY=8BITMIME"] if name == "eight" else ())
        got = peer.wait(n)[-1].data
        cv, results, reason = arc(got, records)
        assert cv == "pass" and len(results) == 1 and results[0]["cv"] == b"none", (name, reason, got[:3000])
        head = got.split(b"\r\n\r\n")[0].decode()
        assert head.startswith("ARC-Seal: i=1; a=rsa-sha256;") and "cv=none" in head and " d=example.test;" in head.replace("\t", " ")
        assert got.endswith(mail.split(b"\r\n\r\n", 1)[1]) and max(len(x) for x in got.split(b"\r\n")) <= 998
        assert "ARC-Authentication-Results: i=1; mx.example.test;\r\n\tspf=pass smtp.mailfrom=bob@peer.test" in head, head
        assert "bank.test" not in head and ("signed" != name or "dkim=pass" in head.split("ARC-Authentication-Results")[1])
        told = mailauth(got, records, tmp_path)
        assert told is None or (told["status"]["result"], told["i"]) == ("pass", 1), (name, told)
    server.wait_trace(STRANGER, "sealed for x@outside.test: set 1 of example.test (the first), selector")


def test_local_copies_bear_none(forwarding):
    server, peer, records = forwarding()
    server.cli("alias", "add", "both@example.test", "alice@example.test", "x@outside.test")
    send(server, MESSAGES["plain"].encode(), ["both@example.test"])
    assert arc(peer.wait(1)[0].data, records)[0] == "pass"
    mail, = server.wait_mails("alice@example.test", 1)
    assert b"ARC-" not in mail.raw and b"\0" not in mail.raw
    # nobody's mail goes on: nothing is sealed
    send(server, MESSAGES["plain"].replace("<1@", "<2@").encode(), ["bob@example.test"])
    server.wait_mails("bob@example.test", 1)
    assert "sealed" not in server.wait_trace("2@peer.test", "delivered")


def test_longer_chains(forwarding, key, tmp_path):
    server, peer, records = forwarding()
    mail, n = MESSAGES["plain"].encode(), 0
    for domain in ("one.test", "two.test"):
        mail, n = sealed(mail, domain, key), n + 1
        send(server, mail)
        got = peer.wait(n)[-1].data
        cv, results, reason = arc(got, records)
        assert cv == "pass" and len(results) == n + 1, reason
        assert got.startswith(b"ARC-Seal: i=%d; " % (n + 1)) and b"cv=pass" in got.split(b"\r\n")[0]
        told = mailauth(got, records, tmp_path)
        assert told is None or (told["status"]["result"], told["i"]) == ("pass", n + 1), told
    # broken: one set says so, over itself alone, and none comes above that
    broken = mail.replace(b"Hello", b"Hullo")
    send(server, broken)
    got = peer.wait(3)[-1].data
    assert got.startswith(b"ARC-Seal: i=3; ") and b"cv=fail" in got.split(b"\r\n")[0] and got.count(b"ARC-Seal") == 3
    assert b"arc=fail" in got.split(b"ARC-Authentication-Results: i=3")[1].split(b"\r\nDelivered-To")[0]
    assert alone(got, records)
    assert arc(got, records)[0] != "pass"
    inner = got[got.index(b"ARC-Seal"):].replace(b"Delivered-To: out@example.test\r\n", b"")
    send(server, inner)
    again = peer.wait(4)[-1].data
    assert again.count(b"ARC-Seal:") == 3 and not again.startswith(b"ARC-")
    story = server.wait_trace(STRANGER, "not sealed for x@outside.test: its last seal says that the chain is broken")
    assert "set 3 of example.test (the chain is broken)" in story


def alone(data, records):
    """Does the topmost seal fit over its own set and nothing else? As dkimpy reads it."""
    d = dkim.ARC(data)
    d.headers = [next(f for f in d.headers if f[0].lower() == name)
                 for name in (b"arc-seal", b"arc-message-signature", b"arc-authentication-results")]
    tags = {**dkim.util.parse_tag_value(d.headers[0][1]), b"c": b"relaxed/relaxed"}
    return d.verify_sig(tags, [b"arc-authentication-results", b"arc-message-signature"], d.headers[0],
                        lambda name, timeout=5: records[name.decode().rstrip(".")].encode())


def test_hosts_of_seven_bits(forwarding, tmp_path):
    """It is converted on the way, and the set with it fits what arrives."""
    server, peer, records = forwarding(peer=Peer(extensions=("PIPELINING", "SIZE 52428800")))
    send(server, MESSAGES["eight"].encode(), options=["BODY=8BITMIME"])
    got = peer.wait(1)[0].data
    assert "Grüße".encode() not in got and b"Content-Transfer-Encoding: base64" in got
    assert got.count(b"ARC-Seal:") == got.count(b"ARC-Message-Signature:") == got.count(b"Delivered-To:") == 1
    cv, results, reason = arc(got, records)
    assert cv == "pass" and len(results) == 1, reason
    told = mailauth(got, records, tmp_path)
    assert told is None or told["status"]["result"] == "pass", told


def test_without_a_key_or_signer(forwarding):
    server, peer, records = forwarding(create=())
    send(server, MESSAGES["plain"].encode())
    assert b"ARC-" not in peer.wait(1)[0].data
    server.wait_trace(STRANGER, "not sealed for x@outside.test: no RSA key is there for example.test")
    server.cli("dkim", "create", "example.test")
    server.options["arc.domain"] = '"nokey.test"'
    server.reload()
    send(server, MESSAGES["plain"].encode())
    assert b"ARC-" not in peer.wait(2)[-1].data
    server.wait_trace(STRANGER, "no RSA key is there for nokey.test")
    server.options["arc.domain"] = '"example.test"'
    server.options["arc.seal"] = "false"
    server.reload()
    send(server, MESSAGES["plain"].encode())
    assert b"ARC-" not in peer.wait(3)[-1].data
    server.options["arc.seal"] = "true"
    server.reload()
    # a signer that says nothing holds nothing up for long
    pid, = server.pids("signer")
    os.kill(pid, signal.SIGSTOP)
    try:
        send(server, MESSAGES["plain"].encode())
        assert b"ARC-" not in peer.wait(4)[-1].data
        server.wait_trace(STRANGER, "the signer did not answer in time")
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("trusted", [True, False])
def test_a_second_server_takes_our_word(make_server, key, trusted):
    """Forwarded, SPF fails at the second server and DMARC with it; who trusts the sealer takes it, and says why."""
    first = make_server({**AUTH, "srs.enabled": "false"})
    second = make_server({**AUTH, "hostname": "mx.second.test", **({"arc.trusted": '{"example.test"}'} if trusted else {})}, users=False)
    second.add_domain("second.test", carol="carol-secret")
    first.extra += f'\nroute "second.test" {{ host = "127.0.0.1:{second.ports["mx"]}" tls = none }}\n'
    first.reload()
    first.cli("alias", "add", "out@example.test", "carol@second.test")
    first.cli("dkim", "create", "example.test")
    # peer.test stands behind its mail by SPF alone
    first.dns.zones = {"peer.test": txt(f"v=spf1 ip4:{CLIENT} -all"), "_dmarc.peer.test": txt("v=DMARC1; p=reject")}
    publish(first)
    second.dns.zones = first.dns.zones
    send(first, MESSAGES["plain"].encode())
    if not trusted:
        first.wait_trace(STRANGER, "wants mail that it does not stand behind refused")
        return
    mail, = second.wait_mails("carol@second.test", 1)
    told = mail.header("Authentication-Results")[0]
    assert told.startswith("mx.second.test; spf=fail ") and "dmarc=fail" in told and "example.test of arc.trusted saw DMARC pass" in told and "arc=pass" in told, told
    path = second.dir / "mail"
    path.write_bytes(mail.raw)
    said = second.cli("filter", "test", path, "--ip", "127.0.0.1", "--helo", "mx.example.test", "--from", STRANGER)
    assert "it is taken since example.test of arc.trusted saw DMARC pass" in said, said
