"""Where commands and messages end: cut anywhere, mixed with what looks like an end, broken off, or no SMTP at all. What was
not taken with 250 leaves no mail, and what was taken is one mail with every byte of it."""
import itertools
import os
import re
import socket
import ssl
import struct
import time

import pytest

from server import PATIENCE, client_tls, wait_until

COUNTER = itertools.count(1)


def token():
    return f"token-{os.getpid()}-{next(COUNTER)}-"


class Wire:
    """A connection that sends bytes as they are, and reads replies."""

    def __init__(self, server, kind="mx", greeted=True, tls=None):
        secure = kind == "starttls"  # at mx, where nobody need log in
        self.sock = server.socket("mx" if secure else kind)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        if tls if tls is not None else kind == "submissions":
            self.sock = client_tls().wrap_socket(self.sock)
        if greeted:
            assert self.reply().startswith("220")
        if secure:
            self.ask("EHLO client.test")
            assert self.ask("STARTTLS").startswith("220")
            self.sock = client_tls().wrap_socket(self.sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (ConnectionError, ssl.SSLError):
            pass  # what was said to us can still be read

    def more(self):
        try:
            data = self.sock.recv(65536)
        except (ConnectionError, ssl.SSLError):
            data = b""
        self.data += data
        return data

    def reply(self):
        """The next reply (its last line), "" at the end."""
        while True:
            while b"\n" not in self.data:
                if not self.more():
                    return ""
            line, _, self.data = self.data.partition(b"\n")
            assert line.endswith(b"\r"), f"a reply without CR LF: {line!r}"
            if re.match(rb"[2-5]\d\d( |\r$)", line):
                return line[:-1].decode()
            assert re.match(rb"[2-5]\d\d-", line), f"no reply: {line!r}"

    def rest(self):
        """All replies until the server closes."""
        return list(iter(self.reply, ""))

    def ask(self, text):
        self.send(text.encode() + b"\r\n")
        return self.reply()

    def begin(self, rcpt="alice@example.test", sender="a@peer.test"):
        """Up to 354."""
        for line, code in (("EHLO client.test", "250"), (f"MAIL FROM:<{sender}>", "250"), (f"RCPT TO:<{rcpt}>", "250"),
                           ("DATA", "354")):
            assert self.ask(line).startswith(code), line

    def reset(self):
        """TCP RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def holding(server, text, address="alice@example.test"):
    return [m for m in server.mails(address) if text.encode() in m.raw]


def still_fine(server):
    """It takes a mail; and whatever was under way before has come to its end by then."""
    mark = token()
    with Wire(server) as w:
        w.begin()
        w.send(f"Subject: {mark}\r\n\r\nx\r\n.\r\n".encode())
        assert w.reply().startswith("250")
    wait_until("the mail", lambda: holding(server, mark))
    server.wait_queue_empty()


# -- what looks like the end of a message

FALSE_ENDS = [
    "\n.\n", "\n.\r\n", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\r.\r", "\n.\r", "\r.\n", "\r\n\0.\r\n", "\r\n.\0\r\n", "\r\n.\r\0\n", "\0\n.\n",
    "\r\n.\r\r\n", "\r\n\r.\r\n", "\r\n\n.\r\n", "\n\n.\n\n", "\r\r.\r\r", "\n\r.\n\r",
    "\r\n..\n", "\n..\r\n", "\r\n..\r", "\x0b\n.\n", "\x85\n.\r\n", "\u2028\n.\n",
]
# No end, and nothing wrong either: what arrives has one dot less.
STUFFED = ["\r\n..\r\n", "\r\n...\r\n", "\r\n.x\r\n", "\r\n. \r\n", "\r\n.\t\r\n", "\r\n .\r\n", "\r\n. .\r\n", "\r\n..\r\n..\r\n",
           "\r\n.\x0b\r\n", "\r\n.\x0c\r\n", "\r\n.\u2028\r\n", "\r\n.\x1a\r\n"]


def smuggle(mark, between):
    return (f"Subject: first {mark}\r\n\r\nbody{between}MAIL FROM:<b@peer.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
            f"Subject: second {mark}\r\n\r\nsmuggled\r\n.\r\n").encode()


@pytest.mark.parametrize("kind", ["mx", "starttls"])
@pytest.mark.parametrize("between", FALSE_ENDS, ids=lambda s: ascii(s)[1:-1])
def test_false_end(shared, between, kind):
    """One refusal for all of it, then the end of the session: what follows is never obeyed."""
    mark = token()
    with Wire(shared, kind) as w:
        w.begin()
        w.send(smuggle(mark, between))
        first = w.reply()
        assert first.startswith("550 5.5.2"), first
        w.send(b"QUIT\r\n")
        rest = w.rest()
        assert len(rest) <= 1 and all(r.startswith(("221", "421")) for r in rest), rest
    still_fine(shared)
    assert not holding(shared, mark)


# A dot alone where only a loose reader sees lines.
SMUGGLES = ["\n.\n", "\r.\r", "\r\n.\n", "\n.\r\n", "\r.\r\n", "\r\n.\r", "\r.\n", "\n.\r", "\r\n\r.\r\n", "\r\r\n.\r\r\n"]


def smuggled(mark, between, end="\r\n.\r\n"):
    """A body with a false end, a conversation behind it, the true end, and the conversation once more."""
    talk = (f"MAIL FROM:<b@peer.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nSubject: {mark}\r\n\r\nx")
    return f"Subject: {mark}\r\n\r\nbody{between}{talk}{end}NOOP\r\n{talk}\r\n.\r\nQUIT\r\n".encode()


def nothing_is_obeyed(server, kind, pieces):
    """All of it gets one refusal and the goodbye."""
    with Wire(server, kind) as w:
        w.begin()
        for p in pieces:
            w.send(p)
            time.sleep(0.001)
        assert [r[:9] for r in w.rest()] == ["550 5.5.2", "421 4.7.0"], pieces


@pytest.mark.parametrize("kind", ["mx", "starttls"])
@pytest.mark.parametrize("between", SMUGGLES, ids=lambda s: ascii(s)[1:-1])
def test_nothing_behind_a_false_end_is_obeyed(shared, between, kind):
    """In one piece, cut at each byte around the false end, and byte by byte: each command would have a reply of its own."""
    mark = token()
    text = smuggled(mark, between)
    first = text.index(b"body") + 4
    around = range(first - 2, first + len(between) + 6)
    for pieces in [[text], *([text[:at], text[at:]] for at in around), [text[i:i + 1] for i in range(len(text))]]:
        nothing_is_obeyed(shared, kind, pieces)
    still_fine(shared)
    assert not holding(shared, mark) and not holding(shared, mark, "bob@example.test")


@pytest.mark.parametrize("kind", ["mx", "starttls"])
@pytest.mark.parametrize("between", SMUGGLES[:-1], ids=lambda s: ascii(s)[1:-1])
def test_a_false_end_has_no_reply(shared, between, kind):
    """While the true end is missing the client is not answered: neither the message nor what follows it."""
    mark = token()
    text = smuggled(mark, between).split(b"\r\n.\r\nNOOP")[0]
    with Wire(shared, kind) as w:
        w.begin()
        w.send(text)
        w.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            w.sock.recv(100)
        w.sock.settimeout(30)
        w.send(b"\r\n.\r\n")
        assert [r[:9] for r in w.rest()] == ["550 5.5.2", "421 4.7.0"]


@pytest.mark.parametrize("between", STUFFED, ids=lambda s: ascii(s)[1:-1])
def test_dots_of_the_body(shared, between):
    mark = token()
    with Wire(shared) as w:
        w.begin()
        w.send(smuggle(mark, between) + b"QUIT\r\n")
        assert [r[:3] for r in w.rest()] == ["250", "221"]
    mail, = wait_until("the mail", lambda: holding(shared, mark))
    wanted = smuggle(mark, between)[:-3].replace(b"\r\n.", b"\r\n").replace(b"\r\n", b"\n")
    assert mail.raw.endswith(wanted), mail.raw


def log_in(w):
    import base64

    assert w.ask("EHLO client.test").startswith("250")
    assert w.ask("AUTH PLAIN " + base64.b64encode(b"\0alice@example.test\0alice-secret").decode()).startswith("235")


def test_true_end_after_a_bare_cr(shared):
    """CR CR LF . CR LF is bad and an end; what follows is not obeyed as if nothing had been."""
    mark = token()
    with Wire(shared) as w:
        w.begin()
        w.send(f"Subject: {mark}\r\n\r\nbody\r\r\n.\r\nQUIT\r\n".encode())
        rest = w.rest()
        assert rest[0].startswith("550 5.5.2") and all(r.startswith(("221", "421")) for r in rest[1:]), rest
    still_fine(shared)
    assert not holding(shared, mark)


# -- cut anywhere

def conversation(mark, sender="a@peer.test"):
    return (f"EHLO client.test\r\nMAIL FROM:<{sender}> SIZE=100\r\nRCPT TO:<nobody@example.test>\r\nRCPT TO:<alice@example.test>\r\n"
            f"DATA\r\nFrom: {sender}\r\nSubject: {mark}\r\n\r\n..a\r\nb.\r\n\r\n.\r\nNOOP\r\nQUIT\r\n").encode()


CODES = ["250", "250", "550", "250", "354", "250", "250", "221"]


def play(server, kind, pieces, pause=0.0):
    with Wire(server, kind) as w:
        for p in pieces:
            w.send(p)
            if pause:
                time.sleep(pause)
        codes = [r[:3] for r in w.rest()]
    assert codes == CODES, codes


@pytest.mark.parametrize("kind", ["mx", "starttls"])
def test_split_at_every_byte(shared, kind):
    """Two segments, or two TLS records, cut at each position in turn."""
    mark = token()
    text = conversation(mark)
    for at in range(1, len(text)):
        play(shared, kind, [text[:at], text[at:]], 0.002)
    wait_until("the mails", lambda: len(holding(shared, mark)) >= len(text) - 1, 30)
    shared.wait_queue_empty()
    mails = holding(shared, mark)
    assert len(mails) == len(text) - 1
    assert all(m.raw.endswith(f"Subject: {mark}\n\n.a\nb.\n\n".encode()) for m in mails)


@pytest.mark.parametrize("kind", ["mx", "starttls"])
@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_in_small_pieces(shared, kind, step):
    mark = token()
    text = conversation(mark)
    play(shared, kind, [text[i:i + step] for i in range(0, len(text), step)], 0.0005)
    mail, = wait_until("the mail", lambda: holding(shared, mark))
    assert mail.raw.endswith(f"Subject: {mark}\n\n.a\nb.\n\n".encode())


# -- broken off

def close_notify(w):
    """TLS ends in good order, TCP stays open; the server must not wait for ever for what cannot come."""
    try:
        w.sock.unwrap()
    except (OSError, ssl.SSLError):
        pass


ENDINGS = {"fin": lambda w: w.sock.close(), "rst": Wire.reset, "half": lambda w: w.sock.shutdown(socket.SHUT_WR),
           "close-notify": close_notify}


@pytest.mark.parametrize("kind,how", [("mx", "fin"), ("mx", "rst"), ("mx", "half"), ("starttls", "fin"),
                                      ("starttls", "rst"), ("starttls", "close-notify")])
def test_broken_off_at_every_byte(shared, kind, how):
    """The client is gone at each position before the end of the message: no mail, and nothing is kept."""
    mark = token()
    text = conversation(mark)
    end = text.index(b"\r\n.\r\n") + 5
    for at in range(0, end):
        with Wire(shared, kind) as w:
            w.send(text[:at])
            if at % 7 == 0:
                time.sleep(0.002)
            ENDINGS[how](w)
            if how == "half":
                assert all(c[:3] in ("250", "550", "354", "421", "451", "500") for c in w.rest())
    still_fine(shared)
    assert not holding(shared, mark)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_gone_before_the_reply(shared, how):
    """All is sent, and nobody waits for the 250: one copy or none, never two."""
    marks = [token() for _ in range(20)]
    for mark in marks:
        with Wire(shared) as w:
            w.begin()
            w.send(f"Subject: {mark}\r\n\r\nx\r\n.\r\n".encode())
            ENDINGS[how](w)
    still_fine(shared)
    assert all(len(holding(shared, mark)) <= 1 for mark in marks)


@pytest.mark.parametrize("size", [100, 31_000, 33_000, 3_000_000])
@pytest.mark.parametrize("how", ["fin", "rst", "close-notify"])
def test_broken_off_in_the_body(shared, size, how):
    """Also when the body goes to the spool: nothing of it stays there."""
    mark = token()
    with Wire(shared, "submissions") as w:
        log_in(w)
        w.begin(sender="alice@example.test")
        w.send(f"Subject: {mark}\r\n\r\n".encode() + b"y" * 76 + (b"\r\n" + b"x" * 76) * (size // 78))
        ENDINGS[how](w)
        if how == "close-notify":
            w.rest()
    still_fine(shared)
    assert not holding(shared, mark)
    wait_until("the spool to be empty", lambda: not [p for p in (shared.state / "spool").rglob("*") if p.is_file()])


# -- before, around and after STARTTLS

def test_before_the_banner(shared):
    """A client that does not wait is served in order or sent away with a reason; it never confuses the two."""
    mark = token()
    with Wire(shared, greeted=False) as w:
        w.send(conversation(mark))
        replies = w.rest()
    if replies and replies[0].startswith("220") and len(replies) == len(CODES) + 1:
        assert [r[:3] for r in replies[1:]] == CODES
        wait_until("the mail", lambda: len(holding(shared, mark)) == 1)
    else:
        assert replies and replies[-1][:1] in "45", replies
        still_fine(shared)
        assert not holding(shared, mark)


@pytest.mark.parametrize("kind", ["mx", "submission"])
@pytest.mark.parametrize("ahead", ["NOOP\r\n", "RSET\r\nNOOP\r\n", "EHLO evil.test\r\nMAIL FROM:<evil@peer.test>\r\nRCPT TO:<alice@example.test>\r\n",
                                   "MAIL FROM:<evil@peer.test>\r\n", "N", "\r\n", "\0"], ids=lambda s: s[:4].strip() or ascii(s))
def test_injected_behind_starttls(shared, kind, ahead):
    """What came in the clear behind STARTTLS is never run inside TLS."""
    with Wire(shared, kind) as w:
        assert w.ask("EHLO client.test").startswith("250")
        w.send(b"STARTTLS\r\n" + ahead.encode())
        if not w.reply().startswith("220"):
            return  # refused: as good
        assert not w.data
        try:
            w.sock = client_tls().wrap_socket(w.sock)
        except (OSError, ssl.SSLError):
            return
        assert w.ask("NOOP one").startswith("250")
        assert w.ask("RCPT TO:<alice@example.test>").startswith("503")
        assert w.ask("MAIL FROM:<a@peer.test>").startswith(("503", "530"))  # EHLO is forgotten, too
        assert w.ask("QUIT").startswith("221")
        assert not w.rest()


def test_starttls_within_a_message(shared):
    """TLS forgets what was begun before it."""
    with Wire(shared) as w:
        w.ask("EHLO client.test")
        w.ask("MAIL FROM:<a@peer.test>")
        assert w.ask("RCPT TO:<alice@example.test>").startswith("250")
        if w.ask("STARTTLS").startswith("220"):
            w.sock = client_tls().wrap_socket(w.sock)
            assert w.ask("DATA").startswith("503")
            assert w.ask("STARTTLS").startswith(("5", "4"))


def test_pipelined_in_the_first_record(shared):
    """The first record inside TLS may hold the whole conversation."""
    mark = token()
    with Wire(shared) as w:
        w.ask("EHLO client.test")
        assert w.ask("STARTTLS").startswith("220")
        w.sock = client_tls().wrap_socket(w.sock)
        w.send(conversation(mark))
        assert [r[:3] for r in w.rest()] == CODES
    wait_until("the mail", lambda: len(holding(shared, mark)) == 1)


# -- no SMTP at all

def hello_tls():
    inner, outer = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_tls().wrap_bio(inner, outer, server_hostname="mx.example.test")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outer.read()


WEB = ("POST /x HTTP/1.1\r\nHost: mx.example.test:25\r\nContent-Type: text/plain\r\nContent-Length: 300\r\n\r\n"
       "EHLO client.test\r\nMAIL FROM:<a@peer.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\nSubject: {0}\r\n\r\nx\r\n.\r\nQUIT\r\n")
GARBAGE = {
    "get": lambda mark: b"GET / HTTP/1.1\r\nHost: mx.example.test\r\nUser-Agent: x\r\n\r\n",
    "post": lambda mark: WEB.format(mark).encode(),
    "put": lambda mark: WEB.format(mark).replace("POST", "PUT", 1).encode(),
    "http2": lambda mark: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(30),
    "tls": lambda mark: hello_tls(),
    "ssh": lambda mark: b"SSH-2.0-OpenSSH_9.2\r\n" + bytes(range(256)) * 8,
    "bytes": lambda mark: bytes((i * 7919 >> 3) & 255 for i in range(20_000)),
    "nuls": lambda mark: bytes(20_000),
    "line-ends": lambda mark: b"\r\n" * 5000,
    "lf": lambda mark: b"\n" * 5000,
    "proxy": lambda mark: b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "proxy2": lambda mark: b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12),
}


@pytest.mark.parametrize("what,kind", [(w, k) for w in GARBAGE for k in ("mx", "submission", "submissions")
                                       if (w, k) != ("tls", "submissions")])
def test_no_smtp(shared, what, kind):
    mark = token()
    with Wire(shared, kind, greeted=False, tls=False) as w:
        w.send(GARBAGE[what](mark))
        try:
            w.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        while w.more():
            assert len(w.data) < 200_000, "it talks more than it is told"
        if kind == "submissions":  # a TLS alert at most
            assert len(w.data) < 100 and not re.search(rb"^[2-5]\d\d[ -]", w.data), w.data
        else:
            codes = re.findall(rb"^(\d\d\d)[ -]", w.data, re.M)
            assert codes[:1] in ([b"220"], [b"554"], [b"421"], []) and b"354" not in codes, w.data
    still_fine(shared)
    assert not holding(shared, mark)


def test_post_ends_the_session(shared):
    """A browser that was made to speak to us: the first line of it is the last."""
    with Wire(shared) as w:
        w.send(WEB.format("x").encode())
        assert len(w.rest()) <= 1


# -- BDAT, where it is offered

def chunks(mark, sender="a@peer.test"):
    one, two = f"From: {sender}\r\nSubject: {mark}\r\n\r\n.a\r".encode(), b"\n.\r\nb\r\n"
    return (f"EHLO client.test\r\nMAIL FROM:<{sender}>\r\nRCPT TO:<alice@example.test>\r\nBDAT {len(one)}\r\n".encode() + one
            + f"BDAT {len(two)}\r\n".encode() + two + b"BDAT 0 LAST\r\nQUIT\r\n")


def need_chunking(server):
    with server.smtp() as s:
        if not s.has_extn("chunking"):
            pytest.skip("CHUNKING is not offered")


@pytest.mark.parametrize("kind", ["mx", "starttls"])
def test_chunks_split_at_every_byte(shared, kind):
    need_chunking(shared)
    mark = token()
    text = chunks(mark)
    for at in range(1, len(text)):
        with Wire(shared, kind) as w:
            w.send(text[:at])
            time.sleep(0.002)
            w.send(text[at:])
            codes = [r[:3] for r in w.rest()]
        assert codes == ["250"] * 6 + ["221"], (at, codes)
    wait_until("the mails", lambda: len(holding(shared, mark)) >= len(text) - 1, 30)
    mails = holding(shared, mark)
    assert len(mails) == len(text) - 1
    assert all(m.raw.endswith(f"Subject: {mark}\n\n.a\n.\nb\n".encode()) for m in mails)


@pytest.mark.parametrize("how", ["fin", "rst", "close-notify"])
def test_chunks_broken_off(shared, how):
    need_chunking(shared)
    mark = token()
    text = chunks(mark)
    for at in range(0, text.index(b"LAST\r\n") + 6, 3):
        with Wire(shared, "starttls") as w:
            w.send(text[:at])
            ENDINGS[how](w)
    still_fine(shared)
    assert not holding(shared, mark)
