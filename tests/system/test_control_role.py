"""control and the command line together, without the rest of the server."""
import json
import os
import subprocess
import threading
import time

import pytest

from control_role import BUILD, Control
from server import wait_until

EVENTS = ("connect refused accepted filtered delivered relayed deferred bounced held deleted auth-failed auth-ok expanded").split()
QID = 0x0123456789abcd


@pytest.fixture
def state(tmp_path):
    """A state directory, owned by whoever runs the test."""
    folder = tmp_path / "state"
    init(folder)
    if os.geteuid() == 0:  # control runs as root here: let it own what it opens
        subprocess.run(["chown", "-R", "root:root", str(folder)], check=True)
    return folder


def init(folder):
    subprocess.run([os.path.join(BUILD, "tegami"), "init", "mx.example.test", "--state-dir", str(folder)], check=True,
                   stdout=subprocess.DEVNULL)


@pytest.fixture
def control(state):
    c = Control(state)
    yield c
    c.stop()


def run(state, *words, **options):
    p = subprocess.run([os.path.join(BUILD, "tegami"), "-c", str(state / "tegami.conf"), *map(str, words)], capture_output=True,
                       timeout=30, text=True, **options)
    return p


def in_background(state, *words, **options):
    box = {}
    t = threading.Thread(target=lambda: box.update(p=run(state, *words, **options)))
    t.start()

    def result():
        t.join(20)
        return box["p"]

    return result


def event(peer, kind, qid=QID, text="", sender="", to="", ip="", msgid="", user="", at=None):
    at = int((time.time() if at is None else at) * 1e6)
    peer.send("EVENT", at, qid, kind, text, sender, to, ip, msgid, user)


def words(frame):
    f = frame.f
    return f[0], dict(zip(f[1::2], f[2::2]))


def answer(peer, frame, *rows, kind=0, why=""):
    for row in rows:
        peer.send("ADMIN_ROW", *[w for pair in row.items() for w in pair], id=frame.id)
    peer.send("ADMIN_END", kind, why, id=frame.id)


def test_log_lines_are_stamped(control):
    control.peer["QUEUE"].send("LOG", 1, "something\x1b[31m odd")
    wait_until("the line", lambda: "odd" in control.text())
    line, = [l for l in control.text().splitlines() if "odd" in l]
    assert "warning queue[4712] something\\x1b[31m odd" in line


def test_json_log(state):
    c = Control(state, conf=[("log.format", "json")])
    c.peer["QUEUE"].send("LOG", 0, 'a "quoted" word')
    event(c.peer["QUEUE"], 2, text='200 bytes "x"', sender="a@peer.test", to="alice@example.test")
    wait_until("two lines", lambda: c.text().count("\n") >= 2)
    first, second = [json.loads(l) for l in c.text().splitlines() if l.startswith("{")][:2]
    assert (first["role"], first["level"], first["text"]) == ("queue", "error", 'a "quoted" word')
    assert (second["event"], second["from"], second["text"]) == ("accepted", "a@peer.test", '200 bytes "x"')
    c.stop()


def test_trace_tells_a_story(control, state):
    q = control.peer["QUEUE"]
    now = time.time()
    event(q, 2, text="812 bytes for 1 recipient", sender="a@peer.test", to="alice@example.test", ip="192.0.2.1",
          msgid="<m1@peer.test>", at=now)
    event(q, 4, text="delivered to INBOX", to="alice@example.test", at=now + 0.02)
    out = wait_until("the story", lambda: (lambda p: p.stdout if "delivered" in p.stdout else "")(run(state, "trace", "m1@peer.test")))
    print(out)
    assert "<m1@peer.test>" in out
    assert "from a@peer.test for alice@example.test (client 192.0.2.1)" in out
    assert "Delivered to alice's INBOX 0.02 s after it came in" in out
    qid = json.loads(run(state, "--json", "trace", "alice@example.test").stdout)[0]["id"]
    for what in (qid, qid.lower(), "192.0.2.1", "<m1@peer.test>", "A@Peer.test", "a@peer.test"):
        rows = json.loads(run(state, "--json", "trace", what).stdout)
        assert [r["event"] for r in rows] == ["accepted", "delivered"], what
        assert rows[0]["time"].endswith("Z") and rows[1]["text"] == "delivered to INBOX"
    assert run(state, "trace", "nobody@nowhere.test").returncode == 1
    assert json.loads(run(state, "--json", "trace", "nobody@nowhere.test").stdout) == []
    assert run(state, "trace", "gibberish").returncode == 2
    assert json.loads(run(state, "--json", "trace", qid, "--since", "0").stdout) == []


