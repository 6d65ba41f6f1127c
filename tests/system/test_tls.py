"""What TLS offers and refuses, certificates by name, tickets, and renewal while sessions go on."""
import json
import os
import shutil
import socket
import ssl
import subprocess
import time

import pytest

from server import BUILD, Server, client_tls, make_certificate, wait_until


def folder(where, name):
    path = where / name.replace("*", "star")
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def names():
    s = Server()
    certs = {}
    for name in ("mail.example.org", "*.example.org", "other.example"):
        certs[name] = make_certificate(folder(s.dir, name), name)
    s.extra = "\n".join(f'sni "{n}" {{ certificate = "{c}" key = "{k}" }}' for n, (c, k) in certs.items())
    with s:
        yield s


def client(minimum=None, maximum=None, alpn=None, ciphers=None):
    context = client_tls()
    if ciphers:
        context.set_ciphers(ciphers)
    if minimum:
        context.minimum_version = minimum
    if maximum:
        context.maximum_version = maximum
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def begin(s, kind):
    sock = s.socket(kind)
    if kind != "submissions":
        sock.recv(1000)
        sock.sendall(b"EHLO client.test\r\n")
        while b"250 " not in (got := sock.recv(4000)):
            pass
        sock.sendall(b"STARTTLS\r\n")
        assert sock.recv(1000).startswith(b"220")
    return sock


def shake(s, context, kind="submissions", name=None, session=None):
    return context.wrap_socket(begin(s, kind), server_hostname=name, session=session)


def common_name(sock):
    text = subprocess.run(["openssl", "x509", "-noout", "-subject", "-inform", "DER"], input=sock.getpeercert(True),
                          capture_output=True, check=True).stdout.decode()
    return text.split("CN = ")[-1].strip()


@pytest.mark.parametrize("asked,got", [
    (None, "mx.example.test"), ("mx.example.test", "mx.example.test"), ("unknown.test", "mx.example.test"),
    ("mail.example.org", "mail.example.org"), ("MAIL.Example.ORG", "mail.example.org"), ("any.example.org", "*.example.org"),
    ("a.b.example.org", "mx.example.test"), ("example.org", "mx.example.test"), ("other.example", "other.example")])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sni(names, asked, got, version):
    with shake(names, client(version, version), name=asked) as c:
        assert common_name(c) == got


@pytest.mark.parametrize("ciphers", ["AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA", "AES128-GCM-SHA256",
                                     "DHE-RSA-AES128-GCM-SHA256", "aNULL:eNULL", "ECDHE-ECDSA-AES128-CCM"])
def test_no_weak_ciphers(names, ciphers):
    with pytest.raises(ssl.SSLError):
        shake(names, client(maximum=ssl.TLSVersion.TLSv1_2, ciphers=ciphers + ":@SECLEVEL=0"))


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                                    "ECDHE-ECDSA-CHACHA20-POLY1305"])
def test_good_ciphers(names, cipher):
    with shake(names, client(maximum=ssl.TLSVersion.TLSv1_2, ciphers=cipher)) as c:
        assert c.cipher()[0] == cipher and c.compression() is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_old_versions(names):
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.raises((ssl.SSLError, OSError)):
            shake(names, client(version, version, ciphers="ALL:@SECLEVEL=0"))


@pytest.mark.parametrize("kind", ["mx", "submissions"])
def test_alpn(names, kind):
    for offered, chosen in ((["smtp"], "smtp"), (["h2", "smtp"], "smtp"), (None, None)):
        with shake(names, client(alpn=offered), kind) as c:
            assert c.selected_alpn_protocol() == chosen
    for offered in (["h2"], ["http/1.1", "imap"], ["SMTP"], ["smt"], ["smtps"]):
        with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
            shake(names, client(alpn=offered), kind)


