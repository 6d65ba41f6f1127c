"""Promise 1 when barriers fail: fsync, fdatasync and syncfs say EIO now and then. A 250 is still exactly one copy; a refusal at most one."""
import pathlib
import shutil
import subprocess
import time

import pytest

from load import Book, Load, Reader, leftovers
from server import Server, wait_until

USERS = ["alice@example.test", "bob@example.test"]
SOURCE = pathlib.Path(__file__).with_name("barrier.c")


class Lenient(Book):
    def outcome(self, a):
        """Refused because a barrier failed: it may have been stored all the same."""
        return "open" if a.outcome == "no" and a.reply.startswith("4") and a.at else super().outcome(a)


def shim(server, role, rate):
    cc = shutil.which("cc") or pytest.skip("no C compiler to make the faults with")
    path = server.dir / "barrier.so"
    subprocess.run([cc, "-shared", "-fPIC", "-O1", f'-DROLE="{role}"', f"-DRATE={rate}", "-o", path, SOURCE, "-ldl"], check=True)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("role,rate", [("mda", 10), ("queue", 40)])
def test_failing_barriers(role, rate):
    server, book = Server({"limits.connections_per_client": "100"}), Lenient()
    try:
        server.start()
        server.add_domain("example.test", alice="alice-secret", bob="bob-secret")
        server.stop()
        at = len(server.log())
        server.start(env={"LD_PRELOAD": str(shim(server, role, rate))})
        with Reader(server, USERS) as reader:
            with Load(server, book, USERS, pause=0.002):
                time.sleep(8)
            # the rest without faults
            server.stop()
            failures = server.log()[at:].count("Input/output error") + server.log()[at:].count("disk I/O error")
            server.start()
            server.wait_queue_empty(60)
            copies = reader.stop()
        print(f"{role}: {failures} failures in the log; attempts: {book.summary()}; {book.replies()}")
        assert failures > 0, server.log()[at:]
        assert book.count("yes") > 200, f"{book.summary()}; {book.replies()}"
        book.check(copies)
        wait_until("stage and spool to be empty", lambda: not leftovers(server), 5)
        server.stop()
    finally:
        server.clean()
