"""The PROXY protocol and XCLIENT: who may say who the client is, and what follows from it."""
import re
import socket
import ssl
import struct
import subprocess
import time

import pytest

from server import Server, client_tls, free_port, message, wait_until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PROXY = "127.0.0.2"  # the one that is trusted; 127.0.0.1 is anybody


def v1(ip="192.0.2.7", port=51234):
    return f"PROXY TCP{6 if ':' in ip else 4} {ip} {ip} {port} 25\r\n".encode()


def v2(ip="192.0.2.7", port=51234, tlvs=b"", command=1):
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    address = socket.inet_pton(family, ip)
    body = address * 2 + struct.pack("!HH", port, 25) + tlvs
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, 0x21 if ":" in ip else 0x11, len(body)) + body


@pytest.fixture(scope="module")
def server():
    s = Server({"trusted_proxies": '{"127.0.0.2"}', "trusted_networks": '{"127.0.0.2", "198.51.100.0/24"}',
                "limits.connections_per_client": "3"})
    s.ports.update(proxy=free_port(), proxys=free_port())
    s.extra = (f'listen "proxy" {{ kind = mx address = {{"127.0.0.1:{s.ports["proxy"]}"}} proxy_protocol = true }}\n'
               f'listen "proxys" {{ kind = submissions address = {{"127.0.0.1:{s.ports["proxys"]}"}} proxy_protocol = true }}')
    with s:
        s.add_domain("example.test", alice="alice-secret")
        yield s


class Client:
    def __init__(self, s, listener="proxy", source=PROXY, say=b""):
        self.s = socket.create_connection(("127.0.0.1", s.ports[listener]), 30, (source, 0))
        self.buf = b""
        if say:
            self.s.sendall(say)

    def reply(self):
        while not re.search(rb"(?m)^\d{3} .*\n", self.buf):
            data = self.s.recv(4000)
            if not data:
                raise EOFError(self.buf)
            self.buf += data
        at = re.search(rb"(?m)^\d{3} .*\n", self.buf).end()
        reply, self.buf = self.buf[:at], self.buf[at:]
        return reply.decode()

    def expect(self, start):
        got = self.reply()
        assert got.startswith(start), got
        return got

    def cmd(self, text, start):
        self.s.sendall(text.encode() + b"\r\n")
        return self.expect(start)

    def closed(self):
        try:
            while self.s.recv(1000):
                pass
        except ConnectionResetError:
            pass
        return True

    def mail(self):
        self.cmd("EHLO client.test", "250")
        self.cmd("MAIL FROM:<a@peer.test>", "250")
        self.cmd("RCPT TO:<alice@example.test>", "250")
        self.cmd("DATA", "354")
        self.cmd("Subject: x\r\n\r\nx\r\n.", "250")


def newest(s, before):
    return wait_until("a mail", lambda: [m for m in s.mails("alice@example.test") if m.path.name not in before])[0]


def names(s):
    s.wait_queue_empty()
    return {m.path.name for m in s.mails("alice@example.test")}


@pytest.mark.parametrize("header,ip", [
    (v1(), "192.0.2.7"), (v1("2001:db8::7"), "IPv6:2001:db8::7"), (v2(), "192.0.2.7"), (v2("2001:db8::7"), "IPv6:2001:db8::7"),
    (v2("::ffff:192.0.2.7"), "192.0.2.7"), (v2(tlvs=b"\x04\0\x03abc" + b"\x20\0\x05hello"), "192.0.2.7"),
    (v2(tlvs=b"\x04\x03\xe8" + b"x" * 1000), "192.0.2.7")])
def test_true_client(server, header, ip):
    before = names(server)
    c = Client(server, say=header)
    c.expect("220")
    c.mail()
    received = newest(server, before).header("Received")[0]
    assert f"[{ip}]" in received and "127.0.0" not in received
    server.wait_log("ip=" + re.escape(ip.removeprefix("IPv6:")))


@pytest.mark.parametrize("header", [v1(), v2(tlvs=b"\x04\0\x03abc")])
def test_byte_by_byte(server, header):
    c = Client(server)
    for i in range(len(header)):
        c.s.sendall(header[i:i + 1])
        time.sleep(0.002)
    c.expect("220")
    c.cmd("QUIT", "221")


@pytest.mark.parametrize("version,family,ip", [("1", "TCP4", "192.0.2.9"), ("2", "AF_INET", "192.0.2.10"),
                                               ("2", "AF_INET6", "2001:db8::10")])
def test_swaks(server, version, family, ip):
    before = names(server)
    p = subprocess.run(["swaks", "--server", f"127.0.0.1:{server.ports['proxy']}", "--local-interface", PROXY, "--from", "a@peer.test",
                        "--to", "alice@example.test", "--proxy-version", version, "--proxy-family", family, "--proxy-source", ip,
                        "--proxy-source-port", "12345", "--proxy-dest", ip, "--proxy-dest-port", "25", "--proxy-protocol", "STREAM",
                        "--proxy-command", "PROXY"], capture_output=True, text=True, timeout=60)
    assert p.returncode == 0, p.stdout + p.stderr
    assert f"{ip}])" in newest(server, before).header("Received")[0]


