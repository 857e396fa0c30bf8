import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from s2s.data.readers import images
from s2s.data.readers.images import digest_images, image_path, read_captions
from s2s.data.readers.pair import Pair
from s2s.errors import DataError, UsageError
from s2s.recipe.kinds import ImagesDataOptions
from s2s.recipe.splits import CaptionSplitOptions


def options(root: Path, files: list[str], **values: Any) -> ImagesDataOptions:
    held = {"hold_out_validation": 1, "hold_out_test": 1}
    return ImagesDataOptions(kind="images", root=str(root), images="img", train={"files": files}, **held, **values)


def write(root: Path, name: str, content: bytes) -> str:
    (root / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return name


def read(root: Path, *files: str, invalid: list[str] | None = None) -> list[tuple[str, str, int]]:
    """Read the captions; those that are invalid are dropped and added to `invalid` if it is given."""
    data = options(root, list(files), on_invalid="refuse" if invalid is None else "drop")
    pairs = list(read_captions(data, data.train, [].append if invalid is None else invalid.append))
    return [(pair.source, pair.target, pair.line) for pair in pairs]


def coco(images: list[Any], annotations: list[Any]) -> bytes:
    return json.dumps({"info": {}, "images": images, "annotations": annotations}, indent=1).encode()


IMAGES = [
    {"id": 7, "file_name": "b/2.jpg"},
    {"id": 0, "file_name": "1.jpg"},
    {"id": "x", "file_name": "no captions.jpg"},
]
ANNOTATIONS = [
    {"image_id": 0, "id": 1, "caption": "one"},
    {"image_id": 7, "id": 2, "caption": "two\nlines"},
    {"image_id": 0, "id": 3, "caption": "eins"},
    {"image_id": 7, "id": 4, "caption": "zwei"},
]


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_tsv_gives_the_first_two_columns(tmp_path: Path, packed: str):
    name = write(
        tmp_path, f"a.tsv{packed}", "\ufeffa.jpg\tein \rHund\n\nb/a.jpg\t\u2028x\tmore\r\na.jpg\ta dog".encode()
    )
    assert read(tmp_path, name) == [("a.jpg", "ein  Hund", 1), ("b/a.jpg", "\u2028x", 3), ("a.jpg", "a dog", 4)]


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_json_lines_give_one_caption_or_several(tmp_path: Path, packed: str):
    rows = [
        {"image": "a.jpg", "caption": "a\r\ndog", "x": 1},
        {"image": "b.jpg", "captions": ["one", "two"]},
        {"image": "c.jpg", "captions": []},
    ]
    name = write(tmp_path, f"a.jsonl{packed}", b"\n \n".join(json.dumps(row).encode() for row in rows))
    assert read(tmp_path, name) == [("a.jpg", "a dog", 1), ("b.jpg", "one", 3), ("b.jpg", "two", 3)]


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_coco_gives_the_captions_of_each_image_together(tmp_path: Path, packed: str):
    name = write(tmp_path, f"a.json{packed}", b"\xef\xbb\xbf" + coco(IMAGES, ANNOTATIONS))
    assert read(tmp_path, name) == [
        ("b/2.jpg", "two lines", 2),
        ("b/2.jpg", "zwei", 4),
        ("1.jpg", "one", 1),
        ("1.jpg", "eins", 3),
    ]


def test_several_tables_follow_each_other(tmp_path: Path):
    write(tmp_path, "a.tsv", b"a.jpg\tone\n")
    write(tmp_path, "b.json", coco(IMAGES, ANNOTATIONS[:1]))
    data = options(tmp_path, ["a.tsv", "b.json"])
    pairs = [Pair("a.jpg", "one", 1, "a.tsv"), Pair("1.jpg", "one", 1, "b.json")]
    assert list(read_captions(data, data.train, [].append)) == pairs
    assert list(read_captions(data, CaptionSplitOptions(), [].append)) == []


def line(**row: Any) -> bytes:
    return json.dumps(row).encode()


ROWS: dict[str, tuple[str, bytes, str]] = {  # extension, the second row, what the message says
    "one column": ("tsv", b"a.jpg", "expected 2 columns"),
    "invalid UTF-8": ("tsv", b"a.jpg\t\xff", "invalid UTF-8"),
    "no name": ("tsv", b"\tcaption", "'' is not the name"),
    "the directory": ("tsv", b".\tcaption", "'.' is not the name"),
    "null byte": ("tsv", b"a\0.jpg\tcaption", "is not the name"),
    "absolute path": ("tsv", b"/etc/passwd\tcaption", "outside the directory"),
    "parent directory": ("tsv", b"a/../../b.jpg\tcaption", "outside the directory"),
    "parent in JSON": ("jsonl", line(image="../b.jpg", caption="x"), "outside the directory"),
    "no JSON": ("jsonl", b'{"image": ', "not JSON: Expecting value, character 11"),
    "no UTF-8": ("jsonl", b'{"image": "\xff"}', "invalid UTF-8"),
    "deep": ("jsonl", b"[" * 100_000, "not JSON"),
    "many digits": ("jsonl", b"1" * 5000, "not JSON"),
    "list": ("jsonl", b"[]", "expected an object"),
    "no image": ("jsonl", line(imge="a.jpg", caption="x"), "no key image; did you mean imge"),
    "no caption": ("jsonl", line(image="a.jpg", text="x"), "no key caption; its keys: image, text"),
    "captions are text": ("jsonl", line(image="a.jpg", captions="x"), "expected a list under captions, found text"),
    "a caption is null": ("jsonl", line(image="a.jpg", captions=["x", None]), "text as the caption, found null"),
    "a name is a number": ("jsonl", line(image=3, caption="x"), "text as the name of the image, found a number"),
    "half a surrogate pair": ("jsonl", line(image="a.jpg", caption="\ud800"), "surrogate"),
}


@pytest.mark.parametrize(("kind", "row", "reason"), ROWS.values(), ids=ROWS)
def test_an_invalid_row_is_refused_with_its_place_or_dropped(tmp_path: Path, kind: str, row: bytes, reason: str):
    good = b"a.jpg\tx" if kind == "tsv" else line(image="a.jpg", caption="x")
    name = write(tmp_path, f"a.{kind}", b"\n".join([good, row, good]))
    with pytest.raises(DataError) as caught:
        read(tmp_path, name)
    assert caught.value.message.startswith(f"{tmp_path / name}:2: ")
    assert reason in caught.value.described
    assert caught.value.hint
    dropped: list[str] = []
    assert read(tmp_path, name, invalid=dropped) == [("a.jpg", "x", 1), ("a.jpg", "x", 3)]
    assert dropped == [f"{name}:2"]


BAD_ANNOTATIONS: dict[str, tuple[Any, str]] = {
    "no object": (3, "expected an object"),
    "no image": ({"caption": "x"}, "no key image_id"),
    "no caption": ({"image_id": 7, "text": "x"}, "no key caption"),
    "unknown image": ({"image_id": 8, "caption": "x"}, "no image has the id 8"),
    "odd id": ({"image_id": [7], "caption": "x"}, r"no image has the id \[7\]"),
    "null id": ({"image_id": None, "caption": "x"}, "no image has the id None"),
    "caption is a number": ({"image_id": 7, "caption": 3}, "text as the caption"),
    "image without a name": ({"image_id": 1, "caption": "x"}, "text as the name of the image"),
    "image elsewhere": ({"image_id": 2, "caption": "x"}, "outside the directory"),
}


@pytest.mark.parametrize(("annotation", "reason"), BAD_ANNOTATIONS.values(), ids=BAD_ANNOTATIONS)
def test_an_invalid_annotation_is_refused_with_its_number_or_dropped(tmp_path: Path, annotation: Any, reason: str):
    odd = [{"id": 1}, {"id": 2, "file_name": "../a.jpg"}, {"file_name": "c.jpg"}, {"id": [7]}, 3]
    name = write(tmp_path, "a.json", coco(IMAGES + odd, [annotation, *ANNOTATIONS]))
    with pytest.raises(DataError, match=rf"a\.json: annotation 1: .*{reason}"):
        read(tmp_path, name)
    dropped: list[str] = []
    assert [caption for _, caption, _ in read(tmp_path, name, invalid=dropped)] == ["two lines", "zwei", "one", "eins"]
    assert dropped == ["a.json:1"]


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not JSON"),
    "text": (b'{\n"images": [},', "not JSON: .*line 2, character 12"),
    "invalid UTF-8": (b'{"images": "\xff"}', "not JSON: .*0xff"),
    "list": (b"[]", "expected an object with the key images, found a list"),
    "no annotations": (b'{"images": []}', "no key annotations"),
    "images are an object": (b'{"images": {}, "annotations": []}', "expected a list under images, found an object"),
    "same id": (coco([*IMAGES, {"id": 7, "file_name": "other.jpg"}], ANNOTATIONS), "several images have the id 7"),
}


