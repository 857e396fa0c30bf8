"""Quality of attention: how sharp it is, how much of the source it covers, how well it aligns tokens.

S source tokens, T target tokens, EOS excluded. A target token's attention is the row of the step that predicts it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from operator import add
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SPACE = "▁"  # stands for a space in tokens; begins those that start a word
LITTLE_ATTENTION = 0.2  # summed over a translation, that a source token gets if it is ignored

Span = tuple[int, int]  # characters of a text: start, end
Link = tuple[int, int]  # source token, target token


class SpanLink(NamedTuple):
    """A link of a known alignment."""

    source: Span
    target: Span
    sure: bool  # or only possible

    def shifted(self, source: int, target: int) -> "SpanLink":
        """Return the link in texts that start so many characters earlier."""
        own, other = self.source, self.target
        return SpanLink((own[0] + source, own[1] + source), (other[0] + target, other[1] + target), self.sure)


@dataclass(frozen=True, slots=True)
class TokenLinks:
    """The links of a known alignment between tokens (Och and Ney 2003)."""

    sure: frozenset[Link]  # unambiguous; all of them are possible, too
    possible: frozenset[Link]


@dataclass(frozen=True, slots=True)
class AlignmentCounts:
    """Links of alignments A that are among the sure links S and the possible links P, counted over a corpus."""

    links: int = 0  # |A|
    sure: int = 0  # |S|
    found_sure: int = 0  # |A ∩ S|
    found_possible: int = 0  # |A ∩ P|

    def __add__(self, other: "AlignmentCounts") -> "AlignmentCounts":
        return AlignmentCounts(*map(add, astuple(self), astuple(other)))

    @property
    def error_rate(self) -> float:
        """AER = 1 − (|A ∩ S| + |A ∩ P|) / (|A| + |S|), from 0 to 1 (Och and Ney 2003); NaN without links."""
        total = self.links + self.sure
        return 1 - (self.found_sure + self.found_possible) / total if total else math.nan


@dataclass(frozen=True, slots=True)
class AttentionSums:
    """Sums over tokens of a corpus, from which sharpness and coverage are computed."""

    target_tokens: int = 0
    source_tokens: int = 0
    entropy: float = 0.0  # of the target tokens' attention, in nats
    covered: int = 0  # source tokens with at least LITTLE_ATTENTION
    deviation: float = 0.0  # of the source tokens' attention from 1

    def __add__(self, other: "AttentionSums") -> "AttentionSums":
        return AttentionSums(*map(add, astuple(self), astuple(other)))

    @property
    def mean_entropy(self) -> float:
        """Mean of H_t = −Σ_i a_{t,i} ln a_{t,i} over target tokens, in nats; 0 is sharpest. NaN without tokens."""
        return self.entropy / self.target_tokens if self.target_tokens else math.nan

    @property
    def effective_positions(self) -> float:
        """exp(mean entropy): as many positions, attended equally, have the same entropy; 1 is sharpest."""
        return math.exp(self.mean_entropy)

    @property
    def coverage(self) -> float:
        """Share of source tokens with at least LITTLE_ATTENTION, summed over the steps of the translation."""
        return self.covered / self.source_tokens if self.source_tokens else math.nan

    @property
    def mean_deviation(self) -> float:
        """Mean of |1 − Σ_t a_{t,i}| over source tokens: 0 if each is translated once (Tu et al. 2016, fertility 1)."""
        return self.deviation / self.source_tokens if self.source_tokens else math.nan


def token_spans(text: str, tokens: Sequence[str]) -> list[Span] | None:
    """Return the characters of a normalized text that each of its tokens spells, without the spaces before them.

    A token that is only a space has an empty span where the next word starts. None if the tokens do not spell the text,
    as when it has unknown characters, or two spaces in a row.
    """
    spelled = "".join(tokens).replace(SPACE, " ")
    if spelled.removeprefix(" ") != text:
        return None
    spans, end = [], len(text) - len(spelled)  # −1 if the first token starts with a space that the text does not have
    for token in tokens:
        start, end = end + len(token) - len(token.lstrip(SPACE)), end + len(token)
        spans.append((start, end))
    return spans


def token_links(links: Iterable[SpanLink], sources: Sequence[Span], targets: Sequence[Span]) -> TokenLinks:
    """Return the links between S source and T target tokens, given their spans, that follow from links of characters.

    Two tokens have a possible link if they share characters with the two spans of any link. It is sure if they do with
    those of a sure link, and no sure link leads from that target token to another source token: a word that is one
    token on the source side has sure links, however many target tokens it has, and one of several tokens has possible
    links, as none of them is the right one. A token that is only a space counts as the start of the word after it; its
    links are possible.
    """
    sure: dict[int, set[int]] = {}
    possible: set[Link] = set()
    for link in links:
        for t in _overlapping(link.target, targets):
            for s in _overlapping(link.source, sources):
                possible.add((s, t))
                if link.sure and targets[t][0] < targets[t][1] and sources[s][0] < sources[s][1]:
                    sure.setdefault(t, set()).add(s)
    return TokenLinks(frozenset((min(own), t) for t, own in sure.items() if len(own) == 1), frozenset(possible))


def _overlapping(span: Span, tokens: Sequence[Span]) -> list[int]:
    """Return the tokens that share characters with a span; an empty token stands for the character at its place."""
    return [index for index, (start, end) in enumerate(tokens) if start < span[1] and span[0] < max(end, start + 1)]


def attention_links(attention: "NDArray[np.floating]") -> list[Link]:
    """Return a link from each target token to the source token with the most attention [T + 1, S + 1], EOS last.

    Attention from and to EOS is ignored: there are T links, or none if S is 0.
    """
    inner = attention[:-1, :-1]
    return [(int(s), t) for t, s in enumerate(inner.argmax(1))] if inner.shape[1] else []


def alignment_counts(links: Iterable[Link], known: TokenLinks) -> AlignmentCounts:
    """Count the links of a sentence pair by the known ones.

    Links of target tokens that have no known link are left out: attention has no way to align a token with nothing.
    """
    aligned = {t for _, t in known.possible}
    found = {link for link in links if link[1] in aligned}
    return AlignmentCounts(len(found), len(known.sure), len(found & known.sure), len(found & known.possible))


def attention_sums(attention: "NDArray[np.floating]") -> AttentionSums:
    """Return the sums of a sentence pair's attention [T + 1, S + 1], EOS last.

    Entropy is that of the rows of target tokens, over all positions, EOS included. A source token's attention is summed
    over all steps, EOS included.
    """
    import numpy as np

    rows = attention[:-1].astype(np.float64)
    received = attention.astype(np.float64).sum(0)[:-1]
    return AttentionSums(
        target_tokens=len(rows),
        source_tokens=len(received),
        entropy=float(-(rows * np.log(np.where(rows > 0, rows, 1))).sum()),
        covered=int((received >= LITTLE_ATTENTION).sum()),
        deviation=float(np.abs(1 - received).sum()),
    )
