"""System calls of a role that fail when a test says so: the other side of faults.c."""
import collections
import errno
import mmap
import pathlib
import re
import shutil
import struct
import subprocess

import pytest

SOURCE = pathlib.Path(__file__).with_name("faults.c")
KINDS = re.findall(r"^\tX\((\w+),", SOURCE.read_text(), re.M)
SITES = NOTES = 16384
HEAD = struct.Struct("16sIIIIIIIQ128x")  # as struct ctl begins
SHORT_COUNT = 1000


class Faults:
    """The file that is shared with faults.c."""

    def __init__(self, server, role, pause=0.02):
        cc = shutil.which("cc") or pytest.skip("no C compiler to make the faults with")
        self.path, self.library = server.dir / "faults", server.dir / "faults.so"
        self.path.write_bytes(HEAD.pack(role.encode(), 0, 0, 0, int(pause * 1e6), 0, 0, 0, 0) + bytes(SITES * 16 + NOTES * 4))
        self.path.chmod(0o666)
        subprocess.run([cc, "-shared", "-fPIC", "-O1", f'-DCTL="{self.path}"', "-o", self.library, SOURCE, "-ldl"], check=True)
        self.library.chmod(0o755)
        self.file = open(self.path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 0)

    def env(self):
        return {"LD_PRELOAD": str(self.library)}

    def switch(self, on, start=False, memory=False):
        self.map[16:28] = struct.pack("III", on, start, memory)

    def always(self, *kinds):
        """From now on every call of these kinds fails (none: no more)."""
        self.map[32:36] = struct.pack("I", sum(1 << KINDS.index(k) for k in kinds))

    def counts(self):
        """Sites seen, errors made."""
        return struct.unpack_from("II", self.map, 36)

    def notes(self):
        found = collections.Counter()
        for i in range(min(self.counts()[1], NOTES)):
            kind, error = struct.unpack_from("HH", self.map, HEAD.size + SITES * 16 + 4 * i)
            found[KINDS[kind], "short" if error == SHORT_COUNT else errno.errorcode[error]] += 1
        return found

    def report(self):
        sites, made = self.counts()
        by_kind = collections.defaultdict(list)
        for (kind, error), n in sorted(self.notes().items()):
            by_kind[kind].append(f"{n} {error}")
        return f"{made} errors at {sites} places: " + "; ".join(f"{k}: {', '.join(v)}" for k, v in by_kind.items())
