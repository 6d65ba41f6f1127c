"""A whole Tegami server in a temporary directory, on free high ports, for one test or a few.

    with Server({"spam.enabled": "true"}) as server:
        server.add_domain("example.test", alice="secret")
        with server.smtp("mx") as s:
            s.sendmail("a@peer.test", ["alice@example.test"], MESSAGE)
        mail, = server.wait_mails("alice@example.test", 1)

The programs come from $TEGAMI_BUILD (default: ./build). Leaving the block fails when a role died that the test did not
kill, when a sanitizer spoke, or when tegamid does not stop in good order.
"""
import ctypes
import email
import email.policy
import json
import os
import pathlib
import random
import re
import shutil
import signal
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TEGAMI_BUILD", TOP / "build")).resolve()
# Slow machines and sanitizers: every limit of patience is multiplied by this.
PATIENCE = float(os.environ.get("TEGAMI_PATIENCE", "1"))
HOSTNAME = "mx.example.test"
SANITIZER = re.compile(
    r"ERROR: (Address|Leak|Undefined\w*|Thread|Memory)Sanitizer|runtime error:|SUMMARY: \w+Sanitizer")

QUIET = {  # no filter, so that a test of something else waits for none
    "spf.enabled": "false", "dkim.enabled": "false", "dmarc.enabled": "false",
    "arc.enabled": "false", "spam.enabled": "false",
}


GIVEN = set()  # ports that free_port gave away, listened on or not yet
# Tests that run side by side (pytest-xdist: gw0, gw1 ...) have ports of their own.
FIRST_PORT = 20000 + 1000 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 10)


def free_port():
    """A port of 127.0.0.1 that nobody listens on, TCP and UDP; never the same twice."""
    for _ in range(1000):
        port = random.randint(FIRST_PORT, FIRST_PORT + 999)
        if port in GIVEN:
            continue
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as s:
                    s.bind(("127.0.0.1", port))
            GIVEN.add(port)
            return port
        except OSError:
            continue
    raise RuntimeError("no free port")


