"""relay and resolver alone: their supervisor and peers, a DNS server and an SMTP server that behave as a test tells them."""
import os
import socket
import socketserver
import ssl
import struct
import subprocess
import tempfile
import threading
import time

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from queue_role import BUILD, Frame, Peer, ROLE, SETUP_FILE, STEP_OK, STEP_PERMANENT, STEP_TEMPORARY  # noqa: F401

DNS_OK, DNS_NO_DATA, DNS_NXDOMAIN, DNS_TEMPORARY, DNS_BOGUS = range(5)


class Role:
    """One program with a supervisor that is this test."""

    def __init__(self, name, program, conf=(), links=(), cwd="/tmp", files=()):
        self.sup = Peer()
        fd = self.sup.theirs.fileno()
        self.p = subprocess.Popen([os.path.join(BUILD, program)], cwd=cwd, preexec_fn=lambda: os.dup2(fd, 3),
                                  close_fds=False)
        self.sup.theirs.close()
        self.sup.send("SETUP_CONFIG", *[x for pair in conf for x in pair])
        for peer, sock in links:
            self.sup.send("SETUP_LINK", ROLE["ROLE_" + peer], 0, fd=sock.fileno())
            sock.close()
        for kind, path in files:
            with open(path, "rb") as f:
                self.sup.send("SETUP_FILE", SETUP_FILE["SETUP_FILE_" + kind], "", fd=f.fileno())
        self.sup.send("SETUP_GO", 0)
        f = self.sup.recv(10)
        assert f.name == "ROLE_READY", (f.name, f.f)

    def add(self, peer, sock):
        self.sup.send("SETUP_LINK", ROLE["ROLE_" + peer], 0, fd=sock.fileno())
        sock.close()

    def cpu(self):
        f = open("/proc/%d/stat" % self.p.pid).read().rsplit(")", 1)[1].split()
        return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.sup.close()
        self.p.wait(5)


# -- DNS

class Dns:
    """zone: (name, type) -> list of rdata texts, or "NXDOMAIN", "SERVFAIL", "DROP". Unknown names do not exist."""

    def __init__(self, zone=None):
        self.zone = zone or {}
        self.asked = []
        while True:
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind(("127.0.0.1", 0))
            self.port = self.udp.getsockname()[1]
            self.tcp = socket.socket()
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self.tcp.bind(("127.0.0.1", self.port))
                break
            except OSError:  # somebody else's port over TCP: take another
                self.udp.close()
                self.tcp.close()
        self.tcp.listen(20)
        threading.Thread(target=self.serve_udp, daemon=True).start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    def answer(self, wire, limit):
        q = dns.message.from_wire(wire)
        name, kind = q.question[0].name.to_text().lower().rstrip("."), q.question[0].rdtype
        self.asked.append((name, dns.rdatatype.to_text(kind)))
        r = dns.message.make_response(q, recursion_available=True)
        seen = 0
        while seen < 20:
            what = self.zone.get((name, dns.rdatatype.to_text(kind)))
            alias = self.zone.get((name, "CNAME"))
            if what is None and alias is not None:
                r.answer.append(dns.rrset.from_text(name + ".", 60, "IN", "CNAME", *alias))
                name, seen = alias[0].rstrip(".").lower(), seen + 1
                continue
            break
        if what == "DROP":
            return None
        if what == "SERVFAIL":
            r.set_rcode(dns.rcode.SERVFAIL)
        elif isinstance(what, list):
            r.answer.append(dns.rrset.from_text(name + ".", 60, "IN", dns.rdatatype.to_text(kind), *what))
        elif what == "NXDOMAIN" or not any(n == name for n, _ in self.zone):
            r.set_rcode(dns.rcode.NXDOMAIN)
        out = r.to_wire(max_size=65535)
        if len(out) > limit:
            r = dns.message.make_response(q)
            r.flags |= dns.flags.TC
            out = r.to_wire()
        return out

    def serve_udp(self):
        while True:
            data, who = self.udp.recvfrom(65535)
            out = self.answer(data, 1232)
            if out is not None:
                self.udp.sendto(out, who)

    def serve_tcp(self):
        while True:
            c, _ = self.tcp.accept()
            threading.Thread(target=self.serve_one, args=(c,), daemon=True).start()

    def serve_one(self, c):
        f = c.makefile("rb")
        while True:
            head = f.read(2)
            if len(head) < 2:
                break
            out = self.answer(f.read(struct.unpack("!H", head)[0]), 65535)
            if out is not None:
                c.sendall(struct.pack("!H", len(out)) + out)
        c.close()


# -- SMTP

class Drop(Exception):
    pass


class Conn:
    def __init__(self, server, sock):
        self.server, self.sock, self.buf, self.secured = server, sock, b"", False
        self.gone = threading.Event()  # nobody reads or answers here any more

    def line(self):
        while b"\n" not in self.buf:
            data = self.sock.recv(65536)
            if not data:
                raise Drop
            self.buf += data
        line, self.buf = self.buf.split(b"\n", 1)
        return line.rstrip(b"\r").decode("latin1")

    def say(self, text):
        self.sock.sendall(text.replace("\n", "\r\n").encode("latin1") + b"\r\n")

    def exactly(self, n):
        got = bytearray(self.buf)
        while len(got) < n:
            data = self.sock.recv(65536)
            if not data:
                raise Drop
            got += data
        self.buf = bytes(got[n:])
        return bytes(got[:n])

    def body(self):
        out = []
        while True:
            line = self.line()
            if line == ".":
                return "\r\n".join(out) + ("\r\n" if out else "")
            out.append(line[1:] if line.startswith(".") else line)


