import bz2
import gzip
import io
import lzma
import os
import shutil
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd

from s2s.errors import DataError
from s2s.io import compression
from s2s.io.compression import without_suffix
from s2s.io.inputs import open_input, read_lines, unpacked
from s2s.text.lines import read_ahead

Pack = Callable[[bytes], bytes]
PACK: dict[str, Pack] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "Zstandard": lambda text: zstd.compress(text, options={zstd.CompressionParameter.checksum_flag: 1}),
}
COMMANDS = [["gzip"], ["bzip2"], ["xz"], ["xz", "--block-size=4096"], ["zstd"], ["zstd", "--long=27", "-19"]]
TEXT = b"".join(b"line %d\n" % number for number in range(9999)) + b"the last"
pytestmark = pytest.mark.timeout(60)
each_format = pytest.mark.parametrize(("name", "pack"), PACK.items(), ids=PACK)


def read_file(path: Path) -> list[bytes]:
    with open_input(str(path)) as file:
        return list(read_lines(file, str(path)))


def read_pipe(content: bytes, at_once: int = 1 << 20) -> list[bytes]:
    """Read what comes through a pipe in pieces."""
    reading, writing = os.pipe()

    def feed() -> None:
        with open(writing, "wb", buffering=0) as end:  # noqa: PTH123
            for start in range(0, len(content), at_once):
                end.write(content[start : start + at_once])
                time.sleep(0.002 if at_once == 1 else 0)

    writer = threading.Thread(target=feed, daemon=True)
    writer.start()
    with unpacked(open(reading, "rb"), "x") as file:  # noqa: PTH123
        return [line for group in read_ahead(file, 1000, "x") for line in group]


@each_format
@pytest.mark.parametrize("text", [TEXT, b"", b"\n", b"one", b"one\n"], ids=["lines", "empty", "blank", "part", "one"])
def test_any_format_is_recognized_whatever_the_file_is_called(tmp_path: Path, name: str, pack: Pack, text: bytes):
    path = tmp_path / "text.txt"
    path.write_bytes(pack(text))
    assert read_file(path) == read_pipe(pack(text)) == list(read_lines(io.BytesIO(text)))


@each_format
def test_a_pipe_may_deliver_byte_by_byte(name: str, pack: Pack):
    assert read_pipe(pack(b"a\nb"), at_once=1) == [b"a", b"b"]


@pytest.mark.parametrize("text", [b"BZ\nBZh9\n", b"(\n", b"\x1f", b"P*", b"BZh91AY&S", b"\xfd7"])
def test_text_that_starts_as_a_compressed_file_does_is_text(tmp_path: Path, text: bytes):
    (tmp_path / "a.gz").write_bytes(text)
    assert read_file(tmp_path / "a.gz") == read_pipe(text, at_once=1) == text.splitlines()


@each_format
def test_members_follow_each_other_with_zeros_after_them(tmp_path: Path, name: str, pack: Pack):
    content = pack(TEXT) + pack(b"") + pack(b" of all\n") + bytes(8) + pack(b"more") + bytes(4096)
    expected = [*TEXT.splitlines()[:-1], b"the last of all", b"more"]
    (tmp_path / "x").write_bytes(content)
    assert read_file(tmp_path / "x") == read_pipe(content, at_once=999) == expected


def test_zstandard_may_start_with_skipped_data(tmp_path: Path):
    (tmp_path / "x").write_bytes(b"\x5a\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc" + zstd.compress(b"one\ntwo"))
    assert read_file(tmp_path / "x") == [b"one", b"two"]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_the_usual_commands_write_is_read(tmp_path: Path, command: list[str]):
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    packed = subprocess.run([*command, "-c"], input=TEXT, stdout=subprocess.PIPE, check=True).stdout
    (tmp_path / "x").write_bytes(packed)
    assert read_file(tmp_path / "x") == TEXT.splitlines()


