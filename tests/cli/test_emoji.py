"""The emoji recipes, as their README sets them up: its script splits the pictures, and the recipes train on them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from tiny_scenes import RECURRENT

from s2s.recipe.load import builtin_directory

TONES = ("1F3FB", "1F3FF")
TINY = [
    "tokenizer.vocab_size=60",
    "model.embedding_size=12",
    "model.encoder.channels=[4, 6, 8]",
    "model.encoder.hidden_size=10",
    "training.stop_after=2 updates",
    "training.validate_every=1 updates",
    "training.batch_tokens=500",
    "decoding.max_caption_length=12",
    *RECURRENT,
]


@pytest.fixture
def packages(in_directory: Path) -> Path:
    """What the README unpacks: pictures of 60 emoji, two of them each in two skin tones, and their names."""
    pictures = in_directory / "emoji-datasource-twitter" / "img" / "twitter" / "64"
    pictures.mkdir(parents=True)
    emoji, own, derived = [], {}, {}
    for number in range(60):
        code = f"{0x1F600 + number:X}"
        own[chr(0x1F600 + number)] = {"tts": [f"face number {number % 7}"]}
        variations = {}
        for tone in TONES:
            variations[tone] = {"unified": f"{code}-{tone}", "image": f"{code}-{tone}.png"}
            derived[chr(0x1F600 + number) + chr(int(tone, 16))] = {"tts": [f"face number {number % 7}: tone"]}
        emoji.append({"unified": f"{code}-FE0F", "image": f"{code}.png", "skin_variations": variations})
        for shade, one in enumerate([emoji[-1], *variations.values()]):
            Image.new("RGB", (64, 64), (4 * number, 80 * shade, 99)).save(pictures / one["image"])
    (in_directory / "emoji-datasource-twitter" / "emoji.json").write_text(json.dumps(emoji))
    for package, folder, names in (
        ("cldr-annotations-full", "annotations", own),
        ("cldr-annotations-derived-full", "annotationsDerived", derived),
    ):
        path = in_directory / package / folder / "en" / "annotations.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({folder: {"annotations": names}}))
    return in_directory


def test_variants_of_an_emoji_share_a_split_and_both_recipes_train(packages: Path, run: Callable) -> None:
    readme = (builtin_directory() / "emoji" / "README.md").read_text()
    script = readme.partition("<<'END'\n")[2].partition("END\n")[0]
    subprocess.run([sys.executable, "-c", script], cwd=packages, check=True)
    splits: dict[str, set[str]] = {}
    rows = 0
    for split in ("train", "validation", "test"):
        for row in (packages / f"{split}.tsv").read_text().splitlines():
            image, name = row.split("\t")
            assert name == f"face number {(int(image[:5], 16) - 0x1F600) % 7}" + (": tone" if "-" in image else "")
            splits.setdefault(image[:5], set()).add(split)
            rows += 1
    assert rows == 180
    assert all(len(found) == 1 for found in splits.values())
    assert set.union(*splits.values()) == {"train", "validation", "test"}

    settings = [part for setting in TINY for part in ("--set", setting)]
    result = run("compare", "emoji/bottleneck", "emoji/attention", "--set", "data.root=.", *settings)
    assert result.code == 0, result.err
    assert "emoji-attention" in result.out
    assert "BLEU by reference length (characters, images)" in result.out
    assert "the longest reference" in result.out
