"""The ledger of a corpus: what was read, what was dropped and why, how long it is, what stands in two splits."""

from array import array
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from s2s.data.readers import Pair

EXAMPLES = 5  # pairs shown of each count
SHOWN_CHARACTERS = 120
REASONS = {  # the ledger's names of what drops a pair
    "invalid": "not valid UTF-8, or not a row with both columns",
    "empty": "a side is empty",
    "held_out_source": "the source stands in a held-out pair",
    "duplicate": "the pair occurred before",
    "length": "too short or too long (data.min_length, data.max_length)",
    "ratio": "one side too much longer (data.max_ratio)",
}
PERCENTILES = {"median": 50, "p95": 95, "p99": 99}


class Encoded(NamedTuple):
    """A pair and the ids of its tokens."""

    pair: Pair
    source: list[int]
    target: list[int]


@dataclass
class Tally:
    """How many pairs something happened to, and the first few of them."""

    count: int = 0
    examples: list[dict[str, str]] = field(default_factory=list)

    def add(self, pair: Pair) -> None:
        """Count a pair."""
        self._add(f"{pair.file}:{pair.line}", source=_shortened(pair.source), target=_shortened(pair.target))

    def add_line(self, where: str) -> None:
        """Count a line that has no text, at `where` (`file:line`)."""
        self._add(where)

    def _add(self, where: str, **texts: str) -> None:
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append({"line": where, **texts})

    def as_dict(self) -> dict[str, Any]:
        """For the ledger."""
        return {"count": self.count, "examples": self.examples}


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


class Lengths:
    """Lengths of the pairs of a split, in tokens and in characters: four bytes each."""

    def __init__(self) -> None:
        self._lengths = {(side, unit): array("i") for side in ("source", "target") for unit in ("tokens", "characters")}

    def add(self, encoded: list[Encoded]) -> None:
        """Take the lengths of pairs."""
        for pair, source, target in encoded:
            self._lengths["source", "tokens"].append(len(source))
            self._lengths["source", "characters"].append(len(pair.source))
            self._lengths["target", "tokens"].append(len(target))
            self._lengths["target", "characters"].append(len(pair.target))

    def as_dict(self) -> dict[str, dict[str, dict[str, float]]]:
        """For the ledger: side -> unit -> statistic -> length."""
        sides: dict[str, dict[str, dict[str, float]]] = {"source": {}, "target": {}}
        for (side, unit), lengths in self._lengths.items():
            sides[side][unit] = _summary(np.array(lengths))
        return sides


def _summary(lengths: NDArray[Any]) -> dict[str, float]:
    middle = {name: round(float(np.percentile(lengths, percent)), 1) for name, percent in PERCENTILES.items()}
    return {"min": int(lengths.min()), "mean": round(float(lengths.mean()), 2), **middle, "max": int(lengths.max())}


def dropped_warning(ledger: dict[str, Any]) -> str | None:
    """Return a message about dropped training pairs, or None."""
    split = ledger["splits"]["train"]
    counts = {REASONS[reason]: tally["count"] for reason, tally in split["dropped"].items() if tally["count"]}
    if not counts:
        return None
    why = "; ".join(f"{count:,}: {reason}" for reason, count in counts.items())
    return f"left out {sum(counts.values()):,} of {split['read']:,} training pairs ({why}); s2s data inspect shows more"


def overlap_warning(ledger: dict[str, Any]) -> str | None:
    """Return a warning about test sentences that also occur in training, or None."""
    split = ledger["splits"]["test"]
    source, pair = split["overlap"]["source"], split["overlap"]["pair"]
    if not source["count"]:
        return None
    return (
        f"{source['count']:,} of {split['kept']:,} test sentences also stand in training,"
        f" {pair['count']:,} of them with the same translation (the first: {source['examples'][0]['line']});"
        " s2s data inspect shows more"
    )
