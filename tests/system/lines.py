"""A client that says one line and reads one reply, from an address of its own or behind a PROXY header."""
import contextlib
import socket

from server import PATIENCE, message


class Lines:
    def __init__(self, server, source="127.0.0.1", kind="mx", client=None):
        """client: the address that a header names; `source` is a trusted proxy then. The greeting is left unread."""
        self.sock = socket.create_connection(("127.0.0.1", server.ports[kind]), 60 * PATIENCE, source_address=(source, 0))
        self.file = self.sock.makefile("rb")
        if client:
            self.send(f"PROXY TCP{6 if ':' in client else 4} {client} {client} 1 25\r\n")

    @classmethod
    def greeted(cls, *args, **kwargs):
        c = cls(*args, **kwargs)
        c.expect("220")
        c.cmd("EHLO client.test", "250")
        return c

    def send(self, text):
        self.sock.sendall(text.encode() if isinstance(text, str) else text)

    def reply(self):
        """With all its lines; "" when the connection ended."""
        lines = []
        with contextlib.suppress(ConnectionResetError):
            while not lines or lines[-1][3:4] == "-":
                lines.append(self.file.readline().decode())
        return "".join(lines)

    def expect(self, code):
        text = self.reply()
        assert text.startswith(code), (text, code)
        return text

    def say(self, text):
        self.send(text + "\r\n")
        return self.reply()

    def cmd(self, text, code):
        self.send(text + "\r\n")
        return self.expect(code)

    def deliver(self, to="alice@example.test"):
        self.cmd("MAIL FROM:<someone@peer.test>", "250")
        self.cmd(f"RCPT TO:<{to}>", "250")
        self.cmd("DATA", "354")
        self.send(message(to=to).as_bytes() + b"\r\n.\r\n")
        self.expect("250")

    def ended(self):
        """Nothing more comes, and the server closed."""
        with contextlib.suppress(ConnectionResetError):
            return self.file.read() == b""
        return True

    def close(self):
        self.file.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()
