"""The ledger of a corpus: what was read, dropped and why, lengths, and sentences that occur in two splits."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from s2s.data.readers import Pair
from s2s.data.source_profile import SourceProfile
from s2s.errors import ArtefactError
from s2s.io.json_values import validate
from s2s.recipe.image_size import ImageSize
from s2s.text.fertility import Fertility

EXAMPLES = 5  # pairs kept as examples of each count
SHOWN_CHARACTERS = 120
Reason = Literal["invalid", "image", "empty", "held_out_source"]  # why a pair was dropped, besides filters
REASONS: dict[Reason, str] = {
    "invalid": "invalid UTF-8, or a row without both columns",
    "image": "the image is damaged or missing",
    "empty": "a side is empty",
    "held_out_source": "the source also occurs in a held-out pair",
}
FindingKind = Literal[
    "misaligned",
    "swapped",
    "copies",
    "untranslated",
    "script",
    "mojibake",
    "tags",
    "placeholders",
    "numbers",
    "headings",
    "long",
]
PERCENTILES = {"median": 50, "p95": 95, "p99": 99}


@dataclass(frozen=True, slots=True)
class Example:
    """A pair, or a line without a readable pair."""

    line: str  # file:line
    source: str | None = None
    target: str | None = None

    @classmethod
    def of(cls, pair: Pair) -> "Example":
        """Return a pair as an example; long texts are shortened."""
        return cls(f"{pair.file}:{pair.line}", _shorten(pair.source), _shorten(pair.target))

    def __str__(self) -> str:
        """Return the place and the texts, for messages."""
        return f"{self.line}  {' → '.join(text for text in (self.source, self.target) if text is not None)}"


@dataclass(slots=True)
class Tally:
    """Number of pairs with some property, and the first few of them."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)

    def add(self, pair: Pair) -> None:
        """Count a pair."""
        self._add(Example.of(pair))

    def add_line(self, where: str) -> None:
        """Count a line without a readable pair, at `where` (`file:line`)."""
        self._add(Example(where))

    def merge(self, later: "Tally") -> None:
        """Add what was counted later."""
        self.count += later.count
        self.examples += later.examples[: EXAMPLES - len(self.examples)]

    def _add(self, example: Example) -> None:
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


