"""IPv6 and IPv4 alike: listeners of either and of both, what is written of clients, who is trusted, limits by network."""
import smtplib
import socket

import pytest

from server import Server, client_tls, free_port, message, wait_until


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture(scope="module")
def server():
    s = Server({"limits.connections_per_client": "4"})
    s.ports.update(six=free_port(), any=free_port(), both=free_port(), subs=free_port(), proxy=free_port())
    s.extra = "\n".join([
        f'listen "six" {{ kind = mx address = {{"[::1]:{s.ports["six"]}"}} }}',
        f'listen "any" {{ kind = mx address = {{":{s.ports["any"]}"}} }}',
        f'listen "both" {{ kind = mx address = {{"0.0.0.0:{s.ports["both"]}", "[::]:{s.ports["both"]}"}} }}',
        f'listen "subs6" {{ kind = submissions address = {{"[::1]:{s.ports["subs"]}"}} }}',
        f'listen "proxy" {{ kind = mx address = {{"[::1]:{s.ports["proxy"]}"}} proxy_protocol = true }}',
    ])
    s.options["trusted_proxies"] = '{"127.0.0.9"}'
    with s:
        s.add_domain("example.test", alice="alice-secret")
        yield s


@pytest.mark.parametrize("listener,host,shown", [
    ("six", "::1", "[IPv6:::1]"), ("any", "::1", "[IPv6:::1]"), ("any", "127.0.0.1", "[127.0.0.1]"),
    ("both", "::1", "[IPv6:::1]"), ("both", "127.0.0.1", "[127.0.0.1]")])
def test_each_way_in(server, listener, host, shown):
    before = {m.path.name for m in server.mails("alice@example.test")}
    with smtplib.SMTP(host, server.ports[listener], "client.test", timeout=30) as s:
        s.starttls(context=client_tls())
        s.sendmail("a@peer.test", ["alice@example.test"], message().as_bytes())
    mail = wait_until("the mail", lambda: [m for m in server.mails("alice@example.test") if m.path.name not in before])[0]
    assert shown in mail.header("Received")[0]


def test_logging_in(server):
    with smtplib.SMTP_SSL("::1", server.ports["subs"], "client.test", timeout=30, context=client_tls()) as s:
        s.login("alice@example.test", "alice-secret")
        s.sendmail("alice@example.test", ["alice@example.test"], message(sender="alice@example.test").as_bytes())
    server.wait_log(r"ip=::1")


def test_only_that_address(server):
    for host, listener in (("127.0.0.1", "six"), ("::1", "mx")):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, server.ports[listener]))


def test_helo_with_a_literal(server):
    with smtplib.SMTP("::1", server.ports["six"], timeout=30) as s:
        assert s.docmd("EHLO [IPv6:::1]")[0] == 250


def test_mapped_addresses_are_ipv4(server):
    """An IPv4 client of a socket that takes both is the same client at a socket that takes IPv4 only."""
    held = [socket.create_connection(("127.0.0.1", server.ports[p])) for p in ("any", "mx", "any", "mx")]
    for c in held:
        assert c.recv(100).startswith(b"220")
    over = socket.create_connection(("127.0.0.1", server.ports["any"]))
    assert over.recv(200).startswith(b"421 4.7.0")
    # and not one over IPv6
    other = socket.create_connection(("::1", server.ports["any"]))
    assert other.recv(200).startswith(b"220")
    for c in held + [over, other]:
        c.close()


@pytest.mark.parametrize("networks,relays", [
    ('{"::1"}', True), ('{"::/8"}', True), ('{"2001:db8::/32"}', False), ('{"127.0.0.0/8"}', False), ('{"::ffff:127.0.0.1"}', False)])
def test_trusted_networks(networks, relays):
    s = Server({"trusted_networks": networks})
    port = free_port()
    s.extra = f'listen "six" {{ kind = mx address = {{"[::1]:{port}"}} }}'
    with s:
        with smtplib.SMTP("::1", port, "client.test", timeout=30) as c:
            c.ehlo()
            c.docmd("MAIL FROM:<a@peer.test>")
            assert (c.docmd("RCPT TO:<b@far.test>")[0] == 250) == relays


def test_proxy_over_ipv6():
    s = Server({"trusted_proxies": '{"::1"}'})
    port = free_port()
    s.extra = f'listen "p" {{ kind = mx address = {{"[::1]:{port}"}} proxy_protocol = true }}'
    with s:
        s.add_domain("example.test", alice="alice-secret")
        sock = socket.create_connection(("::1", port), 30)
        sock.sendall(b"PROXY TCP6 2001:db8::5 ::1 1 2\r\n")
        assert sock.recv(100).startswith(b"220")
