import fcntl
import gzip
import io
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from s2s.errors import ArtefactError, DataError, ResourceError, UsageError, wrap_os_errors
from s2s.io.atomic import atomic_directory, atomic_writer, read_json, refuse_existing, write_bytes, write_json
from s2s.io.digests import digest_bytes, digest_file, digest_json
from s2s.io.inputs import open_input, read_lines
from s2s.io.locks import PAUSE_SECONDS, exclusive_lock, lock_holder
from s2s.io.paths import cache_dir, home_dir, safe_join

KILLED = """
import os, sys
from pathlib import Path
from s2s.io.atomic import atomic_writer
with atomic_writer(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), 9)
"""


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "directory" / "file"
    with atomic_writer(path) as file:
        file.write(b"all of it")
        assert not path.exists()
    assert path.read_bytes() == b"all of it"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomic_writer(path) as file:
        file.write(b"new %d" % (1 // 0))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -9
    assert path.read_bytes() == b"old"


def test_a_file_is_readable_as_the_umask_allows(tmp_path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_full_disk_is_a_resource_error_and_leaves_nothing(tmp_path, monkeypatch):
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match=r"cannot write .*file: No space left"):
        write_bytes(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_a_resource_error():
    with pytest.raises((ResourceError, UsageError), match="cannot write /proc/nowhere/file"):
        write_bytes(Path("/proc/nowhere/file"), b"")


def test_a_pipe_that_closed_is_no_error_of_the_file(tmp_path):
    with pytest.raises(BrokenPipeError), wrap_os_errors(tmp_path, "read"):
        raise BrokenPipeError


def test_json_there_and_back(tmp_path):
    value = {"text": "Käse ≥ 1", "list": [1, 2.5, None, True]}
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value
    assert "Käse" in (tmp_path / "value.json").read_text(encoding="utf-8")


def test_json_that_is_damaged(tmp_path):
    (tmp_path / "value.json").write_text('{"half":')
    with pytest.raises(ArtefactError, match=r"value\.json is damaged"):
        read_json(tmp_path / "value.json")


def test_digests(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest_bytes(b"abc") == digest_file(tmp_path / "file") == known


def test_the_digest_of_json_is_of_its_meaning():
    assert digest_json({"a": 1, "b": [2]}) == digest_json({"b": [2], "a": 1})
    assert digest_json({"a": 1}) != digest_json({"a": 2})


@pytest.mark.parametrize("part", ["..", "../beside", "/etc/passwd", "inside/../../beside"])
def test_a_path_that_leaves_its_directory_is_refused(tmp_path, part):
    with pytest.raises(ArtefactError):
        safe_join(tmp_path / "directory", part)


def test_a_link_that_leaves_its_directory_is_refused(tmp_path):
    directory = tmp_path / "directory"
    directory.mkdir()
    (directory / "out").symlink_to(tmp_path)
    with pytest.raises(ArtefactError):
        safe_join(directory, "out", "file")
    assert safe_join(directory, "in", "file") == directory / "in" / "file"


def test_inputs_are_opened_plain_and_packed(tmp_path):
    (tmp_path / "plain").write_bytes(b"one\ntwo")
    with gzip.open(tmp_path / "packed.gz", "wb") as file:
        file.write(b"one\ntwo")
    for name in ("plain", "packed.gz"):
        with open_input(str(tmp_path / name)) as file:
            assert list(read_lines(file)) == [b"one", b"two"]


@pytest.mark.parametrize("name", ["missing", "."])
def test_an_input_that_is_not_there_or_is_a_directory(tmp_path, name):
    with pytest.raises(UsageError, match="cannot read"):
        open_input(str(tmp_path / name))


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"one", [b"one"]),
        (b"one\ntwo\n", [b"one", b"two"]),
        (b"one\r\ntwo\r", [b"one", b"two"]),
        (b"a\rb\x0b\x0c\xe2\x80\xa8c\n", [b"a\rb\x0b\x0c\xe2\x80\xa8c"]),
        (b"\xef\xbb\xbfone\n\xef\xbb\xbftwo", [b"one", b"\xef\xbb\xbftwo"]),
        (b"one\n\n\n", [b"one", b"", b""]),
    ],
)
def test_lines_are_split_at_newlines_alone(content, lines):
    assert list(read_lines(io.BytesIO(content))) == lines


@pytest.mark.parametrize("damage", [lambda packed: packed[:-9], lambda packed: b"no gzip at all"])
def test_a_damaged_gzip_file_is_named(tmp_path, damage):
    path = tmp_path / "packed.gz"
    path.write_bytes(damage(gzip.compress(b"one\ntwo\n" * 100)))
    with pytest.raises(DataError, match=r"packed\.gz"), open_input(str(path)) as file:
        list(read_lines(file, str(path)))


def test_an_existing_output_is_refused_without_force(tmp_path):
    (tmp_path / "there").touch()
    with pytest.raises(UsageError) as caught:
        refuse_existing(tmp_path / "there", force=False)
    assert "--force" in str(caught.value.hint)
    refuse_existing(tmp_path / "there", force=True)
    refuse_existing(tmp_path / "not there", force=False)


def test_home_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("S2S_HOME", str(tmp_path / "mine"))
    assert home_dir() == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S2S_HOME", "relative")
    assert home_dir() == tmp_path / "relative"


def test_home_is_else_in_the_users_data_directory(monkeypatch, tmp_path):
    monkeypatch.delenv("S2S_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert home_dir() == tmp_path / "s2s"


def test_who_writes_is_told_while_it_does(tmp_path):
    lock = tmp_path / "lock"
    assert lock_holder(lock) is None
    with exclusive_lock(lock, "at work"):
        assert lock_holder(lock) == str(os.getpid())
    assert lock_holder(lock) is None


def test_a_look_at_a_lock_does_not_keep_a_writer_away(tmp_path):
    lock = tmp_path / "lock"
    lock.touch()
    with lock.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Thread(target=lambda: (time.sleep(PAUSE_SECONDS), fcntl.flock(looking, fcntl.LOCK_UN))).start()
        with exclusive_lock(lock, "at work"):
            assert lock_holder(lock) == str(os.getpid())


class TestAtomicFolder:
    def test_it_appears_when_it_is_complete(self, tmp_path):
        path = tmp_path / "new" / "directory"
        before = os.umask(0o027)
        try:
            with atomic_directory(path) as unfinished:
                (unfinished / "file").write_bytes(b"all of it")
                assert not path.exists()
        finally:
            os.umask(before)
        assert (path / "file").read_bytes() == b"all of it"
        assert list(path.parent.iterdir()) == [path]
        assert stat.S_IMODE(path.stat().st_mode) == 0o750

    def test_an_error_leaves_nothing(self, tmp_path):
        with pytest.raises(ZeroDivisionError), atomic_directory(tmp_path / "directory") as unfinished:
            (unfinished / "file").write_bytes(b"%d" % (1 // 0))
        assert list(tmp_path.iterdir()) == []

    def test_what_another_process_has_put_there_stays(self, tmp_path):
        path = tmp_path / "directory"
        with pytest.raises(ResourceError, match="cannot write"), atomic_directory(path):
            write_bytes(path / "file", b"another's")
        assert (path / "file").read_bytes() == b"another's"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_place_that_cannot_be_written(self):
        with pytest.raises((UsageError, ResourceError), match="/proc/here"), atomic_directory(Path("/proc/here/x")):
            pass


def test_the_cache_is_the_users_unless_one_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("S2S_CACHE", str(tmp_path / "named"))
    assert cache_dir() == tmp_path / "named"
    monkeypatch.delenv("S2S_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "s2s"
