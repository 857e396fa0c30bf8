"""Find what became of a line of the data in a corpus."""

import re
from dataclasses import dataclass
from pathlib import PurePath

from s2s.data.corpus import SPLITS, Corpus
from s2s.data.dropped import why_dropped
from s2s.errors import UsageError, did_you_mean


@dataclass(frozen=True, slots=True)
class Found:
    """What became of the pair at a line of a file."""

    file: str  # as the recipe names it
    line: int
    split: str | None = None  # that has the pair; None if it was dropped
    row: int | None = None  # of the pair in the split, from 0
    dropped: str | None = None  # why it was dropped


def find_pair(corpus: Corpus, place: str) -> Found:
    """Find the pair at `file:line` in a corpus; the file may be named without its directory.

    Raises: UsageError if the corpus has no such file or line, ArtefactError if it is damaged.
    """
    name, _, number = place.rpartition(":")
    if not name or not re.fullmatch("[0-9]{1,18}", number):
        raise UsageError(f"{place}: expected FILE:LINE", "such as train.de:12345")
    file, line = _file(corpus, name), int(number)
    for split in SPLITS:
        if (row := corpus.split(split).find(file, line)) is not None:
            return Found(file, line, split=split, row=row)
    if reason := why_dropped(corpus.path, file, line):
        return Found(file, line, dropped=reason)
    hint = "lines are numbered from 1, in the files of the source; blank rows of tables are skipped"
    raise UsageError(f"no pair was read at {file}:{line}", hint)


def _file(corpus: Corpus, name: str) -> str:
    """Return the name of a file that pairs were read from, as the recipe has it."""
    ledger = corpus.ledger
    known = dict.fromkeys(file for split in ledger.splits.values() for file in split.files)
    known |= dict.fromkeys(file for files in ledger.inputs.values() for file in files)
    found = [file for file in known if file == name] or [file for file in known if PurePath(file).name == name]
    if len(found) == 1:
        return found[0]
    hint = did_you_mean(name, [*known]) or f"it was prepared from {', '.join(known)}"
    raise UsageError(f"{name}: {'several files' if found else 'no file'} of the corpus {corpus.path.name}", hint)
