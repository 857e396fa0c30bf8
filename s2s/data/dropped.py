"""The dropped pairs of a corpus: how many for which reason, and where each was.

`dropped.arrow` is an Arrow stream of their files, lines and reasons.
Pairs that were dropped because they could not be read are among them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from s2s.data.corpus import DROPPED, REMEDY
from s2s.data.filters.selection import PairStatus
from s2s.data.ledger import REASONS, FilterLedger, Reason, Tally
from s2s.data.readers import Pair
from s2s.errors import ArtefactError
from s2s.io.atomic import atomic_writer
from s2s.io.json_values import validate
from s2s.recipe.filters import FilterOptions

CHUNK = 4000  # pairs in memory


class Tallies:
    """Numbers and examples of dropped pairs: by split and reason, and by filter."""

    def __init__(self, filters: Sequence[FilterOptions]) -> None:
        self._filters = filters
        self._by_filter = [Tally() for _ in filters]
        self._by_reason: dict[tuple[str, Reason], Tally] = {}

    def tally(self, split: str, reason: Reason) -> Tally:
        """Return the number and examples of the pairs of a split that were dropped for a reason."""
        return self._by_reason.setdefault((split, reason), Tally())

    def filtered(self, index: int) -> Tally:
        """Return the number and examples of the pairs that a filter dropped."""
        return self._by_filter[index]

    def filter_ledgers(self, alone: Sequence[int]) -> list[FilterLedger]:
        """Return what each filter dropped; `alone`: what it would drop without those before it."""
        each = zip(self._filters, alone, self._by_filter, strict=True)
        return [FilterLedger(one.name, one.describe(), count, tally) for one, count, tally in each]

    def counts(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "reasons": [[*key, asdict(tally)] for key, tally in self._by_reason.items()],
            "filters": [asdict(tally) for tally in self._by_filter],
        }

    def merge(self, counts: Mapping[str, Any]) -> None:
        """Add the `counts` of pairs that come later in the corpus."""
        for split, reason, tally in counts["reasons"]:
            self.tally(split, reason).merge(validate(Tally, tally, "tally"))
        for own, tally in zip(self._by_filter, counts["filters"], strict=True):
            own.merge(validate(Tally, tally, "tally"))


class DroppedPairs:
    """Counts dropped pairs in `tallies`, and writes where they were."""

    def __init__(self, stream: Any, filters: Sequence[FilterOptions]) -> None:
        """`stream` is an open Arrow stream with the columns of `dropped.arrow`."""
        self._stream = stream
        self._filters = filters
        self._rows: list[tuple[str, int, str]] = []  # not written yet
        self.tallies = Tallies(filters)

    def add_invalid(self, split: str, where: str) -> None:
        """Count a line of a split without a readable pair, at `file:line`."""
        self.tallies.tally(split, "invalid").add_line(where)
        file, _, line = where.rpartition(":")
        self._record(file, int(line), REASONS["invalid"])

    def add_damaged(self, split: str, pair: Pair) -> None:
        """Count a pair of a split whose image is damaged."""
        self.tallies.tally(split, "image").add(pair)
        self._record(pair.file, pair.line, REASONS["image"])

    def add(self, pair: Pair, status: int) -> None:
        """Count a training pair by its status, if that is one of dropped pairs."""
        if status >= PairStatus.FILTERED:
            index = status - PairStatus.FILTERED
            tally, reason = self.tallies.filtered(index), self._filters[index].describe()
        elif status in {PairStatus.EMPTY, PairStatus.HELD_OUT_SOURCE}:
            name: Reason = "empty" if status == PairStatus.EMPTY else "held_out_source"
            tally, reason = self.tallies.tally("train", name), REASONS[name]
        else:
            return
        tally.add(pair)
        self._record(pair.file, pair.line, reason)

    def append(self, path: Path, counts: Mapping[str, Any]) -> None:
        """Append the file and the counts of pairs that come later in the corpus."""
        import pyarrow as pa

        self.tallies.merge(counts)
        self.write()
        with pa.memory_map(str(path)) as mapped, pa.ipc.open_stream(mapped) as stream:
            for batch in stream:
                self._stream.write_batch(batch)

    def _record(self, file: str, line: int, reason: str) -> None:
        self._rows.append((file, line, reason))
        if len(self._rows) == CHUNK:
            self.write()

    def write(self) -> None:
        """Write what was recorded since the last time."""
        import pyarrow as pa

        if self._rows:
            columns = map(list, zip(*self._rows, strict=True))
            self._stream.write_batch(pa.record_batch([*columns], schema=_schema()))
        self._rows.clear()


@contextmanager
def dropped_pairs(path: Path, filters: Sequence[FilterOptions]) -> Iterator[DroppedPairs]:
    """Write a file of dropped pairs inside the block, complete or not at all."""
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with atomic_writer(path) as file, pa.ipc.new_stream(file, _schema(), options=options) as stream:
        dropped = DroppedPairs(stream, filters)
        yield dropped
        dropped.write()


def why_dropped(directory: Path, file: str, line: int) -> str | None:
    """Return why the pair at a line of a file was dropped; None if it was not. Raises ArtefactError."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        with pa.memory_map(str(directory / DROPPED)) as mapped, pa.ipc.open_stream(mapped) as stream:
            for batch in stream:
                wanted = pc.and_(pc.equal(batch["file"], file), pc.equal(batch["line"], line))
                if found := batch.filter(wanted)["reason"].to_pylist():
                    return str(found[0])
    except (pa.ArrowException, OSError, KeyError) as error:
        raise ArtefactError(f"corpus {directory} is damaged: {DROPPED}: {error}", REMEDY) from error
    return None


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema({"file": pa.string(), "line": pa.int64(), "reason": pa.string()})