def wait_until(what, check, seconds=30.0):  # long: a busy machine is no failure, and who passes does not wait
    """The first true value of check(); AssertionError naming `what` after that time."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds * PATIENCE:g} s in vain for {what}")
        time.sleep(0.02)


def end_with_me():
    """In the child: SIGTERM when the tests are gone, so that a test run that was killed leaves no server."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def make_certificate(folder, name=HOSTNAME, kind=("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")):
    """cert.pem and key.pem for a name, signed by itself."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-days", "30", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
         "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def client_tls():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Mail:
    """A file in a Maildir."""

    def __init__(self, path):
        self.path = path
        self.raw = path.read_bytes()

    @property
    def message(self):
        return email.message_from_bytes(self.raw, policy=email.policy.default)

    @property
    def body(self):
        return self.raw.partition(b"\n\n")[2]

    def header(self, name):
        """All values of a header, unfolded."""
        return [re.sub(r"\s+", " ", str(v)) for v in self.message.get_all(name, [])]


class Server:
    def __init__(self, options=None, extra="", quiet=True, user_domain=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tegami-test-"))
        self.dir.chmod(0o755)
        self.state = self.dir / "state"
        self.conf = self.dir / "tegami.conf"
        self.log_file = self.dir / "log"
        self.ports = {k: free_port() for k in ("mx", "submission", "submissions", "dns")}
        self.options = dict(QUIET) if quiet else {}
        self.options.update({
            "resolver.servers": f'{{"127.0.0.1:{self.ports["dns"]}"}}', "resolver.timeout": "2s",
            "relay.allow_loopback": "true", "relay.retry": "{1s}", "limits.min_free": "1M",
            "limits.unknown_rate": "0", "limits.error_rate": "0",  # tests make many mistakes in a minute
        })
        self.options.update(options or {})
        self.extra = extra
        self.process = None
        self.restarts_expected = False
        self.dns = None
        self.cert, self.key = make_certificate(self.dir)
        self.tls = None  # instead of these two: the whole section

    # -- configuration

    def config_text(self):
        lines = [f'hostname = "{self.options.get("hostname", HOSTNAME)}"', f'state_dir = "{self.state}"',
                 self.tls or f'tls {{ certificate = "{self.cert}" key = "{self.key}" }}']
        for kind in ("mx", "submission", "submissions"):
            lines.append(f'listen "{kind}" {{ kind = {kind} address = {{"127.0.0.1:{self.ports[kind]}"}} }}')
        for path, value in self.options.items():
            if path == "hostname":
                continue
            section, dot, name = path.rpartition(".")
            lines.append(f"{section} {{ {name} = {value} }}" if dot else f"{name} = {value}")
        return "\n".join(lines) + "\n" + self.extra + "\n"

    def write_config(self):
        self.conf.write_text(self.config_text())

    # -- life

    def start(self, wait=True, env=None):
        from dns_server import DnsServer

        if self.dns is None:
            self.dns = DnsServer(self.ports["dns"])
            self.dns.start()
        self.write_config()
        log = open(self.log_file, "ab")
        self.log_start = log.tell()
        self.process = subprocess.Popen(
            [BUILD / "tegamid", "-c", self.conf], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            cwd=self.dir, env={**os.environ, **(env or {})}, preexec_fn=end_with_me)
        log.close()
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"tegamid ended with {self.process.returncode}:\n{self.log()}")
            return re.search(r"\bready\b", self.log(self.log_start))

        try:
            wait_until("'ready' in the log", ready, 60)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.log()}") from None

    def stop(self, seconds=15):
        """SIGTERM; the exit status must be 0."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds * PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"tegamid did not stop within {seconds} s\n{self.log()}") from None
        status, self.process = self.process.returncode, None
        assert status == 0, f"tegamid ended with {status}\n{self.log()}"

    def kill(self):
        """kill -9 of the supervisor; its roles go with it."""
        pids = []
        try:
            pids = self.pids()
        except Exception:  # it may hang, which is why it is killed
            pass
        self.process.kill()
        self.process.wait()
        self.process = None
        wait_until("roles to be gone", lambda: not any(alive(p) for p in pids), 5)

    def restart(self):
        self.stop()
        self.start()

    def reload(self):
        self.write_config()
        return self.cli("reload")

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.clean()
            raise

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self.check_health()
                self.stop()
                self.check_log()
            elif self.process:
                print(self.log())
                self.process.terminate()
                try:
                    self.process.wait(15 * PATIENCE)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
        finally:
            self.clean()

    def clean(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.dns:
            self.dns.stop()
            self.dns = None
        if not os.environ.get("TEGAMI_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)

    def check_health(self):
        """No role died that the test did not kill."""
        if self.process is None or self.restarts_expected:
            return
        assert self.process.poll() is None, f"tegamid died with {self.process.returncode}\n{self.log()}"
        dead = [r for r in self.status()["roles"] if int(r["restarts"]) > 0]
        assert not dead, f"roles died: {dead}\n{self.log()}"

    def check_log(self):
        found = SANITIZER.search(self.log())
        assert not found, f"a sanitizer spoke:\n{self.log()}"

    # -- asking it

    def run(self, *words, input=None, check=True):
        """`tegami -c FILE WORDS...`: the finished process (texts)."""
        p = subprocess.run([BUILD / "tegami", "-c", self.conf, *map(str, words)], input=input, text=True,
                           capture_output=True, timeout=60 * PATIENCE)
        if check and p.returncode != 0:
            raise AssertionError(f"tegami {' '.join(map(str, words))}: exit {p.returncode}\n{p.stdout}{p.stderr}")
        return p

    def cli(self, *words, input=None):
        return self.run(*words, input=input).stdout

    def json(self, *words, input=None):
        return json.loads(self.run("--json", *words, input=input).stdout)

    def status(self):
        return self.json("status")

    def pids(self, name=None):
        return [int(r["pid"]) for r in self.status()["roles"]
                if int(r.get("pid") or 0) > 0 and name in (None, r["name"])
                and r["name"] != "tegamid"]

    def log(self, start=0):
        try:
            with open(self.log_file, "rb") as f:
                f.seek(start)
                return f.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def wait_log(self, pattern, seconds=30):
        return wait_until(f"{pattern!r} in the log", lambda: re.search(pattern, self.log()), seconds)

    def wait_trace(self, what, text, seconds=30):
        """The story of it, once it has this text: events are written about once a second."""
        return wait_until(f"{text!r} in the trace of {what}", lambda: next(
            (out for out in [self.run("trace", what, check=False).stdout] if text in out), None), seconds)

    def queue(self):
        return self.json("queue", "list")

    def wait_queue_empty(self, seconds=30):
        wait_until("the queue to be empty", lambda: not self.queue(), seconds)

    # -- who lives there

    def add_domain(self, domain, **users):
        self.cli("domain", "add", domain)
        for name, password in users.items():
            self.add_user(f"{name}@{domain}", password)

    def add_user(self, address, password, *options):
        self.cli("user", "add", address, "--password-stdin", *options, input=password + "\n")

    # -- mail in

    def smtp(self, kind="mx", user=None, password=None, timeout=30):
        """A greeted smtplib client; with `user`, over TLS and logged in."""
        port, timeout = self.ports[kind], timeout * PATIENCE
        if kind == "submissions":
            s = smtplib.SMTP_SSL("127.0.0.1", port, "client.test", timeout=timeout, context=client_tls())
        else:
            s = smtplib.SMTP("127.0.0.1", port, "client.test", timeout=timeout)
        s.ehlo()
        if user:
            if kind == "submission":
                s.starttls(context=client_tls())
                s.ehlo()
            s.login(user, password)
        return s

    def socket(self, kind="mx", timeout=30):
        return socket.create_connection(("127.0.0.1", self.ports[kind]), timeout * PATIENCE)

    # -- mail out

    def home(self, address):
        local, _, domain = address.partition("@")
        return self.state / "mail" / domain / local

    def mails(self, address, folder=None):
        """What lies in new/ and cur/ of INBOX, or of a folder."""
        maildir = self.home(address) / "Maildir"
        if folder:
            maildir = maildir / f".{folder}"
        found = []
        for sub in ("new", "cur"):
            if (maildir / sub).is_dir():
                found += sorted((maildir / sub).iterdir())
        return [Mail(p) for p in found]

    def wait_mails(self, address, n=1, folder=None, seconds=30):
        """Exactly n mails: waits until there are so many."""
        try:
            wait_until(f"{n} mails for {address}", lambda: len(self.mails(address, folder)) >= n, seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}: {len(self.mails(address, folder))} there\n{self.log()}") from None
        mails = self.mails(address, folder)
        assert len(mails) == n, f"{len(mails)} mails for {address}, not {n}"
        return mails


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def message(subject="a letter", sender="someone@peer.test", to="alice@example.test", body="Hello.\n", **headers):
    """A plain message with what a well-behaved client writes."""
    from email.message import EmailMessage
    from email.utils import formatdate, make_msgid

    m = EmailMessage(policy=email.policy.SMTP)  # CRLF, as it goes over the wire
    m["From"], m["To"], m["Subject"] = sender, to, subject
    m["Date"], m["Message-ID"] = formatdate(), make_msgid(domain="peer.test")
    for name, value in headers.items():
        m[name.replace("_", "-")] = value
    m.set_content(body)
    return m