def test_glued_to_what_follows(server):
    c = Client(server, say=v1() + b"EHLO client.test\r\n")
    c.expect("220")
    c.expect("250")
    c = Client(server, say=v2() + b"EHLO client.test\r\nNOOP\r\n")
    c.expect("220")
    c.expect("250")
    c.expect("250")


@pytest.mark.parametrize("header", [v1("2001:db8::8"), v2("2001:db8::8")])
def test_before_implicit_tls(server, header):
    """Also when the first bytes of TLS come in the same segment."""
    c = Client(server, "proxys")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_tls().wrap_bio(incoming, outgoing, server_hostname="mx.example.test")
    c.s.sendall(header)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            c.s.sendall(outgoing.read())
            incoming.write(c.s.recv(65536))
    c.s.sendall(outgoing.read())

    glued = Client(server, "proxys")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_tls().wrap_bio(incoming, outgoing, server_hostname="mx.example.test")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    glued.s.sendall(header + outgoing.read())
    while True:
        incoming.write(glued.s.recv(65536))
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            glued.s.sendall(outgoing.read())
    glued.s.sendall(outgoing.read())
    text = b""
    while b"\n" not in text:
        try:
            text += tls.read(1000)
        except ssl.SSLWantReadError:
            incoming.write(glued.s.recv(65536))
    assert text.startswith(b"220 mx.example.test")


@pytest.mark.parametrize("garbage", [
    b"EHLO client.test\r\n", b"PROXY TCP4 nonsense\r\n", v1()[:-2] + b"\n", b"PROXY UNKNOWN" + b"x" * 200, b"\x16\x03\x01\x02\0\x01",
    SIGNATURE + b"\x11\x11\0\x0c" + bytes(12), SIGNATURE + b"\x21\x11\xff\xff" + bytes(12), SIGNATURE + b"\x21\x12\0\x0c" + bytes(12)])
def test_no_header_no_service(server, garbage):
    c = Client(server, say=garbage)
    assert c.closed()
    server.wait_log(r"127\.0\.0\.2, a trusted proxy, sent no valid PROXY header")


def test_header_has_a_deadline(server):
    slow, silent, began = Client(server, say=b"PROXY TCP4 "), Client(server), time.monotonic()
    try:
        for _ in range(8):
            time.sleep(1)
            slow.s.sendall(b"1")
    except OSError:  # a busy machine: these seconds took longer than the deadline
        pass
    assert slow.closed() and silent.closed() and time.monotonic() - began > 8
    server.wait_log("did not finish its PROXY header")
    server.wait_log("sent no PROXY header")


def test_others_are_clients_themselves(server):
    """Whoever is no trusted proxy gets a banner at once, and is served."""
    c = Client(server, source="127.0.0.1")
    c.expect("220")
    c.mail()


def rest(c):
    data = b""
    try:
        while more := c.s.recv(1000):
            data += more
    except ConnectionResetError:
        pass
    return data


HEADERS = pytest.mark.parametrize("header", [v1(), v2(), v2("2001:db8::7")], ids=["1", "2", "2 with IPv6"])
MAIL = b"EHLO client.test\r\nMAIL FROM:<a@peer.test>\r\nRCPT TO:<alice@example.test>\r\n"


@HEADERS
@pytest.mark.parametrize("glued", [b"", MAIL], ids=["alone", "glued"])
def test_header_of_no_trusted_proxy(server, header, glued):
    """Where headers are expected, one from anybody else ends the connection without a word that could be taken for the reply to what
    follows; history tells why."""
    c = Client(server, source="127.0.0.3")
    c.expect("220")
    c.s.sendall(header + glued)
    assert rest(c) == b""
    tls = Client(server, "proxys", source="127.0.0.3", say=header + glued)
    assert not re.search(rb"\d{3}[ -]", rest(tls))
    wait_until("it in history", lambda: "from outside trusted_proxies" in server.run("trace", "127.0.0.3", check=False).stdout)


@HEADERS
@pytest.mark.parametrize("source", [PROXY, "127.0.0.1"])
@pytest.mark.parametrize("glued", [b"", MAIL], ids=["alone", "glued"])
def test_header_where_none_is_expected(server, header, source, glued):
    """One reply and the end, whoever sends it and in either version; nothing behind it is done. In place of TLS not even that."""
    c = Client(server, "mx", source=source)
    c.expect("220")
    c.s.sendall(header + glued)
    said = rest(c)
    assert said.startswith(b"421 4.7.1 The PROXY protocol is for") and said.count(b"\n") == 1
    tls = Client(server, "submissions", source=source, say=header + glued)
    assert not re.search(rb"\d{3}[ -]", rest(tls))


