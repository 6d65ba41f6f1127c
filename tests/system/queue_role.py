"""The queue program alone: this file plays its supervisor and every peer, over the same sockets as the server.

Frames are read and written by the table in base/msg.h itself, so a changed row shows up here at once."""
import array
import os
import re
import select
import signal
import socket
import sqlite3
import struct
import subprocess
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("TEGAMI_BUILD", os.path.join(TOP, "build"))


def names(path, start, prefix):
    text = open(os.path.join(TOP, path)).read()
    body = text[text.index(start):]
    body = body[body.index("{") + 1:body.index("}")]
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
    return {n.strip().split("=")[0].strip(): i for i, n in enumerate(x for x in body.split(",") if x.strip())}


ROLE = names("base/msg.h", "enum role {", "ROLE_")
ROWS = re.findall(r"^\s*X\((\w+),[^\"]*\"([^\"]*)\"", open(os.path.join(TOP, "base/msg.h")).read(), re.M)
TYPE = {name: i + 1 for i, (name, _) in enumerate(ROWS)}
NAME = {i: n for n, i in TYPE.items()}
FIELDS = dict(ROWS)
SETUP_FILE = names("base/msg.h", "enum setup_file {", "SETUP_FILE_")
PUT_OK, PUT_TEMPORARY, PUT_FULL, PUT_REFUSED = range(4)
STEP_OK, STEP_TEMPORARY, STEP_PERMANENT = range(3)
LOCAL, REMOTE = 0, 1
JUNK, SPOOLED, EIGHT, UTF8, SUBMITTED, REPORT = 1, 2, 4, 8, 16, 32


def b(v):
    if isinstance(v, int):
        v = struct.pack("<Q", v)
    elif isinstance(v, str):
        v = v.encode()
    return struct.pack("<I", len(v)) + v


def decode(name, data):
    out, at, shape = [], 0, FIELDS[name]
    head, _, rest = shape.partition("(")
    group = rest.rstrip(")")
    i = 0
    while at < len(data):
        (n,) = struct.unpack_from("<I", data, at)
        v = data[at + 4:at + 4 + n]
        at += 4 + n
        kind = head[i] if i < len(head) else group[(i - len(head)) % len(group)]
        out.append(struct.unpack("<Q", v)[0] if kind == "u" else v if kind == "b" else v.decode())
        i += 1
    return out


class Frame:
    def __init__(self, name, id, fields, fd):
        self.name, self.id, self.f, self.fd = name, id, fields, fd

    def groups(self, skip):
        g = self.f[skip:]
        n = len(FIELDS[self.name].partition("(")[2].rstrip(")"))
        return [g[i:i + n] for i in range(0, len(g), n)]


class Peer:
    def __init__(self):
        self.s, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def send(self, name, *fields, id=0, fd=None):
        body = b"".join(b(f) for f in fields)
        frame = struct.pack("<HHII", TYPE[name], 0, id, len(body)) + body
        anc = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        self.s.sendmsg([frame], anc)

    def recv(self, timeout=5.0):
        r, _, _ = select.select([self.s], [], [], timeout)
        if not r:
            return None
        data, anc, _, _ = self.s.recvmsg(65536, socket.CMSG_SPACE(4))
        if not data:
            raise EOFError
        fd = -1
        for level, kind, value in anc:
            fd = struct.unpack("i", value[:4])[0]
        t, _, id, n = struct.unpack_from("<HHII", data)
        name = NAME[t]
        return Frame(name, id, decode(name, data[12:]), fd)

    def want(self, name, timeout=5.0):
        end = time.time() + timeout
        while True:
            f = self.recv(max(0.01, end - time.time()))
            assert f is not None, "no %s came" % name
            if f.name == name:
                return f

    def close(self):
        self.s.close()


SCHEMA = None


