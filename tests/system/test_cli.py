"""The command line: queue, trace, status, sendmail."""
import json
import os
import re
import signal
import subprocess

import pytest

from peer import Peer
from server import BUILD, message, wait_until

USER, PASSWORD = "alice@example.test", "alice-secret"


@pytest.fixture
def stuck(make_server):
    """A server with one message in its queue, for a peer that says 451."""
    with Peer(script={"rcpt": "451 4.2.0 come back later"}) as peer:
        server = make_server({"relay.retry": "{1h}"}, f'route "peer.test" {{ host = "127.0.0.1:{peer.port}" tls = none }}')
        with server.smtp("submissions", USER, PASSWORD) as s:
            s.sendmail(USER, ["x@peer.test"], message("stuck", USER, "x@peer.test").as_bytes())
        wait_until("the first attempt", lambda: any(r["attempts"] for m in server.queue() for r in m["recipients"]))
        yield server, peer


def test_queue_list_and_show(stuck):
    server, _ = stuck
    row, = server.queue()
    assert {"id", "from", "size", "created", "state", "recipients"} <= set(row)
    assert row["from"] == USER and int(row["size"]) > 100
    rcpt, = row["recipients"]
    assert {"to", "state", "attempts", "next", "reason"} <= set(rcpt)
    assert rcpt["to"] == "x@peer.test" and "come back later" in rcpt["reason"]
    assert row["id"] in server.cli("queue", "list")
    assert "come back later" in server.cli("queue", "show", row["id"])


@pytest.mark.parametrize("options,found", [
    (["--from", USER], 1), (["--from", "bob*"], 0), (["--to", "*@peer.test"], 1), (["--domain", "peer.test"], 1),
    (["--domain", "other.test"], 0), (["--older", "1h"], 0), (["--error", "*come back*"], 1), (["--error", "*gone*"], 0)])
def test_queue_filters(stuck, options, found):
    assert len(stuck[0].json("queue", "list", *options)) == found


def test_queue_retry(stuck):
    server, peer = stuck
    peer.script = {}
    row, = server.queue()
    server.cli("queue", "retry", row["id"])
    peer.wait(1)
    server.wait_queue_empty()


def test_queue_delete(stuck):
    server, peer = stuck
    row, = server.queue()
    assert row["id"] in server.cli("queue", "delete", "--all", "--dry-run")
    assert len(server.queue()) == 1
    server.cli("queue", "delete", row["id"])
    assert server.queue() == []
    assert server.mails(USER) == []


def test_queue_hold_and_release(stuck):
    server, peer = stuck
    row, = server.queue()
    server.cli("queue", "hold", row["id"])
    assert server.queue()[0]["recipients"][0]["state"] == "held"
    peer.script = {}
    server.cli("queue", "release", row["id"])
    server.cli("queue", "retry", row["id"])
    peer.wait(1)


def test_queue_bounce(stuck):
    server, _ = stuck
    server.cli("queue", "bounce", "--all")
    server.wait_mails(USER, 1)
    server.wait_queue_empty()


def test_queue_of_unknown_id(server):
    p = server.run("queue", "show", "nonsense", check=False)
    assert p.returncode in (1, 2) and p.stderr


def test_usage(server):
    for words in (["frob"], ["domain"], ["domain", "frob"], ["user", "add"], ["queue", "list", "--frob"]):
        p = server.run(*words, check=False)
        assert p.returncode == 2 and p.stderr, words


def test_trace(server):
    with server.smtp() as s:
        s.send_message(traced())
    server.wait_mails("alice@example.test", 1)
    rows = wait_until("the end of the story", lambda: [r for r in [server.json("trace", "traced@peer.test")]
                                                       if any(e["event"] == "delivered" for e in r)])[0]
    assert [r["event"] for r in rows][0] in ("connect", "accepted")
    assert all({"time", "id", "event", "text"} <= set(r) for r in rows)
    qid = rows[-1]["id"]
    for key in (qid, "alice@example.test", "127.0.0.1", "<traced@peer.test>"):
        assert any(r["event"] == "delivered" for r in server.json("trace", key)), key
    assert "alice@example.test" in server.cli("trace", qid)
    assert server.json("trace", "nothing@nowhere.test") == []


