"""Our login at a smarthost: only over TLS with the right host, and a refused one costs no mail."""
import base64
import hashlib
import hmac

import pytest

from pki import certificate
from relay_role import STEP_OK, STEP_PERMANENT, STEP_TEMPORARY, Drop, Smtp
from test_relay_esmtp import TLS_OPTIONAL
from test_relay_role import relays  # noqa: F401

USER, PASSWORD = "shop@isp.test", "grün, und = 12"
ITERATIONS = 4096


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    d = tmp_path_factory.mktemp("pki")
    certificate(d, "ca", "Test CA")
    certificate(d, "good", "localhost", "ca")
    certificate(d, "other", "other.test", "ca")
    certificate(d, "self", "localhost")
    return d


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def unb64(text):
    return base64.b64decode(text, validate=True).decode()


class Login(Smtp):
    """A host that wants a login; keeps what it was shown in `shown`, and when mail came before the login in `early`."""

    def __init__(self, cert, mechanisms="PLAIN LOGIN SCRAM-SHA-256", password=PASSWORD, honest=True, refusal="535 5.7.8 wrong",
                 iterations=ITERATIONS, **rules):
        self.mechanisms, self.password, self.honest, self.refusal = mechanisms, password, honest, refusal
        self.iterations = iterations
        self.shown, self.logins, self.early = [], 0, []
        super().__init__(cert=str(cert) if cert else None, AUTH=self.auth, EHLO=self.hello, MAIL=self.mail, **rules)

    def hello(self, c, line):
        tls = "250-STARTTLS\n" if self.cert and not c.secured else ""
        auth = "250-AUTH %s\n" % self.mechanisms if self.mechanisms and (c.secured or not self.cert) else ""
        return "250-sink.test hello\n" + tls + auth + "250 PIPELINING"

    def mail(self, c, line):
        if not getattr(c, "user", None):
            self.early.append(line)
            return "530 5.7.0 log in first"
        return "250 2.1.0 fine"

    def auth(self, c, line):
        words = line.split(" ")
        how = {"PLAIN": self.plain, "LOGIN": self.login, "SCRAM-SHA-256": self.scram}[words[1]]
        self.shown.append((words[1], c.secured))
        c.user = how(c, words[2] if len(words) > 2 else None)
        self.logins += 1
        return "235 2.7.0 welcome" if c.user else self.refusal

    def plain(self, c, initial):
        nobody, user, password = unb64(initial).split("\0")
        return user if (user, password) == (USER, self.password) else None

    def login(self, c, initial):
        assert initial is None
        c.say("334 " + b64("Username:"))
        user = unb64(c.line())
        c.say("334 UGFzc3dvcmQ6")
        return user if (unb64(c.line()), user) == (self.password, USER) else None

    def scram(self, c, initial):
        """RFC 5802, the server's side."""
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), b"salt", min(self.iterations, ITERATIONS))

        def mac(key, text):
            return hmac.digest(key, text if isinstance(text, bytes) else text.encode(), "sha256")
        first = unb64(initial)
        assert first.startswith("n,,"), first
        bare = first[3:]
        fields = dict(x.split("=", 1) for x in bare.split(","))
        nonce = fields["r"] + "ours"
        challenge = "r=%s,s=%s,i=%d" % (nonce, b64(b"salt"), self.iterations)
        c.say("334 " + b64(challenge))
        if self.honest == "early":
            c.line()
            return fields["n"]
        final = unb64(c.line())
        without, proof = final.rsplit(",p=", 1)
        said = ",".join((bare, challenge, without))
        key = mac(salted, "Client Key")
        signature = mac(hashlib.sha256(key).digest(), said)
        if bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature)) != key or without != "c=biws,r=" + nonce:
            return None
        proof = mac(mac(salted, "Server Key"), said) if self.honest else b"x" * 32
        c.say("334 " + b64("v=" + b64(proof)))
        assert c.line() == ""
        return fields["n"].replace("=2C", ",").replace("=3D", "=")


@pytest.fixture
def password(tmp_path):
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\nsecond line\n")
    path.chmod(0o600)
    return path


def options(s, tls=None):
    return [("relay.smarthost", "localhost:%d" % s.port), ("relay.username", USER)] + ([("relay.tls", tls)] if tls else [])


def files(pki, password):
    return [("CA_BUNDLE", pki / "ca.crt"), ("PASSWORD", password)]