@each_format
@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[:-9],
        lambda packed: packed[:20],
        lambda packed: packed[:60] + b"\xff" * 9 + packed[69:],
        lambda packed: packed + b"something else",
    ],
    ids=["truncated", "cut early", "overwritten", "followed by something else"],
)
def test_damaged_files_are_refused_by_name_and_format(tmp_path: Path, name: str, pack: Pack, damage: Pack):
    path = tmp_path / "broken.de"
    path.write_bytes(damage(pack(TEXT)))
    with pytest.raises(DataError, match=rf"broken\.de: cannot unpack the {name} file"):
        read_file(path)
    with pytest.raises(DataError, match=f"x: cannot unpack the {name} file"):
        read_pipe(damage(pack(TEXT)))


@each_format
def test_an_archive_of_endless_zeros_ends_with_a_clear_error_in_little_memory(tmp_path: Path, name: str, pack: Pack):
    packed = pack(bytes(1 << 26))
    (tmp_path / "bomb").write_bytes(packed * 40)
    code = (
        "import resource, sys\n"
        "from s2s.errors import DataError\n"
        "from s2s.io.inputs import open_input, read_lines\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    print(len(list(read_lines(open_input(sys.argv[1]), 'bomb'))))\n"
        "except DataError as error:\n"
        "    print(error.message)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10, 'MiB')\n"
    )
    for arguments, given in ((["bomb"], None), (["-"], packed)):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=tmp_path, input=given, capture_output=True, check=True
        )
        message, memory = done.stdout.decode().splitlines()
        assert message == "bomb: the line that starts at byte 1 is longer than 16 MiB"
        assert int(memory.split()[0]) < 80


def test_memory_that_an_xz_file_demands_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compression, "MEMORY", 1 << 20)
    (tmp_path / "x").write_bytes(lzma.compress(TEXT, preset=6))
    with pytest.raises(DataError, match="x: cannot unpack the xz file: Memory usage limit"):
        read_file(tmp_path / "x")


def test_a_compressed_pipe_that_pauses_gives_what_it_has():
    reading, writing = os.pipe()
    packer = zstd.ZstdCompressor()
    with unpacked(open(reading, "rb"), "x") as file, open(writing, "wb", buffering=0) as end:  # noqa: PTH123
        groups = read_ahead(file, 5, "x")
        end.write(packer.compress(b"a\nb\nc", zstd.ZstdCompressor.FLUSH_BLOCK))
        assert [next(groups), next(groups)] == [[b"a", b"b"], []]
        end.write(packer.compress(b"d\n", zstd.ZstdCompressor.FLUSH_FRAME))
        end.close()
        assert list(groups) == [[b"cd"], []]


def test_a_long_line_of_a_gzip_pipe_that_pauses_comes_at_once():
    reading, writing = os.pipe()
    packer = zlib.compressobj(wbits=31)
    line = b"a" * (5 * compression.CHUNK)
    with unpacked(open(reading, "rb"), "x") as file, open(writing, "wb", buffering=0) as end:  # noqa: PTH123
        end.write(packer.compress(line + b"\nb") + packer.flush(zlib.Z_SYNC_FLUSH))
        groups = read_ahead(file, 5, "x")
        assert [next(groups), next(groups)] == [[line], []]


def test_standard_input_that_is_a_file_is_read_from_where_it_is(tmp_path: Path):
    (tmp_path / "x").write_bytes(b"the first line\n" + bz2.compress(TEXT))
    code = (
        "import os\n"
        "from s2s.io.inputs import open_input, read_lines\n"
        "os.lseek(0, 15, 0)\n"
        "print(len(list(read_lines(open_input('-'), '-'))))\n"
    )
    with (tmp_path / "x").open("rb") as file:
        assert subprocess.check_output([sys.executable, "-c", code], stdin=file) == b"10000\n"


def test_names_lose_one_suffix():
    assert [without_suffix(name) for name in ("a.de.gz", "a.xz", "a.zst", "a.bz2.gz", "a.de", "xz")] == [
        "a.de",
        "a",
        "a",
        "a.bz2",
        "a.de",
        "xz",
    ]