def traced():
    m = message("traced")
    del m["Message-ID"]
    m["Message-ID"] = "<traced@peer.test>"
    return m


def test_trace_tells_of_refusals(server):
    with server.smtp() as s:
        s.mail("a@peer.test")
        s.rcpt("nobody@example.test")
    rows = wait_until("the event", lambda: server.json("trace", "nobody@example.test"))
    assert any(r["event"] == "refused" and "no mailbox" in r["text"] for r in rows)


def test_status(server):
    status = server.status()
    assert all({"name", "pid", "state", "restarts"} <= set(r) for r in status["roles"])
    assert "queue" in status
    assert "smtpd" in server.cli("status")
    server.stop()
    assert server.run("status", check=False).returncode == 1
    server.start()


def test_check(server):
    rows = json.loads(server.run("--json", "check", check=False).stdout)
    assert rows and all({"name", "state", "text", "advice"} <= set(r) for r in rows)
    assert all(r["state"] in ("ok", "warning", "error") for r in rows)


def test_log_lines_cannot_be_forged(server):
    with server.smtp() as s:
        s.docmd("EHLO evil\x1b[31m")
        s.mail("a@peer.test")
        s.docmd('RCPT TO:<"x\x07y"@example.test>')
    assert "\x1b" not in server.log() and "\x07" not in server.log()


def sendmail(server, *words, text="", name="sendmail", **options):
    return subprocess.run([BUILD / name, *words], input=text.encode(), capture_output=True, timeout=60,
                          env={**os.environ, "TEGAMI_CONFIG": str(server.conf)}, **options)


def test_sendmail(server):
    p = sendmail(server, "-i", "-f", "alice@example.test", "bob@example.test", text="Subject: by program\n\n.\nhello\n")
    assert p.returncode == 0, p.stderr
    mail, = server.wait_mails("bob@example.test", 1)
    assert mail.raw.endswith(b"\n\n.\nhello\n")


def test_sendmail_t(server):
    text = ("From: alice@example.test\nTo: bob@example.test\nCc: Alice <alice@example.test>\nBcc: bob+secret@example.test\n"
            "Subject: to whom it says\n\nhello\n")
    p = sendmail(server, "-t", "-i", text=text)
    assert p.returncode == 0, p.stderr
    server.wait_mails("alice@example.test", 1)
    for mail in wait_until("mail", lambda: server.mails("bob@example.test")):
        assert not mail.header("Bcc")


def test_sendmail_unknown_user(server):
    p = sendmail(server, "-i", "nobody@example.test", text="Subject: x\n\nx\n")
    assert p.returncode != 0 and p.stderr


def test_hostile_arguments(server):
    p = sendmail(server, "-i", "--", "-oQ/tmp", text="x\n")
    assert p.returncode != 0


def test_status_while_a_role_hangs(server):
    """The others are shown, and what is not known with the reason, in words and as JSON."""
    for role, part in (("smtpd", "clients"), ("queue", "queue")):
        pids = server.pids(role)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            text, told = server.cli("status"), server.status()
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        assert re.search(rf"(?m)^{part.capitalize()} +not known: the server did not answer within 3 s \(it is asked of {role}\)", text)
        assert list(told[part]) == ["error"] and "did not answer" in told[part]["error"]
        assert text.count("not known") == 1 and sum("error" in told[p] for p in ("queue", "clients", "control")) == 1
        assert "Disk " in text and len(told["roles"]) > 5
    wait_until("all to answer again", lambda: not any("error" in server.status()[p] for p in ("clients", "queue")))
