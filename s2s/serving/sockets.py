"""Where servers listen: a Unix socket per user and registry, in a directory that only its users can enter.

A client only talks to a server of a user who decides what its models are anyway: itself, root, the owner of the
registry, or a member of the group that may write the registry.
"""

import contextlib
import fcntl
import grp
import hashlib
import os
import re
import socket
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from s2s.errors import ResourceError, UsageError, wrap_os_errors
from s2s.io.locks import lock_now, open_lock
from s2s.io.paths import make_shared_directory, real_directories

PEER = struct.Struct("3i")  # pid, uid and gid: struct ucred of unix(7)
PEER_GROUPS = 59  # SO_PEERGROUPS of asm-generic/socket.h
NAME = re.compile(r"([0-9]{1,10})-([0-9a-f]{12})")
SOCKET, LOCK = "socket", "lock"
MAX_GROUPS = 256  # as many as Python makes room for
VARIABLE = "S2S_SERVERS"


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end of a Unix socket."""

    pid: int
    uid: int
    groups: frozenset[int]


def servers_directory() -> Path:
    """Return the directory of all servers of this host: `S2S_SERVERS`, or one for all users."""
    return Path(os.environ.get(VARIABLE) or "/tmp/s2s-servers").expanduser().absolute()


def peer_of(connection: socket.socket) -> Peer:
    """Return the process at the other end of a connection, as the kernel knows it."""
    pid, uid, gid = PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
    groups = b""
    with contextlib.suppress(OSError):  # of somebody with more groups, only the first is known
        groups = connection.getsockopt(socket.SOL_SOCKET, PEER_GROUPS, 4 * MAX_GROUPS)
    return Peer(pid, uid, frozenset((gid, *struct.unpack(f"{len(groups) // 4}I", groups))))


@contextlib.contextmanager
def listen(registry: Path, group: int | None) -> Iterator[socket.socket]:
    """Yield a socket that listens for clients of a registry; it is removed when the block ends.

    `group`: number of a group whose members may use it, too. Raises: ResourceError if a server of this user already
    serves the registry.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        raise ResourceError("s2s serve runs on Linux only: other systems cannot identify the peer of a Unix socket")
    directory = make_shared_directory(servers_directory(), VARIABLE) / f"{os.getuid()}-{_digest(registry)}"
    with wrap_os_errors(directory, "make"):
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise ResourceError(f"{directory} is not a directory of yours", "remove it, or set S2S_SERVERS")
        lock = open_lock(directory / LOCK)
    try:
        if not lock_now(lock):
            raise ResourceError("a server of yours already serves this registry", "s2s models ps shows what it holds")
        with contextlib.ExitStack() as resources:
            with wrap_os_errors(directory, "open"):
                os.chown(directory, -1, os.getgid() if group is None else group)
                directory.chmod(0o700 if group is None else 0o710)  # members may enter, not list or write
                listener = resources.enter_context(_bound(directory / SOCKET, shared=group is not None))
            yield listener
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


@contextlib.contextmanager
def _bound(path: Path, *, shared: bool) -> Iterator[socket.socket]:
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        with _short_address(path) as address:
            listener.bind(address)
        path.chmod(0o666 if shared else 0o600)  # the directory decides who comes this far
        listener.listen(128)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


def connect(registry: Path) -> socket.socket | None:
    """Return a connection to a server of a registry on this host, the user's own first; None if there is none."""
    if not hasattr(socket, "SO_PEERCRED"):  # not Linux
        return None
    digest = _digest(registry)
    try:
        directories = real_directories(servers_directory())
    except OSError:
        return None
    candidates = [path for path in directories if (found := NAME.fullmatch(path.name)) and found[2] == digest]
    for directory in sorted(candidates, key=lambda path: not path.name.startswith(f"{os.getuid()}-")):
        if _is_trusted(directory, registry) and (connection := _connect(directory)):
            return connection
    return None


def _connect(directory: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        with _short_address(directory / SOCKET) as address:
            connection.connect(address)
        if peer_of(connection).uid == directory.lstat().st_uid:
            return connection
    except OSError:  # no server any more, or not for this user
        pass
    connection.close()
    return None


def _is_trusted(directory: Path, registry: Path) -> bool:
    """Return whether a server's directory is its own, and its user may write the registry."""
    try:
        server, models = directory.lstat(), registry.stat()
    except OSError:
        return False
    if server.st_uid != int(directory.name.partition("-")[0]) or server.st_mode & 0o027:
        return False
    by_group = server.st_gid == models.st_gid and bool(models.st_mode & stat.S_IWGRP)
    return server.st_uid in {os.getuid(), 0, models.st_uid} or by_group


@contextlib.contextmanager
def _short_address(path: Path) -> Iterator[str]:
    """Yield an address of a socket that fits into the 108 bytes that the system has for one."""
    handle = os.open(path.parent, os.O_PATH)
    try:
        yield f"/proc/self/fd/{handle}/{path.name}"
    finally:
        os.close(handle)


def _digest(registry: Path) -> str:
    return hashlib.sha256(os.fsencode(registry.resolve())).hexdigest()[:12]


def group_number(name: str) -> int:
    """Return the number of a group of this user. Raises UsageError if it is unknown, or the user is not in it."""
    try:
        found = grp.getgrnam(name)
    except KeyError as error:
        raise UsageError(f"--group {name}: no such group", "getent group lists them") from error
    if os.getuid() and found.gr_gid not in {os.getgid(), *os.getgroups()}:
        raise UsageError(f"--group {name}: you are not a member", "id lists your groups")
    return found.gr_gid
