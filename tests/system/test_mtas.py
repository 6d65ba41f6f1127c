"""Postfix and Exim on the other side: they send to our mx, and our relay sends to them. Each runs with a configuration, a queue
and a port of its own in a temporary directory."""
import email
import email.policy
import os
import pathlib
import pwd
import re
import shutil
import smtplib
import socket
import subprocess
import tempfile
import threading

import pytest

from server import PATIENCE, Server, TOP, end_with_me, free_port, make_certificate, message, wait_until

pytestmark = pytest.mark.root
ALICE, BOB, PASSWORD = "alice@example.test", "bob@example.test", "alice-secret"
HERE, THERE = "example.test", "other.test"  # our domain, theirs
PLAIN = "plain.test"                        # ours as well; they go there without TLS, through a tap
USERS = [f"u{i}" for i in range(100)]       # all that live there
CLIENTS = pathlib.Path(os.environ.get("TEGAMI_CLIENTS", TOP / "build-check" / "clients"))
EXIM = CLIENTS / "exim/usr/sbin/exim4"
MASTER = pathlib.Path("/usr/lib/postfix/sbin/master")

HEAD = (f"From: u0@{THERE}\r\nTo: {ALICE}\r\nSubject: to and fro\r\nDate: Tue, 24 Nov 2026 11:00:00 +0000\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n").encode()
DOTS = (".\r\n..\r\n...three\r\n.dot Grüße 手紙\r\n\r\nblanks at the end  \t \r\nFrom the start of a line\r\n"
        + "x" * 990 + "\r\n.\r\n\r\n.end\r\n").encode()


def lines(size):
    """That many bytes and a bit, every fifth line with a dot in front, no two lines alike."""
    made, at, n = [], 0, 0
    while at < size:
        made.append(b"%s%08d %s\r\n" % (b"." * (n % 5 == 0), n, b"abcdefghij" * (n % 7)))
        at += len(made[-1])
        n += 1
    return b"".join(made)


BODIES = {"dots": DOTS, "40k": lines(40_000), "5M": lines(5_000_000)}


class Tap:
    """A wire that is listened to: forwards to a port, and keeps each piece that the client sends as it came."""

    def __init__(self, to_port):
        self.to_port, self.port, self.pieces = to_port, free_port(), []
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.to_port))
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.pump, args=(client, server, self.pieces), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, []), daemon=True).start()

    @staticmethod
    def pump(one, other, pieces):
        try:
            while data := one.recv(65536):
                pieces.append(data)
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            other.close()

    def glued(self, *words):
        """Pieces in which these commands followed each other."""
        return [p for p in self.pieces if re.search(rb"[^\n]*\n".join(words), p)]

    def stop(self):
        self.listener.close()


