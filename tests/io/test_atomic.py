import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from s2s.errors import ResourceError, UsageError, wrap_os_errors
from s2s.io.atomic import atomic_directory, atomic_writer, refuse_existing, write_bytes, write_json, write_output

KILLED = """
import os, sys
from pathlib import Path
from s2s.io.atomic import atomic_writer
with atomic_writer(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), 9)
"""


def test_file_appears_when_complete(tmp_path):
    path = tmp_path / "new" / "directory" / "file"
    with atomic_writer(path) as file:
        file.write(b"all of it")
        assert not path.exists()
    assert path.read_bytes() == b"all of it"
    assert list(path.parent.iterdir()) == [path]


def test_error_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomic_writer(path) as file:
        file.write(b"new %d" % (1 // 0))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_killed_writer_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -9
    assert path.read_bytes() == b"old"


def test_file_mode_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_the_umask_is_never_changed(tmp_path, monkeypatch):
    changed = []
    monkeypatch.setattr(os, "umask", changed.append)  # it is the whole process's: other threads create files meanwhile
    write_bytes(tmp_path / "file", b"")
    with atomic_directory(tmp_path / "directory"):
        pass
    assert changed == []


def test_a_private_output_stays_private(tmp_path):
    path = tmp_path / "file"
    path.touch(0o600)
    write_output(path, b"new")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o600)


def test_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match=r"cannot write .*file: No space left"):
        write_bytes(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []


def test_an_error_at_another_file_is_not_blamed_on_the_output(tmp_path):
    for writer in (atomic_writer, atomic_directory):
        with pytest.raises(FileNotFoundError, match="elsewhere"), writer(tmp_path / "output"):
            (tmp_path / "elsewhere").read_bytes()
    with (
        pytest.raises(UsageError, match=r"cannot write .*directory: "),
        atomic_directory(tmp_path / "directory") as new,
    ):
        (new / "missing" / "file").write_bytes(b"")
    assert list(tmp_path.iterdir()) == []


def test_unwritable_directory():
    with pytest.raises((ResourceError, UsageError), match="cannot write /proc/nowhere/file"):
        write_bytes(Path("/proc/nowhere/file"), b"")


def test_closed_pipe_is_not_wrapped(tmp_path):
    with pytest.raises(BrokenPipeError), wrap_os_errors(tmp_path, "read"):
        raise BrokenPipeError


def test_json_round_trip(tmp_path):
    value = {"text": "Käse ≥ 1", "list": [1, 2.5, None, True]}
    write_json(tmp_path / "value.json", value)
    assert json.loads((tmp_path / "value.json").read_text()) == value
    assert "Käse" in (tmp_path / "value.json").read_text(encoding="utf-8")


def test_existing_output_needs_force(tmp_path):
    (tmp_path / "there").touch()
    with pytest.raises(UsageError) as caught:
        refuse_existing(tmp_path / "there", force=False)
    assert "--force" in str(caught.value.hint)
    refuse_existing(tmp_path / "there", force=True)
    refuse_existing(tmp_path / "not there", force=False)


class TestAtomicDirectory:
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
