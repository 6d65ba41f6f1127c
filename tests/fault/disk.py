"""Small file systems of our own, to fill up and to cut the power of. Needs root and loop mounts; skips with the reason when there are none."""
import errno
import fcntl
import os
import shutil
import struct
import subprocess
import time

import pytest

FS_IOC_GOINGDOWN = 0x8004587D
NOLOGFLUSH = 2                  # as if the power went: nothing more reaches the disk, not even the journal


class Disk:
    """with Disk(folder, "ext4", 64) as d: ... A file system of so many MiB on a folder (made if missing)."""

    def __init__(self, folder, kind="ext4", mib=64, image=None, inodes=0):
        self.folder, self.kind, self.mib, self.inodes = folder, kind, mib, inodes
        self.image = image or folder.with_name(folder.name + ".image")
        self.mounted = False

    def __enter__(self):
        if os.geteuid() != 0:
            pytest.skip("needs root, to mount a file system")
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.kind != "tmpfs":
            with open(self.image, "wb") as f:
                f.truncate(self.mib << 20)
            if not shutil.which(f"mkfs.{self.kind}"):
                pytest.skip(f"there is no mkfs.{self.kind} here")
            self.run(f"mkfs.{self.kind}", *self.options(), self.image)
        self.mount()
        return self

    def __exit__(self, *_):
        if self.mounted:
            self.umount(lazy=True)
        if self.image.exists():
            self.image.unlink()

    def options(self):
        if self.kind == "xfs":  # at least 300 MiB, says mkfs.xfs
            return ["-q"]
        return ["-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", *(["-N", str(self.inodes)] if self.inodes else [])]

    def run(self, *words):
        p = subprocess.run(words, capture_output=True, text=True)
        if p.returncode != 0:
            pytest.skip(f"{words[0]} is not possible here: {p.stderr.strip() or p.returncode}")

    def mount(self):
        if self.kind == "tmpfs":
            self.run("mount", "-t", "tmpfs", "-o", f"size={self.mib}m,mode=755", "tegami-test", self.folder)
        else:
            self.run("mount", "-o", "loop", self.image, self.folder)
        self.mounted = True

    def umount(self, lazy=False):
        """Whoever still holds a file open there is on his way out: some patience."""
        end = time.monotonic() + 10
        while True:
            p = subprocess.run(["umount", self.folder], capture_output=True, text=True)
            if p.returncode == 0:
                break
            if time.monotonic() > end:
                assert lazy, p.stderr
                subprocess.run(["umount", "-l", self.folder])
                break
            time.sleep(0.02)
        self.mounted = False

    def cut_power(self):
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, FS_IOC_GOINGDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(fd)

    def free(self):
        s = os.statvfs(self.folder)
        return s.f_bavail * s.f_frsize

    def fill(self, leave=0):
        """A file that takes all room but `leave` bytes."""
        filler = self.folder / "filler"
        try:
            with open(filler, "ab", buffering=0) as f:
                while self.free() > leave:
                    f.write(bytes(min(1 << 20, max(4096, self.free() - leave))))
        except OSError as e:
            assert e.errno == errno.ENOSPC
        return filler
