"""Write the pairs of one split, and collect what the ledger says of them."""

from collections import Counter
from typing import Any

from s2s.data.corpus import Encoded, SplitWriter
from s2s.data.ledger import Lengths, Reason, SplitLedger, Tally
from s2s.data.source_profile import SourceProfile
from s2s.recipe.data import DataOptions
from s2s.text.fertility import FertilityCounter
from s2s.text.sentences import split_sentences
from s2s.text.tokenizer import Tokenizer


class SplitBuilder:
    """Writes the pairs of one split, and records their files, lengths and sentence ends."""

    def __init__(self, writer: SplitWriter, data: DataOptions, tokenizer: Tokenizer) -> None:
        self._writer = writer
        self._data = data
        self._lengths = Lengths()
        sides = ("target",) if data.image_size else ("source", "target")
        self._fertility = {side: FertilityCounter(tokenizer) for side in sides}
        self._sentence_ends = 0  # sources with several sentences
        self._files: dict[str, int] = {}
        self.kept = 0
        self.readable: Counter[str] = Counter()  # pairs by file, dropped ones included

    def add(self, encoded: list[Encoded]) -> None:
        """Write pairs."""
        files = [self._files.setdefault(pair.file, len(self._files)) for pair, _, _ in encoded]
        self._writer.write(encoded, files)
        pairs = [pair for pair, _, _ in encoded]
        self._lengths.add(pairs, [len(source) for _, source, _ in encoded], [len(target) for _, _, target in encoded])
        for side, counter in self._fertility.items():
            counter.add([getattr(pair, side) for pair in pairs], [getattr(one, side) for one in encoded])
        if not self._data.image_size:
            language = self._data.source_language
            self._sentence_ends += sum(len(split_sentences(pair.source, language)) > 1 for pair in pairs)
        self.kept += len(encoded)

    def profile(self) -> SourceProfile:
        """Describe the sources of at least one pair."""
        return self._lengths.profile(self._sentence_ends)

    def ledger(self, unread: dict[Reason, Tally], dropped: dict[Reason, Tally], **counts: Any) -> SplitLedger:
        """Return the ledger of a split with at least one pair; `unread` could not be read, `dropped` were dropped."""
        return SplitLedger(
            read=self.readable.total() + sum(tally.count for tally in unread.values()),
            kept=self.kept,
            files=list(self._files),
            readable=dict(self.readable),
            lengths=self._lengths.summarize(),
            fertility={side: counter.result() for side, counter in self._fertility.items()},
            dropped=unread | dropped,
            **counts,
        )
