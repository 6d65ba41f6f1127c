"""Debian's Dovecot as a delivery agent of somebody else: LMTP on a port of 127.0.0.1, users from a file."""
import os
import pathlib
import subprocess

from server import free_port, wait_until


class DovecotLmtp:
    """Delivers for these addresses, all as one account of this machine, below FOLDER/agent."""

    def __init__(self, folder, users, account="vmail"):
        self.port = free_port()
        self.dir = pathlib.Path(folder) / "agent"
        self.dir.mkdir()
        self.mail = self.dir / "mail"
        self.mail.mkdir()
        subprocess.run(["chown", account, self.mail], check=True)
        (self.dir / "users").write_text("".join(f"{u}:::::{self.mail}/{u.partition('@')[0]}::\n" for u in users))
        self.log = self.dir / "log"
        self.conf = self.dir / "dovecot.conf"
        self.conf.write_text(f"""
protocols = lmtp
base_dir = {self.dir}/run
state_dir = {self.dir}/state
log_path = {self.log}
listen = 127.0.0.1
ssl = no
mail_location = maildir:~/Maildir
mail_uid = {account}
mail_gid = {account}
first_valid_uid = 1
auth_mechanisms = plain
passdb {{
  driver = passwd-file
  args = {self.dir}/users
}}
userdb {{
  driver = passwd-file
  args = {self.dir}/users
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {self.port}
  }}
}}
""")
        with open(self.dir / "start", "w+") as said:  # no pipe: it would stay open as long as dovecot runs
            p = subprocess.run(["dovecot", "-c", self.conf], stdout=said, stderr=said)
            said.seek(0)
            assert p.returncode == 0, said.read()
        self.pid = int(wait_until("dovecot's pid", self.read_pid))

    def read_pid(self):
        try:
            return (self.dir / "run" / "master.pid").read_text().strip()
        except FileNotFoundError:
            return None

    def mails(self, name):
        folder = self.mail / name / "Maildir" / "new"
        return [folder / f for f in os.listdir(folder)] if folder.exists() else []

    def stop(self):
        subprocess.run(["doveadm", "-c", self.conf, "stop"], capture_output=True)
        wait_until("dovecot to end", lambda: not (pathlib.Path("/proc") / str(self.pid)).exists())