class Mta:
    """What Postfix and Exim have in common: a folder, a port, a process, Maildirs maildir/NAME/new."""
    account = None

    def __init__(self, to_port):
        self.to_port, self.port = to_port, free_port()
        self.tap = Tap(to_port)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tegami-mta-"))
        self.dir.chmod(0o755)
        self.process = None

    def owned(self, *names):
        for name in names:
            (self.dir / name).mkdir(exist_ok=True)
            shutil.chown(self.dir / name, self.account)

    def start(self):
        self.configure()
        with open(self.dir / "out", "wb") as out:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            start_new_session=True, preexec_fn=end_with_me, **self.as_whom())
        wait_until(f"{type(self).__name__} to answer", self.answers, 30)

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{type(self).__name__} ended with {self.process.returncode}:\n{self.log()}")
        try:
            with smtplib.SMTP("127.0.0.1", self.port, "client.test", timeout=10 * PATIENCE) as s:
                return s.noop()[0] == 250
        except (OSError, smtplib.SMTPException):
            return False

    def as_whom(self):
        return {}

    def stop(self):
        self.tap.stop()
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15 * PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if not os.environ.get("TEGAMI_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)

    def log(self):
        return "".join(p.read_text(errors="replace") for p in (self.dir / "out", self.log_file) if p.exists())

    def submit(self, sender, rcpts, data, mail_options=(), rcpt_options=()):
        with smtplib.SMTP("127.0.0.1", self.port, "client.test", timeout=60 * PATIENCE) as s:
            assert s.sendmail(sender, rcpts, data, ["BODY=8BITMIME", *mail_options], list(rcpt_options)) == {}

    def mails(self, user):
        new = self.dir / "maildir" / user / "new"
        return {p.name: p.read_bytes() for p in new.iterdir()} if new.is_dir() else {}


class Postfix(Mta):
    account = "postfix"

    @staticmethod
    def missing():
        return None if MASTER.exists() else "no Postfix: tests/install-clients has not put it here"

    @property
    def log_file(self):
        return self.dir / "mail.log"

    def configure(self):
        etc = self.dir / "etc"
        for name in ("etc", "spool"):
            (self.dir / name).mkdir()
        self.owned("data", "maildir")
        cert, key = make_certificate(etc, "mx." + THERE)
        account = pwd.getpwnam(self.account)
        (etc / "users").write_text("".join(f"{u}@{THERE} {u}/\n" for u in USERS))
        options = {
            "compatibility_level": "3.6", "queue_directory": self.dir / "spool", "data_directory": self.dir / "data",
            "maillog_file": self.log_file, "maillog_file_prefixes": "/", "myhostname": "mx." + THERE,
            "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4", "mynetworks": "127.0.0.0/8",
            "mydestination": "", "alias_maps": "", "local_recipient_maps": "", "relay_domains": f"{HERE} {PLAIN}",
            "virtual_mailbox_domains": THERE, "virtual_mailbox_maps": f"texthash:{etc}/users",
            "virtual_mailbox_base": self.dir / "maildir", "virtual_minimum_uid": 1,
            "virtual_uid_maps": f"static:{account.pw_uid}", "virtual_gid_maps": f"static:{account.pw_gid}",
            "virtual_mailbox_limit": 0, "mailbox_size_limit": 0, "message_size_limit": 50_000_000,
            "transport_maps": f"inline:{{{{{HERE}=smtp:[127.0.0.1]:{self.to_port}}}, {{{PLAIN}=smtp:[127.0.0.1]:{self.tap.port}}}}}",
            "smtp_tls_policy_maps": f"inline:{{{{[127.0.0.1]:{self.tap.port}=none}}}}",
            "disable_dns_lookups": "yes", "smtp_host_lookup": "native", "smtpd_peername_lookup": "no",
            "smtputf8_enable": "yes", "smtp_tls_security_level": "encrypt", "smtpd_tls_security_level": "may",
            "smtpd_tls_cert_file": cert, "smtpd_tls_key_file": key, "smtpd_tls_received_header": "yes",
        }
        (etc / "main.cf").write_text("".join(f"{k} = {v}\n" for k, v in options.items()))
        services = [(f"127.0.0.1:{self.port}", "inet", "n", 0, "smtpd"), ("postlog", "unix-dgram", "n", 1, "postlogd")]
        for name, private, most, program in (
                ("cleanup", "n", 0, "cleanup"), ("qmgr", "n", 1, "qmgr"), ("tlsmgr", "-", 1, "tlsmgr"),
                ("rewrite", "-", 0, "trivial-rewrite"), ("bounce", "-", 0, "bounce"), ("defer", "-", 0, "bounce"),
                ("trace", "-", 0, "bounce"), ("smtp", "-", 0, "smtp"), ("error", "-", 0, "error"),
                ("retry", "-", 0, "error"), ("virtual", "-", 0, "virtual"), ("proxymap", "-", 0, "proxymap"),
                ("anvil", "-", 1, "anvil"), ("scache", "-", 1, "scache")):
            services.append((name, "unix", private, most, program))
        (etc / "master.cf").write_text("".join(
            f"{name} {kind} {private} {'n' if program == 'virtual' else '-'} n - {most} {program}\n"
            for name, kind, private, most, program in services))
        subprocess.run(["postfix", "-c", etc, "check"], check=True, capture_output=True, timeout=60 * PATIENCE)

    def command(self):
        return [MASTER, "-c", self.dir / "etc", "-d"]

    SENT = r"postfix/smtp\[.*status=sent \(250"


EXIM_CONF = """
exim_path = {exim}
primary_hostname = mx.{there}
spool_directory = {dir}/spool
log_file_path = {dir}/log/%slog
pid_file_path = {dir}/spool/pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
deliver_drop_privilege = true
never_users =
keep_environment =
host_lookup =
rfc1413_hosts =
message_size_limit = 50M
smtp_accept_queue_per_connection = 0
check_spool_space = 0
check_spool_inodes = 0
tls_advertise_hosts = *
tls_certificate = {cert}
tls_privatekey = {key}
dsn_advertise_hosts = *
acl_smtp_rcpt = rcpt
acl_smtp_data = data
begin acl
rcpt:
  require message = no such user here
    verify = recipient
  accept
data:
  accept
begin routers
mailbox:
  driver = accept
  domains = {there}
  local_parts = lsearch;{dir}/users
  transport = maildir
plain:
  driver = manualroute
  domains = {plain}
  transport = tapped
  route_list = * 127.0.0.1 byname
  self = send
out:
  driver = manualroute
  domains = {here}
  transport = smtp
  route_list = * 127.0.0.1 byname
  self = send
begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = {dir}/maildir/$local_part_data
  user = {account}
smtp:
  driver = smtp
  port = {to_port}
  allow_localhost
  hosts_require_tls = *
  hosts_try_dane =
tapped:
  driver = smtp
  port = {tap_port}
  allow_localhost
  hosts_avoid_tls = *
  hosts_try_dane =
begin retry
* * F,2h,1s
"""


class Exim(Mta):
    account = "Debian-exim"

    @staticmethod
    def missing():
        try:
            pwd.getpwnam(Exim.account)
        except KeyError:
            return "no account Debian-exim: tests/install-clients has not made it"
        return None if EXIM.exists() else "no Exim: tests/install-clients has not put it here"

    @property
    def log_file(self):
        return self.dir / "log" / "mainlog"

    def configure(self):
        self.owned("spool", "log", "maildir")
        cert, key = make_certificate(self.dir, "mx." + THERE)
        shutil.chown(key, self.account)
        (self.dir / "users").write_text("".join(f"{u}: {u}\n" for u in USERS))
        # A copy without the set-uid bit: one account does everything, so that it is content with a configuration of ours.
        shutil.copyfile(EXIM, self.dir / "exim")
        (self.dir / "exim").chmod(0o755)
        (self.dir / "conf").write_text(EXIM_CONF.format(
            exim=self.dir / "exim", dir=self.dir, port=self.port, to_port=self.to_port, cert=cert, key=key,
            here=HERE, there=THERE, plain=PLAIN, tap_port=self.tap.port, account=self.account))

    def as_whom(self):
        return {"user": self.account, "group": self.account, "extra_groups": []}

    def command(self):
        return [self.dir / "exim", "-C", self.dir / "conf", "-bdf"]

    SENT = r" => .* X=TLS\S+ .*\bK\b.* C=\"250"  # K: it used CHUNKING


@pytest.fixture(scope="module", params=[Postfix, Exim], ids=["postfix", "exim"])
def pair(request):
    """(our server, the other MTA), each sending to the other."""
    missing = request.param.missing()
    if missing:
        pytest.skip(missing)
    server = Server()
    mta = request.param(server.ports["mx"])
    try:
        server.options["relay.port"] = str(mta.port)
        with server:
            server.add_domain(HERE, alice=PASSWORD, bob="bob-secret")
            server.add_domain(PLAIN, alice=PASSWORD, bob="bob-secret")
            server.dns.zones = {THERE: {"MX": [f"10 mx.{THERE}."]}, "mx." + THERE: {"A": ["127.0.0.1"]}}
            mta.start()
            yield server, mta
    finally:
        mta.stop()


class New:
    """What came since, here (addresses) or there (names)."""

    def __init__(self, pair, *who):
        self.server, self.mta = pair
        self.before = {w: set(self.all(w)) for w in who}

    def all(self, who):
        return {m.path.name: m.raw for m in self.server.mails(who)} if "@" in who else self.mta.mails(who)

    def since(self, who):
        return [raw for name, raw in self.all(who).items() if name not in self.before[who]]

    def one(self, who):
        try:
            wait_until(f"mail for {who}", lambda: self.since(who), 60)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.mta.log()[-4000:]}") from None
        mail, = self.since(who)
        return mail


