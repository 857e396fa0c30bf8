"""Corpora whose sources are images: stored once, split by image, with damaged ones counted and named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from s2s.data import images
from s2s.data.corpus import Corpus
from s2s.data.image_store import IMAGES
from s2s.data.prepare import prepare_corpus
from s2s.data.sources import Image
from s2s.errors import ArtefactError, DataError, ResourceError
from s2s.recipe.image_size import ImageSize
from s2s.recipe.kinds import GeneratorDataOptions, ImagesDataOptions
from s2s.recipe.tokenizer import TokenizerOptions

TOKENIZER = TokenizerOptions(vocab_size=24)
SPLITS = ("train", "validation", "test")
WORDS = ["red", "green", "blue", "dark", "light", "old", "new", "round"]


def picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (12, 20, 3), dtype=np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Thirty pictures with two captions each; the last one has the content of the first."""
    (tmp_path / "pictures").mkdir()
    for number in range(30):
        PillowImage.fromarray(picture(number % 29)).save(tmp_path / "pictures" / f"{number}.png")
    rows = [
        f"{number}.png\ta {WORDS[number % 8]} {WORDS[(number + part) % 7]} thing {part}"
        for number in range(30)
        for part in (1, 2)
    ]
    (tmp_path / "captions.tsv").write_text("".join(f"{row}\n" for row in rows))
    return tmp_path


def options(root: Path, **changes: Any) -> ImagesDataOptions:
    given = {"hold_out_validation": 3, "hold_out_test": 4, "height": 12, "width": 20, **changes}
    return ImagesDataOptions(kind="images", root=str(root), images="pictures", train={"files": "captions.tsv"}, **given)


def names(corpus: Corpus, split: str) -> list[str]:
    found = corpus.split(split)
    return found.texts(range(len(found)))[0]


def test_pixels_are_those_of_the_files(root: Path):
    corpus = prepare_corpus(options(root), TOKENIZER)
    for split in ("train", "validation", "test"):
        found = corpus.split(split)
        sources, targets = found.encoded(range(len(found)))
        assert len(targets) == len(found)
        for name, source, raw in zip(names(corpus, split), sources, found.sources(range(len(found))), strict=True):
            assert isinstance(source, Image)
            assert (source.pixels == picture(int(name.removesuffix(".png")) % 29)).all()
            assert (raw.pixels == source.pixels).all()
            assert len(source) == 12 * 20 // 64
    assert corpus.ledger.image_size == ImageSize(12, 20)


def test_all_captions_of_an_image_are_in_one_split_also_under_another_name(root: Path):
    corpus = prepare_corpus(options(root), TOKENIZER)
    contents = {split: {int(name.removesuffix(".png")) % 29 for name in names(corpus, split)} for split in SPLITS}
    assert sum(map(len, contents.values())) == len(set.union(*contents.values())) == 29
    assert (len(contents["validation"]), len(contents["test"])) == (3, 4)
    assert sum(len(names(corpus, split)) for split in SPLITS) == 60


def test_a_test_image_has_all_its_captions_as_references(root: Path):
    from s2s.decoding.evaluation import TestLines

    lines = TestLines.of(prepare_corpus(options(root), TOKENIZER).split("test"))
    assert len(lines.sources) == len(lines.names) == len(lines.references) == 4
    assert all(len(reference) in {2, 4} and not isinstance(reference, str) for reference in lines.references)
    assert len(TestLines.of(prepare_corpus(options(root), TOKENIZER).split("test"), 2).names) == 2


def test_images_are_stored_once(root: Path):
    corpus = prepare_corpus(options(root), TOKENIZER)
    sources = [image for split in SPLITS for image in corpus.split(split).sources(range(len(corpus.split(split))))]
    assert len({image.pixels.ctypes.data for image in sources}) == 29


def test_a_damaged_image_is_named_and_its_captions_are_dropped(root: Path, said: list[str]):
    (root / "pictures" / "7.png").write_bytes(b"")
    (root / "pictures" / "8.png").unlink()
    with pytest.raises(DataError, match=r"2 of 30 images cannot be read: .*7\.png.*8\.png") as refused:
        prepare_corpus(options(root), TOKENIZER)
    assert "data.max_damaged is 0.01" in (refused.value.hint or "")
    corpus = prepare_corpus(options(root, max_damaged=0.1), TOKENIZER)
    assert any("7.png" in line and "captions are dropped" in line for line in said)
    dropped = corpus.ledger.splits["train"].dropped["image"]
    assert (dropped.count, dropped.examples[0].source) == (4, "7.png")
    assert "7.png" not in [name for split in SPLITS for name in names(corpus, split)]
    assert corpus.ledger.splits["train"].read == 60


def test_an_image_for_which_memory_runs_out_is_not_damaged(root: Path, monkeypatch: pytest.MonkeyPatch):
    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(images, "_decode", exhausted)
    with pytest.raises(ResourceError, match="out of memory"):
        prepare_corpus(options(root, max_damaged=1), TOKENIZER)


def test_the_contents_of_images_are_part_of_the_key(root: Path):
    first = prepare_corpus(options(root), TOKENIZER)
    assert prepare_corpus(options(root), TOKENIZER).path == first.path
    PillowImage.fromarray(picture(99)).save(root / "pictures" / "3.png")
    assert prepare_corpus(options(root), TOKENIZER).digest != first.digest


def test_the_same_image_in_train_and_test_is_counted(root: Path, said: list[str]):
    (root / "test.tsv").write_text("29.png\tan old thing\n5.png\tanother\n")
    corpus = prepare_corpus(options(root, hold_out_test=0, test={"files": "test.tsv"}), TOKENIZER)
    train = {int(name.removesuffix(".png")) % 29 for name in names(corpus, "train")}
    assert corpus.test_overlap == len({0, 5} & train) > 0
    assert any("test sources also occur in training" in line for line in said)


def test_a_damaged_store_is_noticed(root: Path):
    corpus = prepare_corpus(options(root), TOKENIZER)
    path = corpus.path / IMAGES
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match=r"images\.arrow: its content has changed"):
        Corpus.open(corpus.path).verify()
    path.write_bytes(b"x" * len(content))
    with pytest.raises(ArtefactError, match=r"images\.arrow: not the Arrow stream of images"):
        Corpus.open(corpus.path).split("test")
    manifest = json.loads((corpus.path / "manifest.json").read_text())
    del manifest["files"][IMAGES]
    (corpus.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtefactError, match=r"does not list images\.arrow"):
        Corpus.open(corpus.path)


def test_scenes_need_no_files():
    generator = {"name": "scenes", "train": 30, "validation": 5, "test": 12, "max_items": 2}
    corpus = prepare_corpus(
        GeneratorDataOptions(kind="generator", generator=generator), TokenizerOptions(vocab_size=30)
    )
    (image,) = corpus.split("test").sources([0])
    assert isinstance(image, Image)
    assert image.pixels.shape == (64, 64, 3)
    assert len(image) == 64
    assert (corpus.split("train").source_lengths == 64).all()
