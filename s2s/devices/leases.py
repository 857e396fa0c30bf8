"""Leases: which process uses which device of this host, one locked file per device.

The files are in one directory for all users of the host. They remain when a lease ends; only the lock counts, which the
system drops when its process ends, however it ends. The holder that a file names is only displayed, never trusted.
"""

import contextlib
import fcntl
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
from s2s.devices.runtime import processors
from s2s.errors import ArtefactError, ResourceError
from s2s.io.json_values import parse_json, validate
from s2s.io.locks import attempts, is_locked, lock_now, open_lock
from s2s.io.paths import make_shared_directory, shared_directory_errors
from s2s.io.processes import user_name

log = logging.getLogger(__name__)

VARIABLE = "S2S_LEASES"
POLL_SECONDS = 1.0
READ_BYTES = 4096  # of a lease's file
SHOWN_CHARACTERS = 160  # of each field read from it
NAMED_HOLDERS = 4  # in a message


@dataclass(frozen=True, slots=True)
class Holder:
    """Holder of a device."""

    device: str
    pid: int
    user: str
    command: str
    since: str  # ISO 8601

    @classmethod
    def of_this_process(cls, device: str, command: str) -> "Holder":
        """Return this process as the holder of a device from now on."""
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        return cls(device, os.getpid(), user_name(), command[:SHOWN_CHARACTERS], since)

    def describe(self) -> str:
        """Return ``ann (pid 123, `s2s train numbers/attention`) since 12:30``."""
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
    """One place that a lease can occupy: a GPU, or one of the CPU's processors."""

    device: str
    file: str  # name of the lock file


def lease_directory() -> Path:
    """Return the directory of lock files: `S2S_LEASES`, or one for all users of this host."""
    return Path(os.environ.get(VARIABLE) or "/tmp/s2s-leases").expanduser().absolute()


@contextlib.contextmanager
def lease(device: str, *, wait: float, command: str) -> Iterator[str]:
    """Hold a device while the block runs, and yield its name: `cpu`, `cuda:0`.

    `auto` chooses the free GPU with the most free memory, or a slot of the CPU if there is no GPU. `wait`: seconds
    to wait for a busy device.
    Raises: ResourceError if the device is busy (naming its holder) or not available; UsageError if it is unknown.
    """
    with lease_several(device, 1, wait=wait, command=command) as (name,):
        yield name


@contextlib.contextmanager
def lease_several(device: str, count: int, *, wait: float, command: str) -> Iterator[list[str]]:
    """Hold `count` of the devices that `device` stands for, all or none, as `lease` holds one."""
    slots = _slots(device)
    if len(slots) < count:
        raise ResourceError(f"{count} devices are wanted, but {len(slots)} are available", f"--processes {len(slots)}")
    directory = make_shared_directory(lease_directory(), VARIABLE)
    claimed = _claim(directory, slots, count)
    if not claimed:
        if wait:
            log.info("%s: waiting", _busy(directory, slots))
        until = time.monotonic() + wait
        while not claimed:
            if (left := until - time.monotonic()) <= 0:
                raise ResourceError(
                    _busy(directory, slots), "--wait 10m waits for it, or --wait forever; s2s models ps lists holders"
                )
            time.sleep(min(POLL_SECONDS, left))
            claimed = _claim(directory, slots, count)
    try:
        for slot, handle in claimed:
            _write(handle, json.dumps(asdict(Holder.of_this_process(slot.device, command))).encode())
        yield [slot.device for slot, _ in claimed]
    finally:
        for _, handle in claimed:
            _write(handle, b"")
            _release(handle)


def holders() -> list[Holder]:
    """Return the holders of devices on this host, longest first, without importing torch or blocking others."""
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
        found = select.gpus_by_free_memory() or ["cpu"]
    else:
        found = [device if device == "cpu" else str(select.resolve_device(device))]
    if found == ["cpu"]:
        return [Slot("cpu", f"cpu-{number}") for number in range(processors())]
    return [Slot(name, re.sub(r"[^A-Za-z0-9-]", "_", select.device_identity(name))) for name in found]


def _claim(directory: Path, slots: Sequence[Slot], count: int) -> list[tuple[Slot, int]]:
    """Lock the first `count` free slots and return them with their open files; none if fewer are free.

    Slots whose file cannot be opened are skipped. Raises: ResourceError if that is all of them.
    """
    for _ in attempts():
        claimed: list[tuple[Slot, int]] = []
        failures = []
        for slot in slots:
            try:
                with shared_directory_errors(directory / slot.file, "lock", VARIABLE):
                    handle = open_lock(directory / slot.file, shared=True)
            except ResourceError as error:
                failures.append(error)
                continue
            if lock_now(handle):
                claimed.append((slot, handle))
                if len(claimed) == count:
                    return claimed
            else:
                os.close(handle)
        for _, handle in claimed:
            _release(handle)
        if len(failures) == len(slots):
            raise failures[0]
    return []


def _release(handle: int) -> None:
    fcntl.flock(handle, fcntl.LOCK_UN)  # a child that was forked meanwhile has the file open, too
    os.close(handle)


def _write(handle: int, content: bytes) -> None:
    """Write the holder into the file; the lock counts even if the disk is full."""
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, content, 0)


def _busy(directory: Path, slots: Sequence[Slot]) -> str:
    """Return a message that names the holders of the slots."""
    found = [_holder(directory, slot.file) for slot in slots]
    words = [holder.describe() for holder in found if holder]
    free = len(slots) - len(words)
    words = [*words[:NAMED_HOLDERS], f"{len(words) - NAMED_HOLDERS} more"] if len(words) > NAMED_HOLDERS else words
    names = {slot.device for slot in slots}
    free_of_all = f"{free} of {len(slots)} GPUs are free; the others are" if free > 0 else f"all {len(slots)} GPUs are"
    what = f"device {slots[0].device} is" if len(names) == 1 else free_of_all
    return f"{what} held by {'; '.join(words) or 'another process'}"


def _holder(directory: Path, name: str) -> Holder | None:
    """Return who holds the lock of a file, or None if nobody does or it is not a lease."""
    try:
        handle = os.open(directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return _read_holder(handle) if stat.S_ISREG(os.fstat(handle).st_mode) and is_locked(handle) else None
    finally:
        os.close(handle)


def _read_holder(handle: int) -> Holder:
    """Return the holder that a file names; wait briefly for one that has not been written yet."""
    for _ in attempts():
        try:
            holder = validate(Holder, parse_json(os.pread(handle, READ_BYTES, 0), "lease"), "lease")
        except ArtefactError:
            continue
        device, user, command, since = (
            " ".join(text.split())[:SHOWN_CHARACTERS]
            for text in (holder.device, holder.user, holder.command, holder.since)
        )
        return Holder(device, holder.pid, user, command, since)
    return Holder("?", 0, "unknown", "unknown", "unknown")