def received(raw):
    return [re.sub(r"\s+", " ", str(v)) for v in email.message_from_bytes(raw).get_all("Received")]


def body(raw):
    return raw.partition(b"\n\n")[2]


def report(raw):
    """The blocks of a report after the first: one for each recipient."""
    m = email.message_from_bytes(raw, policy=email.policy.default)
    assert m.get_content_type() == "multipart/report", raw[:2000]
    status, = [p for p in m.iter_parts() if p.get_content_type().endswith("delivery-status")]
    return status.get_payload()


# -- they send to us

@pytest.mark.parametrize("name", BODIES)
def test_to_us(pair, name):
    server, mta = pair
    new, logged = New(pair, ALICE, BOB), len(mta.log())
    mta.submit("u0@" + THERE, [ALICE, BOB], HEAD + b"\r\n" + BODIES[name])
    for who in (ALICE, BOB):
        mail = new.one(who)
        assert body(mail) == BODIES[name].replace(b"\r\n", b"\n")
        assert " with ESMTPS " in received(mail)[0] and "mx." + THERE in received(mail)[0]
    wait_until(f"{mta.SENT} in its log", lambda: re.search(mta.SENT, mta.log()[logged:]))


def test_one_of_three_is_unknown(pair):
    """Its commands go out in one piece: the refused one comes back, the others arrive."""
    server, mta = pair
    new = New(pair, ALICE, BOB, "u1")
    mta.submit("u1@" + THERE, [ALICE, "nobody@" + HERE, BOB], HEAD + b"\r\nHello.\r\n")
    for who in (ALICE, BOB):
        assert body(new.one(who)) == b"Hello.\n"
    back = new.one("u1")
    assert b"nobody@" + HERE.encode() in back and ALICE.encode() not in report(back)[1].as_bytes()
    assert [b["Action"] for b in report(back)[1:]] == ["failed"]


