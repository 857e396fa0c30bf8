"""Significance of differences in BLEU or chrF, as sacrebleu's command line tests them.

Both tests take one output of each system, and cover the choice of sentences alone. The p-values are two-sided, with one
added to both counts: 1,000 resamples give at least 1/1,001. The seed is sacrebleu's (12345, or `SACREBLEU_SEED`) and
part of the signature.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from s2s.metrics.scores import SCORE_NAMES, Headline, Reference, Scoring, check_counts, reference_streams

TESTS = {"bs": "paired bootstrap", "ar": "approximate randomization"}
SAMPLES = {"bs": 1000, "ar": 10_000}  # resamples of the lines, or random exchanges between the systems
MAX_CELLS = 10_000_000  # samples × lines in memory, 40 bytes each
FEWEST = 100  # minimum samples, however large the test set


@dataclass(frozen=True, slots=True)
class Significance:
    """Outcome of a significance test."""

    p_value: float
    signature: str  # with the kind of test, its samples and its seed

    @property
    def shown(self) -> str:
        """P-value as text: `p < 0.001`, `p = 0.034`."""
        return show_p_value(self.p_value)


def show_p_value(p_value: float) -> str:
    """Return a p-value as text: `p < 0.001`, `p = 0.034`."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def paired_test(
    kind: Literal["bs", "ar"],
    baseline: Sequence[str],
    systems: Sequence[Sequence[str]],
    references: Sequence[Reference],
    *,
    samples: int = 0,
    scoring: Scoring | None = None,
    metric: Headline = "bleu",
) -> list[Significance]:
    """Test the difference in a score of each system from the baseline on the same N lines.

    `kind`: `bs`, paired bootstrap resampling (Koehn 2004), or `ar`, approximate randomization (Riezler and Maxwell
    2005). `samples`: by default those of sacrebleu, fewer if there are more than 10,000 lines (or 1,000 for `ar`), so
    that memory is bounded.
    Raises: DataError if systems and references differ in their number of lines, or have none.
    """
    from sacrebleu.significance import PairedTest

    for lines in (baseline, *systems):
        check_counts(lines, references)
    samples = min(samples or SAMPLES[kind], max(FEWEST, MAX_CELLS // len(references)))
    named: list[tuple[str, Sequence[str]]] = [
        (str(number), list(lines)) for number, lines in enumerate([baseline, *systems])
    ]
    name = SCORE_NAMES[metric]
    streams: Any = reference_streams(references)
    test = PairedTest(named, {name: (scoring or Scoring()).scorer(metric)}, streams, kind, samples)
    signatures, results = test()
    outcomes: list[Any] = results[name]
    first, *others = outcomes
    signature = f"{name}|{signatures[name].format()}"
    # Without any difference, sacrebleu's bootstrap would give 1/1,001.
    return [Significance(float(one.p_value) if one.score != first.score else 1.0, signature) for one in others]
