import os
import time
from pathlib import Path

import pytest

from s2s.errors import ArtefactError
from s2s.io.digests import digest_bytes
from s2s.registry.blobs import Blobs, StoredFile, discard

LONG_AGO = 1_000_000_000


@pytest.fixture
def blobs(tmp_path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def age(path: Path) -> None:
    os.utime(path, (LONG_AGO, LONG_AGO))


def everything(blobs: Blobs) -> list[str]:
    return sorted(path.relative_to(blobs.root).as_posix() for path in blobs.root.rglob("*") if path.is_file())


def test_a_content_lies_under_its_digest_once(blobs):
    first, again, other = blobs.store(b"abc"), blobs.store(b"abc"), blobs.store(b"")
    assert first == again == StoredFile(digest=digest_bytes(b"abc"), size=3)
    assert blobs.read(first, "x") == b"abc"
    assert blobs.read(other, "x") == b""
    digests = sorted([first.digest, other.digest])
    assert everything(blobs) == [f"sha256/{digest[:2]}/{digest}" for digest in digests]


def test_storing_what_is_there_makes_it_young(blobs):
    path = blobs.path(blobs.store(b"abc"))
    age(path)
    inode = path.stat().st_ino
    blobs.store(b"abc")
    assert path.stat().st_mtime > LONG_AGO
    assert path.stat().st_ino == inode


def test_what_may_not_be_touched_is_written_anew(blobs, monkeypatch):
    path = blobs.path(blobs.store(b"abc"))
    age(path)

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "utime", refused)
    blobs.store(b"abc")
    assert path.stat().st_mtime > LONG_AGO


def test_storing_mends_a_damaged_blob(blobs):
    file = blobs.store(b"abc")
    blobs.path(file).write_bytes(b"abd")
    blobs.store(b"abc")
    assert blobs.read(file, "x") == b"abc"


@pytest.mark.parametrize("content", [b"abd", b"ab", b"abcd", b""])
def test_a_damaged_blob_is_refused_by_name(blobs, content):
    file = blobs.store(b"abc")
    blobs.path(file).write_bytes(content)
    with pytest.raises(ArtefactError, match=r"the weights is damaged"):
        blobs.read(file, "the weights")


def test_a_missing_blob_is_refused_by_name(blobs):
    with pytest.raises(ArtefactError, match=r"the weights is missing"):
        blobs.read(StoredFile.of(b"never stored"), "the weights")


def test_a_link_out_of_the_directory_is_refused(blobs, tmp_path):
    file = blobs.store(b"abc")
    secret = tmp_path / "secret"
    secret.write_bytes(b"abc")
    blobs.path(file).unlink()
    (blobs.root / "sha256" / file.digest[:2] / file.digest).symlink_to(secret)
    with pytest.raises(ArtefactError, match="leaves the directory"):
        blobs.read(file, "x")


def test_restore_writes_only_what_is_missing(blobs):
    path = blobs.path(blobs.store(b"abc"))
    age(path)
    blobs.restore(b"abc")
    assert path.stat().st_mtime == LONG_AGO
    path.unlink()
    blobs.restore(b"abc")
    assert path.read_bytes() == b"abc"


def test_a_sweep_deletes_what_is_old_and_unused(blobs):
    used, unused, young = blobs.store(b"used"), blobs.store(b"unused"), blobs.store(b"young!!!")
    age(blobs.path(used))
    age(blobs.path(unused))
    unfinished = blobs.path(used).with_name(".unfinished.tmp")
    unfinished.write_bytes(b"12")
    age(unfinished)
    assert blobs.sweep({used.digest}, LONG_AGO + 1) == len(b"unused") + len(b"12")
    assert {Path(name).name for name in everything(blobs)} == {used.digest, young.digest}


def test_discarding_keeps_what_is_touched_meanwhile(tmp_path, monkeypatch):
    path = tmp_path / "blob"
    path.write_bytes(b"abc")
    age(path)
    rename = Path.rename

    def touched_before(self: Path, target: Path) -> Path:
        if self == path:
            os.utime(self)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", touched_before)
    assert discard(path, time.time() - 60) == 0
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [("blob", b"abc")]


def test_discarding_what_another_process_deleted_frees_nothing(tmp_path):
    assert discard(tmp_path / "gone", time.time()) == 0