def test_trace_of_waiting_mail_asks_the_queue(control, state):
    q = control.peer["QUEUE"]
    event(q, 2, text="812 bytes for 2 recipients", sender="a@peer.test", to="x@peer.test")
    event(q, 5, text="accepted by mx.other.test: 250 ok", to="y@other.test")
    event(q, 6, text="mx.peer.test said: 451 later", to="x@peer.test")
    wait_until("events", lambda: run(state, "--json", "trace", "x@peer.test").stdout.count('"event"') == 3)
    result = in_background(state, "trace", "x@peer.test")
    f = q.want("ADMIN")
    assert words(f)[0] == "queue.show"
    answer(q, f, {"id": words(f)[1]["id"], "to": "x@peer.test", "state": "waiting", "attempts": "1",
                  "next": str(int((time.time() + 300) * 1e6)), "reason": "mx.peer.test said: 451 later"})
    out = result().stdout
    print(out)
    assert "Handed on for y@other.test" in out
    assert "Still waiting for x@peer.test: next try in" in out and "451 later" in out


def test_history_survives_a_stop(state):
    c = Control(state)
    event(c.peer["QUEUE"], 2, sender="a@peer.test", to="late@example.test")
    c.stop()
    # now from the file itself
    os.unlink(state / "control.sock")
    assert "late@example.test" in run(state, "trace", "late@example.test").stdout


def test_user_add_takes_two_steps(control, state):
    d, a = control.peer["DIRECTORY"], control.peer["AUTH"]
    result = in_background(state, "user", "add", "alice@example.test", "--password-stdin", "--quota", "1G", input="secret\n")
    f = d.want("ADMIN")
    assert words(f) == ("user.add", {"address": "alice@example.test", "quota": str(1 << 30)})
    answer(d, f)
    f = a.want("ADMIN")
    assert words(f)[0] == "cred.add" and words(f)[1]["password"] == "secret"
    answer(a, f)
    assert result().returncode == 0


def test_user_add_is_undone(control, state):
    d, a = control.peer["DIRECTORY"], control.peer["AUTH"]
    result = in_background(state, "user", "add", "alice@example.test", "--password-stdin", input="secret\n")
    answer(d, d.want("ADMIN"))
    answer(a, a.want("ADMIN"), kind=1, why="the disk is full")
    f = d.want("ADMIN")
    assert words(f) == ("user.remove", {"address": "alice@example.test"})
    answer(d, f)
    p = result()
    assert p.returncode == 1 and "the disk is full" in p.stderr
    assert "secret" not in control.text()


def test_disable_takes_the_password_first(control, state):
    d, a = control.peer["DIRECTORY"], control.peer["AUTH"]
    result = in_background(state, "user", "disable", "alice@example.test")
    f = a.want("ADMIN")
    assert words(f)[0] == "cred.disable" and d.recv(0.2) is None
    answer(a, f)
    answer(d, d.want("ADMIN"))
    assert result().returncode == 0


def test_owner_that_dies_is_told(control, state):
    d = control.peer["DIRECTORY"]
    result = in_background(state, "domain", "list")
    d.want("ADMIN")
    d.close()
    p = result()
    assert p.returncode == 1 and "directory" in p.stderr
    p = run(state, "domain", "list")
    assert p.returncode == 1 and "not running just now" in p.stderr


