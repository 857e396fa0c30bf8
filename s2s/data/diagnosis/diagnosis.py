"""Notice what is wrong with parallel text while it is read: shifted lines, swapped sides, wrong encodings and more."""

import itertools
from collections.abc import Iterable, Iterator
from operator import attrgetter

import numpy as np

from s2s.data.diagnosis.alignment import Aligner
from s2s.data.diagnosis.misalignment import Misalignment, low_correlation
from s2s.data.diagnosis.outliers import LongLines, headings
from s2s.data.diagnosis.pair_model import length_moments
from s2s.data.diagnosis.script_check import ScriptCheck, script_findings
from s2s.data.diagnosis.side_model import LEARNED, MIN_LEARNED, SideModel
from s2s.data.diagnosis.signals import Check, Signal
from s2s.data.diagnosis.window import WINDOW, Window, Windows
from s2s.data.ledger import EXAMPLES, Example, Finding
from s2s.data.readers.pair import Pair, in_chunks
from s2s.recipe.languages import primary_language

MIN_COPY = 20  # characters; shorter texts are often names and terms that stay as they are
# The shares are above what clean corpora have. The gettext catalogues of a Debian system (de, fr, ru, ja, zh_CN, tr,
# vi: 40,000 to 80,000 pairs each) have copies up to 1.3 %, untranslated 0.8 %, tags 9 %, placeholders 0.3 %, numbers
# 1.4 %, swapped and mojibake 0.02 %; Multi30k (de, en, fr) has numbers 4 %, and nothing of the others.
CHECKS = {
    "copies": Check("copies", 0.02, "have a target that repeats the source"),
    "swapped": Check("swapped", 0.002, "look swapped: each side resembles the other side's language"),
    "target": Check("untranslated", 0.015, "have a target that looks like the source's language"),
    "source": Check("untranslated", 0.015, "have a source that looks like the target's language"),
    "mojibake": Check("mojibake", 0.001, "hold mojibake, such as Ã¤ for ä"),
    "tags": Check("tags", 0.15, "with tags or entities have different ones on the other side"),
    "placeholders": Check("placeholders", 0.02, "with placeholders have different ones on the other side"),
    "headings": Check("headings", 0.001, "look like headings: short and, unlike the rest, without final punctuation"),
    "numbers": Check("numbers", 0.1, "with numbers on both sides have different ones"),
}


class Diagnosis:
    """Checks the pairs of a corpus in one pass.

    Memory is bounded: about 10,000 pairs, and a few bytes for every thousand more. Of each text, the first
    `window.MAX_CHARACTERS` count.
    """

    def __init__(self, source_language: str, target_language: str) -> None:
        """Language codes; if both are the same, the pairs are no translations, and may differ in more than language."""
        self._one_language = bool(source_language) and (
            primary_language(source_language) == primary_language(target_language)
        )
        self._signals = {name: Signal(check) for name, check in CHECKS.items()}
        self._scripts = ScriptCheck("source", source_language), ScriptCheck("target", target_language)
        self._side_model: SideModel | None = None
        self._unjudged: list[Window] = []  # until the side model is learned
        self._long_lines = LongLines()
        self._aligner = Aligner()
        self._misalignment = Misalignment(of_translations=not self._one_language)
        self._moments = np.zeros(6)  # of the lengths of all pairs
        self._examples: list[Example] = []  # the first pairs
        self._file = ""
        self._windows = Windows()

    def add(self, pairs: Iterable[Pair]) -> None:
        """Check the next pairs."""
        for file, together in itertools.groupby(pairs, attrgetter("file")):
            if file != self._file:
                self._end_file()
                self._file = file
            for window in self._windows.add(together):
                self._check(window)

    def watch(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """Yield pairs, and check them."""
        for chunk in in_chunks(pairs, WINDOW):
            self.add(chunk)
            yield from chunk

    def findings(self) -> list[Finding]:
        """Return what is wrong with the pairs; call it once, after the last one."""
        self._end_file()
        if self._side_model is None and sum(map(len, self._unjudged)) >= MIN_LEARNED:
            self._learn_sides()
        everywhere = None if self._one_language else low_correlation(self._moments, self._examples)
        misaligned = self._misalignment.finding(everywhere)
        signals = [signal.finding() for signal in self._signals.values()]
        found = misaligned, *script_findings(*self._scripts), *signals, self._long_lines.finding()
        return [one for one in found if one]

    def _check(self, window: Window) -> None:
        self._examples += [Example.of(pair) for pair in window.pairs[: EXAMPLES - len(self._examples)]]
        self._moments += length_moments(window.sides())
        self._aligner.add(window)
        self._signals["mojibake"].add(window, window.mojibake())
        self._signals["headings"].add(window, *headings(window))
        self._long_lines.add(window)
        if not self._one_language:
            self._compare(window)

    def _compare(self, window: Window) -> None:
        """Check what sides in two languages differ in, and what they share."""
        self._signals["numbers"].add(window, *window.differing_numbers())
        self._signals["placeholders"].add(window, *window.differing_placeholders(tags=False))
        self._signals["tags"].add(window, *window.differing_placeholders(tags=True))
        self._signals["copies"].add(window, window.copied & (window.lengths[:, 0] >= MIN_COPY))
        for check in self._scripts:
            check.add(window)
        if self._side_model:
            self._judge_sides(window, self._side_model)
            return
        self._unjudged.append(window)
        if sum(map(len, self._unjudged)) >= LEARNED:
            self._learn_sides()

    def _learn_sides(self) -> None:
        self._side_model = SideModel([(window.source, window.target) for window in self._unjudged])
        for window in self._unjudged:
            self._judge_sides(window, self._side_model)
        self._unjudged = []

    def _judge_sides(self, window: Window, model: SideModel) -> None:
        swapped, target, source = model.judge(window.source, window.target)
        self._signals["swapped"].add(window, swapped)
        self._signals["target"].add(window, target & ~window.copied)  # copies have their own signal
        self._signals["source"].add(window, source & ~window.copied)

    def _end_file(self) -> None:
        if window := self._windows.end():
            self._check(window)
        segments = self._aligner.finish()
        if self._aligner.model:
            self._misalignment.add(self._file, segments, self._aligner.model)
        self._aligner = Aligner()
