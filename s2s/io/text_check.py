"""Refuse files that are read as lines of UTF-8 text and are something else, with the command that converts them."""

import shlex
from pathlib import Path

from s2s.errors import DataError
from s2s.io.compression import filter_hint, recognize
from s2s.io.encodings import conversion_hint, wide_encoding

HEAD = 4096  # bytes that are looked at
UNPACK = "save it to a file and unpack that"


def check_text(head: bytes, name: str) -> None:
    """Check the first bytes of an input, up to HEAD. `name`: the file's path, or what messages call another input.

    Raises: DataError if they are those of an archive, a Parquet file or of UTF-16 or UTF-32 text.
    """
    file = shlex.quote(name) if Path(name).is_file() else ""
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        hint = f"unpack it: unzip -p {file} > {shlex.quote(f'{name}.txt')}" if file else UNPACK
        raise DataError(f"{name} is a zip archive, not text", f"{hint}; save a .docx or .xlsx document as text")
    if head.startswith(b"PAR1\x15"):  # the first field of any Parquet file
        raise DataError(f"{name} is a Parquet file, not text", 's2s data prepare reads it with data.kind = "parquet"')
    if head[257:262] == b"ustar":
        raise DataError(f"{name} is a tar archive, not text", f"unpack it: tar -xf {file}" if file else UNPACK)
    if recognize(head):
        raise DataError(f"{name} is compressed twice", "unpack it once")
    if encoding := wide_encoding(head):
        raise DataError(f"{name} is {encoding} text, not UTF-8", conversion_hint(encoding, name))


def check_line_ends(line: bytes, name: str) -> None:
    """Check the first line of an input. `name`: see `check_text`.

    Raises: DataError if it does not end in a line feed and has several carriage returns, as text of old Macs.
    """
    if not line.endswith(b"\n") and line.removesuffix(b"\r").count(b"\r") > 1:
        raise DataError(
            f"{name}: its lines end in carriage returns, as those of old Macs",
            filter_hint(r"tr '\r' '\n'", name, ".txt"),
        )
