"""Reloads and upgrades that no session notices: new processes of smtpd take over, old ones finish what they began."""
import os
import pathlib
import re
import shutil
import smtplib
import socket
import time

import pytest

import server as server_module
from server import BUILD, Server, free_port, message, wait_until

PROGRAMS = ("tegamid", "tegami", "admin/control", "base/dns/resolver", "storage/directory", "storage/auth", "delivery/mda",
            "delivery/relay", "filters/scan", "filters/signer", "filters/filter", "delivery/queue", "smtp/smtpd")


@pytest.fixture
def server():
    with Server() as s:
        s.add_domain("example.test", alice="alice-secret")
        yield s


def workers(s, *states):
    return [r for r in s.status()["roles"] if r["name"] == "smtpd" and r["state"] in states]


def pids(s, *states):
    return {int(r["pid"]) for r in workers(s, *states)}


class Slow:
    """A client in the middle of DATA."""

    def __init__(self, s, subject):
        self.smtp = s.smtp("mx")
        for line, code in (("MAIL FROM:<a@peer.test>", 250), ("RCPT TO:<alice@example.test>", 250), ("DATA", 354)):
            assert self.smtp.docmd(line)[0] == code
        self.smtp.send(f"Subject: {subject}\r\n\r\nbegun ".encode())

    def finish(self):
        self.smtp.send(b"and ended\r\n.\r\n")
        code, text = self.smtp.getreply()
        assert code == 250, (code, text)


def subjects(s, n):
    return sorted(m.header("Subject")[0] for m in s.wait_mails("alice@example.test", n))


def test_hostname_and_listeners_change(server):
    port, before = free_port(), pids(server, "ready")
    slow, idle = Slow(server, "across"), server.smtp("mx")
    gone = server.ports["submission"]
    server.extra = f'listen "second" {{ kind = mx address = {{"127.0.0.1:{port}"}} }}'
    text = server.config_text().replace('hostname = "mx.example.test"', 'hostname = "new.example.test"')
    text = "\n".join(line for line in text.splitlines() if f":{gone}" not in line)
    server.conf.write_text(text)
    server.cli("reload")
    assert server.process.poll() is None
    assert not before & pids(server, "ready") and before == pids(server, "leaving")
    for p in (server.ports["mx"], port):  # the old address and the new one are served by the new processes
        with smtplib.SMTP("127.0.0.1", p, "client.test", timeout=30) as s:
            assert s.ehlo()[1].startswith(b"new.example.test")
            s.sendmail("b@peer.test", ["alice@example.test"], message(f"port {p}").as_bytes())
    with pytest.raises(ConnectionRefusedError):
        wait_until("the old listener to be closed", lambda: socket.create_connection(("127.0.0.1", gone)).close(), 10)
    assert idle.noop()[0] == 250  # one between messages goes on, for a while
    idle.quit()
    slow.finish()
    slow.smtp.close()
    assert subjects(server, 3) == sorted(["across"] + [f"port {p}" for p in (server.ports["mx"], port)])
    wait_until("the old processes to be gone", lambda: not workers(server, "leaving"), 15)
    assert "by new.example.test" in [m for m in server.mails("alice@example.test") if b"port" in m.raw][0].header("Received")[0]


def test_same_listeners_stay_with_their_processes(server):
    before = pids(server, "ready")
    server.options["limits.message_size"] = "1M"
    server.reload()
    assert pids(server, "ready") == before and not workers(server, "leaving")
    with server.smtp() as s:
        assert s.esmtp_features["size"] == str(1 << 20)


def test_bad_listener_changes_nothing(server):
    before = pids(server, "ready")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server.extra = 'listen "x" { kind = mx address = {"127.0.0.1:%d"} }' % taken.getsockname()[1]
        server.write_config()
        p = server.run("reload", check=False)
    assert p.returncode == 1 and "another mail server runs there" in p.stderr
    assert pids(server, "ready") == before
    with server.smtp() as s:
        s.noop()


