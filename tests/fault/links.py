"""The links between the roles of a running server, from outside: find one, and send a damaged frame through it.

As root: the socket of a role is duplicated with pidfd_getfd, and its other end found by what the kernel says of unix sockets."""
import ctypes
import os
import pathlib
import socket
import struct

import pytest

PIDFD_OPEN, PIDFD_GETFD = 434, 438      # the same on every architecture
SOCK_DIAG_BY_FAMILY, UDIAG_SHOW_PEER, UNIX_DIAG_PEER = 20, 4, 2
NLM_F_REQUEST_DUMP, NLMSG_ERROR, NLMSG_DONE = 0x301, 2, 3


def peers():
    """{inode: inode of the other end} of all unix sockets of this machine."""
    found = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as s:
        ask = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 0xffffffff, 0, UDIAG_SHOW_PEER, 0, 0)
        s.send(struct.pack("=IHHII", 16 + len(ask), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0) + ask)
        while True:
            data = s.recv(1 << 20)
            while data:
                size, kind = struct.unpack_from("=IH", data)
                if kind == NLMSG_ERROR:
                    pytest.skip("the kernel does not tell which sockets belong together")
                if kind == NLMSG_DONE:
                    return found
                inode, at = struct.unpack_from("=I", data, 20)[0], 32
                while at + 4 <= size:
                    n, attribute = struct.unpack_from("=HH", data, at)
                    if attribute == UNIX_DIAG_PEER:
                        found[inode] = struct.unpack_from("=I", data, at + 4)[0]
                    at += max(4, n + 3 & ~3)
                data = data[size + 3 & ~3:]


def sockets(pid):
    """{inode: descriptor} of a process."""
    found = {}
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(fd)
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            found[int(target[8:-1])] = int(fd.name)
    return found


def duplicate(pid, fd):
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = libc.syscall(PIDFD_OPEN, pid, 0)
    copy = libc.syscall(PIDFD_GETFD, pidfd, fd, 0)
    error = ctypes.get_errno()
    if pidfd >= 0:
        os.close(pidfd)
    if copy < 0:
        pytest.skip(f"a socket of a role cannot be had here: {os.strerror(error)}")
    return socket.socket(fileno=copy)


def link_of(a, b):
    """(inode, descriptor) of a's end of the link between two processes; None: there is none."""
    theirs, other = sockets(b), peers()
    for inode, fd in sockets(a).items():
        if other.get(inode) in theirs:
            return inode, fd
    return None


def damage(a, b, frame=b"\xff" * 40):
    """Process b gets this frame as if a had sent it."""
    _, fd = link_of(a, b)
    with duplicate(a, fd) as s:
        s.send(frame)