@dataclass(frozen=True, slots=True)
class Extent:
    """Consecutive lines of a file."""

    file: str
    first: int  # from 1
    last: int
    shift: int | None = None  # misaligned lines: how many lines after a target its source is, if anywhere near


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that looks wrong with the pairs of a split."""

    kind: FindingKind
    message: str  # one sentence
    count: int  # pairs concerned
    examples: list[Example]
    extents: list[Extent] = field(default_factory=list)  # where they are concentrated; empty if everywhere


@dataclass(frozen=True, slots=True)
class Overlap:
    """Pairs of a split whose sentences also occur in training."""

    source: Tally  # the source occurs in training
    letters: Tally  # the source occurs in training, ignoring case, digits and punctuation
    pair: Tally  # the whole pair occurs in training


@dataclass(frozen=True, slots=True)
class LengthSummary:
    """Distribution of the lengths of one side of a split."""

    min: int
    mean: float
    median: float
    p95: float  # percentile
    p99: float
    max: int

    @classmethod
    def of(cls, lengths: NDArray[Any]) -> "LengthSummary":
        """Summarize the lengths [N] of at least one text."""
        percentiles = {name: round(float(np.percentile(lengths, percent)), 1) for name, percent in PERCENTILES.items()}
        return cls(min=int(lengths.min()), mean=round(float(lengths.mean()), 2), max=int(lengths.max()), **percentiles)


@dataclass(frozen=True, slots=True)
class SideLengths:
    """Lengths of one side of a split."""

    tokens: LengthSummary
    characters: LengthSummary


@dataclass(frozen=True, slots=True)
class SplitLengths:
    """Lengths of the pairs of a split."""

    source: SideLengths
    target: SideLengths


@dataclass(frozen=True, slots=True)
class FilterLedger:
    """What a filter dropped."""

    name: str
    drops: str  # description of the pairs that it drops
    alone: int  # pairs that it would drop without the filters before it
    dropped: Tally  # pairs that it dropped after the filters before it


@dataclass(frozen=True, slots=True)
class SplitLedger:
    """What happened to the pairs of one split."""

    read: int
    kept: int
    files: list[str]  # in the order of the numbers stored with the pairs
    readable: dict[str, int]  # pairs by file, dropped ones included
    lengths: SplitLengths
    fertility: dict[str, Fertility]  # of the kept pairs, by side; of captions the target only
    dropped: dict[Reason, Tally]
    filters: list[FilterLedger] = field(default_factory=list)  # train only, in the order in which they ran
    held_out: dict[str, int] | None = None  # train only: pairs moved to validation and test
    profile: SourceProfile | None = None  # train only
    findings: list[Finding] = field(default_factory=list)  # train only, of text
    empty: Tally | None = None  # validation and test only: kept pairs with an empty side
    overlap: Overlap | None = None  # validation and test only
    datasets: dict[str, int] = field(default_factory=dict)  # of a mixture: kept pairs, in the order of their numbers


@dataclass(frozen=True, slots=True)
class TokenizerLedger:
    """Tokenizer of a corpus."""

    tokens: int  # vocabulary size, including special tokens
    digest: str  # sha256
    given: bool  # whether it is the parent's instead of trained on the corpus


@dataclass(frozen=True, slots=True)
class Ledger:
    """Ledger of a corpus."""

    schema: int
    inputs: dict[str, dict[str, str]]  # sha256 of each input by split and file
    tokenizer: TokenizerLedger
    splits: dict[str, SplitLedger]
    image_size: ImageSize | None = None  # if sources are images
    license: str | None = None  # of the data
    citation: str | None = None  # of the data

    @classmethod
    def parse(cls, values: Any, where: str) -> "Ledger":
        """Parse the JSON values of a ledger. Raises ArtefactError if they are invalid."""
        ledger = validate(cls, values, where)
        if missing := {"train", "validation", "test"} - ledger.splits.keys():
            raise ArtefactError(f"{where} is damaged: splits: no {', '.join(sorted(missing))}")
        sides = {"target"} if ledger.image_size else {"source", "target"}
        if any(split.fertility.keys() != sides for split in ledger.splits.values()):
            raise ArtefactError(f"{where} is damaged: fertility: not of {' and '.join(sorted(sides))}")
        return ledger

    def as_dict(self) -> dict[str, Any]:
        """Return the ledger as JSON values, without fields that are None."""
        return asdict(self, dict_factory=lambda items: {key: value for key, value in items if value is not None})


def dropped_warning(ledger: Ledger) -> str | None:
    """Return a message about dropped training pairs, or None."""
    split = ledger.splits["train"]
    tallies = [(REASONS[reason], tally) for reason, tally in split.dropped.items()]
    tallies += [(one.drops, one.dropped) for one in split.filters]
    total = sum(tally.count for _, tally in tallies)
    if not total:
        return None
    reasons = "; ".join(f"{tally.count:,}: {reason}" for reason, tally in tallies if tally.count)
    return f"dropped {total:,} of {split.read:,} training pairs ({reasons}); see s2s data inspect"


def overlap_warning(ledger: Ledger) -> str | None:
    """Return a warning about test sentences that also occur in training, or None."""
    split = ledger.splits["test"]
    if split.overlap is None or not split.overlap.source.count:
        return None
    source, pair = split.overlap.source, split.overlap.pair
    return (
        f"{source.count:,} of {split.kept:,} test sources also occur in training, {pair.count:,} of them with the same"
        f" translation (first: {source.examples[0].line}); see s2s data inspect"
    )
