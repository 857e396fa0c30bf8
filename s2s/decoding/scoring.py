"""Scoring: how probable a model finds given translations, as raw lines of two files; and which words attention joins.

N line pairs, S source tokens, T target tokens (both without EOS).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s.decoding.forced import ForcedScore, forced_sentences
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.streaming import opened
from s2s.decoding.translator import Translator
from s2s.errors import DataError
from s2s.io.inputs import read_lines, refuse_twice
from s2s.text.lines import decode_line, read_ahead

WINDOW = 2048  # line pairs read ahead, within which they are sorted by length
SPACE = "▁"  # what a token that begins a word begins with

Links = tuple[tuple[int, int], ...]  # (source word, target word), from 0


@dataclass(frozen=True, slots=True)
class ScoredLine:
    """A target line given its source line: its tokens and `</s>`, the log-probability of each in nats, bytes of the
    raw line in UTF-8, and, where asked for, each target word's source word.
    """

    tokens: tuple[str, ...]
    log_probabilities: tuple[float, ...]
    size: int
    links: Links = ()

    @property
    def log_probability(self) -> float:
        """Of the whole line, EOS counted, in nats."""
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
        line = {"log_probability": round(self.log_probability, 6), "length": len(self.tokens), "bytes": self.size}
        if not tokens:
            return line
        each = zip(self.tokens, self.log_probabilities, strict=True)
        return line | {"tokens": [{"token": token, "log_probability": round(value, 6)} for token, value in each]}

    def as_pharaoh(self) -> str:
        """Its alignment in the Pharaoh format: `0-0 2-1`, source word - target word."""
        return " ".join(f"{source}-{target}" for source, target in self.links)


@dataclass(slots=True)
class Totals:
    """Sums over scored lines: log-probability in nats, tokens with EOS, UTF-8 bytes of the target lines."""

    lines: int = 0
    tokens: int = 0
    size: int = 0
    log_probability: float = 0.0

    def add(self, lines: Sequence[ScoredLine]) -> None:
        """Count these lines, too."""
        self.lines += len(lines)
        self.tokens += sum(len(line.tokens) for line in lines)
        self.size += sum(line.size for line in lines)
        self.log_probability += math.fsum(line.log_probability for line in lines)

    def describe(self) -> str:
        """Summarize the totals, perplexity per token and bits per byte on one line; leave out undefined figures."""
        words = f"{self.lines:,} lines"
        if not self.lines:
            return words
        perplexity = ForcedScore(-self.log_probability, self.tokens).perplexity
        words += f", {self.tokens:,} tokens: log-probability {self.log_probability:z.4f}, perplexity {perplexity:.4f}"
        return words + (f", {-self.log_probability / math.log(2) / self.size:.4f} bits per byte" if self.size else "")


def score_lines(
    translator: Translator[PyTorchEngine],
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    need_attention: bool = False,
) -> list[ScoredLine]:
    """N raw target lines given their raw source lines, in order; with `weights`, which words attention joins.

    An empty target is EOS alone, an empty source what the encoder makes of EOS alone.
    """
    read, written = translator.encode(sources), translator.encode(targets)
    engine, tokenizer = translator.engine, translator.tokenizer
    scored: dict[int, ScoredLine] = {}
    for row, forced in forced_sentences(engine.model, read, written, engine.device, need_attention=need_attention):
        tokens = tokenizer.tokens(written[row])
        links: Links = ()
        if forced.attention is not None:
            links = word_links(forced.attention, tokenizer.tokens(read[row]), tokens)
        scored[row] = ScoredLine(
            (*tokens, "</s>"), tuple(forced.log_probabilities.tolist()), len(targets[row].encode()), links
        )
    return [scored[row] for row in range(len(targets))]


def word_links(weights: NDArray[np.float32], source_tokens: Sequence[str], target_tokens: Sequence[str]) -> Links:
    """Each target word with the source word that got most of the weights [T + 1, S + 1], summed over its tokens.

    What EOS got or gave does not count. No links where a side has no words.
    """
    read, written = _word_starts(source_tokens), _word_starts(target_tokens)
    if not read or not written:
        return ()
    by_source_word = np.add.reduceat(weights[: len(target_tokens), : len(source_tokens)], read, axis=1)
    best = np.add.reduceat(by_source_word, written, axis=0).argmax(1)
    return tuple(zip(best.tolist(), range(len(written)), strict=True))


def _word_starts(tokens: Sequence[str]) -> list[int]:
    """Where words begin among tokens: at the first, and behind spaces, however many."""
    neighbours = enumerate(pairwise(("", *tokens)))
    return [at for at, (before, token) in neighbours if at == 0 or (token[:1] == SPACE and before.strip(SPACE))]


def score_files(
    translator: Translator[PyTorchEngine],
    source: str,
    target: str,
    write: Callable[[Sequence[ScoredLine]], None],
    *,
    need_attention: bool = False,
) -> Totals:
    """Score the lines of `target` given those of `source`; `write` gets them in order, as soon as they are there.

    Files that can be read twice are read once before, so that what is wrong at their end costs no time.
    Raises: UsageError where both are standard input; DataError where they differ in their number of lines, hold invalid
    UTF-8, or a gzip file is damaged.
    """
    refuse_twice([source, target])
    if "-" not in {source, target} and Path(source).is_file() and Path(target).is_file():
        for _ in _pairs(source, target):
            pass
    totals = Totals()
    for sources, targets in _pairs(source, target):
        lines = score_lines(translator, sources, targets, need_attention=need_attention)
        totals.add(lines)
        write(lines)
    return totals


def _pairs(source: str, target: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield groups of WINDOW line pairs, fewer if a side is a pipe that pauses."""
    with opened(source) as sources, opened(target) as targets:
        sides = [(source, sources), (target, targets)]
        swapped = sources.seekable()  # the side that may pause leads; the other one is there, or is waited for
        (leader, leading), (follower, following) = reversed(sides) if swapped else sides
        groups = (group for group in read_ahead(leading, WINDOW, leader) if group)
        others, done = read_lines(following, follower), 0
        for group in chain(groups, [[]]):
            beside = list(islice(others, len(group) or 1))
            if len(group) != len(beside):
                counts = done + len(group) + sum(map(len, groups)), done + len(beside) + sum(1 for _ in others)
                raise _unequal(source, target, counts[::-1] if swapped else counts)
            texts = _decoded(group, leader, done), _decoded(beside, follower, done)
            yield texts[::-1] if swapped else texts
            done += len(group)


def _unequal(source: str, target: str, counts: tuple[int, ...]) -> DataError:
    of_source, of_target = counts
    return DataError(f"line counts differ: {source} has {of_source:,}, {target} has {of_target:,}")


def _decoded(lines: Sequence[bytes], name: str, done: int) -> list[str]:
    return [decode_line(line, f"{name}:{number}", "refuse") for number, line in enumerate(lines, done + 1)]
