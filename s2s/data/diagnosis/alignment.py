"""Find blocks of lines that are not parallel: shifted by some lines, or unrelated.

A hidden Markov model runs over the lines. Its states are "target i belongs to source i + k" for each k in SHIFTS, and
"unrelated"; the score of a state is how much better its pairs match than unrelated ones (`PairModel`). Most likely
states are found for blocks of lines; then each switch moves to the line where the scores change sides.

N: lines; Z: states.
"""

import itertools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from s2s.data.diagnosis.features import Floats, Sides, Vocabulary
from s2s.data.diagnosis.pair_model import PairModel, length_moments, moments_correlation
from s2s.data.diagnosis.window import Window
from s2s.data.readers.pair import Pair

States = NDArray[np.int64]

SHIFTS = (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5)
MAX_SHIFT = 5
PARALLEL = 0
UNRELATED = len(SHIFTS)  # the last state
BLOCK = 8  # lines
CHUNK = 8192  # lines whose states are decided together
LAG = 1024  # lines after them that may still change the decision
# Cost of a switch in nats; a block in the middle costs two. An excursion that gains x nats by chance begins at a line
# with a probability below exp(-x) for each state: 1e-13 in 5 million lines. The margin is for lists of
# similar lines, which do not gain by chance.
SWITCH = 24.0
MIN_FITTED = 50  # lines to fit the model to
STRETCH, STRETCHES = 128, 4  # lines, and how many stretches of them the first fit is of
ROUNDS = 2  # of fitting the model and finding the states
MIN_UNRELATED = 50  # lines; shorter lists, such as the names of months, may have unrelated lengths
UNRELATED_CORRELATION = 0.5  # of lengths of unrelated lines: at most this share of the model's
EXAMPLES = 5


@dataclass(slots=True)
class Segment:
    """Consecutive lines in one state."""

    state: int
    first: int  # line number
    last: int = 0
    lines: int = 0
    to_end: bool = False  # whether the file ends with it
    pairs: list[Pair] = field(default_factory=list)  # the first few
    as_read: Floats = field(default_factory=lambda: np.zeros(6))  # moments of the lengths of the pairs as they are
    as_shifted: Floats = field(default_factory=lambda: np.zeros(6))  # and of those with the shift

    @property
    def shift(self) -> int | None:
        """Lines from a target to its source; None if they are unrelated."""
        return SHIFTS[self.state] if self.state < UNRELATED else None

    def misaligned(self, model: PairModel) -> bool:
        """Return whether the lines are not parallel, which the lengths of the whole segment confirm.

        Lines that follow another rule than most, such as headings, look unrelated, but their own lengths still agree.
        """
        found = moments_correlation(self.as_read)
        if self.state == UNRELATED:
            return self.lines >= MIN_UNRELATED and found < UNRELATED_CORRELATION * model.length_correlation
        return self.state != PARALLEL and found < moments_correlation(self.as_shifted)


class Aligner:
    """Finds the states of the lines of one file in one pass, with about 10,000 lines in memory."""

    def __init__(self) -> None:
        self.model: PairModel | None = None
        self.segments: list[Segment] = []
        self._vocabulary: Vocabulary | None = None
        self._windows: list[Window] = []  # until the model is fitted
        self._parts: list[Sides] = []  # after that
        self._pairs: list[Pair] = []  # of the lines in either
        self._decided = 0  # lines at the start of `_parts` that are there as sources of shifted lines only
        self._state = PARALLEL

    def add(self, window: Window) -> None:
        """Add the next lines."""
        if self.model:
            self._parts.append(window.sides(self._vocabulary))
        else:
            self._windows.append(window)
        self._pairs += window.pairs
        if len(self._pairs) >= self._decided + CHUNK + LAG:
            self._decide(CHUNK)

    def finish(self) -> list[Segment]:
        """Return the segments of all lines; none if there are fewer than MIN_FITTED."""
        if len(self._pairs) > self._decided and (self.model or len(self._pairs) >= MIN_FITTED):
            self._decide(len(self._pairs) - self._decided)
        if self.segments:
            self.segments[-1].to_end = True
        return self.segments

    def _decide(self, count: int) -> None:
        """Decide the states of the next `count` lines."""
        if self.model is None:
            self.model, self._vocabulary = fit_model(self._windows)
            self._parts = [window.sides(self._vocabulary) for window in self._windows]
            self._windows = []
        sides = Sides.join(self._parts)
        states = most_likely_states(state_scores(self.model, sides)[self._decided :], self._state)[:count]
        self._append(states, sides)
        self._state = int(states[-1])
        end = self._decided + count
        kept = max(0, end - MAX_SHIFT)
        self._parts, self._pairs, self._decided = [sides[kept:]], self._pairs[kept:], end - kept

    def _append(self, states: States, sides: Sides) -> None:
        """Append the states of the lines after those decided before to the segments."""
        switches = [0, *(np.flatnonzero(np.diff(states)) + 1).tolist(), len(states)]
        for start, stop in itertools.pairwise(switches):
            first, end, state = self._decided + start, self._decided + stop, int(states[start])
            pairs = self._pairs[first:end]
            if not self.segments or self.segments[-1].state != state:
                self.segments.append(Segment(state, pairs[0].line))
            segment = self.segments[-1]
            segment.last = pairs[-1].line
            segment.lines += len(pairs)
            segment.pairs += pairs[: EXAMPLES - len(segment.pairs)]
            segment.as_read += length_moments(sides.shifted(0, first, end))
            segment.as_shifted += length_moments(sides.shifted(segment.shift or 0, first, end))


