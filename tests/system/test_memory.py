"""smtpd's memory is flat: what the main classes of abuse, all together (with --long also one after the other), leave behind at one server.

Before and after, the same small things are done (a message, a login), so that what is made once is there already. One number is
printed and judged: how much more the processes of smtpd hold, resident and proportional."""
import contextlib
import smtplib
import socket
import ssl
import threading

import pytest

from lines import Lines
from server import BUILD, Server, client_tls, message, wait_until


MIB = 1024 * 1024
MOST = 16 * MIB


def held(server):
    """[(pid, RSS, PSS)] of the processes of smtpd."""
    found = []
    for pid in server.pids("smtpd"):
        with open(f"/proc/{pid}/smaps_rollup") as f:
            rows = dict(line.split()[:2] for line in f if line.endswith(" kB\n"))
        found.append((pid, int(rows["Rss:"]) * 1024, int(rows["Pss:"]) * 1024))
    return found


def sockets(server, kind, source, n):
    made = []
    for _ in range(n):
        with contextlib.suppress(OSError):
            made.append(socket.create_connection(("127.0.0.1", server.ports[kind]), 60, source_address=(source, 0)))
    return made


def swallow(sock, seconds):
    """Read to the end, or for so long."""
    sock.settimeout(seconds)
    with contextlib.suppress(OSError):
        while sock.recv(65536):
            pass
    sock.close()


def connections(server):
    for i in range(6):
        for s in sockets(server, "mx", f"127.0.1.{i + 1}", 150):
            s.close()
    held_open = [s for i in range(6) for s in sockets(server, "mx", f"127.0.1.{i + 1}", 60)]
    for s in held_open:
        s.close()


def handshakes(server):
    """Whole ones, given up ones, and what is none."""
    for _ in range(60):
        with contextlib.suppress(OSError), client_tls().wrap_socket(sockets(server, "submissions", "127.0.2.1", 1)[0]):
            pass
    for s in sockets(server, "submissions", "127.0.2.2", 60):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_tls().wrap_bio(incoming, outgoing)
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        with contextlib.suppress(OSError):
            s.sendall(outgoing.read())
        s.close()
    for s in sockets(server, "submissions", "127.0.2.3", 30):
        with contextlib.suppress(OSError):
            s.sendall(b"EHLO here.test\r\n" * 1000)
        s.close()


def never_reads(server):
    deaf = sockets(server, "mx", "127.0.3.1", 25)
    for s in deaf:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(0.1)
        with contextlib.suppress(OSError):
            s.sendall(b"EHLO client.test\r\n" + b"HELP\r\n" * 5000)
    for s in deaf:
        s.close()


