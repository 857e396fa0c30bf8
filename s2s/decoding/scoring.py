"""Scoring: log-probabilities of given translations, as raw lines of two files, and word alignments from attention.

N line pairs, S source tokens, T target tokens (both EOS excluded).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s.decoding.engine import ForcedScore, ScoringEngine
from s2s.decoding.translator import Translator
from s2s.metrics.alignment import SPACE
from s2s.text.parallel import read_pairs

WINDOW = 2048  # line pairs read ahead, within which they are sorted by length

Alignment = tuple[tuple[int, int], ...]  # (source word, target word), from 0


@dataclass(frozen=True, slots=True)
class ScoredLine:
    """The score of a target line given its source line."""

    tokens: tuple[str, ...]  # target tokens, `</s>` last
    log_probabilities: tuple[float, ...]  # of each token, in nats
    target_bytes: int  # length of the raw target line in UTF-8
    blank: bool = False  # whether a side is blank
    alignment: Alignment = ()  # with attention: a source word for each target word

    @property
    def log_probability(self) -> float:
        """Log-probability of the line, EOS included, in nats."""
        return math.fsum(self.log_probabilities)

    def as_text(self, tokens: bool) -> str:
        """Format the log-probability; with `tokens`, add a tab and each token followed by its own log-probability."""
        total = f"{self.log_probability:z.4f}"
        if not tokens:
            return total
        each = (f"{token} {value:z.4f}" for token, value in zip(self.tokens, self.log_probabilities, strict=True))
        return f"{total}\t{' '.join(each)}"

    def as_json(self, tokens: bool) -> dict[str, Any]:
        """Return what `--json` prints."""
        line = {
            "log_probability": round(self.log_probability, 6),
            "length": len(self.tokens),
            "target_bytes": self.target_bytes,
        }
        if not tokens:
            return line
        each = zip(self.tokens, self.log_probabilities, strict=True)
        return line | {"tokens": [{"token": token, "log_probability": round(value, 6)} for token, value in each]}

    def as_pharaoh(self) -> str:
        """Format the alignment in the Pharaoh format: `0-0 2-1`, source word - target word."""
        return " ".join(f"{source}-{target}" for source, target in self.alignment)


@dataclass(slots=True)
class Totals:
    """Sums over scored lines; those with a blank side only count as lines."""

    lines: int = 0  # line pairs
    tokens: int = 0  # target tokens, EOS included
    target_bytes: int = 0  # of the raw target lines in UTF-8
    log_probability: float = 0.0  # in nats
    untagged: int = 0  # lines whose source lacks a tag

    def add(self, lines: Sequence[ScoredLine]) -> None:
        """Add scored lines."""
        self.lines += len(lines)
        scored = [line for line in lines if not line.blank]
        self.tokens += sum(len(line.tokens) for line in scored)
        self.target_bytes += sum(line.target_bytes for line in scored)
        self.log_probability += math.fsum(line.log_probability for line in scored)

    def describe(self) -> str:
        """Summarize the totals, perplexity per token and bits per byte on one line; leave out undefined figures."""
        summary = f"{self.lines:,} lines"
        if not self.tokens:
            return summary
        perplexity = ForcedScore(-self.log_probability, self.tokens).perplexity
        summary += f", {self.tokens:,} tokens: log-probability {self.log_probability:z.4f}, perplexity {perplexity:.4f}"
        if not self.target_bytes:
            return summary
        return f"{summary}, {-self.log_probability / math.log(2) / self.target_bytes:.4f} bits per byte"


def score_lines(
    translator: Translator[ScoringEngine],
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    need_attention: bool = False,
) -> list[ScoredLine]:
    """Score N raw target lines given their raw source lines, in order; with `need_attention`, also align their words.

    An empty target is scored as EOS alone; an empty source is encoded as EOS alone.
    """
    tokenizer = translator.tokenizer
    source_ids, target_ids = translator.encode_lines(sources), translator.encode(targets)
    forced_lines = translator.engine.force(source_ids, target_ids, need_attention=need_attention)
    scored: dict[int, ScoredLine] = {}
    for row, forced in forced_lines:
        tokens = tokenizer.tokens(target_ids[row])
        alignment: Alignment = ()
        if forced.attention is not None:
            tag, text = translator.settings.split_tag(sources[row])
            skipped = len(translator.encode([tag])[0]) if tag and text.strip() else 0  # tokens of the tag
            own = int(text != sources[row] and text[:1] == " ")  # whether the tag is a word of the line itself
            links = align_words(forced.attention[:, skipped:], tokenizer.tokens(source_ids[row][skipped:]), tokens)
            alignment = tuple((source + own, target) for source, target in links)
        scored[row] = ScoredLine(
            (*tokens, "</s>"),
            tuple(forced.log_probabilities.tolist()),
            len(targets[row].encode()),
            not (sources[row].strip() and targets[row].strip()),
            alignment,
        )
    return [scored[row] for row in range(len(targets))]


def align_words(
    attention: NDArray[np.float32], source_tokens: Sequence[str], target_tokens: Sequence[str]
) -> Alignment:
    """Align each target word with the source word that has most attention [T + 1, S + 1], summed over its tokens.

    Attention from and to EOS is ignored. The alignment is empty if either side has no words.
    """
    source_starts, target_starts = _word_starts(source_tokens), _word_starts(target_tokens)
    if not source_starts or not target_starts:
        return ()
    by_source_word = np.add.reduceat(attention[: len(target_tokens), : len(source_tokens)], source_starts, axis=1)
    source_words = np.add.reduceat(by_source_word, target_starts, axis=0).argmax(1)
    return tuple(zip(source_words.tolist(), range(len(target_starts)), strict=True))


def _word_starts(tokens: Sequence[str]) -> list[int]:
    """Return the positions of tokens that start a word: the first, and those after one or more spaces."""
    return [
        position
        for position, (previous, token) in enumerate(pairwise(("", *tokens)))
        if position == 0 or (token[:1] == SPACE and previous.strip(SPACE))
    ]


def score_files(
    translator: Translator[ScoringEngine],
    source: str,
    target: str,
    write: Callable[[Sequence[ScoredLine]], None],
    *,
    need_attention: bool = False,
) -> Totals:
    """Score the lines of `target` given those of `source`; pass groups of lines to `write` in order, when finished.

    Regular files are checked to their end first, so that an error there costs no time.
    Raises: UsageError if both are standard input; DataError if line counts differ, for invalid UTF-8 or for a damaged
    compressed file.
    """
    if "-" not in {source, target} and Path(source).is_file() and Path(target).is_file():
        for _ in read_pairs(source, target, WINDOW):
            pass
    totals = Totals()
    for pairs in read_pairs(source, target, WINDOW):
        sources, targets = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        lines = score_lines(translator, sources, targets, need_attention=need_attention)
        totals.add(lines)
        totals.untagged += sum(map(translator.settings.lacks_tag, sources))
        write(lines)
    return totals
