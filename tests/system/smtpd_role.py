"""The smtpd program alone: this file plays its supervisor and every peer, over the same sockets as the server."""
import os
import select
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

from queue_role import BUILD, ROLE, SETUP_FILE, Peer, Frame, b  # noqa: F401

PEERS = ("CONTROL", "DIRECTORY", "AUTH", "SIGNER", "FILTER", "QUEUE", "RESOLVER")
MX, SUBMISSION, SUBMISSIONS, LMTP, LOCAL = range(5)
RCPT_OK, RCPT_UNKNOWN, RCPT_NOT_OURS, RCPT_OVER_QUOTA, RCPT_TEMPORARY = range(5)
AUTH_OK, AUTH_CONTINUE, AUTH_BAD, AUTH_TEMPORARY, AUTH_NO_MECHANISM = range(5)
ACCEPT, JUNK, REFUSE, DEFER = range(4)
PUT_OK, PUT_TEMPORARY, PUT_FULL, PUT_REFUSED = range(4)
KINDS = {"mx": MX, "sub": SUBMISSION, "subs": SUBMISSIONS, "local": LOCAL}
TICKET = b"0123456789abcdef"
NO_FILTERS = (("spf.enabled", "false"), ("dkim.enabled", "false"), ("dmarc.enabled", "false"), ("arc.enabled", "false"),
              ("antivirus.enabled", "false"), ("spam.enabled", "false"))


def certificate(where, name="mx.example.test"):
    cert, key = os.path.join(where, name + ".pem"), os.path.join(where, name + ".key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=" + name], check=True, capture_output=True)
    return cert, key