@pytest.mark.parametrize(("content", "reason"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_is_not_coco_is_refused(tmp_path: Path, content: bytes, reason: str):
    with pytest.raises(DataError, match=rf"a\.json: {reason}"):
        read(tmp_path, write(tmp_path, "a.json", content), invalid=[])


def test_an_image_may_be_listed_twice(tmp_path: Path):
    name = write(tmp_path, "a.json", coco([*IMAGES, IMAGES[0]], ANNOTATIONS))
    assert len(read(tmp_path, name)) == len(ANNOTATIONS)


def test_large_json_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    name = write(tmp_path, "a.json.gz", coco(IMAGES, ANNOTATIONS))
    monkeypatch.setattr(images, "MAX_JSON", 200)
    with pytest.raises(DataError, match=r"a\.json\.gz is larger"):
        read(tmp_path, name)


@pytest.mark.parametrize("kind", ["json", "jsonl", "tsv"])
def test_damaged_gzip_is_bad_data(tmp_path: Path, kind: str):
    content = gzip.compress(coco(IMAGES, ANNOTATIONS))
    for damaged in (content[:-12], content[:12] + b"\xff" * 9 + content[21:]):
        (tmp_path / f"a.{kind}.gz").write_bytes(damaged)
        with pytest.raises(DataError, match="cannot unpack the gzip file"):
            read(tmp_path, f"a.{kind}.gz", invalid=[])


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "tsv", "a.tsv.zip", "a.gz", "a"])
def test_other_files_are_refused_with_what_is_expected(tmp_path: Path, name: str):
    with pytest.raises(UsageError, match=r"ends in \.tsv, \.jsonl or \.json"):
        read(tmp_path, write(tmp_path, name, b"a.jpg\tx"))


