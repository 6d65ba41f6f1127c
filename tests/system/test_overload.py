"""Overload, by connections and by memory: strangers go first, users are served, `tegami status` tells, and it ends."""
import re

import pytest

from lines import Lines
from server import Server, wait_until

MIB = 1024 * 1024


def overload(server):
    return server.status()["clients"]


def calm(server):
    server.wait_log("overload is over")
    wait_until("calm", lambda: overload(server)["level"] == "calm")
    return overload(server)


def submit(server):
    s = server.smtp("submissions", "alice@example.test", "alice-secret")
    s.sendmail("alice@example.test", ["bob@example.test"], b"From: alice@example.test\r\n\r\nstill here\r\n")
    s.quit()


@pytest.fixture
def start():
    servers = []

    def begin(options):
        s = Server(options)
        s.start()
        servers.append(s)
        s.add_domain("example.test", alice="alice-secret", bob="bob-secret")
        return s

    yield begin
    for s in servers:
        s.__exit__(None, None, None)


def test_by_connections(start):
    server = start({"limits.connections": "20", "limits.connections_per_client": "10", "limits.reserved_connections": "10",
                    "limits.overload_timeout": "3s"})
    before = overload(server)
    assert (before["level"], before["since"], before["reason"]) == ("calm", None, "")
    assert (before["connections_max"], before["shed"], before["turned_away"]) == (20, 0, 0)
    assert "Overload" not in server.cli("status")
    held = [Lines(server, f"127.0.1.{i % 4 + 1}") for i in range(20)]
    for c in held:
        c.expect("220")
    during = overload(server)
    assert (during["level"], during["reason"], during["connections"]) == ("full", "connections", 20)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d.*", during["since"])
    assert re.search(r"(?m)^Overload full since \S+: too many connections", server.cli("status"))
    with Lines(server, "127.0.1.9") as over:
        over.expect("421 4.3.2 This server has too many connections")
    assert overload(server)["turned_away"] == 1
    submit(server)
    for c in held:
        assert "you are silent" in c.expect("421 4.3.2")
        c.close()
    after = calm(server)
    assert (after["shed"], after["turned_away"], after["since"], after["connections"]) == (20, 1, None, 0)
    assert re.search(r"(?m)^Shed +20 strangers sent away, 1 turned away", server.cli("status"))
    with Lines.greeted(server, "127.0.1.1") as again:
        again.deliver()


def test_silence_is_short_for_all_processes(start):
    """Who was there long before is hurried too, whichever process has it."""
    server = start({"limits.connections": "40", "limits.connections_per_client": "40", "limits.overload": "50",
                    "limits.overload_timeout": "1s"})
    early = [Lines.greeted(server) for _ in range(10)]
    late = [Lines(server, "127.0.1.1") for _ in range(12)]
    for c in early + late:
        while "421 4.3.2" not in c.expect(("220", "421")):
            pass
        c.close()
    calm(server)


def fill(c):
    """Some 30 KiB of a message that has no end yet; the reply that was no yes, or None."""
    for line, code in (("MAIL FROM:<someone@peer.test>", "250"), ("RCPT TO:<alice@example.test>", "250"), ("DATA", "354")):
        reply = c.say(line)
        if not reply.startswith(code):
            return reply
    c.send(b"Subject: x\r\n\r\n" + (b"x" * 76 + b"\r\n") * 390)
    return None


def test_by_memory(start):
    """Half-sent messages hold it; those who hold most are sent away, the idle ones and users are not."""
    server = start({"limits.memory": "1M", "limits.overload_timeout": "1h"})
    assert overload(server)["memory_max"] == MIB
    small = [Lines.greeted(server, "127.0.1.1") for _ in range(5)]
    wait_until("them to be counted", lambda: 0 < overload(server)["memory"] < MIB / 4)
    big, refused = [], []

    def one_more():
        c = Lines(server, f"127.0.2.{len(big) // 20 + 1}")
        reply = c.reply()
        if reply.startswith("220"):
            c.cmd("EHLO client.test", ("250", "421"))
            reply = fill(c)
            big.append(c)
        if reply:
            refused.append(reply)
        return overload(server)["shed"]

    wait_until("strangers to be sent away", one_more, 30)
    assert all(r.startswith(("421 4.3.2 This server is short of memory", "451 4.3.0")) or not r for r in refused), refused
    server.wait_log(r"overload: \d+ of 10000 connections .* of 1 MiB of memory")
    submit(server)
    wait_until("room again", lambda: overload(server)["memory"] <= MIB)
    assert 0 < overload(server)["shed"] <= len(big) + len(small)
    for c in small:
        c.cmd("NOOP", "250")
    for c in big:
        c.close()
    assert calm(server)["reason"] == ""
    for c in small:
        c.deliver()
        c.close()


def test_memory_of_trusted_clients(start):
    """They go half as far again, and are never sent away; then they too begin nothing more. Strangers are turned away long before."""
    server = start({"limits.memory": "1M", "limits.overload_timeout": "1h", "trusted_networks": '{"127.0.0.7"}',
                    "limits.connections_per_client": "1000"})
    held, early = [], Lines.greeted(server, "127.0.0.7")

    def one_more():
        c = Lines(server, "127.0.0.7")
        reply = c.reply()
        if reply.startswith("220"):
            c.cmd("EHLO client.test", "250")
            reply = fill(c)
            if not reply:
                held.append(c)
        return reply

    assert wait_until("one to be put off", one_more, 30).startswith(("421 4.3.2", "451 4.3.0"))

    def begins_nothing():  # each process looks every second
        reply = early.say("MAIL FROM:<someone@peer.test>")
        if reply.startswith("250"):
            early.cmd("RSET", "250")
            return None
        return reply

    assert wait_until("MAIL to be refused", begins_nothing) == (
        "451 4.3.0 This server is short of memory; please try again later\r\n")
    assert len(held) > 1.5 * MIB / 35000 - 1  # what each holds beside its bytes counts too
    now = overload(server)
    assert (now["level"], now["reason"]) == ("full", "memory") and now["memory"] >= 1.4 * MIB
    assert "too much memory is in use" in server.cli("status")
    with Lines(server, "127.0.1.1") as stranger:
        stranger.expect("421 4.3.2 This server is short of memory")
    for c in held[1:]:
        c.close()
    assert calm(server)["turned_away"] >= 1
    assert overload(server)["shed"] == 0
    held[0].cmd(".", "250")
    early.deliver()
    for c in (held[0], early):
        c.close()