@pytest.mark.parametrize("mechanisms,tls,used", [
    ("PLAIN LOGIN SCRAM-SHA-256", None, "PLAIN"), ("LOGIN CRAM-MD5", None, "LOGIN"), ("SCRAM-SHA-256", None, "SCRAM-SHA-256"),
    ("PLAIN LOGIN SCRAM-SHA-256", "required", "SCRAM-SHA-256"), ("login plain", "required", "PLAIN"),
    ("SCRAM-SHA-256-PLUS SCRAM-SHA-256 XOAUTH2", "verified", "SCRAM-SHA-256"),
])
def test_mechanisms(relays, pki, password, mechanisms, tls, used):  # noqa: F811
    s = Login(pki / "good.pem", mechanisms)
    r = relays(options(s, tls), files=files(pki, password))
    for n in range(3):
        _, rcpts = r.send("x.test", "b@x.test")
        assert rcpts[0][1] == STEP_OK, rcpts
    assert s.shown == [(used, True)] and s.connections == 1  # the session is used again, and logs in once
    assert len(s.mails) == 3 and all(m["tls"] for m in s.mails) and not s.early


@pytest.mark.parametrize("cert,mechanisms,tls,words", [
    (None, "PLAIN", None, "does not offer STARTTLS"), (None, "PLAIN", "required", "does not offer STARTTLS"),
    ("self.pem", "PLAIN", None, "not trusted"), ("other.pem", "PLAIN", None, "not for localhost"),
    ("other.pem", "PLAIN", "verified", "not for localhost"),
    ("good.pem", "", None, "offers none of PLAIN, LOGIN and SCRAM-SHA-256"),
    ("good.pem", "CRAM-MD5", None, "offers none of PLAIN, LOGIN and SCRAM-SHA-256"),
])
def test_nobody_else_gets_the_password(relays, pki, password, cert, mechanisms, tls, words):  # noqa: F811
    """Not a host that cannot prove its name, nor anybody in plain text. The mail waits."""
    s = Login(pki / cert if cert else None, mechanisms)
    r = relays(options(s, tls), files=files(pki, password))
    for flags in (0, TLS_OPTIONAL):
        _, rcpts = r.send("x.test", "b@x.test", flags=flags)
        assert rcpts[0][1] == STEP_TEMPORARY and words in rcpts[0][4], rcpts
    assert s.shown == [] and s.mails == [] and s.early == []


def test_any_certificate_when_so_configured(relays, pki, password):  # noqa: F811
    s = Login(pki / "self.pem")
    _, rcpts = relays(options(s, "required"), files=files(pki, password)).send("x.test", "b@x.test")
    assert rcpts[0][1] == STEP_OK and s.shown == [("SCRAM-SHA-256", True)]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-256"])
def test_refused(relays, pki, password, mechanism):  # noqa: F811
    """The mail waits, the words say what to correct, and the host is not asked again at once: it might shut the account."""
    s = Login(pki / "good.pem", mechanism, password="another")
    r = relays(options(s), files=files(pki, password))
    for n in range(3):
        _, rcpts = r.send("x%d.test" % n, "b@x.test")
        assert rcpts[0][1:4] == [STEP_TEMPORARY, 0, "4.7.8"], rcpts
        assert "refuses our login (535 5.7.8 wrong)" in rcpts[0][4] and "relay.password_file" in rcpts[0][4]
        assert PASSWORD not in rcpts[0][4]
    assert s.logins == 1 and s.connections == 1 and s.mails == []


@pytest.mark.parametrize("refusal,code,again", [
    ("454 4.7.0 busy", 454, True), ("432 4.7.12 change it", 432, True), ("421 4.3.2 later", 421, True), ("534 5.7.9 weak", 0, False),
    ("500 what?", 0, False),
])
def test_refused_in_other_words(relays, pki, password, refusal, code, again):  # noqa: F811
    s = Login(pki / "good.pem", "PLAIN", password="another", refusal=refusal)
    r = relays(options(s), files=files(pki, password))
    for n in range(2):
        _, rcpts = r.send("x.test", "b@x.test")
        assert rcpts[0][1:3] == [STEP_TEMPORARY, code], rcpts
    assert s.logins == (2 if again else 1)


