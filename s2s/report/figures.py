"""Figures of a comparison, for every report: terminal, HTML page and Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from s2s.metrics.breakdown import Breakdown
from s2s.metrics.scores import Headline, Reference, Score
from s2s.metrics.significance import Significance
from s2s.metrics.variance import Estimate
from s2s.report.recall_demo import RecallDemo

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Attention of one sentence, or of the caption of one image."""

    attention: Sequence[Sequence[float]]  # [T, S]
    source: Sequence[str]  # S tokens; empty for an image
    target: Sequence[str]  # T tokens
    grid: tuple[int, int] | None = None  # of an image: height and width of the grid of its S positions


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference in the comparison's score between a system and the first."""

    estimate: Estimate
    bootstrap: Significance | None = None  # sacrebleu's tests; None if a system has several seeds
    randomization: Significance | None = None
    agreement: float | None = None  # percent of such pairs of systems that people judge alike; None if unknown


@dataclass(frozen=True, slots=True)
class ExtraScore:
    """A score of another metric, read from a table of scores per line."""

    value: float
    difference: Estimate | None  # from the first system


@dataclass(frozen=True, slots=True)
class System:
    """One system of a comparison, with means over its seeds; unknown values are None."""

    name: str
    scores: dict[str, Score]
    network: str = ""  # "GRU encoder; GRU decoder with additive attention"; empty: another toolkit's
    parameters: int | None = None
    seeds: int = 1  # trainings
    deviations: dict[str, float] = field(default_factory=dict)  # standard deviations of scores over the seeds
    perplexity: float | None = None  # per target token, teacher-forced; None if vocabularies differ
    estimate: Estimate | None = None  # of the comparison's score
    difference: Difference | None = None
    group: int | None = None  # 1 for the best; systems of a group cannot be told apart
    extra: dict[str, ExtraScore] = field(default_factory=dict)  # by metric
    faults: dict[str, float] = field(default_factory=dict)  # outputs with a fault, by kind: mean over the seeds
    attention: dict[str, float] = field(default_factory=dict)  # figures of attention, by kind
    updates: int | None = None
    tokens: int | None = None  # target tokens trained on
    seconds: float | None = None  # of training
    code: str = ""  # version and commit that trained it
    command: str = ""  # command that repeats it
    machine: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """One test sentence or image with the outputs and heat maps of all systems."""

    source: str  # the sentence, or the name of the image
    reference: Reference  # the text, or several
    outputs: Sequence[str]
    heatmaps: Sequence[HeatMap | None] = ()  # None for a system without attention
    title: str = "example"  # why it is shown
    image: Pixels | None = None  # the source [height, width, 3], if it is an image


@dataclass(frozen=True, slots=True)
class NgramDifference:
    """An n-gram that one of two systems writes and the other does not."""

    text: str
    systems: tuple[str, str]  # their names
    better: str  # name of the one that writes it
    counts: tuple[tuple[int, int], tuple[int, int]]  # (correct, wrong) of each system
    example: str  # a line in which it occurs


@dataclass(frozen=True, slots=True)
class Comparison:
    """Content of a report about systems that translated the same test set; the first is the baseline."""

    title: str
    task: str  # "numbers · de → en · test: 1,000 pairs, none of them in training"
    systems: Sequence[System]
    breakdowns: Sequence[Breakdown] = ()  # the score by source length first
    examples: Sequence[Example] = ()
    notes: Sequence[str] = ()  # decoding options, differences between recipes
    commands: Sequence[str] = ()  # suggested next commands
    metric: Headline = "bleu"  # score that systems are compared by
    ngrams: Sequence[NgramDifference] = ()  # what one of two systems writes and the other does not
    demo: RecallDemo | None = None  # models that the page runs