class Smtpd:
    def __init__(self, where, conf=(), filters=False, listen=("mx", "sub", "subs"), cert=True, peers=PEERS):
        self.where = where
        self.sup = Peer()
        fd = self.sup.theirs.fileno()
        program = os.environ.get("TEGAMI_SMTPD", os.path.join(BUILD, "smtp/smtpd"))
        self.p = subprocess.Popen([program], cwd=where, preexec_fn=lambda: os.dup2(fd, 3), close_fds=False,
                                  env=dict(os.environ, TEGAMI_NUMBER="0"))
        self.sup.theirs.close()
        for path, value in (("hostname", "mx.example.test"),) + (() if filters else NO_FILTERS) + tuple(conf):
            self.sup.send("SETUP_CONFIG", path, value)
        # what the peers know and did
        self.users = {"alice": 0, "bob": 0}
        self.aliases = {}
        self.put_status = [PUT_OK, ""]
        self.puts, self.checks, self.signs, self.events, self.auths, self.spools, self.rcpts = [], [], [], [], [], {}, {}
        self.ended, self.dropped, self.aborted = [], [], []
        self.verdict = [ACCEPT, "", "", b"Authentication-Results: mx.example.test; none\r\n", b"", 0, 0, "", 0]
        self.sign_answer = [0, b"", ""]
        self.sender_ok = True
        self.silent = set()
        self.spool_dir = tempfile.mkdtemp(dir=where)
        self.peer = {}
        self.lock = threading.Lock()
        for name in peers:
            self.add(name)
        self.certs = []
        if cert:
            self.give_cert("", *certificate(where))
        self.port = {}
        for kind in listen:
            self.listener(kind)
        self.running = True
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        self.sup.send("SETUP_GO", 0)
        f = self.sup.recv(10)
        assert f is not None and f.name == "ROLE_READY", f and (f.name, f.f)

    def give_cert(self, name, cert, key):
        for kind, path in (("TLS_CERT", cert), ("TLS_KEY", key)):
            with open(path) as file:
                self.sup.send("SETUP_FILE", SETUP_FILE["SETUP_FILE_" + kind], name, fd=file.fileno())

    def listener(self, kind):
        if kind == "local":
            self.port[kind] = os.path.join(self.where, "local.sock")
            s = socket.socket(socket.AF_UNIX)
            s.bind(self.port[kind])
        else:
            s = socket.socket()
            s.bind(("127.0.0.1", 0))
            self.port[kind] = s.getsockname()[1]
        s.listen(200)
        self.sup.send("SETUP_LISTENER", KINDS[kind], kind, str(self.port[kind]), fd=s.fileno())
        s.close()

    def add(self, name):
        peer = Peer()
        self.sup.send("SETUP_LINK", ROLE["ROLE_" + name], 0, fd=peer.theirs.fileno())
        peer.theirs.close()
        self.peer[name] = peer
        time.sleep(0.02)

    def drop(self, name):
        with self.lock:
            self.peer.pop(name).close()
        time.sleep(0.05)

    # -- the peers

    def serve(self):
        while self.running:
            with self.lock:
                peers = {p.s: n for n, p in self.peer.items()}
            try:
                ready, _, _ = select.select(list(peers), [], [], 0.05)
            except (OSError, ValueError):
                continue
            for s in ready:
                try:
                    f = self.peer[peers[s]].recv(0)
                except (EOFError, KeyError, OSError):
                    self.peer.pop(peers[s], None)
                    continue
                if f is not None and f.name not in self.silent:
                    handler = getattr(self, "on_" + f.name.lower(), None)
                    assert handler, f.name
                    handler(self.peer[peers[s]], f)

    def on_log(self, peer, f):
        if os.environ.get("TEGAMI_TEST_LOG"):
            print("smtpd:", f.f)

    def on_event(self, peer, f):
        self.events += f.groups(0)

    def on_dir_rcpt(self, peer, f):
        address = f.f[0]
        local, _, domain = address.lower().partition("@")
        row = lambda a: (0, a, "example.test/" + a.split("@")[0], "", address, 0) if a.endswith("@example.test") else (1, a, "", "", address, 0)
        if domain not in ("example.test", ""):
            peer.send("DIR_RCPT_IS", RCPT_NOT_OURS, "%s is not a domain of this server" % domain, id=f.id)
        elif local in self.aliases:
            peer.send("DIR_RCPT_IS", RCPT_OK, "", *[x for a in self.aliases[local] for x in row(a)], id=f.id)
        elif local == "postmaster" or local.startswith("user") or self.users.get(local) == 0:
            peer.send("DIR_RCPT_IS", RCPT_OK, "", *row(local + "@example.test"), id=f.id)
        else:
            status = self.users.get(local, RCPT_UNKNOWN)
            peer.send("DIR_RCPT_IS", status, {RCPT_UNKNOWN: "there is no such mailbox", RCPT_OVER_QUOTA: "the mailbox is full"}.get(status, ""), id=f.id)

    def on_dir_sender(self, peer, f):
        peer.send("DIR_SENDER_IS", 1 if self.sender_ok else 0, "" if self.sender_ok else "%s may not send as %s" % tuple(f.f), id=f.id)

    def on_auth_start(self, peer, f):
        self.auths.append(f.f)
        session, mechanism, ip, exporter, end_point, has, initial = f.f
        if mechanism not in ("PLAIN", "LOGIN"):
            peer.send("AUTH_IS", AUTH_NO_MECHANISM, b"", "", b"", "", id=f.id)
        elif mechanism == "LOGIN" and not has:
            peer.send("AUTH_IS", AUTH_CONTINUE, b"Username:", "", b"", "", id=f.id)
        elif not has:
            peer.send("AUTH_IS", AUTH_CONTINUE, b"", "", b"", "", id=f.id)
        else:
            self.judge(peer, f, initial)

    def judge(self, peer, f, response):
        if response == b"\0alice\0secret":
            peer.send("AUTH_IS", AUTH_OK, b"", "alice@example.test", TICKET, "", id=f.id)
        else:
            peer.send("AUTH_IS", AUTH_BAD, b"", "", b"", "user name or password is wrong", id=f.id)

    def on_auth_step(self, peer, f):
        self.auths.append(f.f)
        if f.f[1] == b"alice":
            peer.send("AUTH_IS", AUTH_CONTINUE, b"Password:", "", b"", "", id=f.id)
        else:
            self.judge(peer, f, b"\0alice\0secret" if f.f[1] == b"secret" else f.f[1])

    def on_auth_abort(self, peer, f):
        self.aborted.append(f.f[0])

    def on_auth_end(self, peer, f):
        self.ended.append(f.f[0])

    def on_filter_check(self, peer, f):
        body = f.f[9] if f.fd < 0 else os.pread(f.fd, 1 << 28, 0)
        self.checks.append((f.f, body))
        peer.send("FILTER_IS", *self.verdict, id=f.id)

    def on_sign(self, peer, f):
        body = f.f[3] if f.fd < 0 else os.pread(f.fd, 1 << 28, 0)
        self.signs.append((f.f, body))
        peer.send("SIGN_IS", *self.sign_answer, id=f.id)

    def on_spool_data(self, peer, f):
        qid, data = f.f
        if qid not in self.spools:
            self.spools[qid] = open(os.path.join(self.spool_dir, str(qid)), "w+b")
        self.spools[qid].write(data)
        peer.send("SPOOL_CREDIT", qid, len(data), "")

    def on_spool_end(self, peer, f):
        qid, size = f.f
        file = self.spools[qid]
        file.flush()
        assert os.fstat(file.fileno()).st_size == size
        with open(file.name, "rb") as again:
            peer.send("SPOOL_IS", qid, PUT_OK, "", id=f.id, fd=again.fileno())

    def on_spool_drop(self, peer, f):
        self.dropped.append(f.f[0])

    def on_queue_rcpts(self, peer, f):
        self.rcpts.setdefault(f.f[0], []).extend(f.groups(1))

    def on_queue_put(self, peer, f):
        self.rcpts.setdefault(f.f[0], []).extend(f.groups(11))
        self.puts.append(f.f)
        peer.send("QUEUE_IS", *self.put_status, id=f.id)

    # -- clients

    def connect(self, kind="mx", greet=True, timeout=10):
        return Client(self, kind, greet, timeout)

    def last(self):
        """The last message that was put: flags, from, prefix, body, recipients."""
        p = self.puts[-1]
        body = p[10]
        if p[1] & 2:
            file = self.spools[p[0]]
            file.seek(0)
            body = file.read()
        return {"qid": p[0], "flags": p[1], "from": p[2], "msgid": p[3], "ip": p[4], "envid": p[5], "ticket": p[6],
                "prefix": p[7].decode(), "cuts": p[8], "size": p[9], "body": body, "rcpts": [r[1] for r in self.rcpts[p[0]]], "rows": self.rcpts[p[0]]}

    def alive(self):
        return self.p.poll() is None

    def stop(self, timeout=15):
        self.sup.send("SETUP_STOP")
        rc = self.p.wait(timeout)
        self.shut()
        return rc

    def kill(self):
        if self.alive():
            self.p.send_signal(signal.SIGKILL)
        self.p.wait()
        self.shut()

    def shut(self):
        self.running = False
        self.thread.join(2)
        for p in self.peer.values():
            p.close()
        for f in self.spools.values():
            f.close()
        self.sup.close()


