"""Lines that come through a pipe or from a terminal, unpacked if they are compressed."""

import io
import select
import sys
import time
from collections import deque
from typing import Any, BinaryIO, cast

from s2s.io.compression import CHUNK, Unpacker, is_undecided, recognize

PAUSE = 0.05  # seconds without input after which a group of lines is passed on


class Pipe(io.RawIOBase):
    """Lines of a file that is not seekable, and whether the next one is available."""

    def __init__(self, file: BinaryIO, name: str, max_line: int) -> None:
        super().__init__()
        self._file = cast(io.BufferedReader, file)
        self._name = name
        self._max_line = max_line  # bytes
        self._head: bytes | None = b""  # the first bytes, until it is known whether they are compressed
        self._unpacker: Unpacker | None = None
        self._lines: deque[bytes] = deque()
        self._partial: list[bytes] = []  # parts of an unterminated line
        self._size = 0  # bytes in them
        self._ended = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readline(self, _: int | None = -1, /) -> bytes:
        """Wait for the next line and return it with its end, or the start of one longer than the limit."""
        return self._lines.popleft() if self._wait(None) else b""

    def readinto(self, buffer: Any) -> int:
        """Wait for the next line and copy what fits of it into a buffer. Return the number of bytes; 0 at the end."""
        line = self.readline()
        size = min(len(line), len(buffer))
        buffer[:size] = line[:size]
        if line[size:]:
            self._lines.appendleft(line[size:])
        return size

    def pauses(self) -> bool:
        """Return whether no line is available within PAUSE."""
        return not self._wait(PAUSE)

    def close(self) -> None:
        """Close the file, unless it is standard input."""
        if self._file is not getattr(sys.stdin, "buffer", None):
            self._file.close()
        super().close()

    def _wait(self, seconds: float | None) -> bool:
        """Wait for a line, the end of the input or the timeout, and return whether there is a line."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self._lines and not self._ended:
            if self._unpacker and not self._unpacker.needs_input:
                self._add(self._unpacker.unpack(b"", CHUNK))
                continue
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._file], [], [], left)[0]:
                break
            if chunk := self._file.read1(CHUNK):
                self._receive(chunk)
            else:
                self._end()
        return bool(self._lines)

    def _receive(self, chunk: bytes) -> None:
        """Take what has arrived."""
        if self._head is not None:
            self._head += chunk
            if is_undecided(self._head):  # none of these starts has a line end: no line is held back
                return
            if compression := recognize(self._head):
                self._unpacker = Unpacker(compression, self._name)
            chunk, self._head = self._head, None
        self._add(self._unpacker.unpack(chunk, CHUNK) if self._unpacker else chunk)

    def _add(self, chunk: bytes) -> None:
        *complete, rest = chunk.split(b"\n")
        for part in complete:
            self._end_line(part + b"\n")
        if rest:
            self._partial.append(rest)
            self._size += len(rest)
            if self._size > self._max_line:
                self._end_line(b"")

    def _end(self) -> None:
        if self._unpacker:
            self._unpacker.finish()
        self._add(self._head or b"")
        if self._partial:
            self._end_line(b"")
        self._ended = True

    def _end_line(self, part: bytes) -> None:
        self._lines.append(b"".join([*self._partial, part]))
        self._partial, self._size = [], 0
