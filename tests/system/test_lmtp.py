"""LMTP (RFC 2033): another mail server hands its mail over, by a socket or TCP; one reply for each recipient."""
import grp
import os
import re
import smtplib
import socket
import stat
import subprocess

import pytest

from lines import Lines
from server import Server, client_tls, free_port, message, wait_until

PEOPLE = {n: n + "-secret" for n in ("alice", "bob", "carol")}


@pytest.fixture(scope="module")
def server():
    s = Server({"trusted_networks": '{"127.0.0.0/8"}'})
    s.path = str(s.dir / "lmtp.sock")
    s.ports["lmtp"] = free_port()
    s.extra = f'listen "lmtp" {{ kind = lmtp address = {{"{s.path}", "127.0.0.1:{s.ports["lmtp"]}"}} }}'
    with s:
        s.add_domain("example.test", **PEOPLE)
        s.add_user("full@example.test", "full-secret", "--quota", "1")
        yield s


@pytest.fixture(params=["unix", "tcp"])
def lmtp(server, request):
    with smtplib.LMTP(*((server.path,) if request.param == "unix" else ("127.0.0.1", server.ports["lmtp"])), timeout=30) as c:
        c.server = server
        c.way = request.param
        yield c


def count(s, name):
    return len(s.mails(f"{name}@example.test"))


def settled(s, name):
    """The mails once nothing is on its way."""
    s.wait_queue_empty()
    return count(s, name)


def talk(c, *lines):
    """The replies, each as (code, text)."""
    return [c.docmd(line) for line in lines]


def replies(c, n):
    return [c.getreply() for _ in range(n)]


def test_socket_is_for_its_group(server):
    st = os.stat(server.path)
    assert stat.S_ISSOCK(st.st_mode) and stat.S_IMODE(st.st_mode) == 0o660
    if os.geteuid() == 0:
        assert grp.getgrgid(st.st_gid).gr_name == "tegami-lmtp"


def test_smtplib(lmtp):
    before = [settled(lmtp.server, n) for n in ("alice", "bob")]
    refused = lmtp.sendmail("a@peer.test", ["alice@example.test", "nobody@example.test", "bob@example.test"],
                            message("by lmtp").as_bytes())
    assert replies(lmtp, 1)[0][0] == 250  # smtplib reads one only
    assert list(refused) == ["nobody@example.test"] and refused["nobody@example.test"][0] == 550
    wait_until("both mails", lambda: [count(lmtp.server, n) for n in ("alice", "bob")] == [b + 1 for b in before])
    received = lmtp.server.mails("alice@example.test")[-1].header("Received")[0]
    assert " with LMTP id " in received
    assert "(on this machine)" in received if lmtp.way == "unix" else "[127.0.0.1]" in received


def test_what_it_offers(lmtp):
    code, text = lmtp.docmd("LHLO", "feeder.test")
    words = text.decode().upper().split("\n")
    assert code == 250 and {"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"} <= set(words)
    assert not [w for w in words if w.startswith("AUTH")]
    assert ("STARTTLS" in words) == (lmtp.way == "tcp")


def test_a_reply_for_each_recipient(lmtp):
    talk(lmtp, "LHLO feeder.test")
    got = talk(lmtp, "MAIL FROM:<a@peer.test>", "RCPT TO:<alice@example.test>", "RCPT TO:<nobody@example.test>",
               "RCPT TO:<bob@example.test>", "RCPT TO:<alice@example.test>", "RCPT TO:<far@far.test>", "DATA")
    assert [g[0] for g in got] == [250, 250, 550, 250, 250, 550, 354]
    before = settled(lmtp.server, "alice")
    lmtp.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
    got = replies(lmtp, 3)  # one who was named twice gets two replies and one copy
    assert [g[0] for g in got] == [250, 250, 250] and len({g[1] for g in got}) == 1
    assert lmtp.noop()[0] == 250  # and not one more
    wait_until("the mail", lambda: count(lmtp.server, "alice") > before)
    # a refused message: also one for each
    talk(lmtp, "MAIL FROM:<a@peer.test>", "RCPT TO:<alice@example.test>", "RCPT TO:<bob@example.test>", "DATA")
    lmtp.send(b"Subject: x\r\n\r\nbare\nline\r\n.\r\n")
    assert [(g[0], g[1][:5]) for g in replies(lmtp, 2)] == [(550, b"5.5.2")] * 2
    assert lmtp.noop()[0] == 250
    # nobody accepted: no DATA, no reply for anybody
    got = talk(lmtp, "MAIL FROM:<a@peer.test>", "RCPT TO:<nobody@example.test>", "DATA", "RSET", "NOOP")
    assert [g[0] for g in got] == [250, 550, 503, 250, 250]
    assert settled(lmtp.server, "alice") == before + 1


LAST = b"BDAT 17 LAST\r\nSubject: x\r\n\r\nx\r\n"
BAD = b"BDAT 17\r\nSubject: x\r\n\r\na\nb"  # a bare LF