def fit_model(windows: list[Window]) -> tuple[PairModel, Vocabulary | None]:
    """Fit a model to lines of which some may be shifted or unrelated: first to their lengths, then to trigrams, too."""
    sides = Sides.join([window.sides() for window in windows])
    model = _refit(PairModel.fit(_best_matching(sides)), sides)
    states = most_likely_states(state_scores(model, sides), PARALLEL)
    vocabulary = Vocabulary.select(
        [window.source for window in windows], [window.target for window in windows], _parallel_lines(states)
    )
    if vocabulary:
        sides = Sides.join([window.sides(vocabulary) for window in windows])
        model = _refit(PairModel.fit(_parallel(sides, states)), sides)
    return model, vocabulary


def _refit(model: PairModel, sides: Sides) -> PairModel:
    """Find the states of lines and fit the model to the parallel ones, a few times."""
    for _ in range(ROUNDS):
        parallel = _parallel(sides, most_likely_states(state_scores(model, sides), PARALLEL))
        if len(parallel) < MIN_FITTED:
            break
        model = PairModel.fit(parallel)
    return model


def _best_matching(sides: Sides) -> Sides:
    """Return the lines of the few stretches and shifts whose lengths match best."""
    shifted = [sides.shifted(shift) for shift in SHIFTS]
    parts = [one[first : first + STRETCH] for one in shifted for first in range(0, len(one), STRETCH)]
    whole = [part for part in parts if len(part) >= min(STRETCH, len(sides) - MAX_SHIFT)]
    ranked = sorted(whole, key=lambda part: moments_correlation(length_moments(part)), reverse=True)
    return Sides.join(ranked[:STRETCHES])


def _parallel_lines(states: States) -> States:
    """Return the numbers of sources and targets that belong together [N, 2]."""
    targets = np.flatnonzero(states != UNRELATED)
    sources = targets + np.array([*SHIFTS, 0])[states[targets]]
    inside = (sources >= 0) & (sources < len(states))
    return np.stack([sources[inside], targets[inside]], axis=1)


def _parallel(sides: Sides, states: States) -> Sides:
    """Return the pairs of lines that belong together."""
    source, target = _parallel_lines(states).T
    return Sides(sides.source[source], sides.target[target], sides.source_marks[source], sides.target_marks[target])


def state_scores(model: PairModel, sides: Sides) -> Floats:
    """Return the scores [N, Z] of the states of N lines; those of "unrelated" are 0."""
    projected = model.project(sides)
    scores = [model.scores(sides, projected, shift) for shift in SHIFTS]
    return np.stack([*scores, np.zeros(len(sides))], axis=1)


def most_likely_states(scores: Floats, initial: int) -> States:
    """Return the most likely states [N] after a line in the state `initial` (Viterbi)."""
    blocks = np.add.reduceat(scores, np.arange(0, len(scores), BLOCK))
    if not _may_switch(blocks, initial):
        return np.full(len(scores), initial)
    path = np.repeat(_best_path(blocks, initial), BLOCK)[: len(scores)]
    return _move_switches(path, scores)


def _may_switch(blocks: Floats, initial: int) -> bool:
    """Return whether any state gains enough over `initial` in some stretch to pay for a switch."""
    gains = np.cumsum(blocks - blocks[:, initial : initial + 1], axis=0)
    before = np.minimum(0, np.minimum.accumulate(gains, axis=0))
    return bool((gains - before).max() > SWITCH)


def _best_path(blocks: Floats, initial: int) -> States:
    stay = np.arange(blocks.shape[1])
    total = np.where(stay == initial, 0.0, -SWITCH)
    came_from = np.zeros(blocks.shape, dtype=np.int64)
    for index, block in enumerate(blocks):
        best = total.argmax()
        switched = total[best] - SWITCH
        came_from[index] = np.where(total >= switched, stay, best)
        total = np.maximum(total, switched) + block
    path = np.zeros(len(blocks), dtype=np.int64)
    state = int(total.argmax())
    for index in range(len(blocks) - 1, -1, -1):
        path[index] = state
        state = int(came_from[index, state])
    return path


def _move_switches(path: States, scores: Floats) -> States:
    """Move each switch by up to two blocks to where the scores of the two states change sides."""
    switches = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), len(path)]
    states = path.copy()
    for before, switch, after in zip(switches, switches[1:], switches[2:], strict=False):
        first, end = max(before, switch - 2 * BLOCK), min(after, switch + 2 * BLOCK)
        old, new = path[switch - 1], path[switch]
        gains = np.cumsum(scores[first:end, old] - scores[first:end, new])
        moved = first + int(np.argmax(np.concatenate([[0.0], gains])))
        states[first:moved], states[moved:end] = old, new
    return states