class Smtp:
    """rules: stage -> reply text, or a function (conn, argument) -> reply text (or None: said already; raise Drop: hang up).
    Stages: GREETING, EHLO, HELO, STARTTLS, MAIL, RCPT, DATA, BODY, RSET, QUIT."""
    EHLO = "250-sink.test hello\n250-PIPELINING\n250-SIZE 100000000\n250-8BITMIME\n250 ENHANCEDSTATUSCODES"

    def __init__(self, cert=None, offers=(), at=("127.0.0.1", 0), **rules):
        self.EHLO = self.EHLO.replace("250 ENH", "".join("250-%s\n" % o for o in offers) + "250 ENH")
        self.rules, self.cert = rules, cert
        self.mails, self.commands, self.connections = [], [], 0
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(at)
        self.port = self.sock.getsockname()[1]
        self.sock.listen(200)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            c, _ = self.sock.accept()
            c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self.session, args=(c,), daemon=True).start()

    def reply(self, c, stage, arg, default):
        rule = self.rules.get(stage, default)
        text = rule(c, arg) if callable(rule) else rule
        if text is not None:
            c.say(text)
        return text or ""

    def session(self, sock):
        c = Conn(self, sock)
        try:
            if self.reply(c, "GREETING", "", "220 sink.test ESMTP").startswith("2"):
                self.talk(c)
        except (Drop, OSError, ssl.SSLError):
            pass
        c.sock.close()
        c.gone.set()

    def talk(self, c):
        mail = {}
        while True:
            line = c.line()
            self.commands.append(line)
            verb = line.split(" ")[0].split(":")[0].upper()
            if verb == "EHLO":
                self.reply(c, verb, line, self.EHLO.replace("250 ENH", "250-STARTTLS\n250 ENH")
                           if self.cert and not c.secured else self.EHLO)
            elif verb == "STARTTLS":
                if self.reply(c, verb, line, "220 go ahead").startswith("220"):
                    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    ctx.load_cert_chain(self.cert)
                    c.sock = ctx.wrap_socket(c.sock, server_side=True)
                    c.buf, c.secured = b"", True
            elif verb == "MAIL":
                mail = {"from": line, "to": [], "tls": c.secured}
                self.reply(c, verb, line, "250 2.1.0 fine")
            elif verb == "RCPT":
                if self.reply(c, verb, line, "250 2.1.5 fine").startswith("2"):
                    mail["to"].append(line[9:line.index(">")])
            elif verb == "DATA":
                if self.reply(c, verb, line, "354 go on" if mail.get("to") else "503 no recipients").startswith("354"):
                    rule = self.rules.get("READ")
                    mail["data"] = rule(c, line) if rule else c.body()
                    rule = self.rules.get("BODY", "250 2.0.0 taken as 4711")
                    text = rule(c, mail) if callable(rule) else rule
                    if text and text.startswith("250 "):
                        self.mails.append(mail)
                    if text:
                        c.say(text)
            elif verb == "BDAT":
                mail["data"] = c.exactly(int(line.split(" ")[1]))
                text = self.rules.get("BDAT", "250 2.0.0 taken as 4712")
                if text.startswith("2"):
                    self.mails.append(mail)
                c.say(text)
            elif verb == "QUIT":
                self.reply(c, verb, line, "221 bye")
                return
            else:
                self.reply(c, verb, line, "250 ok")


class Relay:
    """The relay with a queue and a resolver that are this test; DNS questions are answered from `zone` as in Dns (rdata made by
    dnspython)."""

    def __init__(self, conf=(), resolver=None, files=()):
        self.queue = Peer()
        self.dns = Peer()
        links = [("QUEUE", self.queue.theirs)]
        if resolver is None:
            links.append(("RESOLVER", self.dns.theirs))
        base = [("hostname", "mx.own.test"), ("relay.allow_loopback", "true"), ("relay.command_timeout", "2000"),
                ("relay.connect_timeout", "2000"), ("relay.data_timeout", "3000"), ("relay.mta_sts", "false")]
        self.role = Role("relay", "delivery/relay", base + list(conf), links, files=files)
        if resolver is not None:
            a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.role.add("RESOLVER", a)
            resolver.add("RELAY", b)
        self.job = 0

    def put(self, domain, to, body="Subject: x\r\n\r\nhello\r\n", sender="a@own.test", prefix="Received: by us\r\n", flags=0,
            cuts=b"", fd=None, envid=""):
        """to: an address, or a list of addresses and (address, notify, orcpt)."""
        self.job += 1
        to = [to] if isinstance(to, str) else to
        if fd is None and len(body) > 32768:  # a long one comes as a file
            with tempfile.TemporaryFile() as file:
                file.write(body.encode())
                file.flush()
                return self.put(domain, to, "", sender, prefix, flags, cuts, file.fileno(), envid)
        fields = [x for i, t in enumerate(to) for x in (i, *((t, 0, "") if isinstance(t, str) else t))]
        self.queue.send("RELAY_SEND", self.job, flags, domain, sender, envid, prefix, cuts, body, *fields, fd=fd)
        return self.job

    def result(self, timeout=10):
        f = self.queue.want("RELAY_SENT", timeout)
        rcpts = f.groups(3)
        self.tls = f.f[2]
        self.reports = [r[5] for r in rcpts]  # will the host report success itself?
        return f.f[0], f.f[1], [r[:5] for r in rcpts]

    def send(self, *args, **kw):
        timeout = kw.pop("timeout", 10)
        job = self.put(*args, **kw)
        got, host, rcpts = self.result(timeout)
        assert got == job
        return host, rcpts

    def stop(self):
        self.role.stop()
