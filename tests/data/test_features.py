"""Features of images: read from safetensors in half precision; what is damaged or does not fit is refused by name."""

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from s2s.data.corpus import Corpus
from s2s.data.features import read_features
from s2s.data.prepare import prepare_corpus
from s2s.data.sources import Image
from s2s.errors import DataError, S2SError, UsageError
from s2s.recipe.image_size import ImageSize
from s2s.recipe.kinds import FeaturesDataOptions
from s2s.recipe.tokenizer import TokenizerOptions

SIZE = ImageSize(2, 3, 4)
SPLITS = ("train", "validation", "test")


def grid(seed: int = 1) -> torch.Tensor:
    return torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_numbers_of_every_precision(tmp_path: Path, dtype: torch.dtype):
    save_file({"anything": grid().to(dtype)}, tmp_path / "a.safetensors")
    found = read_features(tmp_path / "a.safetensors", SIZE)
    assert (found.dtype, found.shape) == (np.float16, (2, 3, 4))
    np.testing.assert_array_equal(found, grid().to(dtype).half().numpy())


def lying(shape: list[int], end: int) -> bytes:
    header = json.dumps({"a": {"dtype": "F16", "shape": shape, "data_offsets": [0, end]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(48)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a safetensors file"),
        (b"\xff" * 40, "not a safetensors file"),
        (lying([2, 3, 4], 480), "not a safetensors file"),
        (lying([2, 3, 400], 48), "not a safetensors file"),
        (pickle.dumps([1.0] * 24), "not a safetensors file"),
        ({}, "0 tensors instead of one"),
        ({"a": grid(), "b": grid()}, "2 tensors instead of one"),
        ({"a": grid()[:, :2].contiguous()}, "features of 2 × 2 × 4, expected 2 × 3 × 4"),
        ({"a": torch.tensor(1.0)}, "features of no dimension"),
        ({"a": grid().int()}, "numbers of type I32"),
        ({"a": torch.full((2, 3, 4), torch.nan)}, "not finite"),
        ({"a": torch.full((2, 3, 4), 1e6)}, "too large for half precision"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, content: bytes | dict[str, torch.Tensor], reason: str):
    path = tmp_path / "a.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        save_file(content, path)
    with pytest.raises(DataError, match=reason):
        read_features(path, SIZE)


def test_what_is_no_file_is_refused(tmp_path: Path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UsageError):
            read_features(path, SIZE)


def options(root: Path, **changes: object) -> FeaturesDataOptions:
    given = {"hold_out_validation": 3, "hold_out_test": 4, "height": 2, "width": 3, "channels": 4, **changes}
    return FeaturesDataOptions(
        kind="features", root=str(root), images="grids", train={"files": "captions.tsv"}, **given
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twenty grids with a caption each; the last one has the content of the first."""
    (tmp_path / "grids").mkdir()
    for number in range(20):
        save_file({"features": grid(number % 19)}, tmp_path / "grids" / f"{number}.safetensors")
    rows = [f"{number}.safetensors\tthe {'abcdefg'[number % 7]} of {number}\n" for number in range(20)]
    (tmp_path / "captions.tsv").write_text("".join(rows))
    return tmp_path


def test_a_corpus_holds_the_features_of_the_files(root: Path):
    corpus = prepare_corpus(options(root), TokenizerOptions(algorithm="bpe", vocab_size=32))
    seen = 0
    for name in SPLITS:
        split = Corpus.open(corpus.path).split(name)
        sources, _ = split.encoded(range(len(split)))
        for file, source in zip(split.texts(range(len(split)))[0], sources, strict=True):
            assert isinstance(source, Image)
            np.testing.assert_array_equal(source.pixels, read_features(root / "grids" / file, SIZE))
            assert len(source) == 6
            seen += 1
    assert seen == 20
    assert corpus.ledger.image_size == SIZE
    rows = {name: corpus.split(name).texts(range(len(corpus.split(name))))[0] for name in SPLITS}
    places = [name for name in SPLITS if {"0.safetensors", "19.safetensors"} & set(rows[name])]
    assert len(places) == 1  # the same content is in one split


def test_damaged_features_are_counted_and_named(root: Path):
    (root / "grids" / "7.safetensors").write_bytes(b"no features")
    with pytest.raises(S2SError, match=r"1 of 20 images cannot be read: .*7\.safetensors: not a safetensors file"):
        prepare_corpus(options(root), TokenizerOptions(algorithm="bpe", vocab_size=32))
    corpus = prepare_corpus(options(root, max_damaged=0.1), TokenizerOptions(algorithm="bpe", vocab_size=32))
    assert corpus.ledger.splits["train"].dropped["image"].count == 1