def test_success_is_reported(pair):
    """The wish for a report comes through to us, and our report gets back to them."""
    server, mta = pair
    new = New(pair, ALICE, "u2")
    mta.submit("u2@" + THERE, [ALICE], HEAD + b"\r\nHello.\r\n", ["RET=HDRS", "ENVID=QQ314"],
               ["NOTIFY=SUCCESS", f"ORCPT=rfc822;Alice@{HERE}"])
    new.one(ALICE)
    first, block = report(new.one("u2"))
    assert first["Reporting-MTA"].endswith("mx." + HERE) and first["Original-Envelope-Id"] == "QQ314"
    assert (block["Action"], block["Original-Recipient"]) == ("delivered", f"rfc822;Alice@{HERE}")


def test_beyond_ascii(pair):
    server, mta = pair
    with smtplib.SMTP("127.0.0.1", mta.port, "client.test", timeout=30 * PATIENCE) as s:
        s.ehlo()
        if not s.has_extn("smtputf8"):
            pytest.skip(f"this {type(mta).__name__} knows no SMTPUTF8")
    new = New(pair, ALICE)
    sent = HEAD.replace(b"to and fro", "Grüße 手紙".encode()) + b"\r\nHello.\r\n"
    with smtplib.SMTP("127.0.0.1", mta.port, "client.test", timeout=30 * PATIENCE) as s:
        s.ehlo()
        s.mail(f"jörg@{THERE}", ["BODY=8BITMIME", "SMTPUTF8"])
        assert s.rcpt(ALICE)[0] == 250 and s.data(sent)[0] == 250
    mail = new.one(ALICE)
    assert "Subject: Grüße 手紙\n".encode() in mail and f"<jörg@{THERE}>".encode() in mail
    assert " with UTF8SMTPS " in received(mail)[0]


