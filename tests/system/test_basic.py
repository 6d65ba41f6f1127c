"""The life of a server: it starts, takes mail, reloads, stops, and does not leave anything behind."""
import collections
import os
import signal
import subprocess
import threading
import time

import pytest

from server import BUILD, Server, alive, message, wait_until


def test_mail_arrives(server):
    with server.smtp() as s:
        s.send_message(message("first"))
    mail, = server.wait_mails("alice@example.test", 1)
    assert mail.message["Subject"] == "first"
    assert mail.path.parent.name == "new"
    assert (mail.path.stat().st_mode & 0o777) == 0o600
    server.wait_queue_empty()


def test_second_server_is_refused(server):
    p = subprocess.run([BUILD / "tegamid", "-c", server.conf], capture_output=True, text=True, timeout=20)
    assert p.returncode == 1
    assert str(server.state) in p.stderr or "running" in p.stderr
    with server.smtp() as s:
        assert s.noop()[0] == 250


def test_every_role_runs_as_its_own_user(server):
    roles = {r["name"] for r in server.status()["roles"]}
    assert {"control", "resolver", "directory", "auth", "mda", "relay", "scan", "signer", "filter", "queue", "smtpd"} <= roles
    uids = {}
    for name in roles - {"tegamid"}:
        for pid in server.pids(name):
            status = dict(l.split(":", 1) for l in open(f"/proc/{pid}/status").read().splitlines() if ":" in l)
            uids.setdefault(int(status["Uid"].split()[0]), set()).add(name)
            assert len(set(status["Uid"].split())) == 1
            assert int(status["NoNewPrivs"]) == 1
            assert int(status["Seccomp"]) == 2, name
            assert int(status["CapEff"], 16) == 0, name
    if os.geteuid() == 0:
        assert 0 not in uids
        assert all(len(names) == 1 for names in uids.values()), uids
    else:
        assert set(uids) == {os.geteuid()}


def test_smtpd_runs_once_for_each_core_that_we_may_use():
    all_cores = os.sched_getaffinity(0)
    with Server() as s:
        assert len(s.pids("smtpd")) == min(len(all_cores), 20)
    os.sched_setaffinity(0, {min(all_cores)})
    try:
        with Server() as s:
            assert len(s.pids("smtpd")) == 1
    finally:
        os.sched_setaffinity(0, all_cores)


def test_sigterm_ends_all(server):
    pids = server.pids()
    assert pids
    server.stop()
    assert not any(alive(p) for p in pids)
    server.start()


def test_roles_end_with_the_supervisor(server):
    pids = server.pids()
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    wait_until("all roles to be gone", lambda: not any(alive(p) for p in pids), 1)
    server.process = None
    server.start()
    with server.smtp() as s:
        s.send_message(message("after the kill"))
    server.wait_mails("alice@example.test", 1)


def test_reload_takes_new_options(server):
    with server.smtp() as s:
        assert s.esmtp_features["size"] == str(50 << 20)
    server.options["limits.message_size"] = "1M"
    server.reload()
    with server.smtp() as s:
        assert s.esmtp_features["size"] == str(1 << 20)


def test_bad_reload_keeps_the_old(server):
    server.options["limits.message_size"] = "1X"
    server.write_config()
    os.kill(server.process.pid, signal.SIGHUP)
    line = len(server.config_text()[:server.config_text().index("1X")].splitlines())
    server.wait_log(rf"tegami\.conf:{line}: limits\.message_size")
    with server.smtp() as s:
        assert s.esmtp_features["size"] == str(50 << 20)
        s.send_message(message("still there"))
    server.wait_mails("alice@example.test", 1)
    p = server.run("reload", check=False)
    assert p.returncode == 1 and "limits.message_size" in p.stderr
    server.options["limits.message_size"] = "2M"
    server.reload()


def test_mail_survives_a_restart(server):
    """Taken, not yet delivered when the server stops: delivered at the next start."""
    with server.smtp() as s:
        for i in range(20):
            s.send_message(message(f"number {i}"))
    server.restart()
    mails = server.wait_mails("alice@example.test", 20)
    assert {m.message["Subject"] for m in mails} == {f"number {i}" for i in range(20)}


def test_port_taken():
    import socket

    s = Server()
    try:
        with socket.socket() as other:
            other.bind(("127.0.0.1", s.ports["mx"]))
            other.listen()
            s.start(wait=False)
            assert s.process.wait(20) == 1
            assert f"127.0.0.1:{s.ports['mx']}" in s.log()
            s.process = None
        s.start()
        s.stop()
        s.check_log()
    finally:
        s.clean()


def test_many_clients_at_once(server):
    import concurrent.futures

    def one(i):
        with server.smtp() as s:
            s.send_message(message(f"at once {i}"))

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        list(pool.map(one, range(100)))
    mails = server.wait_mails("alice@example.test", 100)
    assert len({m.message["Message-ID"] for m in mails}) == 100


def test_connection_limit_per_client(make_server):
    server = make_server({"limits.connections_per_client": "3", "limits.connections": "10"})
    socks = [server.socket() for _ in range(3)]
    for s in socks:
        assert s.recv(100).startswith(b"220")
    fourth = server.socket()
    assert fourth.recv(100).startswith(b"421")
    assert fourth.recv(100) == b""
    socks.pop().close()
    wait_until("room for another", lambda: server.socket().recv(100).startswith(b"220"))
    for s in socks:
        s.close()


def name_many(server, name):
    """The replies to 10,000 RCPT sent in one go, and the connection after them."""
    sock = server.socket()
    replies = sock.makefile("rb")
    replies.readline()
    sock.sendall(b"HELO client.test\r\n")
    replies.readline()
    sock.sendall(b"MAIL FROM:<a@peer.test>\r\n")
    assert replies.readline().startswith(b"250")
    ahead = threading.Thread(target=lambda: [sock.sendall(b"RCPT TO:<%s%d@example.test>\r\n" % (name, i)) for i in range(10_000)])
    ahead.start()
    seen = collections.Counter(replies.readline()[:9] for _ in range(10_000))
    ahead.join()
    return seen, sock, replies


def test_ten_thousand_recipients(make_server):
    """Those within the limit are served, all others told why not; so are 10,000 that nobody is."""
    server = make_server({"limits.tarpit": "0s", "limits.unknown_recipients": "0", "limits.commands": "20000"})
    seen, sock, replies = name_many(server, b"nobody")
    assert seen == {b"550 5.1.1": 10_000}
    sock.close()
    del server.options["limits.commands"]  # those past the limit of a message are no idle commands
    server.reload()
    server.cli("alias", "add", "@example.test", "alice@example.test")
    seen, sock, replies = name_many(server, b"anybody")
    assert seen == {b"250 2.1.5": 1000, b"452 4.5.3": 9000}
    sock.sendall(b"DATA\r\n")
    assert replies.readline().startswith(b"354")
    sock.sendall(b"Subject: many\r\n\r\nx\r\n.\r\n")
    assert replies.readline().startswith(b"250 2.0.0")
    sock.close()
    server.wait_mails("alice@example.test", 1)  # they are all the same mailbox
    server.wait_queue_empty()


def test_silent_client_is_sent_away(make_server):
    server = make_server({"limits.idle_timeout": "1s"})
    s = server.socket()
    assert s.recv(100).startswith(b"220")
    start = time.monotonic()
    assert s.recv(100).startswith(b"421 4.4.2")
    assert time.monotonic() - start >= 0.9
    assert s.recv(100) == b""


@pytest.mark.parametrize("name", ["tegami", "tegamid", "sendmail"])
def test_programs_run_in_place(name):
    assert (BUILD / name).exists()
