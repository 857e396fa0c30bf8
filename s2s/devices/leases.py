"""Leases: who uses which device of this host. A locked file for each device, gone with its process.

The files lie in one directory for all users of the host and stay when a lease ends; what counts is the lock, which the
system drops when a process ends, however it ends. What a file says of its holder is trusted for display alone.
"""

import contextlib
import errno
import fcntl
import getpass
import json
import logging
import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from s2s.devices import select
from s2s.devices.runtime import usable_threads
from s2s.errors import ResourceError, UsageError, wrap_os_errors

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
TRIES = 5  # to lock a file, in case it is only being looked at
PAUSE_SECONDS = 0.02
LONGEST = 4096  # bytes of a file that are read, and characters of it that are shown
SHOWN = 160
NAMED = 4  # holders that a message names


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a device: process, user, command, and since when (ISO 8601)."""

    device: str
    pid: int
    user: str
    command: str
    since: str

    @classmethod
    def of_this_process(cls, device: str, command: str) -> "Holder":
        """Return this process as the holder of a device from now on."""
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        return cls(device, os.getpid(), _user(), command[:SHOWN], since)

    def describe(self) -> str:
        """`ann (pid 123, `s2s train numbers/attention`) since 12:30`."""
        return f"{self.user} (pid {self.pid}, `{self.command}`) since {self.describe_since()}"

    def describe_since(self) -> str:
        """Format the start time as time of day, with the date unless it is today."""
        try:
            since = datetime.fromisoformat(self.since).astimezone()
        except ValueError:
            return self.since
        return since.strftime("%H:%M" if since.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M")


@dataclass(frozen=True, slots=True)
class Slot:
    """One place that a lease can take: a GPU, or one of the processor's."""

    device: str
    file: str


def lease_directory() -> Path:
    """Where the files are: `S2S_LEASES`, or one directory for all users of this host."""
    return Path(os.environ.get("S2S_LEASES") or "/tmp/s2s-leases").expanduser().absolute()


@contextlib.contextmanager
def lease(device: str, *, wait: bool, command: str) -> Iterator[str]:
    """Hold a device while the block runs, and yield its name: `cpu`, `cuda:0`.

    `auto` takes the first free GPU, or a slot of the processor where there is no GPU. With `wait`, what is busy is
    waited for.
    Raises: ResourceError where it is busy, naming who holds it, or not here; UsageError where there is no such device.
    """
    slots = _slots(device)
    directory = _made_directory()
    taken = _take_one(directory, slots)
    if taken is None:
        busy = _busy(directory, slots)
        if not wait:
            raise ResourceError(busy, "--wait waits for it; s2s models ps lists holders")
        log.info("%s: waiting", busy)
        while taken is None:
            time.sleep(POLL_SECONDS)
            taken = _take_one(directory, slots)
    slot, handle = taken
    try:
        holder = Holder.of_this_process(slot.device, command)
        _write(handle, json.dumps(asdict(holder)).encode())
        yield slot.device
    finally:
        _write(handle, b"")
        fcntl.flock(handle, fcntl.LOCK_UN)  # a child that was forked meanwhile has the file open, too
        os.close(handle)


def holders() -> list[Holder]:
    """Who holds what on this host, the longest first. Imports no torch, and disturbs nobody."""
    directory = lease_directory()
    try:
        names = sorted(path.name for path in directory.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ResourceError(f"cannot read {directory}: {error.strerror}") from error
    found = [_holder(directory, name) for name in names]
    return sorted((holder for holder in found if holder), key=lambda holder: holder.since)


def _slots(device: str) -> list[Slot]:
    """Return the slots that serve a request, best first."""
    if device == "auto":
        found = [name for name in select.available_devices() if name != "cpu"] or ["cpu"]
    else:
        found = [device if device == "cpu" else str(select.device_named(device))]
    if found == ["cpu"]:
        return [Slot("cpu", f"cpu-{number}") for number in range(usable_threads())]
    return [Slot(name, re.sub(r"[^A-Za-z0-9-]", "_", select.device_identity(name))) for name in found]


def _made_directory() -> Path:
    """Return the directory of leases, created writable for every user of the host.

    Raises: ResourceError where it cannot be made, or something else has its name.
    """
    directory = lease_directory()
    with _explained(directory, "make"):
        directory.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            directory.mkdir()
            directory.chmod(0o1777)
        if not stat.S_ISDIR(directory.lstat().st_mode):  # somebody's link would lead us to write elsewhere
            raise ResourceError(f"{directory} is not a directory", "remove it, or set S2S_LEASES to another directory")
    return directory


def _take_one(directory: Path, slots: Sequence[Slot]) -> tuple[Slot, int] | None:
    """Lock the first free slot and return it with its open file; None if all are busy."""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        for slot in slots:
            handle = _opened(directory / slot.file)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                continue
            return slot, handle
    return None


def _opened(path: Path) -> int:
    """Open a lease's file for reading and writing, creating it if necessary.

    Open without O_CREAT first, which Linux refuses for another user's file in a world-writable directory.
    """
    with _explained(path, "lock"):
        try:
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            handle = _made_file(path)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise ResourceError(f"{path} is a link, not a lease", "remove it") from error
            raise
        status = os.fstat(handle)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        return handle
    os.close(handle)
    raise ResourceError(f"{path} is not a lease", "remove it")


def _made_file(path: Path) -> int:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    except FileExistsError:  # another process was first
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    os.fchmod(handle, 0o666)  # other users must be able to lock it, whatever the umask
    return handle


def _write(handle: int, content: bytes) -> None:
    """Put what is to be said of the holder into the file; the lock counts even where there is no room to say it."""
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, content, 0)


def _busy(directory: Path, slots: Sequence[Slot]) -> str:
    """Who holds the slots, as the beginning of a message."""
    found = [_holder(directory, slot.file) for slot in slots]
    words = [holder.describe() for holder in found if holder]
    words = [*words[:NAMED], f"{len(words) - NAMED} more"] if len(words) > NAMED else words
    names = {slot.device for slot in slots}
    what = f"device {slots[0].device} is" if len(names) == 1 else f"all {len(slots)} GPUs are"
    return f"{what} held by {'; '.join(words) or 'another process'}"


def _holder(directory: Path, name: str) -> Holder | None:
    """Who holds the lock of a file, or None where nobody does or it is no lease."""
    try:
        handle = os.open(directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return _read_holder(handle) if stat.S_ISREG(os.fstat(handle).st_mode) and _is_locked(handle) else None
    finally:
        os.close(handle)


def _is_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)  # a process that wants the lock just now tries again
    return False


def _read_holder(handle: int) -> Holder:
    """Return the holder that a file names; wait briefly for one that has not been written yet."""
    for _ in range(TRIES):
        try:
            values = json.loads(os.pread(handle, LONGEST, 0))
            texts = {key: " ".join(str(values[key]).split())[:SHOWN] for key in ("device", "user", "command", "since")}
            return Holder(pid=int(values["pid"]), **texts)
        except (ValueError, KeyError, TypeError):
            time.sleep(PAUSE_SECONDS)
    return Holder("?", 0, "unknown", "unknown", "unknown")


@contextlib.contextmanager
def _explained(path: Path, doing: str) -> Iterator[None]:
    """Name the way out where the directory of leases cannot be used."""
    try:
        with wrap_os_errors(path, doing):
            yield
    except (ResourceError, UsageError) as error:
        hint = error.hint or "S2S_LEASES names the directory of leases, which must be writable"
        raise ResourceError(error.message, hint) from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())