def test_queue_list(control, state):
    q = control.peer["QUEUE"]
    row = {"id": "0123456789ABC", "from": "a@peer.test", "size": "4242", "created": str(int(time.time() * 1e6) - 3600000000),
           "state": "waiting", "to": "x@peer.test", "attempts": "3", "next": str(int(time.time() * 1e6) + 300000000),
           "reason": "mx.peer.test said: 451 \x1b[2J later"}
    result = in_background(state, "queue", "list", "--older", "10m", "--error", "later")
    f = q.want("ADMIN")
    assert words(f) == ("queue.list", {"older": "600", "error": "*later*"})
    answer(q, f, row, {**row, "to": "y@peer.test"})
    f = q.want("ADMIN")  # which destinations rest
    answer(q, f)
    out = result().stdout
    print(out)
    assert "\x1b" not in out and "tried 3 times" in out and "1 message, 2 recipients" in out
    result = in_background(state, "--json", "queue", "list")
    answer(q, q.want("ADMIN"), row, {**row, "to": "y@peer.test"})
    m, = json.loads(result().stdout)
    assert (m["id"], m["size"], len(m["recipients"])) == ("0123456789ABC", 4242, 2)
    assert m["recipients"][1]["to"] == "y@peer.test" and m["recipients"][0]["attempts"] == 3


def test_deeds_need_to_know_which(control, state):
    assert run(state, "queue", "delete").returncode == 2
    q = control.peer["QUEUE"]
    result = in_background(state, "queue", "delete", "--all", "--dry-run")
    f = q.want("ADMIN")
    assert words(f) == ("queue.delete", {"all": "1", "dry_run": "1"})
    answer(q, f, {"id": "0123456789ABC", "to": "x@peer.test", "from": "", "result": "would be changed"})
    assert "Would delete 1 message" in result().stdout


def test_spam_learn(control, state, tmp_path):
    filters = control.peer["FILTER"]
    f = tmp_path / "mail"
    f.write_bytes(b"Subject: x\n\nbuy\n")
    for as_before in (False, True):
        result = in_background(state, "--json", "spam", "learn", "--spam", f)
        frame = filters.want("ADMIN")
        assert words(frame)[0] == "filter.tokens" and os.pread(frame.fd, 100, 0) == b"Subject: x\r\n\r\nbuy\r\n"
        os.close(frame.fd)
        answer(filters, frame, {"token": "0123456789abcdef"}, {"token": "00000000000000ff"})
        out = json.loads(result().stdout)
        assert (out["learned"], out["known"]) == ((0, 1) if as_before else (1, 0))
    stats = json.loads(run(state, "--json", "spam", "stats").stdout)
    assert stats == {"spam": 1, "ham": 0, "tokens": 2}


def test_filter_test(control, state, tmp_path):
    filters = control.peer["FILTER"]
    f = tmp_path / "mail"
    f.write_bytes(b"Subject: x\n\nbuy\n")
    result = in_background(state, "--json", "filter", "test", f, "--ip", "192.0.2.1", "--helo", "x", "--from", "a@b.test")
    frame = filters.want("ADMIN")
    assert words(frame) == ("filter.test", {"ip": "192.0.2.1", "helo": "x", "from": "a@b.test"})
    os.close(frame.fd)
    answer(filters, frame, {"verdict": "junk", "reply": "250 ok", "score": "5500", "required": "5000", "authentication_results": "mx; spf=pass"},
           {"name": "SPF_PASS", "result": "pass", "score": "-500", "text": "said so"})
    v = json.loads(result().stdout)
    assert v["score"] == 5.5 and v["required"] == 5 and v["checks"][0]["score"] == -0.5 and v["checks"][0]["name"] == "SPF_PASS"


def test_a_bad_frame_ends_only_that_client(control, state):
    import socket

    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    here = os.getcwd()
    os.chdir(state)
    s.connect("control.sock")
    os.chdir(here)
    s.send(b"\xff" * 40)
    assert s.recv(100) == b""
    assert run(state, "--json", "spam", "stats").returncode == 0


def test_stalled_log_reader_blocks_nobody(state):
    r, w = os.pipe()
    c = Control(state, stderr=w)
    q = c.peer["QUEUE"]
    for _ in range(8000):
        q.send("LOG", 2, "x" * 900)
    assert run(state, "--json", "spam", "stats").returncode == 0
    status = json.loads(run_status(c, state))
    assert status["control"]["lines_dropped"] > 0
    os.close(r)
    c.stop()


def run_status(c, state):
    result = in_background(state, "--json", "status")
    while True:
        f = c.sup.want("ADMIN")
        assert f.f[0] == "role.list"
        c.roles(f)
        f = c.peer["QUEUE"].want("ADMIN")
        answer(c.peer["QUEUE"], f, {"messages": "0"})
        return result().stdout
