"""Drafting a recipe for two text files: measure them, and choose sizes that suit the amount of text."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

import numpy as np
import tomli_w

from s2s.data.filters import fingerprint
from s2s.data.readers import Pair, read_split
from s2s.errors import DataError
from s2s.recipe.data import LinesDataOptions, LinesSplitOptions
from s2s.recipe.explain import recipe_keys
from s2s.recipe.recipe import SCHEMA

SAMPLE = 200_000  # pairs whose words and characters are counted
FEWEST = 3  # pairs: one for training, validation and test each
SPECIAL = 5  # tokens beside words and characters: padding, unknown, begin, end, the mark of a word's start
HEADER = """\
# Train this with `s2s train`; change before what you like.
# Keys left out have their defaults: `s2s explain` lists every key, `s2s explain KEY` one.
"""
OnInvalid = Literal["refuse", "drop"]
Tables = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Measured:
    """Two files: valid lines, pairs with different sources, and different words and characters of both sides."""

    lines: int
    pairs: int
    words: int
    characters: int


def measure(source: str, target: str, on_invalid: OnInvalid = "refuse") -> Measured:
    """Read two files, plain or .gz, to their ends.

    Raises: UsageError, ResourceError where they cannot be opened; DataError for unequal line counts, invalid UTF-8
    (unless such pairs are to be dropped), too few pairs.
    """
    words: set[str] = set()
    train = LinesSplitOptions(source=[source], target=[target])
    data = LinesDataOptions(train=train, hold_out_validation=1, hold_out_test=1, on_invalid=on_invalid)

    def counted() -> Iterator[Pair]:
        for row, pair in enumerate(read_split(data, "train")):
            if row < SAMPLE:
                words.update(pair.source.split(), pair.target.split())
            yield pair

    found = fingerprint(counted())
    pairs = len(np.unique(found.sources[~found.empty]))
    if pairs < FEWEST:
        raise DataError(f"{source} has {pairs} different sentences, too few to train, validate and test on")
    return Measured(len(found), pairs, len(words), len({character for word in words for character in word}))


def held_out(pairs: int) -> int:
    """Pairs to hold out for validation, and as many for the test: a twentieth, or 50, but at most a tenth, or 1,000."""
    return min(1000, max(1, min(max(50, pairs // 20), pairs // 10)))


def vocabulary(words: int, characters: int) -> int:
    """Tokens: room for every character and a quarter of the words, which any text can give; at most about 8,000."""
    wanted = min(8000, characters + SPECIAL + words // 4)
    rounded = wanted - wanted % (100 if wanted >= 1000 else 10)
    return max(rounded, characters + characters // 10 + SPECIAL, 8)


def draft_recipe(
    name: str, files: tuple[str, str], languages: tuple[str, str], measured: Measured, on_invalid: OnInvalid = "refuse"
) -> str:
    """Return a commented TOML recipe for the files `source, target`, with the keys that are commonly changed."""
    source, target = files
    explained = {key.key: key.description for key in reversed(recipe_keys())}
    description = f"{PurePath(source).name} to {PurePath(target).name}: {measured.lines:,} lines"
    head = {"schema": SCHEMA, "name": name, "description": description}
    parts = [HEADER + tomli_w.dumps(head)]
    tables: Tables = {
        "data": {
            "kind": "lines",
            "source_language": languages[0],
            "target_language": languages[1],
            "hold_out_validation": held_out(measured.pairs),
            "hold_out_test": held_out(measured.pairs),
            "max_length": 200,
            "on_invalid": on_invalid,
        },
        "data.train": {"source": [source], "target": [target]},
        "tokenizer": {"vocab_size": vocabulary(measured.words, measured.characters)},
        **_network(measured.pairs),
        "training": _training(measured.pairs),
        "decoding": {"beam_size": 5, "length_penalty": 1.0},
    }
    for table, values in tables.items():
        parts.append(
            f"[{table}]\n" + "".join(_commented(explained[f"{table}.{key}"], key, values[key]) for key in values)
        )
    return "\n".join(parts)


def _commented(description: str, key: str, value: object) -> str:
    comment = textwrap.fill(description, 100, initial_indent="# ", subsequent_indent="# ")
    return f"{comment}\n{key} = {_toml(value)}\n"


def _toml(value: object) -> str:
    """Format a value as TOML, a list on one line."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return tomli_w.dumps({"x": value}).removeprefix("x = ").removesuffix("\n")


def _network(pairs: int) -> Tables:
    """Return model options whose size suits that many pairs."""
    width = 64 if pairs < 2_000 else 128 if pairs < 15_000 else 256
    return {
        "model": {"embedding_size": width, "dropout": 0.3 if pairs < 200_000 else 0.1},
        "model.encoder": {"hidden_size": width},
        "model.decoder": {"hidden_size": 2 * width, "context": "attention"},
    }


def _training(pairs: int) -> dict[str, Any]:
    """As many passes, from 2 to 40, as show the network about 400,000 pairs; small batches for small corpora."""
    return {
        "stop_after": f"{min(40, max(2, round(400_000 / pairs)))} epochs",
        "batch_tokens": 512 if pairs < 2_000 else 1024 if pairs < 15_000 else 2048 if pairs < 200_000 else 4096,
        "lr": 2e-3,
        "warmup": 100,
        "label_smoothing": 0.1,
        "validate_every": "1 epoch" if pairs < 200_000 else "2000 updates",
        "patience": 0,
        "seed": 1,
    }
