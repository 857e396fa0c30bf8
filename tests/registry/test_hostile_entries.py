"""What others put into a shared registry: links, special files, files of other users, absurd numbers."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from publishing import directory_state, publish

from s2s.errors import ArtefactError, ResourceError, S2SError, UsageError
from s2s.registry import store
from s2s.registry.store import Registry

LONG_AGO = 1_000_000_000
FILES = {"weights.safetensors": b"weights", "recipe.json": b"{}"}


def age(directory: Path) -> None:
    for path in directory.rglob("*"):
        os.utime(path, (LONG_AGO, LONG_AGO), follow_symlinks=False)


@pytest.fixture
def precious(tmp_path: Path) -> Iterator[Path]:
    """A directory of somebody else with old files of all suspicious names, which must not change."""
    directory = tmp_path / "precious"
    (directory / "aliases").mkdir(parents=True)
    for name in ("thesis.tex", "ab" * 32, ".left.tmp", "best", "1.json", "aliases/.left.tmp"):
        (directory / name).write_text("keep")
    age(directory)
    before = directory_state(directory)
    yield directory
    assert directory_state(directory) == before


@contextlib.contextmanager
def other_user() -> Iterator[None]:
    """Run the block as another user, who owns nothing."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("place", ["zz", "ab", "cd/" + "cd" * 32])
def test_gc_deletes_nothing_through_links(registry, card, precious, place):
    publish(registry, "numbers", FILES, card)
    link = registry.root / "blobs" / "sha256" / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(precious / "thesis.tex" if "/" in place else precious)
    registry.remove("numbers")
    age(registry.root)
    registry.gc()
    assert link.is_symlink()


def test_gc_deletes_only_what_is_named_as_a_blob(registry, card):
    publish(registry, "numbers", FILES, card)
    kept = [registry.root / "blobs" / "sha256" / name for name in ("README", "ab/notes", f"ab/{'cd' * 32}")]
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.write_text("notes")
    age(registry.root)
    assert registry.gc() == 0
    assert all(path.exists() for path in kept)


@pytest.mark.parametrize("place", ["models/linked", "models/numbers/aliases", "models/numbers/.left.tmp"])
def test_gc_deletes_no_unfinished_files_through_links(registry, card, precious, place):
    publish(registry, "numbers", FILES, card)
    (registry.root / place).symlink_to(precious / ".left.tmp" if place.endswith("tmp") else precious)
    age(registry.root)
    with contextlib.suppress(ArtefactError):
        registry.gc()
    assert (precious / ".left.tmp").exists()


def test_gc_stops_at_a_linked_model(registry, card, tmp_path):
    publish(registry, "numbers", FILES, card)
    (registry.root / "models" / "numbers").rename(tmp_path / "elsewhere")
    (registry.root / "models" / "numbers").symlink_to(tmp_path / "elsewhere")
    age(registry.root)
    with pytest.raises(ArtefactError, match="is a symbolic link: what its versions use is not known"):
        registry.gc()


def test_aliases_are_not_written_through_links(registry, card, precious):
    publish(registry, "numbers", FILES, card)
    (registry.root / "models" / "numbers" / "aliases").symlink_to(precious)
    with pytest.raises(ArtefactError, match="is a symbolic link"):
        registry.set_alias("numbers", "best")
    assert registry.resolve("numbers").number == 1


def test_files_are_not_published_through_links(registry, card, precious):
    registry.root.mkdir(parents=True)
    for shard in range(256):
        link = registry.root / "blobs" / "sha256" / f"{shard:02x}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(precious)
    with pytest.raises(S2SError, match="is a symbolic link"):
        publish(registry, "numbers", FILES, card)


