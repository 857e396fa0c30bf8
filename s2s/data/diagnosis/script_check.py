"""Compare the letters of one side with the script of its declared language.

N: pairs of a window.
"""

from collections.abc import Collection
from typing import Literal

import numpy as np

from s2s.data.diagnosis.characters import SCRIPTS, Characters
from s2s.data.diagnosis.signals import MIN_FLAGGED, Check, Signal
from s2s.data.diagnosis.window import Window
from s2s.data.ledger import Finding
from s2s.text.scripts import scripts_of_language

MIN_LETTERS = 20  # of a text; shorter ones are often names
OTHER_SCRIPT = 0.8  # share of letters from which a text is in another script
WRONG = 0.1  # share of such texts; up to 7 % in Chinese gettext catalogues, 2 % in others: commands and names
MOST = 0.5  # share from which the whole side is in another script


class ScriptCheck:
    """Counts the letters of one side by script."""

    def __init__(self, side: Literal["source", "target"], language: str) -> None:
        self.expected = scripts_of_language(language)
        problem = f"have a {side} that is not in {_named(self.expected)} script ({language})"
        self.signal = Signal(Check("script", WRONG, problem))
        self._side = side
        self._letters = np.zeros(SCRIPTS.COUNT, dtype=np.int64)

    def add(self, window: Window) -> None:
        """Count the letters of a window."""
        if not self.expected:
            return
        characters: Characters = getattr(window, self._side)
        letters = characters.count(characters.scripts > 0)
        is_expected = np.array([name in self.expected for name in SCRIPTS.names])
        expected = characters.count(is_expected.take(characters.scripts))
        judged = letters >= MIN_LETTERS
        others = judged & (expected < (1 - OTHER_SCRIPT) * letters)
        self.signal.add(window, others, judged)
        if others.any():
            self._letters += np.bincount(characters.scripts, minlength=len(self._letters))

    @property
    def mostly(self) -> str:
        """The script of most letters of windows that have texts in another script; empty if there are none."""
        letters = self._letters[1:]
        return SCRIPTS.names[1 + int(letters.argmax())] if letters.any() else ""

    @property
    def is_other(self) -> bool:
        """Whether most texts are in another script."""
        return self.signal.flagged >= max(MIN_FLAGGED, MOST * self.signal.judged)


def script_findings(source: ScriptCheck, target: ScriptCheck) -> list[Finding]:
    """Return what is wrong with the scripts of the two sides."""
    if source.is_other and target.is_other and source.mostly in target.expected and target.mostly in source.expected:
        found = _named({source.mostly}), _named({target.mostly})
        message = f"the sides look swapped: most sources are in {found[0]} script, most targets in {found[1]} script"
        return [Finding("swapped", message, source.signal.flagged, source.signal.examples)]
    return [finding for one in (source, target) if (finding := one.signal.finding())]


def _named(scripts: Collection[str]) -> str:
    """Return names of scripts as text: `Cyrillic`, `CJK or Hangul`."""
    return " or ".join(sorted(name if name == "CJK" else name.title() for name in scripts))
