"""Floods: clients that are slow, deaf, many or wrong. Each is told why, in the end its place is free again, mail of others
goes through meanwhile and afterwards, and smtpd's memory is what it was."""
import contextlib
import os
import signal
import smtplib
import socket
import time

import pytest

from server import Server, client_tls, message, wait_until

LIMITS = {
    "limits.connections": "400", "limits.connections_per_client": "100", "limits.reserved_connections": "40",
    "limits.idle_timeout": "2s", "limits.data_timeout": "2s", "limits.output_timeout": "2s", "limits.data_rate": "2000",
    "limits.overload_timeout": "1s", "limits.unknown_rate": "40", "limits.error_rate": "200", "limits.tarpit": "0s",
    "limits.auth_failures": "1000",
}
TRUSTED = "127.0.0.7"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def server():
    s = Server(LIMITS)
    s.options["trusted_networks"] = '{"%s"}' % TRUSTED
    with s:
        s.add_domain("example.test", alice="alice-secret")
        deliver(s, "127.0.0.200")
        yield s


@pytest.fixture(autouse=True)
def memory_and_places(server):
    """Afterwards mail goes through, from the same addresses too, and nothing was kept."""
    before = memory(server)
    yield
    deliver(server, "127.0.0.1")
    grown = memory(server) - before
    assert grown < 16 * MIB, f"smtpd grew by {grown} bytes"


def memory(server):
    total = 0
    for pid in server.pids("smtpd"):
        with open(f"/proc/{pid}/smaps_rollup") as f:
            total += next(int(line.split()[1]) * 1024 for line in f if line.startswith("Pss:"))
    return total


def connect(server, source="127.0.0.1", kind="mx"):
    return socket.create_connection(("127.0.0.1", server.ports[kind]), 30, source_address=(source, 0))


class Client:
    def __init__(self, server, source="127.0.0.1", kind="mx", greet=True):
        self.sock = connect(server, source, kind)
        self.file = self.sock.makefile("rb")
        if greet:
            self.expect("220")
            self.cmd("EHLO client.test", "250")

    def reply(self):
        lines = []
        while True:
            line = self.file.readline().decode()
            lines.append(line)
            if line[3:4] != "-":
                return "".join(lines)

    def expect(self, code):
        text = self.reply()
        assert text.startswith(code), text
        return text

    def send(self, text):
        self.sock.sendall(text.encode())

    def cmd(self, text, code):
        self.send(text + "\r\n")
        return self.expect(code)

    def ended(self):
        try:
            return self.file.read() == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.file.close()
        self.sock.close()


def deliver(server, source):
    """A whole message from there, as soon as a place is free."""
    def try_it():
        with contextlib.suppress(AssertionError, OSError):
            c = Client(server, source)
            c.cmd("MAIL FROM:<someone@peer.test>", "250")
            c.cmd("RCPT TO:<alice@example.test>", "250")
            c.cmd("DATA", "354")
            c.send(message().as_bytes().decode() + "\r\n.\r\n")
            c.expect("250")
            c.close()
            return True
        return False

    wait_until(f"a message from {source} to be taken", try_it, 30)


def drip(sock, byte, until=20):
    """A byte every 100 ms, until the server has something to say."""
    end = time.monotonic() + until
    sock.settimeout(0.1)
    while time.monotonic() < end:
        try:
            sock.sendall(byte)
            if sock.recv(1, socket.MSG_PEEK):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    sock.settimeout(30)


def test_slow_commands(server):
    clients = [Client(server) for _ in range(20)]
    for c in clients[1:]:
        c.send("NOO")
    drip(clients[0].sock, b"N")
    for c in clients:
        assert "Nothing came" in c.expect("421 4.4.2")
        assert c.ended()


def test_slow_message(server):
    c = Client(server)
    c.cmd("MAIL FROM:<someone@peer.test>", "250")
    c.cmd("RCPT TO:<alice@example.test>", "250")
    c.cmd("DATA", "354")
    end = time.monotonic() + 30
    c.sock.settimeout(0.05)
    try:  # each piece is progress, but all of it is far too slow
        while time.monotonic() < end:
            c.send("x" * 62 + "\r\n")
            with contextlib.suppress(TimeoutError):
                if c.sock.recv(1, socket.MSG_PEEK):
                    break
    except OSError:
        pass
    c.sock.settimeout(30)
    assert "too slowly" in c.expect("421 4.4.2")
    assert not server.queue()


