import os
import time
import tracemalloc
from pathlib import Path

import pytest

from s2s.errors import ArtefactError, ResourceError
from s2s.io.digests import digest_bytes, digest_file
from s2s.registry.blobs import Blobs, StoredFile, discard, discard_all, discardable

LONG_AGO = 1_000_000_000


@pytest.fixture
def blobs(tmp_path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def store(blobs: Blobs, content: bytes) -> StoredFile:
    source = blobs.root.with_name("source")
    source.write_bytes(content)
    return blobs.store(source)


def age(path: Path) -> None:
    os.utime(path, (LONG_AGO, LONG_AGO))


def everything(blobs: Blobs) -> list[str]:
    return sorted(path.relative_to(blobs.root).as_posix() for path in blobs.root.rglob("*") if path.is_file())


def test_a_content_lies_under_its_digest_once(blobs):
    first, again, other = store(blobs, b"abc"), store(blobs, b"abc"), store(blobs, b"")
    assert first == again == StoredFile(digest=digest_bytes(b"abc"), size=3)
    assert blobs.verified(first, "x").read_bytes() == b"abc"
    assert blobs.verified(other, "x").read_bytes() == b""
    digests = sorted([first.digest, other.digest])
    assert everything(blobs) == [f"sha256/{digest[:2]}/{digest}" for digest in digests]


def test_storing_what_is_there_makes_it_young(blobs):
    path = blobs.path(store(blobs, b"abc"))
    age(path)
    inode = path.stat().st_ino
    store(blobs, b"abc")
    assert path.stat().st_mtime > LONG_AGO
    assert path.stat().st_ino == inode


def test_what_may_not_be_touched_is_written_anew(blobs, monkeypatch):
    path = blobs.path(store(blobs, b"abc"))
    age(path)

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "utime", refused)
    store(blobs, b"abc")
    assert path.stat().st_mtime > LONG_AGO


def test_what_is_swept_while_it_is_read_is_written_anew(blobs, monkeypatch):
    path = blobs.path(store(blobs, b"abc"))

    def swept(found: Path) -> str:
        if found == path:
            path.unlink()
        return digest_file(found)

    monkeypatch.setattr("s2s.registry.blobs.digest_file", swept)
    assert path == blobs.path(store(blobs, b"abc"))
    assert path.read_bytes() == b"abc"


def test_storing_mends_a_damaged_blob(blobs):
    file = store(blobs, b"abc")
    blobs.path(file).write_bytes(b"abd")
    store(blobs, b"abc")
    assert blobs.verified(file, "x").read_bytes() == b"abc"


@pytest.mark.parametrize("content", [b"abd", b"ab", b"abcd", b""])
def test_a_damaged_blob_is_refused_by_name(blobs, content):
    file = store(blobs, b"abc")
    blobs.path(file).write_bytes(content)
    with pytest.raises(ArtefactError, match=r"the weights is damaged"):
        blobs.verified(file, "the weights")


def test_a_missing_blob_is_refused_by_name(blobs):
    with pytest.raises(ArtefactError, match=r"the weights is missing"):
        blobs.verified(StoredFile(digest=digest_bytes(b"never stored"), size=12), "the weights")


def test_a_link_out_of_the_directory_is_refused(blobs, tmp_path):
    file = store(blobs, b"abc")
    secret = tmp_path / "secret"
    secret.write_bytes(b"abc")
    blobs.path(file).unlink()
    (blobs.root / "sha256" / file.digest[:2] / file.digest).symlink_to(secret)
    with pytest.raises(ArtefactError, match="is a symbolic link"):
        blobs.verified(file, "x")


def test_restore_writes_only_what_is_missing(blobs):
    file, source = store(blobs, b"abc"), blobs.root.with_name("source")
    path = blobs.path(file)
    age(path)
    blobs.restore(source, file)
    assert path.stat().st_mtime == LONG_AGO
    path.unlink()
    blobs.restore(source, file)
    assert path.read_bytes() == b"abc"


def test_large_files_are_never_held_in_memory(blobs):
    source, size = blobs.root.with_name("source"), 64 * 2**20
    with source.open("wb") as file:
        file.truncate(size)
    tracemalloc.start()
    try:
        stored = blobs.store(source)
        assert blobs.verified(stored, "x").stat().st_size == stored.size == size
        assert tracemalloc.get_traced_memory()[1] < size / 8
    finally:
        tracemalloc.stop()


def test_file_changed_while_published_is_refused(blobs, monkeypatch):
    source = blobs.root.with_name("source")
    source.write_bytes(b"abc")
    monkeypatch.setattr(StoredFile, "of", lambda path: StoredFile(digest=digest_bytes(b"before"), size=6))
    with pytest.raises(ResourceError, match="changed while it was published"):
        blobs.store(source)
    assert everything(blobs) == []


def test_what_is_old_and_unused_is_deleted(blobs):
    used, unused, young = store(blobs, b"used"), store(blobs, b"unused"), store(blobs, b"young!!!")
    age(blobs.path(used))
    age(blobs.path(unused))
    unfinished = blobs.path(used).with_name(".unfinished.tmp")
    unfinished.write_bytes(b"12")
    age(unfinished)
    found = list(blobs.unused({used.digest}))
    assert discardable(found, LONG_AGO + 1) == len(b"unused") + len(b"12")
    assert len(everything(blobs)) == 4
    assert discard_all(found, LONG_AGO + 1) == len(b"unused") + len(b"12")
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