class Queue:
    """The process, with peers that the test plays."""

    def __init__(self, state, peers=("MDA", "RELAY", "SMTPD", "DIRECTORY", "AUTH", "CONTROL"), conf=()):
        self.state = state
        os.makedirs(os.path.join(state, "spool"), exist_ok=True)
        self.sup = Peer()
        fd = self.sup.theirs.fileno()

        def child():
            os.dup2(fd, 3)

        program = os.environ.get("TEGAMI_QUEUE", os.path.join(BUILD, "delivery/queue"))
        env = dict(os.environ)
        self.p = subprocess.Popen([program], cwd=state, preexec_fn=child, close_fds=False, env=env)
        self.sup.theirs.close()
        for path, value in conf:
            self.sup.send("SETUP_CONFIG", path, value)
        self.peer, self.setup_id = {}, {}
        for name in peers:
            self.add(name)
        self.sup.send("SETUP_GO", 0)
        f = self.sup.recv(10)
        assert f.name == "ROLE_READY", (f.name, f.f)

    def add(self, name):
        peer = Peer()
        os.set_inheritable(peer.s.fileno(), False)
        self.setup_id[name] = 1 + max(self.setup_id.values(), default=0)
        self.sup.send("SETUP_LINK", ROLE["ROLE_" + name], 0, fd=peer.theirs.fileno(), id=self.setup_id[name])
        peer.theirs.close()
        self.peer[name] = peer
        return peer

    def drop(self, name):
        self.peer.pop(name).close()

    def __getattr__(self, name):
        try:
            return self.__dict__["peer"][name.upper()]
        except KeyError:
            raise AttributeError(name)

    def kill(self):
        self.p.send_signal(signal.SIGKILL)
        self.p.wait()
        self.shut()

    def stop(self):
        self.sup.send("SETUP_STOP")
        rc = self.p.wait(20)
        self.shut()
        return rc

    def shut(self):
        for p in self.peer.values():
            p.close()
        self.sup.close()

    def rows(self, sql):
        db = sqlite3.connect(os.path.join(self.state, "queue.db"))
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    def put(self, qid, rcpts, sender="s@example.test", flags=0, body=b"Subject: x\r\n\r\nhello\r\n", id=None, ticket=b"",
            prefix=b"Received: by us\r\n", size=None, wait=True, envid=""):
        """rcpts: (kind, address), (kind, address, notify) or (kind, address, notify, orcpt)."""
        fields = []
        for r in rcpts:
            kind, address, notify, orcpt = (*r, 0, "")[:4] if len(r) != 3 else (*r, "")
            local, _, domain = address.partition("@")
            home = domain + "/" + local if kind == LOCAL else ""
            fields += [kind, address, home, "", address, notify, orcpt]
        self.smtpd.send("QUEUE_PUT", qid, flags, sender, "<m%d@x>" % qid, "192.0.2.1", envid, ticket, prefix, b"",
                        len(body) if size is None else size, b"" if flags & SPOOLED else body, *fields, id=id or (qid & 0xffffff) or 1)
        return self.smtpd.want("QUEUE_IS").f if wait else None

    def clean(self):
        """Answer MDA_UNSTAGE; returns the names the queue keeps."""
        keep = []
        while True:
            f = self.mda.recv(5)
            assert f is not None
            if f.name == "MDA_KEEP":
                keep += f.f
            elif f.name == "MDA_UNSTAGE":
                keep += f.f
                self.mda.send("MDA_UNSTAGED", 0)
                return keep

    def staged(self, f, status=STEP_OK, why=None):
        out = []
        for n, home, folder, stem, head in f.groups(5):
            out += [n, status, why or ".stage/%s,S=10" % stem, 10]
        self.mda.send("MDA_STAGED", f.f[0], *out)

    def published(self, f):
        out = []
        for qid, n, home, folder, name in f.groups(0):
            out += [qid, n, STEP_OK, ""]
        self.mda.send("MDA_PUBLISHED", *out)

    def admin(self, verb, **words):
        pairs = []
        for k, v in words.items():
            for x in v if isinstance(v, (list, tuple)) else [v]:
                pairs += [k, str(x)]
        self.control.send("ADMIN", verb, *pairs, id=77)
        rows = []
        while True:
            f = self.control.recv(5)
            assert f is not None
            if f.name == "ADMIN_ROW":
                rows.append(dict(zip(f.f[::2], f.f[1::2])))
            elif f.name == "ADMIN_END":
                return f.f[0], f.f[1], rows

    def gone(self, timeout=5.0):
        """Wait until nothing is queued."""
        end = time.time() + timeout
        while time.time() < end:
            if self.rows("SELECT count(*) FROM message") == [(0,)] and self.rows("SELECT count(*) FROM rcpt") == [(0,)]:
                return
            time.sleep(0.02)
        raise AssertionError(self.rows("SELECT * FROM rcpt"))


def make_db(state):
    """queue.db as state_prepare makes it, from the schema in storage/queue_store.c."""
    text = open(os.path.join(TOP, "storage/queue_store.c")).read()
    steps = text[text.index("migration steps[]"):text.index("const struct db_schema queue_schema")]
    sql = "".join(re.findall(r'"([^"]*)"', re.sub(r"/\*.*?\*/", "", steps)))
    db = sqlite3.connect(os.path.join(state, "queue.db"))
    db.execute("PRAGMA page_size=4096")
    db.execute("PRAGMA journal_mode=WAL")
    db.executescript(sql)
    db.execute("PRAGMA user_version=%d" % len(re.findall(r"\{ \"", steps)))
    db.commit()
    return db


def qid_at(seconds_ago=0, n=0):
    us = int((time.time() - seconds_ago) * 1e6) - 1577836800 * 1000000
    return (us << 14) | (n << 6)