def may_relay(c):
    c.cmd("EHLO client.test", "250")
    c.cmd("MAIL FROM:<a@peer.test>", "250")
    c.s.sendall(b"RCPT TO:<b@far.test>\r\n")
    return c.reply().startswith("250")


@pytest.mark.parametrize("header,relays", [
    (v1("198.51.100.7"), True), (v1("192.0.2.7"), False), (b"PROXY UNKNOWN\r\n", False), (v2(command=0), True),
    (SIGNATURE + b"\x21\0\0\0", False)])
def test_rights_are_the_clients(server, header, relays):
    """The proxy stands in trusted_networks, its clients do not."""
    c = Client(server, say=header)
    c.expect("220")
    assert may_relay(c) == relays


def test_proxied_client_may_not_xclient(server):
    c = Client(server, say=v1())
    c.expect("220")
    assert "XCLIENT" not in c.cmd("EHLO client.test", "250")
    c.cmd("XCLIENT ADDR=198.51.100.7", "550 5.7.1")


def test_limits_count_the_client(server):
    ours = [Client(server, say=v2("192.0.2.77", port)) for port in range(3)]
    for c in ours:
        c.expect("220")
    over = Client(server, say=v2("192.0.2.77", 9))
    over.expect("421 4.7.0 You have too many connections")
    others = [Client(server, say=v2(f"192.0.2.{100 + i}")) for i in range(6)]
    for c in others:
        c.expect("220")
    ours[0].cmd("QUIT", "221")
    ours[0].s.close()
    wait_until("the slot to be free", lambda: Client(server, say=v1("192.0.2.77")).reply().startswith("220"))


def test_rates_count_the_client():
    s = Server({"trusted_proxies": '{"127.0.0.2"}', "limits.connection_rate": "3"})
    s.ports["proxy"] = free_port()
    s.extra = f'listen "proxy" {{ kind = mx address = {{"127.0.0.1:{s.ports["proxy"]}"}} proxy_protocol = true }}'
    with s:
        for i in range(12):
            Client(s, say=v2(f"192.0.2.{i}")).expect("220")
        for _ in range(3):
            Client(s, say=v2("192.0.2.100")).expect("220")
        Client(s, say=v2("192.0.2.100")).expect("421 4.7.0 Your network connects too often")


# -- XCLIENT

def test_xclient(server):
    before = names(server)
    c = Client(server, "mx")
    c.expect("220")
    assert "XCLIENT NAME ADDR PORT HELO" in c.cmd("EHLO proxy.test", "250")
    c.cmd("XCLIENT ADDR=IPV6:2001:db8::9 NAME=mail.peer.test HELO=real+2Dhelo.test PORT=99", "220")
    c.mail()
    assert "from real-helo.test (mail.peer.test [IPv6:2001:db8::9])" in newest(server, before).header("Received")[0]
    for wrong in ("XCLIENT", "XCLIENT ADDR=", "XCLIENT ADDR=nowhere", "XCLIENT HELO=a+0Ab", "XCLIENT HELO=a+0", "XCLIENT HELO=a+-1",
                  "XCLIENT LOGIN=alice", "XCLIENT NAME=a(b", "XCLIENT PORT=70000"):
        c.cmd(wrong, "501 5.5.4")
    c.cmd("MAIL FROM:<a@peer.test>", "250")
    c.cmd("XCLIENT ADDR=192.0.2.9", "503 5.5.1")
    stranger = Client(server, "mx", source="127.0.0.1")
    stranger.expect("220")
    stranger.cmd("XCLIENT ADDR=192.0.2.9", "550 5.7.1")


def test_xclient_unavailable(server):
    for ip in ("[UNAVAILABLE]", "[TEMPUNAVAIL]"):
        c = Client(server, "mx")
        c.expect("220")
        c.cmd(f"XCLIENT NAME={ip} ADDR={ip} HELO={ip}", "220")
        assert not may_relay(c), "an unknown client must not have the rights of its proxy"


def test_xclient_counts_the_client(server):
    held = []
    for i in range(3):
        c = Client(server, "mx")
        c.expect("220")
        c.cmd("XCLIENT ADDR=192.0.2.55", "220")
        held.append(c)
    c = Client(server, "mx")
    c.expect("220")
    c.cmd("XCLIENT ADDR=192.0.2.55", "421 4.7.0")


def test_xclient_not_after_auth(server):
    import base64

    s = Client(server, "submissions")
    s.s = client_tls().wrap_socket(s.s)
    s.expect("220")
    s.cmd("EHLO proxy.test", "250")
    s.cmd("AUTH PLAIN " + base64.b64encode(b"\0alice@example.test\0alice-secret").decode(), "235")
    s.cmd("XCLIENT ADDR=192.0.2.56", "503 5.5.1")
