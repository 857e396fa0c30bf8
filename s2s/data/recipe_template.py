"""Draft a recipe for two text files: measure them and choose sizes that suit the amount of text."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal

import numpy as np
import tomli_w

from s2s.data.filters.fingerprints import fingerprint
from s2s.data.ledger import Tally
from s2s.data.readers import Pair, read_split
from s2s.errors import DataError
from s2s.recipe.data import LinesDataOptions, LinesSplitOptions
from s2s.recipe.explain import recipe_keys
from s2s.recipe.recipe import SCHEMA

SAMPLE = 200_000  # pairs whose words and characters are counted
MIN_PAIRS = 3  # one each for training, validation and test
SPECIAL = 5  # tokens besides words and characters: padding, unknown, BOS, EOS and the word-boundary mark
HEADER = """\
# Edit as you like, then train with `s2s train`.
# Keys left out have their defaults: `s2s explain` lists every key, `s2s explain KEY` one.
"""
OnInvalid = Literal["refuse", "drop"]
Tables = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Measured:
    """Counts of two aligned files."""

    lines: int  # valid line pairs
    pairs: int  # pairs with different sources
    words: int  # different words on both sides, split at spaces
    characters: int  # different characters on both sides
    invalid: Tally = field(default_factory=Tally)  # line pairs that are dropped


def measure(source: str, target: str, on_invalid: OnInvalid = "refuse") -> Measured:
    """Read and measure two files, plain or compressed.

    Raises: UsageError, ResourceError if they cannot be opened; DataError for unequal line counts, too few pairs,
    or, with `on_invalid` refuse, invalid UTF-8.
    """
    words: set[str] = set()
    invalid = Tally()
    train = LinesSplitOptions(source=[source], target=[target])
    data = LinesDataOptions(train=train, hold_out_validation=1, hold_out_test=1, on_invalid=on_invalid)

    def counted() -> Iterator[Pair]:
        for row, pair in enumerate(read_split(data, "train", invalid.add_line)):
            if row < SAMPLE:
                words.update(pair.source.split(), pair.target.split())
            yield pair

    found = fingerprint(counted())
    pairs = len(np.unique(found.sources[~found.empty]))
    if pairs < MIN_PAIRS:
        raise DataError(f"{source} has {pairs} different sentences, too few for training, validation and test")
    return Measured(len(found), pairs, len(words), len({character for word in words for character in word}), invalid)


def held_out(pairs: int) -> int:
    """Return the pairs to hold out for each of validation and test: a twentieth or 50, at most a tenth or 1,000."""
    return min(1000, max(1, min(max(50, pairs // 20), pairs // 10)))


def vocab_size(words: int, characters: int) -> int:
    """Return a vocabulary size: every character and a quarter of the words, at most about 8,000."""
    wanted = min(8000, characters + SPECIAL + words // 4)
    rounded = wanted - wanted % (100 if wanted >= 1000 else 10)
    return max(rounded, characters + characters // 10 + SPECIAL, 8)


def draft_recipe(
    name: str, files: tuple[str, str], languages: tuple[str, str], measured: Measured, on_invalid: OnInvalid = "refuse"
) -> str:
    """Return a commented TOML recipe for the files `source, target`, with commonly changed keys."""
    source, target = files
    descriptions = {key.key: key.description for key in reversed(recipe_keys())}
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
            "filter_preset": "basic",
            "on_invalid": on_invalid,
        },
        "data.train": {"source": source, "target": target},
        "tokenizer": {"vocab_size": vocab_size(measured.words, measured.characters)},
        **_network(measured.pairs),
        "training": _training(measured.pairs),
        "decoding": {"beam_size": 5, "length_penalty": 1.0},
    }
    for table, values in tables.items():
        parts.append(
            f"[{table}]\n" + "".join(_commented(descriptions[f"{table}.{key}"], key, values[key]) for key in values)
        )
    return "\n".join(parts)


def _commented(description: str, key: str, value: object) -> str:
    comment = textwrap.fill(description, 100, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
    return f"{comment}\n{tomli_w.dumps({key: value})}"


def _network(pairs: int) -> Tables:
    """Return model options whose sizes suit this many pairs."""
    size = 64 if pairs < 2_000 else 128 if pairs < 15_000 else 256
    return {
        "model": {"embedding_size": size, "dropout": 0.3 if pairs < 200_000 else 0.1},
        "model.encoder": {"hidden_size": size},
        "model.decoder": {"hidden_size": 2 * size, "context": "attention"},
    }


def _training(pairs: int) -> dict[str, Any]:
    """Return training options: 2 to 40 epochs, about 400,000 pairs in total; small batches for small corpora."""
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
