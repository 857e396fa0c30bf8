"""What the sources of a training split were like, so that translations of other ones can be told apart.

N: sentence pairs.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SENTENCE_ENDS = 0.05  # share of sources with several sentences up to which a model is one of single sentences
LONGER = 1.25  # times the longest usual source: a source that is longer than training knew
LONGEST_PERCENTILE, RATIO_PERCENTILE = 99.9, 0.5
BUCKETS = 10  # of source lengths, equally full


@dataclass(frozen=True, slots=True)
class RatioBound:
    """The smallest usual ratio of lengths for some source lengths."""

    up_to: int  # longest source, in tokens
    ratio: float  # 0.5th percentile of target tokens / source tokens


@dataclass(frozen=True, slots=True)
class SourceProfile:
    """Sentences and lengths of the sources of a training split."""

    sentence_ends: float  # share of sources with a sentence end before their end
    longest: float  # 99.9th percentile of source tokens
    ratios: list[RatioBound]  # by source length, ascending

    @classmethod
    def of(cls, source_lengths: "NDArray[Any]", target_lengths: "NDArray[Any]", sentence_ends: int) -> "SourceProfile":
        """Describe N pairs by their lengths in tokens [N] and the number of sources of several sentences."""
        import numpy as np

        ratios = target_lengths / np.maximum(source_lengths, 1)
        edges = np.unique(np.quantile(source_lengths, np.arange(1, BUCKETS + 1) / BUCKETS, method="higher"))
        bucket = np.searchsorted(edges, source_lengths)
        bounds = [
            RatioBound(int(edge), round(float(np.percentile(ratios[bucket == index], RATIO_PERCENTILE)), 3))
            for index, edge in enumerate(edges)
        ]
        longest = round(float(np.percentile(source_lengths, LONGEST_PERCENTILE)), 1)
        return cls(round(sentence_ends / len(source_lengths), 4), longest, bounds)

    @property
    def single_sentences(self) -> bool:
        """Whether nearly all sources were single sentences."""
        return self.sentence_ends < MAX_SENTENCE_ENDS

    def with_merged(self, share: float, lines: int, max_length: int) -> "SourceProfile":
        """Describe sources of which a share are 2 to `lines` of these ones joined, of at most `max_length` tokens."""
        if share < MAX_SENTENCE_ENDS:
            return self
        median = self.ratios[len(self.ratios) // 2].up_to if self.ratios else 0
        longest = max(self.longest, min(self.longest + (lines - 1) * median, max_length))
        return replace(self, sentence_ends=max(self.sentence_ends, share), longest=longest)

    def is_longer(self, source_tokens: int) -> bool:
        """Return whether a source is longer than training knew."""
        return source_tokens > LONGER * self.longest

    def is_too_short(self, source_tokens: int, target_tokens: int) -> bool:
        """Return whether a translation is unusually short for its source's length: below the 0.5th percentile."""
        bound = next((bound for bound in self.ratios if source_tokens <= bound.up_to), self.ratios[-1])
        return target_tokens < bound.ratio * source_tokens