@pytest.mark.parametrize("how,words", [
    ({"honest": False}, "does not prove that it knows the password"),
    ({"honest": "early"}, "before it has proven that it knows the password"),
    ({"iterations": 10000000}, "iterations"),
])
def test_a_host_that_does_not_know_the_password(relays, pki, password, how, words):  # noqa: F811
    """Of SCRAM both sides learn that the other knows it."""
    s = Login(pki / "good.pem", "SCRAM-SHA-256", **how)
    _, rcpts = relays(options(s, "required"), files=files(pki, password)).send("x.test", "b@x.test")
    assert rcpts[0][1] == STEP_TEMPORARY and words in rcpts[0][4], rcpts
    assert s.mails == []


@pytest.mark.parametrize("says", ["334 not base64!", "334 " + "A" * 3000, "250 too early", "334", "999 x", "334 " + b64("again"), None])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-256"])
def test_nonsense(relays, pki, password, mechanism, says):  # noqa: F811
    """Whatever it says instead of a sensible exchange: the mail waits, and the relay lives."""
    s = Login(pki / "good.pem", mechanism)

    def auth(c, line):
        while says:
            c.say(says)
            c.line()
        raise Drop
    s.rules["AUTH"] = auth
    r = relays(options(s, "required"), files=files(pki, password))
    _, rcpts = r.send("x.test", "b@x.test")
    assert rcpts[0][1] == STEP_TEMPORARY, rcpts
    assert s.mails == []
    assert r.role.p.poll() is None


def test_no_password(relays, pki, tmp_path):  # noqa: F811
    empty = tmp_path / "empty"
    empty.write_text("\nnot in the first line\n")
    s = Login(pki / "good.pem")
    _, rcpts = relays(options(s), files=files(pki, empty)).send("x.test", "b@x.test")
    assert rcpts[0][1] == STEP_TEMPORARY and "no password" in rcpts[0][4]
    assert s.shown == []


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("stage,refusal", [
    ("MAIL", "530 5.7.0 Log in first"), ("MAIL", "535 5.7.8 no"), ("MAIL", "530 please"),
    ("MAIL", "550 5.7.1 Authentication required"), ("MAIL", "554 5.7.0 authentication required"),
    ("RCPT", "530 5.7.0 Authentication required"),
])
@pytest.mark.parametrize("conf,words", [
    ("relay.smarthost", "relay.username and the password in relay.password_file"),
    ("route.*.host", "username and the password in password_file of route *")])
def test_wants_a_login_that_is_not_configured(relays, conf, words, stage, refusal, pipelining):  # noqa: F811
    """A mistake in our configuration returns nobody's mail."""
    s = Smtp(**{stage: refusal})
    if not pipelining:
        s.EHLO = "250 sink"
    _, rcpts = relays([(conf, "127.0.0.1:%d" % s.port)]).send("x.test", ["b@x.test", "c@x.test"])
    for r in rcpts:
        assert r[1:4] == [STEP_TEMPORARY, 0, "4.7.8"]
        assert "it wants a login (%s" % refusal[:20] in r[4] and "set " + words in r[4] and "tegami reload" in r[4]


@pytest.mark.parametrize("stage,refusal", [
    ("MAIL", "550 5.7.1 go away"), ("RCPT", "550 5.1.1 no such user"), ("RCPT", "554 5.7.1 <b@x.test>: Relay access denied")])
def test_other_refusals_of_a_smarthost_are_final(relays, stage, refusal):  # noqa: F811
    s = Smtp(**{stage: refusal})
    _, rcpts = relays([("relay.smarthost", "127.0.0.1:%d" % s.port)]).send("x.test", "b@x.test")
    assert rcpts[0][1:3] == [STEP_PERMANENT, int(refusal[:3])]


def test_an_mx_that_wants_a_login_is_final(relays):  # noqa: F811
    s = Smtp(MAIL="530 5.7.0 Authentication required")
    _, rcpts = relays([("relay.port", str(s.port))]).send("[127.0.0.1]", "b@[127.0.0.1]")
    assert rcpts[0][1:4] == [STEP_PERMANENT, 530, "5.7.0"]


@pytest.mark.parametrize("conf,option", [("relay.smarthost", "relay.tls"), ("route.*.host", "tls of the route")])
def test_wants_tls_that_is_turned_off(relays, conf, option):  # noqa: F811
    s = Smtp(MAIL="530 5.7.0 Must issue a STARTTLS command first")
    off = "relay.tls" if conf == "relay.smarthost" else "route.*.tls"
    _, rcpts = relays([(conf, "127.0.0.1:%d" % s.port), (off, "none")]).send("x.test", "b@x.test")
    assert rcpts[0][1:4] == [STEP_TEMPORARY, 0, "4.7.4"] and "set %s to required" % option in rcpts[0][4]