def begin(*names):
    return b"MAIL FROM:<a@peer.test>\r\n" + b"".join(b"RCPT TO:<%s@example.test>\r\n" % n.encode() for n in names)


@pytest.mark.parametrize("what,commands,codes,mails", [
    ("two of three", begin("alice", "nobody", "bob") + LAST, "250 250 550 250 250 250", 1),
    ("in chunks", begin("alice", "bob") + LAST.replace(b" LAST", b"") + b"BDAT 0 LAST\r\n", "250 250 250 250 250 250", 1),
    ("the last is bad", begin("alice", "bob") + BAD.replace(b"17", b"17 LAST"), "250 250 250 550 550", 0),
    # a chunk that is not the last has one reply, and the rest of the message is refused as often as it would be taken
    ("the first is bad", begin("alice", "bob") + BAD + b"BDAT 1\r\nx" + LAST + b"RSET\r\n",
     "250 250 250 550 503 503 503 250", 0),
    ("twice the last", begin("alice", "bob") + BAD + LAST + LAST + b"RSET\r\n", "250 250 250 550 503 503 503 503 250", 0),
    # nobody was accepted, so nobody has a reply (RFC 2033 4.3); a chunk before it has one
    ("nobody", begin("nobody") + LAST + b"RSET\r\n", "250 550 250", 0),
    ("nobody, in chunks", begin("nobody") + LAST.replace(b" LAST", b"") + LAST + b"RSET\r\n", "250 550 503 250", 0),
    ("no message", LAST + b"NOOP\r\n", "250", 0),
    ("after the last", begin("alice") + LAST + LAST, "250 250 250", 1),
])
def test_chunks(lmtp, what, commands, codes, mails):
    """The replies are as many as a client that sends all at once counts on."""
    before = settled(lmtp.server, "alice")
    talk(lmtp, "LHLO feeder.test")
    lmtp.send(commands + b"NOOP\r\nQUIT\r\n")
    got = iter(lambda: lmtp.getreply()[0], 221)
    assert [str(c) for c in got] == codes.split() + ["250"]
    assert settled(lmtp.server, "alice") == before + mails


def test_chunks_without_end(lmtp):
    """What has no reply counts as a mistake all the same."""
    talk(lmtp, "LHLO feeder.test")
    lmtp.send(b"BDAT 0 LAST\r\n" * 1000)
    assert replies(lmtp, 1)[0][0] == 421


def test_a_chunk_before_lhlo(lmtp):
    lmtp.send(LAST + b"NOOP\r\n")
    assert [g[0] for g in replies(lmtp, 2)] == [503, 250]


def test_nothing_is_relayed(lmtp):
    """Not even by a client of trusted_networks."""
    talk(lmtp, "LHLO feeder.test", "MAIL FROM:<a@peer.test>")
    code, text = lmtp.docmd("RCPT TO:<somebody@far.test>")
    assert code == 550 and text.startswith(b"5.7.1")


def test_quota(lmtp):
    s = lmtp.server
    if count(s, "full") == 0:
        lmtp.sendmail("a@peer.test", ["full@example.test"], message().as_bytes())
        s.wait_mails("full@example.test", 1)
    talk(lmtp, "RSET", "LHLO feeder.test", "MAIL FROM:<a@peer.test>")
    wait_until("the quota to be known", lambda: lmtp.docmd("RCPT TO:<full@example.test>")[1].startswith(b"4.2.2"))


def test_pipelining(lmtp):
    lmtp.send(b"LHLO feeder.test\r\nMAIL FROM:<a@peer.test>\r\nRCPT TO:<bob@example.test>\r\nRCPT TO:<carol@example.test>\r\nDATA\r\n")
    assert [g[0] for g in replies(lmtp, 5)] == [250, 250, 250, 250, 354]
    lmtp.send(b"Subject: x\r\n\r\nx\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.test>\r\nQUIT\r\n")
    assert [g[0] for g in replies(lmtp, 5)] == [250, 250, 250, 250, 221]


def test_large_body(lmtp):
    before = settled(lmtp.server, "carol")
    text = message(body="a line of a large message\n" * 20000).as_bytes()
    assert not lmtp.sendmail("a@peer.test", ["carol@example.test", "bob@example.test"], text)
    assert replies(lmtp, 1)[0][0] == 250
    wait_until("the mail", lambda: count(lmtp.server, "carol") == before + 1)


def test_many_recipients(lmtp):
    """All replies fit; the rest of the recipients has to come in another message."""
    talk(lmtp, "LHLO feeder.test", "MAIL FROM:<a@peer.test>")
    lmtp.send(b"RCPT TO:<alice@example.test>\r\n" * 401)
    got = [g[0] for g in replies(lmtp, 401)]
    assert got == [250] * 400 + [452]
    talk(lmtp, "DATA")
    lmtp.send(b"Subject: x\r\n\r\nbare\nline\r\n.\r\n")
    assert [g[0] for g in replies(lmtp, 400)] == [550] * 400
    assert lmtp.noop()[0] == 250


