"""What the kernel says about the roles: whose they are, what they may, who may look into them."""
import os
import pathlib
import shutil
import subprocess

import pytest

from load import Book, Session, children, name_of
from server import BUILD, Server, wait_until

ROLES = {"control", "resolver", "directory", "auth", "mda", "relay", "scan", "signer", "filter", "queue", "smtpd"}


def status_of(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {k: v.strip() for k, _, v in (line.partition(":") for line in text.splitlines())}


def roles_of(supervisor):
    return {pid: name_of(pid) for pid in children(supervisor) if name_of(pid) in ROLES}


def check_roles(roles):
    assert set(roles.values()) == ROLES
    for pid, name in roles.items():
        s = status_of(pid)
        assert s["NoNewPrivs"] == "1", name
        assert s["Seccomp"] == "2", name
        for held in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(s[held], 16) == 0, f"{name} holds {held} {s[held]}"
        assert len(set(s["Uid"].split())) == 1 and len(set(s["Gid"].split())) == 1, name
        # undumpable: the kernel keeps its files in /proc for root
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0, f"{name} may be looked into by its own uid"


@pytest.mark.root
def test_one_uid_for_each_role(server):
    roles = roles_of(server.process.pid)
    check_roles(roles)
    uids = {}
    for pid, name in roles.items():
        s = status_of(pid)
        uids.setdefault(s["Uid"].split()[0], set()).add(name)
        assert s["Groups"] == "", f"{name} has more groups: {s['Groups']}"
    assert "0" not in uids
    assert all(len(names) == 1 for names in uids.values()), uids


@pytest.mark.root
def test_threads_are_confined_too(server):
    for pid, name in roles_of(server.process.pid).items():
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            s = status_of(f"{pid}/task/{task.name}")
            assert s["Seccomp"] == "2" and s["NoNewPrivs"] == "1", f"a thread of {name}"


@pytest.mark.root
def test_open_files(server):
    """A stranger's bytes reach a process that has no file open but its certificate; no role has a database of another."""
    owners = {"directory.db": {"directory"}, "credentials.db": {"auth"}, "queue.db": {"queue"}, "history.db": {"control"},
              "score.db": {"control", "filter"}}
    for pid, name in roles_of(server.process.pid).items():
        for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = os.readlink(fd)
            except OSError:
                continue
            base = os.path.basename(target).removesuffix("-wal").removesuffix("-shm")
            assert name in owners.get(base, {name}), f"{name} has {target} open"
            if name == "smtpd" and target.startswith("/") and not target.startswith("/memfd:"):
                assert target in ("/dev/null", str(server.log_file), str(server.cert), str(server.key)), \
                    f"smtpd has {target} open"


# -- as an ordinary user


@pytest.fixture
def ordinary():
    """A server of the user nobody (as root), or of whoever runs the tests."""
    s = Server()
    top, run_as = BUILD, []
    if os.geteuid() == 0:
        top, run_as = s.dir / "programs", ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        for path in BUILD.rglob("*"):
            if path.is_file() and os.access(path, os.X_OK) and path.parent.name in \
                    ("admin", "dns", "storage", "smtp", "filters", "delivery", BUILD.name) and path.read_bytes()[:4] == b"\x7fELF":
                to = top / path.relative_to(BUILD)
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, to)
    s.write_config()
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "nobody:nogroup", s.dir], check=True)
    with open(s.log_file, "ab") as log:
        s.process = subprocess.Popen([*run_as, top / "tegamid", "-c", s.conf], stdin=subprocess.DEVNULL, stdout=log,
                                     stderr=log, cwd=s.dir)
    s.log_start, s.run_as = 0, run_as
    try:
        s.wait_ready()
        s.add_domain("example.test", alice="alice-secret")
        yield s
        s.stop()
    finally:
        s.clean()


def test_ordinary_user(ordinary):
    roles = roles_of(ordinary.process.pid)
    check_roles(roles)
    mine = {status_of(pid)["Uid"].split()[0] for pid in [ordinary.process.pid, *roles]}
    assert len(mine) == 1 and "0" not in mine
    pid = next(p for p, name in roles.items() if name == "auth")
    for look in (["cat", f"/proc/{pid}/environ"], ["ls", f"/proc/{pid}/fd"]):
        p = subprocess.run([*ordinary.run_as, *look], capture_output=True, text=True)
        assert p.returncode != 0 and "ermission denied" in p.stderr, f"{look}: {p.stdout}"
    a = Book().new(["alice@example.test"])
    with Session(ordinary.ports["mx"]) as s:
        s.deliver(a, 500)
    assert a.outcome == "yes"
    wait_until("the mail", lambda: ordinary.mails("alice@example.test"))
