"""Compressed files, recognized by their first bytes and unpacked piece by piece: gzip, bzip2, xz and Zstandard."""

import bz2
import io
import lzma
import shlex
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from s2s.errors import DataError

CHUNK = 1 << 16  # bytes
MEMORY = 1 << 28  # bytes that unpacking an xz file may take; Zstandard's own limit is a window of 2^27 bytes
SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")  # the first block, and the end of an empty file


class Decompressor(Protocol):
    """What unpacks one member of a compressed file, as `bz2.BZ2Decompressor` does."""

    @property
    def eof(self) -> bool:
        """Whether the member has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether all that was handed over is unpacked."""

    @property
    def unused_data(self) -> bytes:
        """What was handed over after the end of the member."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return up to `max_length` unpacked bytes."""


class _Gzip:
    """A gzip decompressor with the methods of the other ones."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


def _zstandard() -> Decompressor:
    zstd: Any
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdDecompressor()


@dataclass(frozen=True, slots=True)
class Compression:
    """A format of compressed files."""

    name: str
    command: str  # that unpacks a file to standard output
    starts: tuple[bytes, ...]  # of which a file has one
    decompressor: Callable[[], Decompressor]


COMPRESSIONS = (
    Compression("gzip", "gzip -dc", (b"\x1f\x8b\x08",), _Gzip),
    Compression(
        "bzip2",
        "bzip2 -dc",
        tuple(b"BZh%d" % level + block for level in range(1, 10) for block in BZIP2_BLOCKS),
        bz2.BZ2Decompressor,
    ),
    Compression("xz", "xz -dc", (b"\xfd7zXZ\0",), lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, MEMORY)),
    Compression(
        "Zstandard",
        "zstd -dc",
        (b"\x28\xb5\x2f\xfd", *(bytes([number]) + b"\x2a\x4d\x18" for number in range(0x50, 0x60))),  # or skipped data
        _zstandard,
    ),
)
LONGEST_START = max(len(start) for compression in COMPRESSIONS for start in compression.starts)


def recognize(head: bytes) -> Compression | None:
    """Return the format of a file that starts with these bytes; None if it is not compressed."""
    return next((compression for compression in COMPRESSIONS if head.startswith(compression.starts)), None)


def is_undecided(head: bytes) -> bool:
    """Return whether more bytes are needed to say whether a file that starts with these is compressed."""
    return any(start.startswith(head) and start != head for known in COMPRESSIONS for start in known.starts)


def filter_hint(command: str, name: str, suffix: str) -> str:
    """Return a hint at converting an input with a command that reads standard input.

    `suffix` is that of the converted file; `name` is the input, compressed or not; it need not be a file.
    """
    if not Path(name).is_file():
        return f"convert it: … | {command} | …"
    with Path(name).open("rb") as file:
        compression = recognize(file.read(LONGEST_START))
    source = shlex.quote(name)
    converted = f"{compression.command} {source} | {command}" if compression else f"{command} < {source}"
    return f"convert it: {converted} > {shlex.quote(name + suffix)}"


def without_suffix(name: str) -> str:
    """Return the name of a file without the suffix of a compressed one."""
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


class Unpacker:
    """Unpacks a compressed file that is handed over in chunks; it may have several members, and zeros after them.

    `unpack` and `finish` raise DataError naming the file and its format if it is damaged or truncated.
    """

    def __init__(self, compression: Compression, name: str) -> None:
        self._compression = compression
        self._name = name
        self._member = compression.decompressor()
        self._rest = b""  # what follows the current member

    @property
    def needs_input(self) -> bool:
        """Whether everything handed over so far is unpacked."""
        return not self._rest and (self._member.eof or self._member.needs_input)

    def unpack(self, chunk: bytes, size: int) -> bytes:
        """Return up to `size` unpacked bytes; hand over no bytes unless `needs_input`."""
        chunk, self._rest = self._rest + chunk, b""
        if self._member.eof:
            chunk = chunk.lstrip(b"\0")
            if not chunk:
                return b""
            self._member = self._compression.decompressor()
        try:
            unpacked = self._member.decompress(chunk, size)
        except MemoryError:
            raise
        except Exception as error:  # each library has its own
            raise self._damaged(str(error)) from error
        if self._member.eof:
            self._rest = self._member.unused_data
        return unpacked

    def finish(self) -> None:
        """Check that the file may end here."""
        if not self._member.eof:
            raise self._damaged("it is truncated")

    def _damaged(self, reason: str) -> DataError:
        return DataError(
            f"{self._name}: cannot unpack the {self._compression.name} file: {reason}",
            "fetch or compress the file again",
        )


class UnpackedFile(io.RawIOBase):
    """The unpacked content of a compressed file, which is closed with it."""

    def __init__(self, file: BinaryIO, compression: Compression, name: str) -> None:
        super().__init__()
        self._file = file
        self._unpacker = Unpacker(compression, name)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Unpack into a buffer and return the number of bytes; 0 at the end. Raises DataError as `Unpacker` does."""
        while True:
            chunk = self._file.read(CHUNK) if self._unpacker.needs_input else b""
            if not chunk and self._unpacker.needs_input:
                self._unpacker.finish()
                return 0
            if unpacked := self._unpacker.unpack(chunk, len(buffer)):
                buffer[: len(unpacked)] = unpacked
                return len(unpacked)

    def close(self) -> None:
        """Close the compressed file, unless it is standard input."""
        if self._file is not getattr(sys.stdin, "buffer", None):
            self._file.close()
        super().close()
