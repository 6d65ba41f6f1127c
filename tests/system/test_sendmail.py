"""sendmail alone, with this file as the server behind its socket."""
import os
import socket
import subprocess
import threading

import pytest

from queue_role import BUILD


class Smtp:
    """Answers on a unix socket as `script` says (verb -> reply, default 250); keeps what it was told."""

    def __init__(self, path, script=None):
        self.script = script or {}
        self.commands, self.data = [], None
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        here = os.getcwd()
        os.chdir(path.parent)
        self.listener.bind(path.name)
        os.chdir(here)
        self.listener.listen(4)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            with s, s.makefile("rwb") as f:
                self.talk(f)

    def talk(self, f):
        def say(text):
            f.write(text.encode() + b"\r\n")
            f.flush()

        say(self.script.get("banner", "220 mx.example.test"))
        for line in f:
            assert line.endswith(b"\r\n")
            command = line[:-2].decode()
            self.commands.append(command)
            verb = command.split()[0].upper()
            answer = next((a for c, a in self.script.items() if command.upper().startswith(c.upper())), None)
            if verb == "EHLO" and answer is None:
                say("250-mx.example.test\r\n250-8BITMIME\r\n250-DSN\r\n250 SMTPUTF8")
            elif verb == "DATA" and answer is None:
                say("354 go on")
                data = b""
                while not data.endswith(b"\r\n.\r\n") and data != b".\r\n":
                    data += f.readline()
                self.data = data[:-3]
                say(self.script.get("body", "250 2.0.0 ok"))
            elif verb == "QUIT":
                say("221 bye")
                return
            elif answer == "DROP":
                return
            else:
                say(answer or "250 ok")


@pytest.fixture
def make(tmp_path):
    (tmp_path / "tegami.conf").write_text(
        f'hostname = "mx.example.test"\nstate_dir = "{tmp_path}"\ntls {{ certificate = "{tmp_path}/c" key = "{tmp_path}/k" }}\n')
    servers = []

    def start(script=None):
        servers.append(Smtp(tmp_path / "submit.sock", script))
        return servers[-1]

    yield start
    for s in servers:
        s.listener.close()


def run(tmp_path, *words, text="", name="sendmail"):
    return subprocess.run([os.path.join(BUILD, name), *words], input=text if isinstance(text, bytes) else text.encode(),
                          capture_output=True, timeout=30, env={**os.environ, "TEGAMI_CONFIG": str(tmp_path / "tegami.conf")})


def envelope(server):
    return [c for c in server.commands if c.startswith(("MAIL", "RCPT"))]


def test_plain(make, tmp_path):
    s = make()
    p = run(tmp_path, "-i", "-f", "a@b.test", "x@y.test", "z@y.test", text="Subject: x\n\nhello\n")
    assert p.returncode == 0, p.stderr
    assert envelope(s) == ["MAIL FROM:<a@b.test> BODY=8BITMIME", "RCPT TO:<x@y.test>", "RCPT TO:<z@y.test>"]
    assert s.data == b"Subject: x\r\n\r\nhello\r\n"


@pytest.mark.parametrize("words,text,data", [
    (["-i"], b"S: x\n\n.\n.a\n..\nend", b"S: x\r\n\r\n..\r\n..a\r\n...\r\nend\r\n"),
    ([], b"S: x\n\nbefore\n.\nafter\n", b"S: x\r\n\r\nbefore\r\n"),
    ([], b"S: x\n\n.a\nb\n", b"S: x\r\n\r\n..a\r\nb\r\n"),
    (["-oi"], b"S: x\r\n\r\n.\r\nafter\r\n", b"S: x\r\n\r\n..\r\nafter\r\n"),
    ([], b"no header here\nsecond\n", b"\r\nno header here\r\nsecond\r\n"),
    ([], b"", b""),
    (["-i"], b"\n\nx\n", b"\r\n\r\nx\r\n"),
    (["-i"], b"S: x\n\na\rb\r\nc\r\r\n", b"S: x\r\n\r\na\r\nb\r\nc\r\n\r\n"),
    (["-i"], b"S: x\n\n" + b"y" * 70000, b"S: x\r\n\r\n" + b"y" * 70000 + b"\r\n"),
    (["-i"], b".\n", b"\r\n..\r\n"),
    ([], b".\nrest\n", b""),
    ([], b"S: x\n.\nrest\n", b"S: x\r\n"),
], ids=range(12))
def test_bodies(make, tmp_path, words, text, data):
    s = make()
    p = run(tmp_path, *words, "x@y.test", text=text)
    assert p.returncode == 0, p.stderr
    assert s.data == data


