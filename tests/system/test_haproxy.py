"""HAProxy in front, with the PROXY protocol of either version, and TLS that passes through it: who is the client?"""
import pathlib
import shutil
import smtplib
import socket
import ssl
import subprocess
import tempfile

import pytest

from server import PATIENCE, Server, client_tls, end_with_me, free_port, message, wait_until

ALICE, PASSWORD = "alice@example.test", "alice-secret"
HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"
pytestmark = pytest.mark.skipif(not pathlib.Path(HAPROXY).exists(), reason="no HAProxy: tests/install-clients has not put it here")
ADDRESS = "127.0.0.2"  # HAProxy's own, the one that is trusted

# Names of front ends, what their servers are told, the listener behind.
WAYS = {"v1": ("send-proxy", "proxy"), "v2": ("send-proxy-v2 check inter 100ms", "proxy"),
        "v2_more": ("send-proxy-v2-ssl-cn proxy-v2-options crc32c,unique-id check inter 100ms", "proxy"),
        "tls_v1": ("send-proxy", "proxys"), "tls_v2": ("send-proxy-v2 check inter 100ms", "proxys"),
        "silent": ("", "proxy")}


def config(ports, front):
    parts = ["global\n maxconn 200\ndefaults\n mode tcp\n timeout connect 20s\n timeout client 300s\n timeout server 300s\n"]
    for name, (told, behind) in WAYS.items():
        parts.append(f"listen {name}\n bind 127.0.0.1:{front[name]}\n" + (" unique-id-format %ci:%cp\n" if "unique" in told else "")
                     + f" server tegami 127.0.0.1:{ports[behind]} source {ADDRESS} {told}\n")
    parts.append(f"listen six\n bind [::1]:{front['six']}\n server tegami 127.0.0.1:{ports['proxy']} source {ADDRESS} send-proxy-v2\n")
    return "".join(parts)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 10).close()
        return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def server():
    s = Server({"trusted_proxies": f'{{"{ADDRESS}"}}', "limits.connections_per_client": "3"})
    s.ports.update(proxy=free_port(), proxys=free_port())
    s.extra = (f'listen "proxy" {{ kind = mx address = {{"127.0.0.1:{s.ports["proxy"]}"}} proxy_protocol = true }}\n'
               f'listen "proxys" {{ kind = submissions address = {{"127.0.0.1:{s.ports["proxys"]}"}} proxy_protocol = true }}')
    front = {name: free_port() for name in (*WAYS, "six")}
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tegami-haproxy-"))
    (folder / "haproxy.cfg").write_text(config(s.ports, front))
    with s:
        s.add_domain("example.test", alice=PASSWORD)
        with open(folder / "out", "wb") as out:
            haproxy = subprocess.Popen([HAPROXY, "-db", "-f", folder / "haproxy.cfg"], stdout=out, stderr=out, preexec_fn=end_with_me)
        try:
            wait_until("HAProxy", lambda: haproxy.poll() is not None or listens(front["v1"]), 30)
            assert haproxy.poll() is None, (folder / "out").read_text()
            s.front = front
            yield s
        finally:
            haproxy.terminate()
            haproxy.wait(30 * PATIENCE)
    shutil.rmtree(folder)


def connect(s, way, source, kind=smtplib.SMTP):
    more = {"context": client_tls()} if kind is smtplib.SMTP_SSL else {}
    return kind("127.0.0.1", s.front[way], "client.test", timeout=60 * PATIENCE, source_address=(source, 0), **more)


def received(s, token):
    """The Received field of the mail with that word in it."""
    mails = wait_until("the mail", lambda: [m for m in s.mails(ALICE) if token.encode() in m.raw], 30)
    return mails[0].header("Received")[0]


@pytest.mark.parametrize("way,source", [("v1", "127.0.1.1"), ("v2", "127.0.1.2"), ("v2_more", "127.0.1.3")])
@pytest.mark.parametrize("starttls", [False, True])
def test_the_client_is_seen(server, way, source, starttls):
    with connect(server, way, source) as c:
        if starttls:
            c.starttls(context=client_tls())
        c.send_message(message(f"{way}-{starttls}"), "a@peer.test", [ALICE])
    field = received(server, f"{way}-{starttls}")
    assert f"[{source}]" in field and ADDRESS not in field and ("ESMTPS" in field) == starttls, field
    wait_until("the story", lambda: ALICE in server.run("trace", source, check=False).stdout)


def test_the_client_is_seen_over_ipv6(server):
    with smtplib.SMTP("::1", server.front["six"], "client.test", timeout=60 * PATIENCE) as c:
        c.send_message(message("over-six"), "a@peer.test", [ALICE])
    assert "[IPv6:::1]" in received(server, "over-six")


@pytest.mark.parametrize("way,source", [("tls_v1", "127.0.1.4"), ("tls_v2", "127.0.1.5")])
def test_tls_passes_through(server, way, source):
    """The client sees our certificate, logs in, and fails to: under its own address."""
    with connect(server, way, source, smtplib.SMTP_SSL) as c:
        assert c.sock.getpeercert(True) == ssl.PEM_cert_to_DER_cert(server.cert.read_text())
        c.login(ALICE, PASSWORD)
        c.send_message(message(f"through-{way}", ALICE), ALICE, [ALICE])
    assert "ESMTPSA" in received(server, f"through-{way}")
    with connect(server, way, source, smtplib.SMTP_SSL) as c:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            c.login(ALICE, "wrong")
    server.wait_log(rf"ip={source}[^\n]*")
    assert f"ip={ADDRESS}" not in server.log()


@pytest.mark.parametrize("way", ["v1", "v2"])
def test_limits_count_the_client(server, way):
    full, other = ("127.0.2.1", "127.0.2.2") if way == "v1" else ("127.0.2.3", "127.0.2.4")
    held = [connect(server, way, full) for _ in range(3)]
    try:
        with pytest.raises(smtplib.SMTPConnectError) as e:
            connect(server, way, full)
        assert e.value.smtp_code == 421
        with connect(server, way, other) as c:
            assert c.noop()[0] == 250
    finally:
        for c in held:
            c.close()

    def again():
        try:
            connect(server, way, full).close()
            return True
        except smtplib.SMTPConnectError:
            return False

    wait_until("a slot", again, 30)


def test_haproxy_that_says_nothing_is_no_client(server):
    """Without send-proxy, HAProxy's own address would be everybody's."""
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionResetError)):
        c = connect(server, "silent", "127.0.1.9")
        c.ehlo()
