"""Programs that people send mail with: each submits with STARTTLS and over implicit TLS, and what it sent lies in the
mailboxes byte for byte."""
import base64
import email.policy
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from server import PATIENCE, TOP, client_tls

USER, PASSWORD = "alice@example.test", "alice-secret"
RCPTS = ["alice@example.test", "bob@example.test", "carol@example.test"]
CLIENTS = pathlib.Path(os.environ.get("TEGAMI_CLIENTS", TOP / "build-check" / "clients"))
NODE = CLIENTS / "node" / "node_modules"

HEAD = ("From: \"Alice \u00c4\" <alice@example.test>\r\nTo: alice@example.test,\r\n\tbob@example.test, carol@example.test\r\n"
        "Subject: =?utf-8?B?R3LDvMOfZSDmiYvntJk=?=\r\nDate: Tue, 24 Nov 2026 11:00:00 +0000\r\n"
        "Message-ID: <{0}@example.test>\r\nMIME-Version: 1.0\r\n").replace("\u00c4", "A")
# What a careless client gets wrong: dots, blanks at the end, empty lines, 8 bits, a line at the limit.
TRICKY = (HEAD.format("tricky") + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
          ".\r\n..\r\n...three\r\n.dot Gr\u00fc\u00dfe \u624b\u7d19\r\n\r\nblanks at the end  \t \r\nFrom the start of a line\r\n"
          + "x" * 998 + "\r\n \r\n\r\n.end\r\n\r\n").encode()