def test_recipients_of_the_header(make, tmp_path):
    s = make()
    p = run(tmp_path, "-t", "-f", "<>", text="To: A <a@b.test>, root\nBcc: hidden@b.test\nCc: c@b.test (C)\nSubject: x\n\nhi\n")
    assert p.returncode == 0, p.stderr
    assert envelope(s) == ["MAIL FROM:<> BODY=8BITMIME", "RCPT TO:<a@b.test>", "RCPT TO:<root@mx.example.test>",
                           "RCPT TO:<hidden@b.test>", "RCPT TO:<c@b.test>"]
    assert b"hidden" not in s.data and s.data.startswith(b"To: A <a@b.test>, root\r\nCc:")


@pytest.mark.parametrize("script,status,says", [
    ({"RCPT TO:<x@y.test>": "550 5.1.1 nobody"}, 67, b"x@y.test"),
    ({"RCPT": "450 4.2.0 later"}, 75, b"later"),
    ({"MAIL": "553 5.7.1 not yours"}, 77, b"not yours"),
    ({"DATA": "451 4.3.0 disk"}, 75, b"disk"),
    ({"body": "550 5.7.1 virus"}, 69, b"virus"),
    ({"body": "452 4.3.1 full"}, 75, b"full"),
    ({"banner": "421 4.3.2 too many"}, 75, b"too many"),
    ({"RCPT": "DROP"}, 75, b"broke"),
])
def test_refusals(make, tmp_path, script, status, says):
    make(script)
    p = run(tmp_path, "a@y.test", "x@y.test", text="S: x\n\nx\n")
    assert p.returncode == status and says in p.stderr, p.stderr


def test_all_or_none(make, tmp_path):
    s = make({"RCPT TO:<x@y.test>": "550 5.1.1 nobody"})
    run(tmp_path, "a@y.test", "x@y.test", text="S: x\n\nx\n")
    assert s.data is None


def test_no_server(make, tmp_path):
    p = run(tmp_path, "x@y.test", text="S: x\n\nx\n")
    assert p.returncode == 75 and b"cannot be reached" in p.stderr


@pytest.mark.parametrize("words,status", [
    ([], 65), (["-t"], 65), (["-Z", "x@y.test"], 64), (["-f"], 64), (["-bd"], 64), (["--", "-oQ/tmp"], 65), (["-bi"], 0),
    (["-q"], 0), (["-f", "a b@c", "x@y.test"], 0)])
def test_command_lines(make, tmp_path, words, status):
    make()
    assert run(tmp_path, *words, text="S: x\n\nx\n").returncode == status


def test_dsn(make, tmp_path):
    s = make()
    run(tmp_path, "-N", "success,failure", "-R", "hdrs", "-V", "id1", "x@y.test", text="S: x\n\nx\n")
    assert envelope(s)[0].endswith(" RET=HDRS ENVID=id1") and envelope(s)[1] == "RCPT TO:<x@y.test> NOTIFY=success,failure"


def test_talks_through(make, tmp_path):
    s = make()
    p = run(tmp_path, "-bs", text="EHLO me\r\nMAIL FROM:<a@b>\r\nQUIT\r\n")
    assert p.returncode == 0 and p.stdout.startswith(b"220 ") and p.stdout.endswith(b"221 bye\r\n")
    assert s.commands == ["EHLO me", "MAIL FROM:<a@b>", "QUIT"]


def test_mailq_and_newaliases(make, tmp_path):
    for name in ("mailq", "newaliases"):
        (tmp_path / name).symlink_to(os.path.join(BUILD, "sendmail"))
    assert subprocess.run([tmp_path / "newaliases"]).returncode == 0
    p = subprocess.run([tmp_path / "mailq"], capture_output=True, env={**os.environ, "TEGAMI_CONFIG": str(tmp_path / "tegami.conf")})
    assert p.returncode == 1 and b"not running" in p.stderr