class Client:
    def __init__(self, smtpd, kind, greet, timeout):
        if kind == "local":
            self.s = socket.socket(socket.AF_UNIX)
            self.s.connect(smtpd.port[kind])
        else:
            self.s = socket.create_connection(("127.0.0.1", smtpd.port[kind]), timeout)
        self.s.settimeout(timeout)
        if kind == "subs":
            self.wrap()
        self.buf = b""
        if greet:
            self.expect("220")

    def wrap(self, name="mx.example.test"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.s = context.wrap_socket(self.s, server_hostname=name)

    def send(self, data):
        self.s.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def line(self):
        while b"\n" not in self.buf:
            try:
                data = self.s.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise EOFError(self.buf)
            self.buf += data
        line, _, self.buf = self.buf.partition(b"\n")
        return line.decode("latin-1").rstrip("\r")

    def reply(self):
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return "\n".join(lines)

    def expect(self, start):
        got = self.reply()
        assert got.startswith(start), "%r, not %r" % (got, start)
        return got

    def cmd(self, line, start=""):
        self.send(line + "\r\n")
        return self.expect(start)

    def ehlo(self):
        return self.cmd("EHLO client.example", "250")

    def tls(self):
        self.cmd("STARTTLS", "220 2.0.0")
        self.wrap()

    def login(self):
        import base64
        return self.cmd("AUTH PLAIN " + base64.b64encode(b"\0alice\0secret").decode(), "235 2.7.0")

    def mail(self, body="Subject: x\r\n\r\nhello\r\n", rcpts=("alice@example.test",), sender="s@far.example", start="250 2.0.0"):
        self.cmd("MAIL FROM:<%s>" % sender, "250 2.1.0")
        for r in rcpts:
            self.cmd("RCPT TO:<%s>" % r, "250 2.1.5")
        self.cmd("DATA", "354")
        self.send(body if isinstance(body, bytes) else body.encode())
        self.send(".\r\n")
        return self.expect(start)

    def closed(self):
        try:
            self.line()
        except EOFError:
            return True
        return False

    def close(self):
        self.s.close()