def large():
    """An attachment of 5 MB that no two lines of are alike."""
    data = base64.encodebytes(bytes((i * i >> 5) & 255 for i in range(5_000_000))).replace(b"\n", b"\r\n")
    return (HEAD.format("large") + "Content-Type: multipart/mixed; boundary=\"=b=\"\r\n\r\n--=b=\r\n\r\nsee there\r\n"
            "--=b=\r\nContent-Type: application/octet-stream; name=\"a.bin\"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            ).encode() + data + b"--=b=--\r\n"


@pytest.fixture(scope="module")
def clients(shared, tmp_path_factory):
    shared.add_user("carol@example.test", "carol-secret")
    folder = tmp_path_factory.mktemp("mails")
    (folder / "tricky").write_bytes(TRICKY)
    (folder / "large").write_bytes(large())
    return shared, folder


def call(*words, data=None, env=None):
    p = subprocess.run([str(w) for w in words], input=data, capture_output=True, timeout=120 * PATIENCE,
                       env={**os.environ, **(env or {})})
    assert p.returncode == 0, f"{words[0]}: exit {p.returncode}\n{p.stdout[-3000:]!r}\n{p.stderr[-3000:]!r}"
    return p.stdout


def by_swaks(port, implicit, file):
    plain = file.parent / "swaks"  # it writes the last line end itself
    plain.write_bytes(file.read_bytes()[:-2])
    call("swaks", "--server", f"127.0.0.1:{port}", "--tls-on-connect" if implicit else "--tls", "--auth", "PLAIN",
         "--auth-user", USER, "--auth-password", PASSWORD, "--from", USER, "--to", ",".join(RCPTS),
         "--data", f"@{plain}")


def by_msmtp(port, implicit, file):
    call("msmtp", "--host=127.0.0.1", f"--port={port}", "--tls=on", f"--tls-starttls={'off' if implicit else 'on'}",
         "--tls-certcheck=off", "--auth=plain", f"--user={USER}", f"--passwordeval=echo {PASSWORD}", f"--from={USER}",
         *RCPTS, data=file.read_bytes().replace(b"\r\n", b"\n"))


def by_curl(port, implicit, file):
    rcpts = [w for r in RCPTS for w in ("--mail-rcpt", r)]
    call("curl", "-sS", "--url", f"smtp{'s' if implicit else ''}://127.0.0.1:{port}/client.test", "--ssl-reqd", "--insecure",
         "--user", f"{USER}:{PASSWORD}", "--mail-from", USER, *rcpts, "--upload-file", file)


def by_smtplib(port, implicit, file):
    import smtplib

    s = smtplib.SMTP_SSL("127.0.0.1", port, context=client_tls()) if implicit else smtplib.SMTP("127.0.0.1", port)
    with s:
        if not implicit:
            s.starttls(context=client_tls())
        s.login(USER, PASSWORD)
        assert s.sendmail(USER, RCPTS, file.read_bytes(), ["BODY=8BITMIME"]) == {}


NODE_SEND = """
const m = require('nodemailer'), fs = require('fs'), o = JSON.parse(process.argv[1]);
const t = m.createTransport({ host: '127.0.0.1', port: o.port, secure: o.implicit, requireTLS: !o.implicit,
	tls: { rejectUnauthorized: false }, auth: { user: o.user, pass: o.password } });
t.sendMail(o.mail || { envelope: { from: o.user, to: o.rcpts }, raw: fs.readFileSync(o.file) })
	.then(i => { if (i.rejected.length) throw Error('rejected'); t.close(); })
	.catch(e => { console.error(e); process.exit(1); });
"""


def need_nodemailer():
    if not shutil.which("node") or not (NODE / "nodemailer").is_dir():
        pytest.skip("no nodemailer: tests/install-clients has not put it here")


def node(port, implicit, **more):
    need_nodemailer()
    told = {"port": port, "implicit": implicit, "user": USER, "password": PASSWORD, "rcpts": RCPTS, **more}
    call("node", "-e", NODE_SEND, json.dumps(told), env={"NODE_PATH": str(NODE)})


def by_nodemailer(port, implicit, file):
    node(port, implicit, file=str(file))


SENDERS = [by_swaks, by_msmtp, by_curl, by_smtplib, by_nodemailer]
LISTENERS = [("submission", False), ("submissions", True)]


def need(program):
    if not shutil.which(program):
        pytest.skip(f"no {program}")


class New:
    """What came into the mailboxes since."""

    def __init__(self, server):
        self.server = server
        self.before = {r: {m.path.name for m in server.mails(r)} for r in RCPTS}

    def mails(self, n=1):
        for rcpt in RCPTS:
            self.server.wait_mails(rcpt, len(self.before[rcpt]) + n, seconds=30)
        return {r: [m for m in self.server.mails(r) if m.path.name not in self.before[r]] for r in RCPTS}


def check_whole(mail, sent):
    sent = sent.replace(b"\r\n", b"\n")
    assert mail.raw.endswith(sent), f"not as it was sent: {mail.raw[:300]!r} ... {mail.raw[-300:]!r}"
    added = mail.raw[:-len(sent)].decode()
    names = {line.split(":")[0] for line in added.splitlines() if not line.startswith(("\t", " "))}
    assert names <= {"Return-Path", "Delivered-To", "Received", "Authentication-Results", "DKIM-Signature"}, added


@pytest.mark.parametrize("name", ["tricky", "large"])
@pytest.mark.parametrize("listener,implicit", LISTENERS, ids=[l for l, _ in LISTENERS])
@pytest.mark.parametrize("send", SENDERS, ids=lambda f: f.__name__[3:])
def test_byte_for_byte(clients, send, listener, implicit, name):
    server, folder = clients
    if send not in (by_smtplib, by_nodemailer):
        need(send.__name__[3:])
    new = New(server)
    send(server.ports[listener], implicit, folder / name)
    for rcpt, (mail,) in new.mails().items():
        check_whole(mail, (folder / name).read_bytes())
        assert mail.header("Delivered-To") == [rcpt]


def check_composed(new, text, attachment):
    """Mail that the client itself wrote: nothing of it is lost."""
    for mail, in new.mails().values():
        m = mail.message
        assert m["Subject"] == "Gr\u00fc\u00dfe \u624b\u7d19"
        assert len(mail.header("Message-ID")) == 1 and len(mail.header("Date")) == 1
        assert text in m.get_body().get_content()
        assert [p.get_content() for p in m.iter_attachments()] == [attachment]


@pytest.mark.parametrize("listener,implicit", LISTENERS, ids=[l for l, _ in LISTENERS])
def test_nodemailer_composes(clients, listener, implicit):
    server, folder = clients
    data = os.urandom(5_000_000)
    (folder / "a.bin").write_bytes(data)
    new = New(server)
    node(server.ports[listener], implicit, mail={
        "from": USER, "to": RCPTS, "subject": "Gr\u00fc\u00dfe \u624b\u7d19", "text": "Gr\u00fc\u00dfe\n.\n\u624b\u7d19\n",
        "attachments": [{"filename": "\u624b\u7d19.bin", "path": str(folder / "a.bin")}]})
    check_composed(new, "Gr\u00fc\u00dfe\n.\n\u624b\u7d19\n", data)


@pytest.mark.parametrize("listener,implicit", LISTENERS, ids=[l for l, _ in LISTENERS])
def test_s_nail_composes(clients, listener, implicit):
    need("s-nail")
    server, folder = clients
    data = os.urandom(5_000_000)
    (folder / "a.bin").write_bytes(data)
    new = New(server)
    user = USER.replace("@", "%40")
    url = f"{'smtps' if implicit else 'smtp'}://{user}:{PASSWORD}@127.0.0.1:{server.ports[listener]}"
    options = ["v15-compat=yes", f"mta={url}", "smtp-auth=plain", "tls-verify=ignore", "tls-ca-no-defaults", f"from={USER}",
               "sendcharsets=utf-8", "hostname=client.test", "sendwait", "nosave"]
    if not implicit:
        options.append("smtp-use-starttls")
    call("s-nail", "-:", "/", *[w for o in options for w in ("-S", o)], "-a", folder / "a.bin",
         "-s", "Gr\u00fc\u00dfe \u624b\u7d19", *RCPTS, data="Gr\u00fc\u00dfe\n.x\n\u624b\u7d19\n".encode(),
         env={"LC_ALL": "C.UTF-8", "HOME": str(folder)})
    check_composed(new, "Gr\u00fc\u00dfe\n.x\n\u624b\u7d19\n", data)
