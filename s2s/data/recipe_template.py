"""Draft a recipe for files of sentence pairs: measure them, choose sizes and write commented TOML."""

import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import tomli_w

from s2s.data.diagnosis import Diagnosis
from s2s.data.filters.fingerprints import fingerprint
from s2s.data.ledger import Finding, Tally
from s2s.data.readers import Pair, read_split
from s2s.data.recipe_sizes import Tables
from s2s.errors import DataError
from s2s.recipe.data import DataOptions
from s2s.recipe.explain import recipe_keys
from s2s.recipe.recipe import SCHEMA, Recipe
from s2s.text.lines import Texts, normalize

SAMPLE = 200_000  # pairs whose words and characters are counted
FEW = 5_000  # pairs, from which a tokenizer is trained in a second
MIN_PAIRS = 3  # one each for training, validation and test
HEADER = """\
# Edit as you like, then train with `{command}`.
# Keys left out have their defaults: `s2s explain` lists every key, `s2s explain KEY` one.
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """Counts of the training pairs."""

    lines: int  # valid pairs
    pairs: int  # pairs with different sources
    words: int  # different words on both sides, split at spaces
    repeated: int  # of these words, those that occur several times
    characters: int  # different characters on both sides
    sample: list[Texts] = field(repr=False)  # all different pairs, if they are few
    invalid: Tally = field(default_factory=Tally)  # pairs that are dropped
    findings: list[Finding] = field(default_factory=list)  # what looks wrong


def measure(data: DataOptions) -> Measured:
    """Read, measure and diagnose the training pairs.

    Raises: UsageError, ResourceError if a file cannot be opened; DataError for too few pairs, unequal line counts and
    other bad content.
    """
    words = Counter[str]()
    invalid, diagnosis = Tally(), Diagnosis(data.source_language, data.target_language)
    sample: dict[Texts, None] = {}

    def counted() -> Iterator[Pair]:
        for row, pair in enumerate(diagnosis.watch(read_split(data, "train", invalid.add_line))):
            if row < SAMPLE:
                texts = normalize(pair.source, data.normalization), normalize(pair.target, data.normalization)
                words.update(texts[0].split() + texts[1].split())
                if len(sample) <= FEW and all(map(str.strip, texts)):
                    sample[texts] = None
            yield pair

    found = fingerprint(counted())
    pairs = len(np.unique(found.sources[~found.empty]))
    if pairs < MIN_PAIRS:
        sources = f"{pairs} different source {'sentence' if pairs == 1 else 'sentences'}"
        raise DataError(f"{sources}: too few for training, validation and test")
    characters = {character for word in words for character in word}
    repeated = sum(1 for count in words.values() if count > 1)
    few = list(sample) if len(sample) <= FEW else []
    return Measured(len(found), pairs, len(words), repeated, len(characters), few, invalid, diagnosis.findings())


def draft_recipe(name: str, description: str, tables: Tables, command: str) -> str:
    """Return a commented TOML recipe with these tables, to be trained with `command`."""
    chosen = {f"{table}.{key}": value for table, values in tables.items() for key, value in values.items()}
    descriptions = {
        key.key: key.description
        for key in recipe_keys()
        if not key.selector or chosen.get(key.selector) in key.variants
    }
    head = {"schema": SCHEMA, "name": name, "description": description}
    parts = [HEADER.format(command=command) + tomli_w.dumps(head)]
    for table, values in tables.items():
        if not values:
            continue
        lines = [_commented(descriptions[f"{table}.{key}"], key, values[key]) for key in values]
        parts.append(f"[{table}]\n" + "".join(lines))
    return "\n".join(parts)


def inherited_tables(recipe: Recipe) -> Tables:
    """Return the tokenizer and the network of a recipe: what differs from the defaults."""
    tables: Tables = {"tokenizer": recipe.tokenizer.model_dump(mode="json", exclude_defaults=True)}
    tables["model"] = recipe.model.model_dump(
        mode="json", exclude_defaults=True, exclude_none=True, exclude={"size", "encoder", "decoder"}
    )
    for side, options in recipe.model.sides.items():
        tables[f"model.{side}"] = {"family": options.family, **options.model_dump(mode="json", exclude_defaults=True)}
    return tables


def _commented(description: str, key: str, value: object) -> str:
    comment = textwrap.fill(description, 100, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
    return f"{comment}\n{tomli_w.dumps({key: value})}"