def resumed(s, version, first, then):
    """Is a session that one listener gave resumed at another? Tried a few times: processes must not matter."""
    context = client(version, version)
    with shake(s, context, first) as c:
        if first == "submissions":
            c.recv(100)  # tickets of TLS 1.3 come behind the handshake
        else:
            c.sendall(b"NOOP\r\n")
            c.recv(100)
        session = c.session
    found = set()
    for _ in range(8):
        with shake(s, context, then, session=session) as c:
            found.add(c.session_reused)
    assert len(found) == 1, found
    return found.pop()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tickets(names, version):
    assert resumed(names, version, "submissions", "submissions")
    assert resumed(names, version, "mx", "mx")
    assert not resumed(names, version, "mx", "submissions")
    assert not resumed(names, version, "submission", "submissions")
    assert not resumed(names, version, "submissions", "mx")


def s_client(s, *words, say=b""):
    p = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{s.ports['submissions']}", *words], input=say,
                       capture_output=True, timeout=60)
    return (p.stdout + p.stderr).decode(errors="replace")


def test_no_renegotiation(names):
    p = subprocess.Popen(["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{names.ports['submissions']}"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while not (line := p.stdout.readline()).startswith(b"220 "):
        assert line, "no greeting"
    out = p.communicate(b"R\n", timeout=60)[0].decode(errors="replace")
    assert "RENEGOTIATING" in out and "no renegotiation" in out


def test_no_early_data(names):
    with shake(names, client()) as c:
        assert c.recv(100).startswith(b"220")
    out = s_client(names, "-tls1_3", "-sess_out", str(names.dir / "session"), say=b"QUIT\n")
    assert "Max Early Data: 0" in out or "Max Early Data" not in out


def test_handshake_has_a_deadline(names):
    """However it drips in; long before an idle client would be sent away."""
    import threading

    began = time.monotonic()
    socks = [names.socket("submissions"), names.socket("submissions"), begin(names, "mx")]

    def drip():
        try:
            for byte in b"\x16\x03\x01\x01\x00\x01\x00" + bytes(100):
                socks[1].sendall(bytes([byte]))
                time.sleep(1)
        except OSError:
            pass

    threading.Thread(target=drip, daemon=True).start()
    for sock in socks:
        sock.settimeout(120)
        try:
            while sock.recv(1000):
                pass
        except ConnectionResetError:
            pass
    assert 20 < time.monotonic() - began < 120


# -- renewal

def expiry(s, name=None):
    with shake(s, client(), name=name) as c:
        return subprocess.run(["openssl", "x509", "-noout", "-serial", "-inform", "DER"], input=c.getpeercert(True),
                              capture_output=True, check=True).stdout


def replace(source, target):
    """As a careful program does: a new file under the old name."""
    fresh = target.with_name(target.name + ".new")
    shutil.copy(source, fresh)
    os.replace(fresh, target)


def test_renewal():
    s = Server()
    live, archive = folder(s.dir, "live"), folder(s.dir, "archive")
    other = make_certificate(folder(s.dir, "other"), "other.example")
    for n in ("1", "2"):
        cert, key = make_certificate(folder(archive, n))
        (live / "cert.pem").is_symlink() or (live / "cert.pem").symlink_to(cert)
        (live / "key.pem").is_symlink() or (live / "key.pem").symlink_to(key)
    s.cert, s.key = live / "cert.pem", live / "key.pem"
    s.extra = f'sni "other.example" {{ certificate = "{other[0]}" key = "{other[1]}" }}'
    with s:
        s.add_domain("example.test", alice="alice-secret")
        pids, first, second = s.pids("smtpd"), expiry(s), expiry(s, "other.example")
        mail = s.smtp("submissions", "alice@example.test", "alice-secret")
        for line in ("MAIL FROM:<alice@example.test>", "RCPT TO:<alice@example.test>", "DATA"):
            assert mail.docmd(line)[0] < 400
        # certbot's way: the links lead somewhere else
        for file in ("cert.pem", "key.pem"):
            (live / file).unlink()
            (live / file).symlink_to(archive / "2" / file)
        s.wait_log(r"the certificate for mx\.example\.test was renewed; it ends on \d{4}-\d\d-\d\d")
        renewed = wait_until("the new certificate", lambda: (now := expiry(s)) != first and now)
        assert expiry(s, "other.example") == second
        # a pair that does not fit stays out, and the other one comes in all the same
        fresh = make_certificate(folder(s.dir, "fresh"), "other.example")
        replace(fresh[0], other[0])
        s.wait_log(r"the certificate for other\.example changed on the disk but is not used: .*do not belong together; the one until "
                   r"\d{4}-\d\d-\d\d stays")
        assert expiry(s, "other.example") == second
        (live / "cert.pem").unlink()
        (live / "cert.pem").write_text((archive / "1" / "cert.pem").read_text()[:300])  # half of it
        s.wait_log(r"the certificate for mx\.example\.test changed on the disk but is not used: the certificate cannot be read")
        assert expiry(s) == renewed
        replace(fresh[1], other[1])
        wait_until("the other certificate", lambda: expiry(s, "other.example") != second)
        assert expiry(s) == renewed
        assert s.log().count("the certificate for mx.example.test was renewed") == 1
        # the session that was there all the time
        mail.send(b"From: alice@example.test\r\nSubject: x\r\n\r\nx\r\n.\r\n")
        assert mail.getreply()[0] == 250
        s.wait_mails("alice@example.test", 1)
        assert s.pids("smtpd") == pids
        replace(archive / "2" / "cert.pem", live / "cert.pem")
        wait_until("things to be quiet", lambda: expiry(s) == renewed)


# -- certificates of one name for two kinds of keys

RSA = ("rsa:2048",)


def two(pairs):
    """The options of two pairs."""
    return " ".join(f'{word} = {{"{pairs[0][i]}", "{pairs[1][i]}"}}' for i, word in enumerate(("certificate", "key")))


@pytest.fixture(scope="module")
def both():
    s = Server()
    s.pairs, s.passwords = {}, []
    for name in ("mx.example.test", "other.example"):
        s.pairs[name] = [make_certificate(folder(s.dir, kind + name), name, *args)
                         for kind, args in (("ec", ()), ("rsa", (RSA,)))]
    s.tls = f'tls {{ {two(s.pairs["mx.example.test"])} }}'
    s.extra = f'sni "other.example" {{ {two(s.pairs["other.example"])} }}'
    with s:
        yield s


def shown(s, name, *words):
    """Which certificate a client gets: (name, kind of key)."""
    out = s_client(s, "-servername", name, *words)
    kind = "rsa" if "Public-Key: (2048 bit)" in out or "Server public key is 2048 bit" in out else "ec"
    assert "Server certificate" in out, out
    return out.split("subject=CN = ")[1].split()[0], kind


@pytest.mark.parametrize("words,kind", [
    (("-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256:rsa_pkcs1_sha256"), "rsa"),
    (("-tls1_3", "-sigalgs", "ecdsa_secp256r1_sha256"), "ec"),
    (("-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256"), "ec"),
    (("-tls1_2", "-sigalgs", "rsa_pss_rsae_sha256:rsa_pkcs1_sha256"), "rsa"),
    (("-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"), "rsa"),
    (("-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"), "rsa"),
    (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"), "ec"),
    (("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305"), "ec"),
    ((), "ec")])
@pytest.mark.parametrize("name", ["mx.example.test", "other.example"])
def test_two_kinds_of_keys(both, name, words, kind):
    assert shown(both, name, *words) == (name, kind)


def test_of_two_kinds_each_is_renewed_alone(both):
    name = "other.example"
    pairs = both.pairs[name]
    rsa, ec = ("-tls1_2", "-cipher", "aRSA"), ("-tls1_2", "-cipher", "aECDSA")

    def serial(words):
        out = s_client(both, "-servername", name, *words)
        pem = out[out.index("-----BEGIN CERTIFICATE"):out.index("-----END CERTIFICATE")] + "-----END CERTIFICATE-----\n"
        return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, capture_output=True, check=True, text=True).stdout

    before = serial(ec), serial(rsa)
    fresh = [make_certificate(folder(both.dir, "fresh" + k), name, *args) for k, args in (("ec", ()), ("rsa", (RSA,)))]
    replace(fresh[0][0], pairs[0][0])  # without its key
    both.wait_log(r"the certificate for other\.example changed on the disk but is not used: .*do not belong together")
    for i in (0, 1):
        replace(fresh[1][i], pairs[1][i])
    wait_until("the new RSA certificate", lambda: serial(rsa) != before[1])
    assert serial(ec) == before[0]
    replace(fresh[0][1], pairs[0][1])
    wait_until("the new EC certificate", lambda: serial(ec) != before[0])
    assert shown(both, name, *rsa) == (name, "rsa")
    rows = [r for r in json.loads(both.run("--json", "check", check=False).stdout) if r["name"] == "certificates"]
    assert sum(name in r["text"] for r in rows) == 2, rows


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_channel_binding_of_a_resumed_session(both, version):
    """The certificate of the first handshake counts, which the second does not show."""
    from OpenSSL import SSL
    from scram import Client, Scram

    if not both.passwords:
        both.add_domain("example.test", alice="alice-secret")
        both.passwords.append(both.json("user", "app-password", "add", "alice@example.test", "--label", "phone")["password"])
    with Client(both, version) as c:
        session, binding = c.tls.get_session(), c.end_point()
        assert c.scram(Scram("alice@example.test", both.passwords[0], binding)).startswith("235")
        c.tls.shutdown()  # a session that just breaks off is not resumed
    for _ in range(2):
        with Client(both, version, session=session) as c:
            assert SSL._lib.SSL_session_reused(c.tls._ssl) == 1  # which pyOpenSSL has no word for
            assert c.end_point() == binding
            assert c.scram(Scram("alice@example.test", both.passwords[0], binding)).startswith("235")
            session = c.tls.get_session()
            c.tls.shutdown()


def test_two_of_the_same_kind():
    """Which one of them would be shown, nobody could say."""
    s = Server()
    again = make_certificate(folder(s.dir, "again"))
    s.tls = f"tls {{ {two([(s.cert, s.key), again])} }}"
    s.write_config()
    p = subprocess.run([BUILD / "tegamid", "-c", s.conf], capture_output=True, text=True, timeout=100)
    assert p.returncode == 1 and "have the same kind of key" in p.stderr, p.stderr
    s.clean()


def test_tickets_survive_a_killed_process():
    import signal

    with Server() as s:
        s.restarts_expected = True
        context = client(ssl.TLSVersion.TLSv1_3)
        with shake(s, context) as c:
            c.recv(100)
            session = c.session
        old = s.pids("smtpd")
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        wait_until("new processes", lambda: len(now := s.pids("smtpd")) == len(old) and not set(now) & set(old))
        with shake(s, context, session=session) as c:
            assert c.session_reused


def test_check_warns_of_the_end():
    s = Server()
    cert, key = s.dir / "w.pem", s.dir / "w.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "5",
                    "-subj", "/CN=x", "-addext", "subjectAltName=DNS:*.soon.example", "-keyout", key, "-out", cert], check=True,
                   capture_output=True)
    s.extra = f'sni "*.soon.example" {{ certificate = "{cert}" key = "{key}" }}'
    with s:
        rows = [r for r in json.loads(s.run("--json", "check", check=False).stdout) if r["name"] == "certificates" and "soon.example" in r["text"]]
        assert [r["state"] for r in rows] == ["warning"] and "ends on" in rows[0]["text"], rows


def test_wrong_sni_names():
    for name in ("*", "a b", "*.*", "x.*", "*x.example"):
        s = Server()
        s.extra = f'sni "{name}" {{ certificate = "{s.cert}" key = "{s.key}" }}'
        s.write_config()
        p = subprocess.run([BUILD / "tegamid", "-t", "-c", s.conf], capture_output=True, text=True)
        assert p.returncode == 1 and "is no host name" in p.stderr, (name, p.stderr)
        s.clean()
