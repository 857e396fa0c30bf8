"""What the ledger says of the pairs of a split, counted while they are written."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s.data.ledger import LengthSummary, SideLengths, SplitLengths
from s2s.data.mixed import dataset_names
from s2s.data.source_profile import SourceProfile
from s2s.data.split_writer import EncodedPairs
from s2s.recipe.data import DataOptions, parts_of
from s2s.text.fertility import Fertility, FertilityCounter
from s2s.text.sentences import are_plain, split_sentences
from s2s.text.tokenizer import Tokenizer


class SplitStatistics:
    """Counts pairs, their lengths, the words, characters and tokens of each side, and sources of several sentences."""

    def __init__(self, data: DataOptions, tokenizer: Tokenizer) -> None:
        self._data = data
        sides = ("target",) if data.image_size else ("source", "target")
        self._fertility = {side: FertilityCounter(tokenizer) for side in sides}
        self._sentence_ends = 0
        self._languages = [part.source_language for part in parts_of(data)]
        self._datasets: Counter[int] = Counter()  # pairs by dataset
        self._tokens: Counter[tuple[int, int]] = Counter()  # pairs by their lengths, of source and target
        self._characters: tuple[Counter[int], Counter[int]] = (Counter(), Counter())  # texts of a side by their lengths
        self.pairs = 0

    def add(self, encoded: EncodedPairs) -> None:
        """Count pairs."""
        if not len(encoded):
            return
        self.pairs += len(encoded)
        self._tokens.update(zip(*(side.tolist() for side in encoded.lengths()), strict=True))
        texts = {"source": encoded.sources, "target": encoded.targets}
        for counts, side in zip(self._characters, texts.values(), strict=True):
            counts.update(map(len, side))
        for name, counter in self._fertility.items():
            counter.add(texts[name], encoded.columns.column(name).flatten().to_numpy())
        if not self._data.image_size:
            for row in np.flatnonzero(~are_plain(encoded.sources)).tolist():
                sentences = split_sentences(encoded.sources[row], self._languages[encoded.datasets[row]])
                self._sentence_ends += len(sentences) > 1
        self._datasets.update(encoded.datasets.tolist())

    def counts(self) -> dict[str, Any]:
        """Return what was counted, as JSON values."""
        return {
            "pairs": self.pairs,
            "sentence_ends": self._sentence_ends,
            "datasets": sorted(self._datasets.items()),
            "tokens": [[*lengths, count] for lengths, count in sorted(self._tokens.items())],
            "characters": [sorted(counts.items()) for counts in self._characters],
            "fertility": {side: counter.counts() for side, counter in self._fertility.items()},
        }

    def merge(self, counts: Mapping[str, Any]) -> None:
        """Add the `counts` of other pairs of the split."""
        self.pairs += counts["pairs"]
        self._sentence_ends += counts["sentence_ends"]
        self._datasets.update(dict(counts["datasets"]))
        for source, target, count in counts["tokens"]:
            self._tokens[source, target] += count
        for own, others in zip(self._characters, counts["characters"], strict=True):
            own.update(dict(others))
        for side, counter in self._fertility.items():
            counter.merge(counts["fertility"][side])

    def datasets(self) -> dict[str, int]:
        """Return the number of pairs of each dataset of a mixture; empty for other data."""
        return {name: self._datasets[number] for number, name in enumerate(dataset_names(self._data))}

    def profile(self) -> SourceProfile:
        """Describe the sources of at least one pair."""
        return SourceProfile.of(*self._token_lengths(), self._sentence_ends)

    def lengths(self) -> SplitLengths:
        """Return the summaries of the lengths of at least one pair."""
        characters = (_repeated([*counts], [*counts.values()]) for counts in self._characters)
        sides = zip(self._token_lengths(), characters, strict=True)
        return SplitLengths(*(SideLengths(*map(LengthSummary.of, units)) for units in sides))

    def fertility(self) -> dict[str, Fertility]:
        """Return how well the tokenizer fits each side."""
        return {side: counter.result() for side, counter in self._fertility.items()}

    def _token_lengths(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the lengths of the sources and targets in tokens, in the same, but not the pairs' order."""
        source, target = (_repeated([*side], [*self._tokens.values()]) for side in zip(*self._tokens, strict=True))
        return source, target


def _repeated(values: list[int], counts: list[int]) -> NDArray[np.int32]:
    return np.repeat(np.array(values, dtype=np.int32), counts)