def test_never_reads(server):
    deaf = []
    for _ in range(20):
        c = Client(server)
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.sock.settimeout(0.2)
        with contextlib.suppress(TimeoutError, OSError):
            for _ in range(200):
                c.sock.sendall(b"HELP\r\n" * 2000)
        deaf.append(c)
    deliver(server, "127.0.0.2")
    # the places are given back although nobody reads
    for c in [Client(server, "127.0.0.3") for _ in range(3)]:
        c.close()
    end = time.monotonic() + 60
    while deaf and time.monotonic() < end:
        c = deaf[0]
        with contextlib.suppress(OSError):
            c.sock.sendall(b"HELP\r\n" * 2000)
            time.sleep(0.2)
            continue
        # the connection was ended, or its buffers are full: read to the end then
        with contextlib.suppress(OSError):
            c.sock.settimeout(30)
            while c.sock.recv(65536):
                pass
        deaf.pop(0).close()
    assert not deaf


def test_many_from_one(server):
    socks = [connect(server) for _ in range(300)]
    firsts = [s.recv(200) for s in socks]
    assert sum(f.startswith(b"220") for f in firsts) <= 100
    turned = [f for f in firsts if not f.startswith(b"220")]
    assert len(turned) >= 200 and all(f.startswith(b"421 4.7.0 You have too many") for f in turned), turned[:3]
    deliver(server, "127.0.0.2")
    for s in socks:
        s.close()


def test_storm(server):
    for _ in range(2000):
        connect(server).close()


def test_overload_sheds_strangers(server):
    socks = []
    for i in range(5):
        socks += [connect(server, f"127.0.1.{i + 1}") for _ in range(100)]
    firsts = [s.recv(200) for s in socks]
    assert any(f.startswith(b"421 4.3.2") for f in firsts)
    # users and trusted networks have places of their own
    Client(server, TRUSTED).close()
    s = server.smtp("submission", "alice@example.test", "alice-secret")
    s.quit()
    server.wait_log("overload: ")
    held = [s for s, f in zip(socks, firsts) if f.startswith(b"220")]
    assert any(b"421 4.3.2" in s.recv(200) for s in held)
    for s in socks:
        s.close()
    server.wait_log("overload is over")


def test_junk_commands(server):
    """Twenty in a connection, then 200 in all within a minute: from then on the first one ends it."""
    c = Client(server, "127.0.0.20")
    c.send("FROB\r\n" * 100)
    text = b""
    with contextlib.suppress(ConnectionResetError):
        text = c.file.read()
    assert text.count(b"500 5.5.1") <= 20 and b"421 4.7.0" in text

    def leash():
        c = Client(server, "127.0.0.20")
        c.send("FROB\r\n" * 30)
        with contextlib.suppress(ConnectionResetError):
            return b"from your network" in c.file.read()

    wait_until("the short leash", leash, 60)
    deliver(server, "127.0.0.20")


def test_unknown_recipients(server):
    def harvest():
        c = Client(server, "127.0.0.21")
        c.cmd("MAIL FROM:<someone@peer.test>", "250")
        for i in range(60):
            c.send(f"RCPT TO:<nobody{i}@example.test>\r\n")
            text = c.reply()
            if text.startswith("550 5.1.1"):
                text = ""
                continue
            break
        if not text:
            text = c.reply()
        c.close()
        return text.startswith("421 4.7.0 Too many unknown recipients")

    wait_until("the harvest to be ended", harvest, 60)
    deliver(server, "127.0.0.21")  # those that exist


def test_unknown_recipients_of_one_connection():
    with Server({"limits.unknown_recipients": "3"}) as server:
        server.add_domain("example.test", alice="alice-secret")
        c = Client(server)
        c.cmd("MAIL FROM:<someone@peer.test>", "250")
        c.send("".join(f"RCPT TO:<nobody{i}@example.test>\r\n" for i in range(10)))
        for _ in range(3):
            c.expect("550 5.1.1")
        c.expect("421 4.7.0 Too many unknown recipients")
        assert c.ended()
        deliver(server, "127.0.0.1")


def test_password_guessing(server):
    """The guesser is sent away, its owner logs in from elsewhere."""
    s = server.smtp("submission")
    s.starttls(context=client_tls())
    s.ehlo()
    ended = False
    for i in range(60):
        try:
            s.login("alice@example.test", f"guess{i}")
        except smtplib.SMTPServerDisconnected:
            ended = True
            break
        except smtplib.SMTPException:
            continue
    assert ended


def test_early_talker(server):
    """Bytes that are there when the connection is taken, so smtpd rests while they are sent."""
    pids = server.pids("smtpd")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        early, other = Client(server, greet=False), Client(server, TRUSTED, greet=False)
        early.send("EHLO early.test\r\n")
        other.send("EHLO early.test\r\n")
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert "greeted" in early.expect("554 5.5.1")
    assert early.ended()
    other.expect("220")
    other.close()


def test_greet_delay():
    with Server({"limits.greet_delay": "1s"}) as server:
        server.add_domain("example.test", alice="alice-secret")
        early = Client(server, greet=False)
        early.send("EHLO early.test\r\n")
        assert "greeted" in early.expect("554 5.5.1")
        assert early.ended()
        deliver(server, "127.0.0.1")  # who waits