def commands(server):
    for source, junk in (("127.0.4.1", b"FROB\r\n"), ("127.0.4.2", b"NOOP\r\n"), ("127.0.4.3", b"EHLO " + b"x" * 200 + b"\r\n"),
                         ("127.0.4.4", b"x" * 65536), ("127.0.4.5", bytes(65536)), ("127.0.4.6", b"MAIL FROM:<a@b.test>\r\nRSET\r\n"),
                         ("127.0.4.7", b"VRFY a\r\n" + b"HELP\r\n"), ("127.0.4.8", b"\r\n\r\n")):
        sent = sockets(server, "mx", source, 10)
        for s in sent:
            with contextlib.suppress(OSError):
                s.settimeout(0.2)
                s.sendall(b"EHLO client.test\r\n" + junk * max(1, 60000 // len(junk)))
        for s in sent:
            swallow(s, 0.05)


def recipients(server):
    """Many that exist, many that do not, on many connections at once."""
    begun = []
    for i in range(30):
        with contextlib.suppress(AssertionError, OSError):
            c = Lines.greeted(server, "127.0.5.1")
            c.cmd("MAIL FROM:<someone@peer.test>", "250")
            c.send("".join(f"RCPT TO:<alice+{n}@example.test>\r\nRCPT TO:<{'x' * 50}{n}@example.test>\r\n" for n in range(90)))
            begun.append(c)
    for c in begun:
        for _ in range(90):
            c.reply()
        c.close()


def messages(server):
    """Begun and left, dripping, far too large, with heads as long as a body, by DATA and BDAT."""
    left = []
    for i, body in enumerate([b"x" * 76 + b"\r\n", b"X-Field: yes\r\n", b"X-Folded: a\r\n b\r\n", b"x" * 9000, b"\r\n", b".\r\r\n", b"a\nb\n"] * 5):
        with contextlib.suppress(AssertionError, OSError):
            c = Lines.greeted(server, "127.0.6.1")
            c.cmd("MAIL FROM:<someone@peer.test>", "250")
            c.cmd("RCPT TO:<alice@example.test>", "250")
            c.cmd("DATA", "354")
            c.sock.settimeout(5)
            c.send(body * ((400000 if i % 2 else 28000) // len(body)))
            left.append(c)
    for c in left:
        c.close()
    for head in (b"X-A: b\r\n" * 100000, b"X-A: " + b" b\r\n" * 200000, b"To: " + b"<a@b.test>,\r\n " * 60000 + b"c@d.test\r\n"):
        with contextlib.suppress(AssertionError, OSError), Lines.greeted(server, "127.0.6.2") as c:
            for line, code in (("MAIL FROM:<someone@peer.test>", "250"), ("RCPT TO:<alice@example.test>", "250"), ("DATA", "354")):
                c.cmd(line, code)
            c.send(head + b"\r\nx\r\n.\r\n")
            c.reply()
    for line in ("BDAT 3000000", "BDAT 1000 LAST", "BDAT 99999999999999999999", "BDAT 3000000 LAST"):
        with contextlib.suppress(AssertionError, OSError), Lines.greeted(server, "127.0.6.3") as c:
            c.cmd("MAIL FROM:<someone@peer.test>", "250")
            c.cmd("RCPT TO:<alice@example.test>", "250")
            c.sock.settimeout(5)
            c.send(line + "\r\n")
            c.send(b"y" * 2000000)


def passwords(server):
    for i in range(8):
        with contextlib.suppress(smtplib.SMTPException, OSError):
            server.smtp("submissions", "alice@example.test", f"guess {i}").close()


CLASSES = [connections, handshakes, never_reads, commands, recipients, messages, passwords]


def ordinary(server):
    """What a quiet server has seen before and after."""
    for _ in range(3):
        with Lines.greeted(server, "127.0.0.200") as c:
            c.deliver()
    with server.smtp("submissions", "bob@example.test", "bob-secret") as s:
        s.sendmail("bob@example.test", ["alice@example.test"], message(sender="bob@example.test").as_bytes())


def secured(server, source, context=client_tls()):  # made once: it reads all certificates of the system
    s = socket.create_connection(("127.0.0.1", server.ports["submissions"]), 60, source_address=(source, 0))
    tls = context.wrap_socket(s)
    assert tls.recv(1000).startswith(b"220")
    return tls


def test_given_back():
    """What clients in TLS took goes back to the system when they have left, all but a small part of it."""
    if b"__asan_init" in (BUILD / "smtp" / "smtpd").read_bytes():
        pytest.skip("the memory of a sanitizer is its own")
    with Server({"limits.connections_per_client": "1000"}) as server:
        def total():
            return sum(rss for _, rss, _ in held(server))

        def gone():
            return server.status()["clients"]["connections"] == 0

        for s in [secured(server, "127.0.1.1") for _ in range(20)]:
            s.close()
        wait_until("the first to be gone", gone)
        before = total()
        many = [secured(server, f"127.0.2.{i % 5 + 1}") for i in range(600)]
        most = total() - before
        assert most > 2 * MIB
        for s in many:
            s.close()
        wait_until("all to be gone", gone, 120)
        wait_until(f"most of {most} bytes to be given back", lambda: total() - before < most // 4)


@pytest.mark.parametrize("first", [[], pytest.param(CLASSES, marks=pytest.mark.long)], ids=["together", "one by one and together"])
def test_flat(capsys, first):
    with Server({"limits.message_size": "2M", "limits.idle_timeout": "30s", "limits.data_timeout": "30s", "limits.output_timeout": "5s",
                 "limits.connections": "600", "limits.connections_per_client": "200", "limits.reserved_connections": "100",
                 "limits.auth_failures": "10", "limits.tarpit": "0s"}) as server:
        server.add_domain("example.test", alice="alice-secret", bob="bob-secret")
        ordinary(server)
        before = held(server)
        for abuse in first:
            abuse(server)
        together = [threading.Thread(target=abuse, args=(server,)) for abuse in CLASSES]
        for t in together:
            t.start()
        for t in together:
            t.join()
        # all places are free again, and the last messages were judged and thrown away
        wait_until("the connections to be gone", lambda: server.status()["clients"]["connections"] == 0, 120)
        ordinary(server)
        after = held(server)
        assert [p for p, _, _ in before] == [p for p, _, _ in after]
        grown = sum(a[1] - b[1] for a, b in zip(after, before)), sum(a[2] - b[2] for a, b in zip(after, before))
        with capsys.disabled():
            print(f"\nmemory of smtpd ({len(after)} processes) after abuse: {grown[0] / MIB:+.1f} MiB RSS, {grown[1] / MIB:+.1f} MiB PSS; "
                  f"at most {MOST / MIB:.0f}")
        assert max(grown) <= MOST, (before, after)
