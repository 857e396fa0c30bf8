"""The dropped pairs of a corpus: how many for which reason, and where each was.

`dropped.arrow` is an Arrow stream of their files, lines and reasons.
Pairs that were dropped because they could not be read are among them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s2s.data.corpus import DROPPED, REMEDY
from s2s.data.filters.selection import PairStatus
from s2s.data.ledger import REASONS, FilterLedger, Reason, Tally
from s2s.data.readers import Pair
from s2s.errors import ArtefactError
from s2s.io.atomic import atomic_writer
from s2s.recipe.filters import FilterOptions

CHUNK = 4000  # pairs in memory


class DroppedPairs:
    """Counts dropped pairs by reason, with examples, and writes where they were."""

    def __init__(self, stream: Any, filters: Sequence[FilterOptions]) -> None:
        """`stream` is an open Arrow stream with the columns of `dropped.arrow`."""
        self._stream = stream
        self._filters = filters
        self._by_filter = [Tally() for _ in filters]
        self._by_reason: dict[tuple[str, Reason], Tally] = {}
        self._rows: list[tuple[str, int, str]] = []  # not written yet

    def tally(self, split: str, reason: Reason) -> Tally:
        """Return the number and examples of the pairs of a split that were dropped for a reason."""
        return self._by_reason.setdefault((split, reason), Tally())

    def on_invalid(self, split: str) -> Callable[[str], None]:
        """Return what counts a line of a split without a readable pair, given `file:line`."""

        def add(where: str) -> None:
            self.tally(split, "invalid").add_line(where)
            file, _, line = where.rpartition(":")
            self._record(file, int(line), REASONS["invalid"])

        return add

    def on_damaged(self, split: str) -> Callable[[Pair], None]:
        """Return what counts a pair of a split whose image is damaged."""

        def add(pair: Pair) -> None:
            self.tally(split, "image").add(pair)
            self._record(pair.file, pair.line, REASONS["image"])

        return add

    def add(self, pair: Pair, status: int) -> None:
        """Count a training pair by its status, if that is one of dropped pairs."""
        if status >= PairStatus.FILTERED:
            index = status - PairStatus.FILTERED
            tally, reason = self._by_filter[index], self._filters[index].describe()
        elif status in {PairStatus.EMPTY, PairStatus.HELD_OUT_SOURCE}:
            name: Reason = "empty" if status == PairStatus.EMPTY else "held_out_source"
            tally, reason = self.tally("train", name), REASONS[name]
        else:
            return
        tally.add(pair)
        self._record(pair.file, pair.line, reason)

    def filter_ledgers(self, alone: Sequence[int]) -> list[FilterLedger]:
        """Return what each filter dropped; `alone`: what it would drop without those before it."""
        each = zip(self._filters, alone, self._by_filter, strict=True)
        return [FilterLedger(one.name, one.describe(), count, tally) for one, count, tally in each]

    def _record(self, file: str, line: int, reason: str) -> None:
        self._rows.append((file, line, reason))
        if len(self._rows) == CHUNK:
            self.write()

    def write(self) -> None:
        """Write what was recorded since the last time."""
        import pyarrow as pa

        columns = zip(*self._rows, strict=True) if self._rows else ([], [], [])
        self._stream.write_batch(pa.record_batch([*map(list, columns)], schema=_schema()))
        self._rows.clear()


@contextmanager
def dropped_pairs(directory: Path, filters: Sequence[FilterOptions]) -> Iterator[DroppedPairs]:
    """Write `dropped.arrow` inside the block, complete or not at all."""
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with (
        atomic_writer(directory / DROPPED) as file,
        pa.ipc.new_stream(file, _schema(), options=options) as stream,
    ):
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
