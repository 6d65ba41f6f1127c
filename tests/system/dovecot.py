"""Debian's Dovecot on the mailboxes and databases of a server, with the example configuration as it is, but for its paths."""
import imaplib
import pathlib
import subprocess

from server import TOP, client_tls, free_port, wait_until


class Dovecot:
    """An instance of its own in the server's folder."""

    def __init__(self, server):
        self.port = free_port()
        self.dir = server.dir / "dovecot"
        self.dir.mkdir()
        self.log = self.dir / "log"
        paths = [("/etc/dovecot/", f"{self.dir}/"), ("/var/lib/tegami", str(server.state)),
                 ("/etc/tegami/cert.pem", str(server.cert)), ("/etc/tegami/key.pem", str(server.key))]
        for example in (TOP / "conf").glob("dovecot*.example"):
            text = example.read_text()
            for old, new in paths:
                text = text.replace(old, new)
            (self.dir / example.name.removesuffix(".example")).write_text(text)
        self.conf = self.dir / "instance.conf"
        self.conf.write_text(f"""
!include {self.dir}/dovecot.conf
base_dir = {self.dir}/run
state_dir = {self.dir}/state
log_path = {self.log}
listen = 127.0.0.1
service imap-login {{
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {self.port}
    ssl = yes
  }}
}}
""")
        with open(self.dir / "start", "w+") as said:  # no pipe: it would stay open as long as dovecot runs
            p = subprocess.run(["dovecot", "-c", self.conf], stdout=said, stderr=said)
            said.seek(0)
            assert p.returncode == 0, said.read()
        pid = self.dir / "run" / "master.pid"

        def written():  # it is there, gone, and there again while dovecot goes into the background
            try:
                return pid.read_text().strip()
            except FileNotFoundError:
                return None
        try:
            self.pid = int(wait_until("dovecot's pid", written))
        except AssertionError:
            raise AssertionError(f"dovecot did not start: {self.log.read_text()}") from None

    def stop(self):
        subprocess.run(["doveadm", "-c", self.conf, "stop"], capture_output=True)
        wait_until("dovecot to end", lambda: not (pathlib.Path("/proc") / str(self.pid)).exists())

    def login(self, user, password):
        imap = imaplib.IMAP4_SSL("127.0.0.1", self.port, ssl_context=client_tls(), timeout=60)
        imap.login(user, password)
        return imap