def test_bad_certificate_keeps_the_old_processes(server):
    """New ones that cannot start leave the old ones in place, listeners and all."""
    before = pids(server, "ready")
    port = free_port()
    server.extra = 'listen "x" { kind = mx address = {"127.0.0.1:%d"} }' % port
    server.write_config()
    good = server.key.read_bytes()
    server.key.write_text("no key\n")
    p = server.run("reload", check=False)
    assert p.returncode == 1 and "private key cannot be read" in p.stderr
    wait_until("the new processes to be gone", lambda: len(workers(server, "ready")) == len(before) and
               not workers(server, "leaving", "starting", "failed", "down"), 10)
    assert pids(server, "ready") == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    server.key.write_bytes(good)
    server.cli("reload")  # the same file again: what is owed is done
    assert not before & pids(server, "ready")
    socket.create_connection(("127.0.0.1", port)).close()


def test_new_program(tmp_path, monkeypatch):
    """make install, then a reload: new connections are served by the new program, a message under way by the old one."""
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:3]:  # pytest's folders are closed to other accounts
        if str(parent).startswith("/tmp/pytest"):
            parent.chmod(0o755)
    for program in PROGRAMS:
        (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(BUILD / program, tmp_path / program)
    monkeypatch.setattr(server_module, "BUILD", tmp_path)
    with Server() as s:
        s.add_domain("example.test", alice="alice-secret")
        old = pids(s, "ready")
        slow = Slow(s, "across an upgrade")
        shutil.copy(tmp_path / "smtp/smtpd", tmp_path / "smtpd.new")
        os.replace(tmp_path / "smtpd.new", tmp_path / "smtp/smtpd")
        s.cli("reload")
        new = pids(s, "ready")
        assert not old & new and pids(s, "leaving") == old
        for pid in new if os.geteuid() == 0 else ():  # nobody else may look
            running = os.stat(f"/proc/{pid}/exe")
            assert running.st_ino == os.stat(tmp_path / "smtp/smtpd").st_ino
        with s.smtp() as c:
            c.sendmail("b@peer.test", ["alice@example.test"], message("in the same moment").as_bytes())
        slow.finish()
        slow.smtp.close()
        assert subjects(s, 2) == ["across an upgrade", "in the same moment"]
        wait_until("the old ones to be gone", lambda: not workers(s, "leaving"), 15)
        # a program that does not run leaves what is there
        (tmp_path / "smtpd.bad").write_text("#!/bin/false\n")
        (tmp_path / "smtpd.bad").chmod(0o755)
        os.replace(tmp_path / "smtpd.bad", tmp_path / "smtp/smtpd")
        p = s.run("reload", check=False)
        assert p.returncode == 1 and re.search(r"smtpd \d keeps what it had: it did not start", p.stderr)
        wait_until("the bad ones to be gone", lambda: pids(s, "ready") == new and len(workers(s, "ready", "down", "leaving",
                   "starting", "failed")) == len(new), 10)
        with s.smtp() as c:
            c.noop()


def test_connections_during_reloads(server):
    """No connection is refused, reset or left without a greeting while processes are replaced again and again."""
    def flip(n):
        server.extra = 'listen "x%d" { kind = mx address = {"127.0.0.1:%d"} }' % (n, free_port())
        server.reload()

    for n in range(5):
        clients = [socket.create_connection(("127.0.0.1", server.ports["mx"]), 20) for _ in range(20)]
        flip(n)
        clients += [socket.create_connection(("127.0.0.1", server.ports["mx"]), 20) for _ in range(20)]
        for c in clients:
            assert c.recv(100).startswith(b"220 ")
            c.sendall(b"QUIT\r\n")
            c.close()
    wait_until("the old processes to be gone", lambda: not workers(server, "leaving"), 20)


def test_idle_sessions_are_sent_away(server):
    s = server.smtp("mx")
    server.extra = 'listen "x" { kind = mx address = {"127.0.0.1:%d"} }' % free_port()
    server.reload()
    s.sock.settimeout(120)
    assert re.match(rb"421 4\.3\.2 .*renewed", s.sock.recv(200))
    wait_until("the old processes to be gone", lambda: not workers(server, "leaving"), 15)