@pytest.fixture
def strange(registry, card, tmp_path) -> Registry:
    """A registry with two good models, and all that people leave in a shared directory."""
    publish(registry, "fine", FILES, card)
    publish(registry, "numbers", FILES, card)
    publish(registry, "damaged", FILES, card)
    registry.set_alias("numbers", "best")
    models = registry.root / "models"
    (models / "readme.md").write_text("our models")
    (models / "loop").symlink_to(models)
    (models / "dangling").symlink_to(tmp_path / "nowhere")
    (models / "damaged" / "1.json").write_text("[" * 100_000)
    (models / "numbers" / "aliases" / "readme.md").write_text("aliases")
    os.mkfifo(models / "numbers" / "aliases" / "pipe")
    (models / "numbers" / "aliases" / "link").symlink_to(tmp_path / "nowhere")
    (models / "numbers" / "2.json").mkdir()
    os.mkfifo(models / "numbers" / "3.json")
    return registry


def test_strange_entries_hide_no_model(strange, card):
    assert strange.names() == ["damaged", "fine", "numbers"]
    assert strange.resolve("numbers").number == 1
    assert strange.resolve("numbers@best").number == 1
    assert strange.aliases("numbers") == {"best": 1}
    for alias in ("pipe", "link", "readme.md"):
        with pytest.raises(ArtefactError, match=f"{alias} is "):
            strange.resolve(f"numbers@{alias}")
    assert publish(strange, "numbers", FILES, card).number == 4
    assert publish(strange, "damaged", FILES, card).number == 2
    strange.remove("damaged:1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_private_files_hide_no_model(card):
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        registry = Registry(Path(directory) / "registry")
        publish(registry, "fine", FILES, card)
        publish(registry, "private", FILES, card)
        publish(registry, "hidden", FILES, card)
        registry.remove("private")
        for path in registry.root.rglob("*"):
            path.chmod(0o777 if path.is_dir() else 0o644)
        (registry.root / "models" / "private" / "1.json").chmod(0o600)
        (registry.root / "models" / "hidden").chmod(0o700)
        with other_user():
            assert registry.names() == ["fine", "hidden", "private"]
            assert registry.resolve("fine").number == 1
            with pytest.raises(ResourceError, match="cannot read"):
                registry.resolve("private")
            assert publish(registry, "private", FILES, card).number == 2
            with pytest.raises(ResourceError):
                registry.gc()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_files_of_other_users_do_not_stop_gc(card, said):
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        registry = Registry(Path(directory) / "registry")
        publish(registry, "numbers", FILES, card)
        for path in registry.root.rglob("*"):
            path.chmod(0o777 if path.is_dir() else 0o644)
        shard = registry.blobs.path(registry.resolve("numbers").file("recipe.json")).parent
        shard.chmod(0o755)
        age(registry.root)
        with other_user():
            registry.remove("numbers")
            assert registry.gc() == len(b"weights")
        assert "warning: 1 unused file of other users cannot be deleted: permission denied" in said


def test_a_removal_in_between_is_reported_as_one(registry, card, monkeypatch):
    publish(registry, "numbers", FILES, card)
    read = store.read_json

    def removed_before(path, *where):
        monkeypatch.setattr(store, "read_json", read)
        registry.remove("numbers")
        return read(path, *where)

    monkeypatch.setattr(Registry, "numbers", lambda *_: [1])
    monkeypatch.setattr(store, "read_json", removed_before)
    with pytest.raises(UsageError, match="numbers:1 was removed on 20"):
        registry.resolve("numbers")


@pytest.mark.parametrize("planted", ["999999999", "12345678901234567"])
def test_versions_after_absurd_numbers_are_reachable(registry, card, planted):
    publish(registry, "numbers", FILES, card)
    (registry.root / "models" / "numbers" / f"{planted}.json").write_text("{}")
    version = publish(registry, "numbers", FILES, card)
    assert version.number == int(planted) + 1
    assert registry.resolve("numbers").number == version.number
    assert registry.resolve(version.reference).number == version.number


def test_no_number_is_left(registry, card):
    publish(registry, "numbers", FILES, card)
    (registry.root / "models" / "numbers" / f"{10**18 - 1}.json").write_text("{}")
    with pytest.raises(ArtefactError, match="no version number is left"):
        publish(registry, "numbers", FILES, card)
