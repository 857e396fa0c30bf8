"""Bundles: a version survives the way to another registry; whatever is wrong with one, nothing of it is written."""

import gzip
import io
import json
import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from publishing import directory_state, publish
from safetensors.torch import load, save

from s2s.errors import ArtefactError, ResourceError, UsageError
from s2s.io.digests import digest_json
from s2s.registry import bundle as bundles
from s2s.registry import receiving
from s2s.registry.bundle import export_bundle, import_bundle
from s2s.registry.store import Registry

Member = tuple[tarfile.TarInfo, bytes]
HUGE = 10**18


@pytest.fixture
def bundle(registry, transformer, card, tmp_path) -> Path:
    """The bundle of `numbers:2`."""
    publish(registry, "numbers", {}, card)
    path = tmp_path / "numbers.s2s"
    export_bundle(publish(registry, "numbers", transformer, card), path)
    return path


@pytest.fixture
def other(tmp_path) -> Registry:
    return Registry(tmp_path / "other")


@pytest.fixture
def refused(other, own_home) -> Callable[..., str]:
    """Return the error of an import, which must leave nothing."""

    def call(path: Path, error: type[Exception] = ArtefactError) -> str:
        with pytest.raises(error) as caught:
            import_bundle(other, path)
        assert type(caught.value) is error
        assert caught.value.message.startswith(str(path))
        assert not other.root.exists()
        assert not list((own_home / "cache").rglob("sha256"))
        return caught.value.message

    return call


def members(path: Path) -> list[Member]:
    with tarfile.open(path) as tar:
        return [(header, tar.extractfile(header).read()) for header in tar]


def write(path: Path, found: list[Member]) -> Path:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for header, content in found:
            tar.addfile(header, io.BytesIO(content))
    return path


def member(name: str, content: bytes = b"", **header: Any) -> Member:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in header.items():
        setattr(info, key, value)
    return info, content


