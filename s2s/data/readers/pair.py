"""Sentence pairs, and what to do with invalid ones."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from s2s.errors import DataError
from s2s.recipe.pairs import PairOptions
from s2s.text.lines import Texts

OnInvalid = Callable[[str], None]  # called with `file:line` of each invalid pair that is dropped


class Pair(NamedTuple):
    """A sentence and its translation."""

    source: str
    target: str
    line: int  # from 1
    file: str  # as the recipe names it
    dataset: int = 0  # number of the dataset of a mixture


def in_chunks(pairs: Iterable[Pair], size: int) -> Iterator[list[Pair]]:
    """Yield pairs in lists of `size`; the last one may be shorter."""
    pairs = iter(pairs)
    while chunk := [*itertools.islice(pairs, size)]:
        yield chunk


def drop_invalid(read: Callable[[], Texts | None], data: PairOptions, where: str, invalid: OnInvalid) -> Texts | None:
    """Return the texts that `read` returns; with `on_invalid = "drop"`, call `invalid` instead of raising DataError."""
    try:
        return read()
    except DataError as error:
        if data.on_invalid == "refuse":
            raise DataError(error.message, error.hint or "--set data.on_invalid=drop drops such pairs") from error
        invalid(where)
        return None