def test_pipelining_to_us(pair):
    """On the wire: their commands came in one piece, and Exim's body as a chunk."""
    server, mta = pair
    new = New(pair, "alice@" + PLAIN, "bob@" + PLAIN)
    mta.submit("u0@" + THERE, ["alice@" + PLAIN, "bob@" + PLAIN], HEAD + b"\r\n" + DOTS)
    for who in ("alice@" + PLAIN, "bob@" + PLAIN):
        assert body(new.one(who)) == DOTS.replace(b"\r\n", b"\n")
    assert mta.tap.glued(b"MAIL FROM:", b"RCPT TO:", b"RCPT TO:"), mta.tap.pieces[:5]
    assert any(b"BDAT " in p for p in mta.tap.pieces) == isinstance(mta, Exim)


# -- we send to them

def send(server, rcpts, data):
    with server.smtp("submissions", ALICE, PASSWORD) as s:
        assert s.sendmail(ALICE, rcpts, data, ["BODY=8BITMIME"]) == {}


@pytest.mark.parametrize("name", BODIES)
def test_to_them(pair, name):
    """Over TLS, though nobody vouches for their certificate."""
    server, mta = pair
    new = New(pair, "u3")
    send(server, ["u3@" + THERE], HEAD.replace(b"u0@" + THERE.encode(), ALICE.encode()) + b"\r\n" + BODIES[name])
    mail = new.one("u3")
    assert body(mail) == BODIES[name].replace(b"\r\n", b"\n")
    assert re.search(r" with (ESMTPS|esmtps) ", received(mail)[0])
    server.wait_queue_empty()


def test_many_recipients(pair):
    server, mta = pair
    new = New(pair, *USERS)
    send(server, [f"{u}@{THERE}" for u in USERS], message("to all", ALICE, "u0@" + THERE).as_bytes())
    for user in USERS:
        assert b"Subject: to all\n" in new.one(user)
    server.wait_queue_empty(30)
    assert all(len(new.since(u)) == 1 for u in USERS)


def test_unknown_there(pair):
    server, mta = pair
    new = New(pair, ALICE, "u4")
    send(server, ["u4@" + THERE, "nobody@" + THERE], message("for two", ALICE, "u4@" + THERE).as_bytes())
    assert b"Subject: for two\n" in new.one("u4")
    block = report(new.one(ALICE))[1]
    assert block["Action"] == "failed" and block["Final-Recipient"].endswith("nobody@" + THERE)
    assert block["Diagnostic-Code"].startswith("smtp;") and "550" in block["Diagnostic-Code"]
    server.wait_queue_empty()


@pytest.fixture
def tapped(pair):
    """Our mail to them goes without TLS, through a tap."""
    server, mta = pair
    tap = Tap(mta.port)
    before, server.extra = server.extra, server.extra + f'\nroute "{THERE}" {{ host = "127.0.0.1:{tap.port}" tls = none }}\n'
    server.reload()
    yield tap
    server.extra = before
    server.reload()
    tap.stop()


