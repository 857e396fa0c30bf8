"""Remotes: versions travel through a directory or any storage of fsspec; what was interrupted goes on."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from publishing import publish

from s2s.errors import ArtefactError, ResourceError, UsageError
from s2s.registry import receiving
from s2s.registry import remote as remotes
from s2s.registry.remote import Remote, pull
from s2s.registry.store import Registry
from s2s.registry.version import Version


@pytest.fixture(params=["memory", "directory"])
def address(request, tmp_path, memory) -> str:
    return "memory://team/models" if request.param == "memory" else f"file://{tmp_path}/team"


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    found = MemoryFileSystem()
    found.store.clear()
    found.pseudo_dirs[:] = [""]
    yield found
    found.store.clear()
    found.pseudo_dirs[:] = [""]


@pytest.fixture
def version(registry, transformer, card) -> Version:
    """`numbers:2`, the only one that has files."""
    publish(registry, "numbers", {}, card)
    return publish(registry, "numbers", transformer, card)


@pytest.fixture
def other(tmp_path) -> Registry:
    return Registry(tmp_path / "other")


def another(registry: Registry, transformer: dict[str, bytes], card: Any) -> Version:
    """Publish other content under the same name."""
    return publish(registry, "numbers", transformer, card.model_copy(update={"description": "another"}))


def contents(address: str) -> dict[str, bytes]:
    """Return all that is stored at an address, by path."""
    remote = Remote.open(address)
    paths = remote.files.find(remote.root)
    return {path.removeprefix(f"{remote.root}/"): remote.files.cat_file(path) for path in paths}


def edit(address: str, path: str, content: bytes) -> None:
    remote = Remote.open(address)
    remote.files.makedirs(f"{remote.root}/{path}".rpartition("/")[0], exist_ok=True)
    remote.files.pipe_file(f"{remote.root}/{path}", content)


def weights_path(version: Version) -> str:
    digest = version.file("weights.safetensors").digest
    return f"blobs/sha256/{digest[:2]}/{digest}"


def test_what_is_pushed_is_pulled(address, version, other, transformer, card):
    assert Remote.open(address).push(version) == (2, True)
    found = contents(address)
    assert {path for path in found if path.startswith("models/")} == {"models/numbers/2.json"}
    assert {content for path, content in found.items() if path.startswith("blobs/")} == set(transformer.values())
    pulled, new = pull(other, f"{address}/numbers")
    assert (pulled.reference, new) == ("numbers:1", True)
    assert pulled.card == card
    assert {name: pulled.read(name) for name in pulled.files} == transformer
    assert Remote.open(address).push(pulled) == (2, False)
    assert contents(address) == found
    assert pull(other, f"{address}/numbers:2") == (pulled, False)
    assert pull(other, f"{address}/numbers:2", "theirs")[0].reference == "theirs:1"


def test_a_directory_is_a_registry(version, tmp_path):
    Remote.open(str(tmp_path / "team")).push(version)
    shared = Registry(tmp_path / "team")
    assert shared.resolve("numbers").reference == "numbers:2"
    shared.resolve("numbers").path("weights.safetensors")
    assert list(shared.root.rglob("*.tmp")) == []


def test_numbers_are_kept_or_follow_the_highest(address, version, other, transformer, card):
    remote = Remote.open(address)
    remote.push(version)
    before = contents(address)
    publish(other, "numbers", {}, card)
    assert remote.push(another(other, transformer, card)) == (3, True)
    assert contents(address).items() >= before.items()
    one = publish(other, "numbers", transformer, card.model_copy(update={"description": "third"}))
    edit(address, "models/numbers/7.json", json.dumps({"schema": 2, "removed": "2026-01-01"}).encode())
    assert remote.push(one) == (8, True)
    assert remote.push(version) == (2, False)


def test_two_that_push_at_once(address, version, other, transformer, card, monkeypatch):
    remote = Remote.open(address)
    remote.push(version)
    before = contents(address)
    publish(other, "numbers", {}, card)
    mine = another(other, transformer, card)
    seen = iter([[], []])  # the other one is not listed yet
    monkeypatch.setattr(Remote, "numbers", lambda *_: next(seen))
    number, new = remote.push(mine)
    assert new
    assert number != 2
    assert contents(address).items() >= before.items()


def test_files_that_are_there_are_not_sent_again(memory, version, monkeypatch):
    edit("memory://team", weights_path(version), version.read("weights.safetensors"))
    sent: list[str] = []
    real = MemoryFileSystem.put_file
    monkeypatch.setattr(
        MemoryFileSystem, "put_file", lambda self, *to, **how: (sent.append(to[1]), real(self, *to, **how))
    )
    Remote.open("memory://team").push(version)
    assert len(sent) == 3
    assert not any(path.endswith(weights_path(version)) for path in sent)
    assert sent[-1] == "/team/models/numbers/2.json"


def test_half_a_file_is_sent_again(address, version, other):
    edit(address, weights_path(version), b"half")
    Remote.open(address).push(version)
    assert pull(other, f"{address}/numbers")[1]


def test_interrupted_pushes(memory, version, other, monkeypatch):
    """Fail at the first, second … file that is sent, half of which arrives."""
    real, address = MemoryFileSystem.put_file, "memory://team/models"
    for turn in range(5):
        memory.store.clear()
        left = turn

        def put_file(self: Any, source: str, path: str, **how: Any) -> None:
            nonlocal left
            left -= 1
            if left == -1:
                if not path.endswith(".json"):
                    self.pipe_file(path, Path(source).read_bytes()[:100])
                raise ConnectionError("the line is dead")
            real(self, source, path, **how)

        monkeypatch.setattr(MemoryFileSystem, "put_file", put_file)
        if turn < 4:
            with pytest.raises(ResourceError, match="the line is dead"):
                Remote.open(address).push(version)
            assert not any(path.endswith(".json") for path in memory.store)
            with pytest.raises(UsageError, match="has no model numbers"):
                pull(other, f"{address}/numbers")
        assert Remote.open(address).push(version) == (2, True)
    assert pull(other, f"{address}/numbers")[1]


def test_interrupted_pulls_go_on(address, version, other, monkeypatch, own_home, said):
    Remote.open(address).push(version)
    total = sum(file.size for file in version.files.values())
    transferred, limit = 0, 1000

    def chunks(file: Any, size: int) -> Iterator[bytes]:
        nonlocal transferred
        while size:
            if transferred >= limit:
                raise OSError("the line is dead")
            chunk = file.read(min(size, 700))
            size -= len(chunk)
            transferred += len(chunk)
            yield chunk

    monkeypatch.setattr(remotes, "chunks", chunks)
    while limit < total:
        with pytest.raises(ResourceError, match="the line is dead") as caught:
            pull(other, f"{address}/numbers")
        assert "goes on where it stopped" in str(caught.value.hint)
        assert not other.root.exists()
        limit += 20_000
    monkeypatch.setattr(receiving, "PROGRESS_SECONDS", 0)
    pulled, new = pull(other, f"{address}/numbers")
    assert (new, transferred) == (True, total)
    assert "weights.safetensors: 24.7 kB of 24.7 kB" in said
    pulled.path("weights.safetensors")
    assert not list((own_home / "cache").rglob("sha256"))


HOSTILE = {
    "changed": lambda path, content: content[:-1] + b"\1" if path.startswith("blobs/") else content,
    "longer": lambda path, content: content + b"\0" if path.startswith("blobs/") else content,
    "shorter": lambda path, content: content[:-1] if path.startswith("blobs/") else content,
    "no-record": lambda path, content: content if path.startswith("blobs/") else b"{",
    "newer": lambda path, content: content.replace(b'"schema": 2', b'"schema": 99'),
    "link": lambda path, content: content.replace(b'"recipe.json"', b'"../recipe.json"'),
    "digest": lambda path, content: content.replace(b'"digest": "', b'"digest": "../../'),
    "huge": lambda path, content: content.replace(b'"size": ', b'"size": 1000000000000000'),
    "huge-record": lambda path, content: content if path.startswith("blobs/") else content + b" " * 2**24,
    "deep": lambda path, content: content if path.startswith("blobs/") else b"[" * 100_000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_remotes(address, version, other, own_home, kind):
    Remote.open(address).push(version)
    for path, content in contents(address).items():
        edit(address, path, HOSTILE[kind](path, content))
    with pytest.raises(ArtefactError) as caught:
        pull(other, f"{address}/numbers")
    assert caught.value.message.startswith(address)
    assert not other.root.exists()
    assert not list((own_home / "cache").rglob("sha256"))


def test_content_is_checked_as_in_bundles(address, registry, other, transformer, card):
    recipe = json.loads(transformer["recipe.json"])
    recipe["model"]["embedding_size"] = 16384
    Remote.open(address).push(
        publish(registry, "hostile", transformer | {"recipe.json": json.dumps(recipe).encode()}, card)
    )
    with pytest.raises(ArtefactError, match="weights and recipe do not fit together"):
        pull(other, f"{address}/hostile")
    assert not other.root.exists()


def test_pipes_in_a_directory_are_not_waited_for(version, other, tmp_path):
    team = tmp_path / "team"
    Remote.open(str(team)).push(version)
    record, weights = team / "models" / "numbers" / "2.json", team / weights_path(version)
    size = version.file("weights.safetensors").size
    record.write_text(record.read_text().replace(f'"size": {size}', '"size": 0'))  # as a pipe has
    weights.unlink()
    os.mkfifo(weights)
    with pytest.raises(ArtefactError, match=r"weights.safetensors is missing"):
        pull(other, f"{team}/numbers")
    record.unlink()
    record.mkdir()
    with pytest.raises(ArtefactError, match="numbers:2 is not a file"):
        pull(other, f"{team}/numbers")


def test_damaged_versions_do_not_stop_a_push(address, version):
    edit(address, "models/numbers/1.json", b"{")
    assert Remote.open(address).push(version) == (2, True)


def test_what_is_not_there(address, version, other):
    Remote.open(address).push(version)
    edit(address, "models/numbers/3.json", b"{")
    edit(address, "models/numbers/4.json", json.dumps({"schema": 2, "removed": "2026-01-01"}).encode())
    for name, hint in {"nubmers": "did you mean numbers?", "numbers:1": "versions of numbers there: 2"}.items():
        with pytest.raises(UsageError, match=f"has no model {name}") as caught:
            pull(other, f"{address}/{name}")
        assert hint == caught.value.hint
    edit(address, "models/numbers/3.json", b"")
    edit(address, "models/numbers/2.json", json.dumps({"schema": 2, "removed": "2026-01-01"}).encode())
    with pytest.raises(UsageError, match="has no model numbers"):
        pull(other, f"{address}/numbers")
    with pytest.raises(UsageError, match="aliases are not pulled"):
        pull(other, f"{address}/numbers@best")


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("numbers", UsageError, "expected ADDRESS/NAME"),
        ("memory://numbers", UsageError, "expected ADDRESS/NAME"),
        ("gopher://host/numbers", UsageError, "Protocol not known: gopher"),
        ("memory://team/../numbers:x", UsageError, "expected NAME"),
    ],
)
def test_addresses_that_are_none(other, source, error, message):
    with pytest.raises(error, match=message):
        pull(other, source)


def test_a_library_that_is_missing(other, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(ResourceError, match="s3fs"):
        pull(other, "s3://bucket/models/numbers")


def test_errors_of_a_library(memory, version, monkeypatch):
    class ClientError(Exception):
        pass

    def ls(*_: object, **__: object) -> None:
        raise ClientError("access denied")

    monkeypatch.setattr(MemoryFileSystem, "ls", ls)
    with pytest.raises(ResourceError, match="memory://team: access denied"):
        Remote.open("memory://team").push(version)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can read what nobody else can")
def test_a_directory_that_cannot_be_written(version):
    with pytest.raises(ResourceError, match="cannot write") as caught:
        Remote.open("/proc/here").push(version)
    assert "S2S_REGISTRY" not in str(caught.value.hint)