class TestRoundTrip:
    def test_the_version_is_the_same(self, bundle, other, registry, transformer, card):
        publish(other, "numbers", transformer, card.model_copy(update={"description": "another"}))
        version, new = import_bundle(other, bundle)
        assert (version.reference, new) == ("numbers:2", True)
        assert version.card == card
        assert {name: version.read(name) for name in version.files} == transformer
        assert other.published_with("numbers", card.training.key)[-1].number == 2
        assert [path.name for path in other.root.rglob("*.tmp")] == []

    def test_again_does_nothing(self, bundle, other):
        first, _ = import_bundle(other, bundle)
        before = directory_state(other.root)
        assert import_bundle(other, bundle) == (first, False)
        assert directory_state(other.root) == before
        assert import_bundle(other, bundle, "theirs")[0].reference == "theirs:1"
        with pytest.raises(UsageError, match="not a valid model name"):
            import_bundle(other, bundle, "../theirs")

    def test_a_removed_version_is_imported_anew(self, bundle, other):
        import_bundle(other, bundle)
        other.remove("numbers:1")
        assert import_bundle(other, bundle)[0].number == 2

    def test_the_file_depends_on_the_version_alone(self, bundle, registry, tmp_path):
        again = tmp_path / "again.s2s"
        export_bundle(registry.resolve("numbers:2"), again)
        assert again.read_bytes() == bundle.read_bytes()
        headers = [header for header, _ in members(bundle)]
        assert [header.name for header in headers] == [
            "manifest.json", "recipe.json", "tokenizer.model", "weights.safetensors",
        ]  # fmt: skip
        assert {(one.mtime, one.uid, one.gid, one.uname, one.mode) for one in headers} == {(0, 0, 0, "", 0o644)}

    def test_a_tar_that_another_program_wrote(self, bundle, other):
        found = [member(header.name, content, mtime=7, uid=1000) for header, content in reversed(members(bundle))]
        with tarfile.open(bundle, "w", format=tarfile.USTAR_FORMAT) as tar:
            for header, content in found:
                tar.addfile(header, io.BytesIO(content))
        assert import_bundle(other, bundle)[1]

    def test_nothing_is_written_over(self, bundle, registry):
        before = bundle.read_bytes()
        with pytest.raises(UsageError, match="exists"):
            export_bundle(registry.resolve("numbers"), bundle)
        assert bundle.read_bytes() == before

    def test_a_damaged_version_is_not_exported(self, bundle, registry, tmp_path):
        registry.resolve("numbers").path("weights.safetensors").write_bytes(b"damaged")
        with pytest.raises(ArtefactError, match=r"weights.safetensors is damaged"):
            export_bundle(registry.resolve("numbers"), tmp_path / "new.s2s")
        assert not (tmp_path / "new.s2s").exists()

    def test_an_interrupted_import_goes_on(self, bundle, other, monkeypatch, own_home):
        def interrupted(file: Any, size: int) -> Any:
            yield file.read(size // 2)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(bundles, "chunks", interrupted)
            with pytest.raises(KeyboardInterrupt):
                import_bundle(other, bundle)
        assert not other.root.exists()
        half = next((own_home / "cache").rglob("sha256/??/*"))
        half.write_bytes(half.read_bytes().replace(b"numbers", b"NUMBERS"))
        with pytest.raises(ArtefactError, match="damaged"):  # what was there is taken as it is, but verified
            import_bundle(other, bundle)
        assert import_bundle(other, bundle)[1]

    def test_too_little_space_is_seen_before(self, bundle, other, monkeypatch):
        monkeypatch.setattr(receiving.shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
        with pytest.raises(ResourceError, match=r"numbers.s2s needs .* which has 0.0 kB free"):
            import_bundle(other, bundle)
        assert not other.root.exists()

    @pytest.mark.parametrize("path", ["missing.s2s", "."])
    def test_files_that_are_none(self, other, tmp_path, path):
        with pytest.raises(UsageError, match="cannot read"):
            import_bundle(other, tmp_path / path)


def first_renamed(name: str) -> Callable[[list[Member]], list[Member]]:
    return lambda found: [found[0], member(name, found[1][1]), *found[2:]]


def added(*more: Member) -> Callable[[list[Member]], list[Member]]:
    return lambda found: [*found, *more]


MEMBERS = {
    "outside": (first_renamed("../recipe.json"), "'../recipe.json'"),
    "absolute": (first_renamed("/etc/recipe.json"), "'/etc/recipe.json'"),
    "below": (first_renamed("weights/recipe.json"), "'weights/recipe.json'"),
    "control": (first_renamed("recipe\x1b[2J.json"), "recipe"),
    "extra": (added(member("notes.pkl", b"x")), "'notes.pkl'"),
    "twice": (added(member("recipe.json", b"{}")), "'recipe.json' is one too many"),
    "two-manifests": (added(member("manifest.json", b"{}")), "'manifest.json' is one too many"),
    "link": (added(member("link", type=tarfile.SYMTYPE, linkname="/etc/passwd")), "'link' is not a regular file"),
    "link-in-place": (
        lambda found: [*found[:3], member(found[3][0].name, type=tarfile.SYMTYPE, linkname="/etc/passwd")],
        "'weights.safetensors' is not a regular file",
    ),
    "hard-link": (added(member("link", type=tarfile.LNKTYPE, linkname="recipe.json")), "'link' is not a regular file"),
    "device": (added(member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)), "'null' is not a regular file"),
    "pipe": (added(member("pipe", type=tarfile.FIFOTYPE)), "'pipe' is not a regular file"),
    "directory": (added(member("directory", type=tarfile.DIRTYPE)), "'directory' is not a regular file"),
    "sparse": (added(member("sparse", type=tarfile.GNUTYPE_SPARSE)), "'sparse' is not a regular file"),
    "missing": (lambda found: found[:3], "not those of its manifest: 'weights.safetensors'"),
    "no-manifest": (lambda found: found[1:], "no manifest.json"),
    "nothing": (lambda _: [], "no manifest.json"),
    "many": (added(*(member(f"file-{number}") for number in range(10_000))), "'file-12' is one too many"),
    "shorter": (lambda found: [*found[:3], member(found[3][0].name, found[3][1][:-1])], "its manifest says"),
    "longer": (lambda found: [*found[:3], member(found[3][0].name, found[3][1] + b"\0")], "its manifest says"),
}


@pytest.mark.parametrize("kind", MEMBERS)
def test_hostile_members(refused, bundle, kind):
    change, expected = MEMBERS[kind]
    assert expected in refused(write(bundle, change(members(bundle))))


@pytest.mark.parametrize("size", [HUGE, 2**63, 2**64 - 1, -1])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_sizes_that_nothing_has(refused, bundle, kind, size):
    content = bundle.read_bytes()
    with tarfile.open(bundle) as tar:
        places = [header.offset for header in tar]
    header, _ = member("weights.safetensors", type=kind, size=size)
    for place in places:
        bundle.write_bytes(content[:place] + header.tobuf(tarfile.GNU_FORMAT)[:512] + content[place:])
        error = refused(bundle)
        assert "is cut off" in error or "is not a regular file" in error


def test_files_that_are_no_bundles(refused, bundle):
    content = bundle.read_bytes()
    for wrong in (gzip.compress(content), b"", b"\0" * 512, b"\0" * 10240, b"PK\3\4" * 1000, pickle.dumps(content)):
        bundle.write_bytes(wrong)
        assert refused(bundle)


def test_bundles_that_are_cut_off(refused, bundle):
    content = bundle.read_bytes()
    last = (len(content.rstrip(b"\0")) // 512 + 2) * 512  # from here on, only padding follows
    for end in [*range(0, last, 512), *range(7, len(content), 509), len(content) - 1]:
        bundle.write_bytes(content[:end])
        assert refused(bundle)


def test_bundles_that_something_follows(refused, bundle):
    content = bundle.read_bytes()
    for more in (b"\0", b"x" * 512, content, b"\0" * 10240):
        bundle.write_bytes(content + more)
        assert refused(bundle)


def test_changed_content(refused, bundle):
    content = bundle.read_bytes()
    with tarfile.open(bundle) as tar:
        positions = [header.offset_data + at for header in tar for at in range(0, header.size, 997)]
    for position in positions:
        bundle.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
        assert refused(bundle)


MANIFESTS = {
    "newer": (("schema",), 99, "newer than this s2s reads"),
    "no-schema": (("schema",), None, "schema"),
    "unknown-key": (("pickled",), 1, "pickled"),
    "name": (("name",), "../numbers", "name"),
    "number": (("version",), 0, "version"),
    "record": (("record",), [], "record"),
    "record-newer": (("record", "schema"), 99, "newer than this s2s reads"),
    "card-newer": (("record", "card", "schema"), 99, "newer than this s2s reads"),
    "damaged": (("record", "published"), "2020-01-01", "the record's sha256 is not the stored one"),
    "card": (("record", "card", "training"), {}, "card.training"),
    "huge": (("record", "files", "weights.safetensors", "size"), HUGE, f"manifest says {HUGE:,}"),
    "beyond": (("record", "files", "weights.safetensors", "size"), 10**30, "not JSON"),
    "negative": (("record", "files", "recipe.json", "size"), -1, "size"),
    "digest": (("record", "files", "recipe.json", "digest"), "0" * 64, "recipe.json is damaged"),
    "no-digest": (("record", "files", "recipe.json", "digest"), "../../x", "digest"),
    "file": (("record", "files", "../x"), {"digest": "0" * 64, "size": 0}, "files"),
    "itself": (("record", "files", "manifest.json"), {"digest": "0" * 64, "size": 0}, "not those of its manifest"),
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_hostile_manifests(refused, bundle, kind):
    path, value, expected = MANIFESTS[kind]
    (_, content), *rest = members(bundle)
    values = place = json.loads(content)
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    if kind != "damaged":
        values["digest"] = digest_json(values["record"])
    assert expected in refused(write(bundle, [member("manifest.json", json.dumps(values).encode()), *rest]))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_manifests_that_are_none(refused, bundle, content):
    assert refused(write(bundle, [member("manifest.json", content), *members(bundle)[1:]]))


def test_a_manifest_that_is_too_large_to_read(refused, bundle, monkeypatch):
    monkeypatch.setattr(bundles, "MAX_MANIFEST", 1000)
    assert "no manifest.json of at most" in refused(bundle)


def test_an_older_record(refused, bundle):
    (_, content), *rest = members(bundle)
    changed = json.loads(content)
    changed["record"]["schema"] = 1
    changed["digest"] = digest_json(changed["record"])
    error = refused(write(bundle, [member("manifest.json", json.dumps(changed).encode()), *rest]))
    assert "older than this s2s reads" in error


def safetensors(tensors: dict[str, Any], content: bytes) -> bytes:
    header = json.dumps(tensors).encode()
    return struct.pack("<Q", len(header)) + header + content


def stored(*begin_end: int, shape: tuple[int, ...] = (2,)) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": begin_end}


def archived() -> bytes:
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(2)}, file)
    return file.getvalue()


WEIGHTS = {
    "pickle": lambda _: pickle.dumps({"weight": [0.0]}),
    "torch-archive": lambda _: archived(),
    "empty": lambda _: b"",
    "huge-header": lambda _: struct.pack("<Q", HUGE) + b"{}",
    "overlap": lambda _: safetensors({"a": stored(0, 8), "b": stored(4, 12)}, bytes(12)),
    "gap": lambda _: safetensors({"a": stored(0, 8), "b": stored(12, 20)}, bytes(20)),
    "beyond": lambda _: safetensors({"a": stored(0, HUGE)}, bytes(8)),
    "wrong-shape": lambda _: safetensors({"a": stored(0, 8, shape=(HUGE,))}, bytes(8)),
    "overflow": lambda _: safetensors({"a": stored(0, 8, shape=(2**62, 2**62))}, bytes(8)),
    "unclaimed": lambda weights: save(weights) + b"payload",
    "extra": lambda weights: save(weights | {"more": torch.zeros(2)}),
    "missing": lambda weights: save({name: value for name, value in weights.items() if name != "bias"}),
    "reshaped": lambda weights: save(weights | {"bias": weights["bias"][None]}),
    "half": lambda weights: save({name: value.half() for name, value in weights.items()}),
    "not-finite": lambda weights: save(weights | {"bias": weights["bias"] * float("nan")}),
}


@pytest.fixture
def rewritten(tmp_path, card) -> Callable[[dict[str, bytes]], Path]:
    """Return a function that writes files into a bundle whose sums are right."""

    def call(files: dict[str, bytes]) -> Path:
        path = tmp_path / "hostile.s2s"
        export_bundle(publish(Registry(tmp_path / "scratch"), "hostile", files, card), path)
        return path

    return call


@pytest.mark.parametrize("kind", WEIGHTS)
def test_hostile_weights(refused, rewritten, transformer, kind):
    content = WEIGHTS[kind](load(transformer["weights.safetensors"]))
    assert refused(rewritten(transformer | {"weights.safetensors": content}))


def test_a_recipe_of_terabytes(refused, rewritten, transformer):
    recipe = json.loads(transformer["recipe.json"])
    recipe["model"]["embedding_size"] = 16384
    for side in ("encoder", "decoder"):
        recipe["model"][side]["layers"] = 128
    error = refused(rewritten(transformer | {"recipe.json": json.dumps(recipe).encode()}))
    assert "weights and recipe do not fit together: missing weights" in error


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"schema": 99}', b'{"schema": 1}', b'{"name": "x"}'])
def test_hostile_recipes(refused, rewritten, transformer, content):
    assert refused(rewritten(transformer | {"recipe.json": content}))


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x0a\x04\x0a\x02\xff\xfe"])
def test_hostile_tokenizers(refused, rewritten, transformer, content):
    assert refused(rewritten(transformer | {"tokenizer.model": content}))


def test_other_files(refused, rewritten, transformer):
    assert "notes.pkl" in refused(rewritten(transformer | {"notes.pkl": b"x"}))


def test_a_tokenizer_that_is_too_large_to_read(refused, bundle, monkeypatch):
    monkeypatch.setattr(receiving, "MAX_BYTES", 1000)
    assert "recipe.json is damaged: larger than" in refused(bundle)
