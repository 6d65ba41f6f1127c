"""An SMTP server of somebody else, that does what a test wants at each stage, and keeps what it was sent.

    peer = Peer(script={"rcpt": ["451 4.2.0 later", None]})    # first RCPT 451, from then on as usual
    ...
    peer.mails[0].rcpts, peer.mails[0].data

Stages: connect, ehlo, helo, starttls, mail, rcpt, data, body, rset, quit, noop. A step of a script is None (as usual), a reply line, DROP (close
the connection), HANG (say nothing more), a (step, ADDRESS) pair that holds for that address only, or a function of (session, line) that returns one of these. A list gives one step
after another, over all sessions, and its last one for ever.
"""
import base64
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field

from server import free_port, wait_until

DROP = "drop"
HANG = "hang"
USUAL = {
    "connect": "220 peer.test ESMTP", "helo": "250 peer.test", "mail": "250 2.1.0 Ok", "rcpt": "250 2.1.5 Ok",
    "data": "354 Go on", "body": "250 2.0.0 Taken", "rset": "250 2.0.0 Ok", "quit": "221 2.0.0 Bye",
    "noop": "250 2.0.0 Ok", "starttls": "220 2.0.0 Go on",
}


@dataclass
class Received:
    sender: str
    rcpts: list
    data: bytes            # CRLF, dots unstuffed
    tls: bool
    helo: str
    options: str = ""
    time: float = field(default_factory=time.time)


class Peer:
    def __init__(self, port=None, script=None, tls=None, extensions=("PIPELINING", "8BITMIME", "SIZE 52428800", "ENHANCEDSTATUSCODES"),
                 address="127.0.0.1", implicit=False):
        self.port = port or free_port()
        self.script = dict(script or {})
        self.extensions = list(extensions)
        self.tls = None
        if tls:  # (certificate, key)
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*tls)
        self.implicit = implicit  # TLS from the start
        self.passwords = None     # user -> password for AUTH PLAIN; no mail without it
        self.mails = []
        self.sessions = 0
        self.commands = []
        self.lock = threading.Lock()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, self.port))
        self.listener.listen(128)
        threading.Thread(target=self.serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def wait(self, n=1, seconds=30):
        """Exactly n messages taken."""
        wait_until(f"{n} messages at the peer", lambda: len(self.mails) >= n, seconds)
        assert len(self.mails) == n
        return self.mails

    def serve(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            self.sessions += 1
            threading.Thread(target=Session(self, conn).run, daemon=True).start()

    def step(self, session, stage, line):
        """What to do at this stage."""
        with self.lock:
            step = self.script.get(stage)
            if isinstance(step, list):
                step = step.pop(0) if len(step) > 1 else (step[0] if step else None)
        if callable(step):
            step = step(session, line)
        if isinstance(step, tuple):
            step = step[0] if step[1] in line else None
        return step


class Session:
    def __init__(self, peer, conn):
        self.peer, self.conn = peer, conn
        self.file = conn.makefile("rwb")
        self.helo = self.options = ""
        self.user = None
        self.secure = False
        self.sender, self.rcpts = None, []

    def say(self, *lines):
        for line in lines:
            self.file.write(line.encode() + b"\r\n")
        self.file.flush()

    def at(self, stage, line=""):
        """Play the stage; True when it went as usual (a 2xx or 3xx)."""
        step = self.peer.step(self, stage, line)
        if step == DROP:
            raise ConnectionError("dropped as the script says")
        if step == HANG:
            time.sleep(600)
        if step is None and stage == "ehlo":
            extensions = self.peer.extensions + (["STARTTLS"] if self.peer.tls and not self.secure else [])
            lines = ["peer.test"] + extensions
            self.say(*[f"250{'-' if i < len(lines) - 1 else ' '}{l}" for i, l in enumerate(lines)])
            return True
        reply = step or USUAL[stage]
        self.say(*reply.split("\n"))
        return reply[0] in "23"

    def start_tls(self):
        self.conn = self.peer.tls.wrap_socket(self.conn, server_side=True)
        self.file = self.conn.makefile("rwb")
        self.secure = True

    def run(self):
        try:
            if self.peer.implicit:
                self.start_tls()
            if self.at("connect"):
                while (line := self.file.readline()) and self.command(line.decode(errors="replace").rstrip("\r\n")):
                    pass
        except (OSError, ValueError):
            pass
        finally:
            try:
                self.file.close()
            except OSError:
                pass
            self.conn.close()

    def command(self, line):
        self.peer.commands.append(line)
        verb = line.split(" ")[0].upper()
        if verb in ("EHLO", "HELO"):
            self.helo = line[5:]
            self.at(verb.lower(), line)
        elif verb == "STARTTLS" and self.peer.tls:
            if self.at("starttls", line):
                self.start_tls()
        elif verb == "AUTH" and self.peer.passwords:
            _, user, password = base64.b64decode(line.split(" ")[2]).decode().split("\0")
            self.user = user if self.peer.passwords.get(user) == password else None
            self.say("235 2.7.0 Welcome" if self.user else "535 5.7.8 No")
        elif verb == "MAIL" and self.peer.passwords and not self.user:
            self.say("530 5.7.0 Log in")
        elif verb == "MAIL":
            if self.at("mail", line):
                self.sender, self.rcpts = re.search(r"<(.*?)>", line).group(1), []
                self.options = line.partition(">")[2].strip()
        elif verb == "RCPT":
            if self.at("rcpt", line):
                self.rcpts.append(re.search(r"<(.*?)>", line).group(1))
        elif verb == "DATA":
            self.data(line)
        elif verb == "BDAT" and "CHUNKING" in self.peer.extensions:
            self.take(self.file.read(int(line.split(" ")[1])))  # of one chunk only
        elif verb in ("RSET", "NOOP"):
            self.at(verb.lower(), line)
        elif verb == "QUIT":
            self.at("quit", line)
            return False
        else:
            self.say("500 5.5.1 What?")
        return True

    def data(self, line):
        if not self.rcpts:
            self.say("503 5.5.1 RCPT first")
            return
        if not self.at("data", line):
            return
        lines = []
        while (text := self.file.readline()) != b".\r\n":
            if not text:
                return
            lines.append(text[1:] if text.startswith(b".") else text)
        self.take(b"".join(lines))

    def take(self, data):
        mail = Received(self.sender, self.rcpts, data, self.secure, self.helo, self.options)
        step = self.peer.step(self, "body", self.sender)
        if step == HANG:
            time.sleep(600)
        if step is None or (step != DROP and step[0] == "2") or step == "take-and-drop":
            self.peer.mails.append(mail)
        if step in (DROP, "take-and-drop"):
            raise ConnectionError("dropped as the script says")
        self.say(step or USUAL["body"])
