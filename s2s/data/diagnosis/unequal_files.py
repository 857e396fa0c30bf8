"""Find where two files of unequal line counts stop being parallel."""

from collections.abc import Iterable

from s2s.data.diagnosis.alignment import PARALLEL, Aligner
from s2s.data.diagnosis.window import WINDOW, Windows
from s2s.data.readers.pair import Pair, in_chunks


def last_parallel_line(sources: Iterable[bytes], targets: Iterable[bytes]) -> int | None:
    """Return the number of the last line before the end that is parallel to the other file's, by their lengths.

    It is the last line of the shorter file if only the end of the longer one is too much; None if there are too few
    lines to tell, or no line is parallel. Memory: about 10,000 lines.
    """
    aligner, windows = Aligner(), Windows()
    pairs = (
        Pair(source.decode(errors="replace"), target.decode(errors="replace"), number, "")
        for number, (source, target) in enumerate(zip(sources, targets, strict=False), 1)
    )
    for chunk in in_chunks(pairs, WINDOW):
        for window in windows.add(chunk):
            aligner.add(window)
    if rest := windows.end():
        aligner.add(rest)
    segments = aligner.finish()
    parallel = [segment for segment in segments if segment.state == PARALLEL]
    return parallel[-1].last if parallel else None
