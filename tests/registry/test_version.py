import pytest

from s2s.errors import ArtefactError
from s2s.registry.blobs import Blobs
from s2s.registry.version import Version, VersionRecord


def test_the_frozen_record_is_read_and_written_unchanged(frozen):
    record = VersionRecord.parse(frozen, "a:1")
    assert record.model_dump(mode="json", by_alias=True, exclude_unset=True) == frozen  # later fields have defaults
    assert record.published == "2026-03-01T12:30:05+00:00"


@pytest.mark.parametrize("part", [(), ("card",)])
def test_a_newer_schema_is_refused_by_name(frozen, part):
    place = frozen
    for key in part:
        place = place[key]
    place |= {"schema": 9, "of": "the future"}
    with pytest.raises(ArtefactError, match=r"model a:1: schema 9 is newer than this s2s reads \([24]\)"):
        VersionRecord.parse(frozen, "a:1")


@pytest.mark.parametrize(
    ("file", "stored"),
    [
        ("weights", {"digest": "../" * 5 + "etc/passwd", "size": 3}),
        ("weights", {"digest": "A" * 64, "size": 3}),
        ("weights", {"digest": "a" * 63, "size": 3}),
        ("weights", {"digest": "a" * 64 + "\n", "size": 3}),
        ("weights", {"digest": "a" * 64, "size": -1}),
        ("../weights", {"digest": "a" * 64, "size": 3}),
        ("a/b", {"digest": "a" * 64, "size": 3}),
        (".hidden", {"digest": "a" * 64, "size": 3}),
        ("", {"digest": "a" * 64, "size": 3}),
    ],
)
def test_files_that_are_not_plain_are_refused(frozen, file, stored):
    with pytest.raises(ArtefactError, match=r"model a:1 is damaged: files"):
        VersionRecord.parse(frozen | {"files": {file: stored}}, "a:1")


@pytest.mark.parametrize("values", [None, [], "text", {}, {"schema": 2}])
def test_what_is_no_record_is_refused(values):
    with pytest.raises(ArtefactError, match="model a:1 is damaged") as caught:
        VersionRecord.parse(values, "a:1")
    assert "s2s models rm a:1" in caught.value.hint


def test_errors_name_version_and_file(tmp_path, card):
    blobs = Blobs(tmp_path)
    (tmp_path / "source").write_bytes(b"abc")
    file = blobs.store(tmp_path / "source")
    version = Version("numbers", 3, "", {"weights": file}, card, blobs)
    assert version.read("weights") == b"abc"
    assert version.path("weights").read_bytes() == b"abc"
    with pytest.raises(ArtefactError, match="model numbers:3 is damaged: it has no tokenizer"):
        version.read("tokenizer")
    blobs.path(file).write_bytes(b"abd")
    with pytest.raises(ArtefactError, match="model numbers:3: weights is damaged"):
        version.read("weights")