def test_unknown_recipients_are_not_its_fault(server):
    """They are those of all the senders behind it; a stranger with so many would be sent away."""
    with smtplib.LMTP(server.path, timeout=30) as c:
        talk(c, "LHLO feeder.test", "MAIL FROM:<a@peer.test>")
        for _ in range(4):
            c.send(b"RCPT TO:<nobody@example.test>\r\n" * 100)
            assert {g[0] for g in replies(c, 100)} == {550}
        assert c.docmd("RCPT TO:<alice@example.test>")[0] == 250


def test_words_of_the_other_protocol(server, lmtp):
    for line in ("EHLO x", "HELO x"):
        code, text = lmtp.docmd(line)
        assert code == 500 and b"say LHLO" in text
    assert lmtp.docmd("MAIL FROM:<a@peer.test>")[0] == 503
    assert lmtp.docmd("AUTH PLAIN")[0] >= 500
    with server.smtp() as s:
        assert s.docmd("LHLO x")[0] == 500


def test_starttls(server):
    with smtplib.LMTP("127.0.0.1", server.ports["lmtp"], timeout=30) as c:
        c.ehlo("feeder.test")
        c.starttls(context=client_tls())
        before = settled(server, "bob")
        assert not c.sendmail("a@peer.test", ["bob@example.test"], message().as_bytes())
        wait_until("the mail", lambda: count(server, "bob") == before + 1)
        assert " with LMTPS " in server.mails("bob@example.test")[-1].header("Received")[0]


def swaks(server, *words):
    p = subprocess.run(["swaks", "--protocol", "LMTP", "--from", "a@peer.test", "--helo", "feeder.test", *words], text=True,
                       capture_output=True, timeout=60)
    assert p.returncode == 0, p.stdout + p.stderr
    return p.stdout


@pytest.mark.parametrize("way", ["unix", "tcp"])
def test_swaks(server, way):
    before = settled(server, "alice")
    out = swaks(server, *(["--socket", server.path] if way == "unix" else ["--server", f"127.0.0.1:{server.ports['lmtp']}"]),
                "--to", "alice@example.test,bob@example.test")
    assert len(re.findall(r"(?m)^<- +250 2\.0\.0 Queued as", out)) == 2, out
    wait_until("the mail", lambda: count(server, "alice") == before + 1)


def test_strangers_are_turned_away():
    """By TCP from neither this machine nor a trusted network."""
    own = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
    own = [a for a in own if not a.startswith("127.") and ":" not in a]
    if not own:
        pytest.skip("this machine has no address but loopback")
    s = Server()
    port = free_port()
    s.extra = f'listen "lmtp" {{ kind = lmtp address = {{"{own[0]}:{port}"}} }}'
    with s:
        with socket.create_connection((own[0], port), 30) as c:
            assert c.recv(200).startswith(b"421 4.7.0 LMTP is for this machine")
        s.options["trusted_networks"] = f'{{"{own[0]}"}}'
        s.reload()
        with smtplib.LMTP(own[0], port, timeout=30) as c:
            assert c.ehlo("feeder.test")[0] == 250


def test_strangers_behind_a_proxy():
    """Whom a proxy names counts: by a PROXY header, in which the slot of the proxy is free again, or by XCLIENT."""
    s = Server({"trusted_proxies": '{"127.0.0.2"}', "trusted_networks": '{"198.51.100.0/24"}'})
    s.ports.update(lmtp=free_port(), proxied=free_port())
    s.extra = (f'listen "lmtp" {{ kind = lmtp address = {{"127.0.0.1:{s.ports["lmtp"]}"}} }}\n'
               f'listen "proxied" {{ kind = lmtp address = {{"127.0.0.1:{s.ports["proxied"]}"}} proxy_protocol = true }}')
    with s:
        for ip, code in (("192.0.2.7", "421 4.7.0 LMTP is for this machine"), ("198.51.100.7", "220"), ("127.0.0.9", "220")):
            with Lines(s, "127.0.0.2", "proxied", ip) as c:
                c.expect(code)
                if code != "220":
                    assert c.ended()
            with Lines(s, "127.0.0.2", "lmtp") as c:
                c.expect("220")
                c.cmd(f"XCLIENT ADDR={ip}", code)
                if code != "220":
                    assert c.ended()


def test_filters_judge_the_content_only():
    """SPF fails for the server that hands the mail over, and says nothing of the one that it came from."""
    s = Server({"spf.enabled": "true", "spam.enabled": "true"})
    s.path = str(s.dir / "lmtp.sock")
    s.extra = f'listen "lmtp" {{ kind = lmtp address = {{"{s.path}"}} }}'
    with s:
        s.add_domain("example.test", alice="alice-secret")
        s.dns.zones = {"peer.test": {"TXT": ['"v=spf1 -all"']}}
        with smtplib.LMTP(s.path, timeout=30) as c:
            assert not c.sendmail("a@peer.test", ["alice@example.test"], message().as_bytes())
        mail, = s.wait_mails("alice@example.test", 1)
        assert "spf=none" in mail.header("Authentication-Results")[0]