def test_a_missing_table_names_the_root_to_set(tmp_path: Path):
    with pytest.raises(UsageError, match=r"no\.tsv") as caught:
        read(tmp_path, "no.tsv")
    assert "data.root" in str(caught.value.hint)


def test_images_are_below_the_root(tmp_path: Path):
    data = options(tmp_path, ["a.tsv"])
    assert image_path(data, "b/1.jpg") == str(tmp_path / "img" / "b" / "1.jpg")
    assert image_path(data.model_copy(update={"images": "/photos"}), "1.jpg") == "/photos/1.jpg"


def test_digests_are_of_the_images_contents(tmp_path: Path):
    data = options(tmp_path, ["a.tsv"])
    (tmp_path / "img").mkdir()
    for number in (1, 2):
        (tmp_path / "img" / f"{number}.jpg").write_bytes(b"content %d" % number)
    digest = digest_images(data, ["1.jpg", "2.jpg", "missing.jpg"])
    assert list(digest) == ["images in img"]
    assert digest_images(data, iter(["missing.jpg", "2.jpg", "1.jpg", "2.jpg"])) == digest
    (tmp_path / "img").rename(tmp_path / "moved")
    assert digest_images(data.model_copy(update={"images": "moved"}), ["1.jpg", "2.jpg", "missing.jpg"]) == {
        "images in moved": digest["images in img"]
    }
    (tmp_path / "moved").rename(tmp_path / "img")
    (tmp_path / "img" / "2.jpg").write_bytes(b"content 3")
    assert digest_images(data, ["1.jpg", "2.jpg", "missing.jpg"]) != digest
