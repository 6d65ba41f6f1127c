"""Plays conversations (README.md) at a Server."""
import base64
import re
import socket
import ssl
import time

from server import PATIENCE, client_tls, wait_until


class Failed(AssertionError):
    pass


def unescape(text):
    """Text with backslash escapes as bytes."""
    def one(m):
        c = m.group(1)
        return chr(int(c[1:], 16)) if c[0] == "x" else {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}[c]

    return re.sub(r"\\(x[0-9a-fA-F]{2}|[rnt0\\])", one, text).encode("latin-1")


def options_of(text):
    """The '=' lines: a tuple of (option, value)."""
    return tuple(tuple(line[1:].split(None, 1)) for line in text.splitlines() if line.startswith("="))


class Player:
    def __init__(self, server, text, long=False):
        self.server, self.long = server, long
        self.steps = list(enumerate(text.splitlines(), 1))
        self.sock = self.reply = None
        self.buffer = b""
        self.transcript = []
        self.before = {}

    def play(self):
        self.server.wait_queue_empty()  # mail of the conversation before this one
        for _, line in self.steps:
            if m := re.match(r"! (mails|holds) (\S+)", line):
                self.before[m.group(2)] = {m.path.name for m in self.server.mails(m.group(2))}
        try:
            for number, line in self.steps:
                try:
                    self.step(line)
                except (OSError, AssertionError, EOFError) as e:
                    said = "\n".join(self.transcript[-30:])
                    raise Failed(f"line {number}: {line}\n{type(e).__name__}: {e}\n--- so far:\n{said}") from None
        finally:
            if self.sock:
                self.sock.close()

    def step(self, line):
        if line.startswith("% "):
            if not self.long:
                return
            line = line[2:]
        sign, _, rest = line.partition(" ")
        steps = {"@": self.connect, ">": self.send_line, ">>": self.send_raw, ">*": self.send_many,
                 "<": self.expect, "<~": self.expect_or_end, "<+": self.has, "<-": self.has_not, "!": self.act}
        if not line.strip() or sign in ("#", "="):
            return
        if sign not in steps:
            raise Failed("no such step")
        steps[sign](rest)

    # -- the wire

    def connect(self, rest):
        kind, _, silent = rest.partition(" ")
        if self.sock:
            self.sock.close()
        self.buffer = b""
        self.sock = self.server.socket(kind)
        if kind == "submissions":
            self.sock = client_tls().wrap_socket(self.sock)
        if not silent:
            self.expect("220")

    def send(self, data):
        self.transcript.append("> " + repr(data[:200])[2:-1])
        self.sock.sendall(data)

    def send_line(self, rest):
        self.send(rest.encode() + b"\r\n")

    def send_raw(self, rest):
        self.send(unescape(rest))

    def send_many(self, rest):
        count, _, text = rest.partition(" ")
        data, left = unescape(text), int(count)
        while left > 0:  # a server may answer, or close, before all is out
            n = min(left, max(1, 65536 // len(data)))
            try:
                self.sock.sendall(data * n)
            except (BrokenPipeError, ConnectionResetError):
                break
            left -= n
        self.transcript.append(f"> {count} times {text}")

    def line(self):
        while b"\n" not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError("the server closed the connection")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        assert line.endswith(b"\r"), f"a reply line without CRLF: {line!r}"
        text = line[:-1].decode("utf-8")
        self.transcript.append("< " + text)
        return text

    def read_reply(self):
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
            assert lines[-1][:3] == lines[0][:3], "codes of one reply differ"
        assert re.match(r"[2345]\d\d( |$)", lines[-1]), f"no reply: {lines[-1]!r}"
        assert all(len(l) <= 510 for l in lines), "a reply line longer than 512 bytes"
        return lines

    def expect(self, prefix):
        self.reply = self.read_reply()
        assert self.reply[-1].startswith(prefix), f"want {prefix!r}, got {self.reply[-1]!r}"

    def expect_or_end(self, prefix):
        try:
            self.expect(prefix)
        except (EOFError, ConnectionResetError, BrokenPipeError, ssl.SSLError):
            self.transcript.append("< (closed)")

    def has(self, text):
        assert any(text in l for l in self.reply), f"no {text!r} in {self.reply}"

    def has_not(self, text):
        assert not any(text in l for l in self.reply), f"{text!r} in {self.reply}"

    # -- more than lines

    def act(self, rest):
        name, _, words = rest.partition(" ")
        action = getattr(self, "do_" + name, None)
        if not action:
            raise Failed("no such action")
        action(*words.split(" ", 1) if words else ())

    def do_tls(self):
        self.send_line("STARTTLS")
        self.expect("220")
        assert not self.buffer, "bytes in the clear before the handshake"
        self.sock = client_tls().wrap_socket(self.sock)

    def do_auth(self, user, password):
        self.send_line("AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode())

    def do_login(self, user, password):
        self.send_line("AUTH LOGIN")
        for word in (user, password):
            self.expect("334")
            self.send_line(base64.b64encode(word.encode()).decode())

    def do_end(self):
        try:
            data = self.buffer or self.sock.recv(1)
        except (ConnectionResetError, ssl.SSLError):
            data = b""
        assert not data, f"more comes: {data!r}"

    def do_quiet(self):
        assert not self.buffer, f"more comes: {self.buffer!r}"
        self.sock.settimeout(0.3)
        try:
            data = self.sock.recv(100)
            assert False, f"more comes: {data!r}" if data else "the server closed the connection"
        except (TimeoutError, socket.timeout):
            pass
        finally:
            self.sock.settimeout(30 * PATIENCE)

    def do_drop(self):
        self.sock.close()
        self.sock = None

    def new_mails(self, address):
        return [m for m in self.server.mails(address) if m.path.name not in self.before[address]]

    def do_mails(self, address, n):
        n = int(n)
        if n == 0:
            time.sleep(0.3)
        wait_until(f"{n} mails for {address}", lambda: len(self.new_mails(address)) >= n)
        assert len(self.new_mails(address)) == n, f"{len(self.new_mails(address))} mails"

    def do_holds(self, address, text):
        wanted = unescape(text)
        newest = wait_until(f"a mail for {address}", lambda: self.new_mails(address))[-1]
        assert wanted in newest.raw, f"{wanted!r} not in {newest.raw!r}"