def test_pipelining_to_them(pair, tapped):
    """On the wire: all commands up to DATA in one piece."""
    server, mta = pair
    new = New(pair, "u5", "u6")
    send(server, ["u5@" + THERE, "u6@" + THERE], HEAD.replace(b"u0@" + THERE.encode(), ALICE.encode()) + b"\r\n" + DOTS)
    for who in ("u5", "u6"):
        assert body(new.one(who)) == DOTS.replace(b"\r\n", b"\n")
    assert tapped.glued(b"MAIL FROM:", b"RCPT TO:", b"RCPT TO:", b"DATA"), tapped.pieces
    server.wait_queue_empty()


@pytest.mark.parametrize("text", [b"no line end", b".\r\n..\r\n.", b"x" * 40_000 + b"\r\nend"], ids=["short", "dots", "long"])
def test_chunk_to_them(pair, tapped, text):
    """It ends within a line, so it goes in a chunk: a dot that begins a line is not doubled, and nothing is added on the way."""
    server, mta = pair
    new = New(pair, "u7")
    head = HEAD.replace(b"u0@" + THERE.encode(), ALICE.encode()).replace(b"8bit", b"7bit")
    with server.smtp("submissions", ALICE, PASSWORD) as s:
        assert s.mail(ALICE)[0] == s.rcpt("u7@" + THERE)[0] == 250
        s.send(b"BDAT %d LAST\r\n%s\r\n%s" % (len(head + text) + 2, head, text))
        assert s.getreply()[0] == 250
    # their Maildir files end with a line end whatever came
    assert body(new.one("u7")).removesuffix(b"\n") == text.replace(b"\r\n", b"\n")
    wire = b"".join(tapped.pieces)
    chunk = re.search(rb"BDAT (\d+) LAST\r\n", wire)
    sent = wire[chunk.end():chunk.end() + int(chunk[1])]
    assert sent.endswith(head + b"\r\n" + text) and wire[chunk.end() + len(sent):] in (b"", b"QUIT\r\n")
    assert b"DATA\r\n" not in wire
    server.wait_queue_empty()


def test_success_is_reported_back(pair):
    """They take the wish for a report over from us, and their report comes home."""
    server, mta = pair
    new = New(pair, ALICE, "u8")
    with server.smtp("submissions", ALICE, PASSWORD) as s:
        assert s.sendmail(ALICE, ["u8@" + THERE], message("tell me", ALICE, "u8@" + THERE).as_bytes(), ["RET=HDRS", "ENVID=QQ159"],
                          ["NOTIFY=SUCCESS", f"ORCPT=rfc822;U8@{THERE}"]) == {}
    new.one("u8")
    first, block = report(new.one(ALICE))
    assert first["Reporting-MTA"].endswith("mx." + THERE) and first["Original-Envelope-Id"] == "QQ159"
    assert (block["Action"], block["Original-Recipient"]) == ("delivered", f"rfc822;U8@{THERE}")
    server.wait_queue_empty()


def test_beyond_ascii_to_them(pair):
    """A header in UTF-8, over TLS; who takes no SMTPUTF8 is not sent it, and the report says what to do."""
    server, mta = pair
    with smtplib.SMTP("127.0.0.1", mta.port, "client.test", timeout=30 * PATIENCE) as s:
        s.ehlo()
        takes = s.has_extn("smtputf8")
    new = New(pair, ALICE, "u9")
    data = HEAD.replace(b"u0@" + THERE.encode(), ALICE.encode()).replace(b"to and fro", "Grüße 手紙".encode()) + b"\r\nHello.\r\n"
    with server.smtp("submissions", ALICE, PASSWORD) as s:
        assert s.sendmail(ALICE, ["u9@" + THERE], data, ["BODY=8BITMIME", "SMTPUTF8"]) == {}
    if takes:
        mail = new.one("u9")
        assert "Subject: Grüße 手紙\n".encode() in mail and re.search(r" with (UTF8SMTPS|utf8esmtps) ", received(mail)[0])
    else:
        back = new.one(ALICE)
        assert report(back)[1]["Status"] == "5.6.7" and "encoded words" in report(back)[1]["Diagnostic-Code"] + back.decode()
    server.wait_queue_empty()
