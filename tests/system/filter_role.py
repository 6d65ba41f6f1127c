"""filter, scan and signer alone: this file plays their supervisor and every peer."""
import os
import re
import socket
import sqlite3
import struct
import subprocess
import threading

from queue_role import BUILD, ROLE, SETUP_FILE, Peer

MX, SUBMISSION, SUBMISSIONS, LMTP, LISTEN_LOCAL = range(5)
ACCEPT, JUNK, REFUSE, DEFER = range(4)
CLEAN, INFECTED, FAILED = range(3)
DNS_OK, NO_DATA, NXDOMAIN, TEMPORARY, BOGUS = range(5)
TYPES = {"A": 1, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
NAMES = {v: k for k, v in TYPES.items()}
HOST = "mx.example.test"


class Role:
    """A program whose supervisor is this test. `files`: (kind, name, descriptor)."""

    def __init__(self, program, cwd, peers=(), conf=(), files=(), ready=20):
        self.sup = Peer()
        self.log = open(os.path.join(str(cwd), "log"), "ab+")
        fd = self.sup.theirs.fileno()
        self.p = subprocess.Popen([os.path.join(BUILD, program)], cwd=str(cwd), stderr=self.log,
                                  preexec_fn=lambda: os.dup2(fd, 3), close_fds=False)
        self.sup.theirs.close()
        for path, value in conf:
            self.sup.send("SETUP_CONFIG", path, value)
        for kind, name, file in files:
            self.sup.send("SETUP_FILE", SETUP_FILE["SETUP_FILE_" + kind], name, fd=file)
        self.peer = {}
        for name in peers:
            self.add(name)
        self.sup.send("SETUP_GO", 0)
        f = self.sup.recv(ready)
        assert f is not None, self.text()
        self.ready = f.name == "ROLE_READY"
        self.why = f.f[0] if f.name == "ROLE_FAILED" else ""

    def add(self, name, number=0):
        peer = Peer()
        self.sup.send("SETUP_LINK", ROLE["ROLE_" + name], number, fd=peer.theirs.fileno())
        peer.theirs.close()
        self.peer[name] = peer

    def text(self):
        self.log.seek(0)
        return self.log.read().decode()

    def stop(self):
        self.sup.close()
        for p in self.peer.values():
            p.close()
        try:
            self.p.wait(5)
        except subprocess.TimeoutExpired:
            self.p.kill()
            raise
        assert self.p.returncode in (0, 1), (self.p.returncode, self.text())
        self.log.close()


def wire_name(name):
    return b"".join(bytes([len(x)]) + x.encode() for x in name.rstrip(".").split(".") if x) + b"\0"


def rdata(kind, text):
    if kind == "A":
        return socket.inet_pton(socket.AF_INET, text)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, text)
    if kind == "MX":
        n, host = text.split()
        return struct.pack("!H", int(n)) + wire_name(host)
    if kind == "TXT":
        data = text.encode()
        return b"".join(bytes([len(data[i:i + 255])]) + data[i:i + 255] for i in range(0, len(data), 255))
    return wire_name(text)


class Zone(threading.Thread):
    """Answers DNS_ASK from {(name, type): [texts] or a status}; None: never answers."""

    def __init__(self, peer, zone):
        super().__init__(daemon=True)
        self.peer, self.zone, self.asked = peer, zone, []
        self.start()

    def run(self):
        while True:
            try:
                f = self.peer.recv(60)
            except (EOFError, OSError, ValueError):
                return
            if f is None:
                continue
            name, kind = f.f[0], NAMES[f.f[1]]
            self.asked.append((name, kind))
            what = self.zone.get((name, kind), NO_DATA if any(n == name for n, _ in self.zone) else NXDOMAIN)
            if what is None:
                continue
            records = [rdata(kind, x) for x in what] if isinstance(what, list) else []
            try:
                self.peer.send("DNS_IS", DNS_OK if records else what, 0, 60, name, *records, id=f.id)
            except OSError:  # the test has ended it
                return


def score_db(path):
    """An empty score.db as state_prepare makes it."""
    db = sqlite3.connect(os.path.join(str(path), "score.db"))
    schema = open(os.path.join(os.path.dirname(__file__), "../../storage/score.c")).read()
    sql = schema[schema.index("steps[] = {"):schema.index("};\n", schema.index("steps[] = {"))]
    db.executescript("".join(re.findall(r'"([^"]*)"', sql)))
    db.execute("PRAGMA user_version=1")
    db.execute("PRAGMA journal_mode=WAL")
    db.commit()
    db.close()


class Verdict:
    def __init__(self, frame):
        f = frame.f
        self.verdict, self.reply, self.why, self.prefix, cuts = f[0], f[1], f[2], f[3].decode(), f[4]
        self.cuts = [struct.unpack("<QQ", cuts[i:i + 16]) for i in range(0, len(cuts), 16)]
        self.score, self.required = [x - (1 << 64) if x >= 1 << 63 else x for x in f[5:7]]
        self.results, self.chain = f[7:9]
        self.hits = {}
        for check, result, score, text in frame.groups(9):
            self.hits.setdefault(check, (result, score - (1 << 64) if score >= 1 << 63 else score, text))

    def __repr__(self):
        return repr(self.__dict__)


class Filter(Role):
    def __init__(self, cwd, zone=None, peers=("SMTPD", "RESOLVER", "SCAN", "CONTROL"), conf=(), **words):
        score_db(cwd)
        super().__init__("filters/filter", cwd, peers, [("hostname", HOST), *conf], **words)
        self.zone = Zone(self.peer["RESOLVER"], zone or {}) if "RESOLVER" in peers else None

    def send(self, message, kind=MX, ip="192.0.2.1", helo="mail.peer.test", sender="someone@peer.test", user="",
             rcpt="alice@example.test", now=0, id=1):
        fd = None
        if len(message) > 32768:
            fd = os.memfd_create("body")
            os.write(fd, message)
            message = b""
        self.peer["SMTPD"].send("FILTER_CHECK", 4711, kind, ip, helo, sender, user, 0, rcpt, now, message, "", id=id, fd=fd)
        if fd is not None:
            os.close(fd)

    def answer(self, timeout=10):
        return Verdict(self.peer["SMTPD"].want("FILTER_IS", timeout))

    def judge(self, message, **words):
        self.send(message, **words)
        return self.answer()
