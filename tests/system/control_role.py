"""The control program alone: this file plays its supervisor and the roles that talk to it."""
import os
import socket
import subprocess

from queue_role import BUILD, ROLE, SETUP_FILE, Peer

OWNERS = ("DIRECTORY", "AUTH", "QUEUE", "FILTER", "SIGNER", "RESOLVER")


class Control:
    """`state` is a state directory that `tegami init` has made (see the fixture in test_control_role.py)."""

    def __init__(self, state, peers=OWNERS, conf=(), stderr=None):
        self.state = str(state)
        self.sup = Peer()
        fd = self.sup.theirs.fileno()
        self.log = open(os.path.join(self.state, "log"), "ab+") if stderr is None else stderr
        self.p = subprocess.Popen([os.path.join(BUILD, "admin/control")], cwd=self.state, stderr=self.log,
                                  preexec_fn=lambda: os.dup2(fd, 3), close_fds=False)
        self.sup.theirs.close()
        for path, value in conf:
            self.sup.send("SETUP_CONFIG", path, value)
        path = os.path.join(self.state, "control.sock")
        if os.path.exists(path):
            os.unlink(path)
        here = os.getcwd()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        os.chdir(self.state)
        self.listener.bind("control.sock")
        os.chdir(here)
        self.listener.listen(16)
        self.sup.send("SETUP_FILE", SETUP_FILE["SETUP_FILE_CONTROL_SOCKET"], "", fd=self.listener.fileno())
        self.peer = {}
        for name in peers:
            self.add(name)
        self.sup.send("SETUP_GO", 0)
        # it asks for the pids of the roles as soon as it has links
        self.want_ready()

    def want_ready(self):
        while True:
            f = self.sup.recv(10)
            assert f is not None, self.text()
            if f.name == "ADMIN" and f.f[0] == "role.list":
                self.roles(f)
            elif f.name == "ROLE_READY":
                return
            else:
                raise AssertionError((f.name, f.f))

    def roles(self, f):
        for name, pid in (("control", self.p.pid), ("directory", 4711), ("queue", 4712)):
            self.sup.send("ADMIN_ROW", "name", name, "pid", str(pid), "state", "running", "restarts", "0", id=f.id)
        self.sup.send("ADMIN_END", 0, "", id=f.id)

    def add(self, name):
        peer = Peer()
        self.sup.send("SETUP_LINK", ROLE["ROLE_" + name], 0, fd=peer.theirs.fileno())
        peer.theirs.close()
        self.peer[name] = peer

    def text(self):
        with open(os.path.join(self.state, "log")) as f:
            return f.read()

    def stop(self):
        self.sup.send("SETUP_STOP")
        try:
            status = self.p.wait(10)
        finally:
            self.p.kill()
        assert status == 0, (status, self.text())
