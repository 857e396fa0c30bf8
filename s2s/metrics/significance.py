"""Significance of differences in BLEU or chrF: paired bootstrap resampling (Koehn 2004), as implemented by sacrebleu.

The p-value is two-sided: the share of resamples whose centered difference exceeds the observed one, with one added to
both counts, so that 1,000 resamples give at least 1/1,001. The seed is sacrebleu's (12345, or `SACREBLEU_SEED`) and is
part of the signature.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from s2s.metrics.scores import SCORE_NAMES, Headline, Reference, Scoring, check_counts, reference_streams

MAX_CELLS = 10_000_000  # resamples × lines in memory, 40 bytes each


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference between the score of a system and of the baseline."""

    difference: float  # points; positive: better than the baseline
    p_value: float
    interval: float  # half the width of the 95 % interval of the system's score, in points
    signature: str

    @property
    def probability(self) -> str:
        """P-value as text: `p < 0.001`, `p = 0.034`."""
        return "p < 0.001" if self.p_value < 0.001 else f"p = {self.p_value:.3f}"


def paired_bootstrap(
    baseline: Sequence[str],
    systems: Sequence[Sequence[str]],
    references: Sequence[Reference],
    samples: int = 1000,
    scoring: Scoring | None = None,
    metric: Headline = "bleu",
) -> list[Difference]:
    """Test the difference in a score of each system from the baseline on the same N lines.

    Above 10,000 lines, fewer resamples bound the memory; the signature has their number.
    Raises: DataError if systems and references differ in their number of lines, or have none.
    """
    from sacrebleu.significance import PairedTest

    for lines in (baseline, *systems):
        check_counts(lines, references)
    samples = min(samples, max(100, MAX_CELLS // len(references)))
    named: list[tuple[str, Sequence[str]]] = [
        (str(number), list(lines)) for number, lines in enumerate([baseline, *systems])
    ]
    name = SCORE_NAMES[metric]
    scorer = (scoring or Scoring()).scorer(metric)
    streams: Any = reference_streams(references)
    signatures, results = PairedTest(named, {name: scorer}, streams, "bs", samples)()
    outcomes: list[Any] = results[name]
    signature = f"{name}|{signatures[name].format()}"
    return [_difference(other, outcomes[0], signature) for other in outcomes[1:]]


def _difference(system: Any, baseline: Any, signature: str) -> Difference:
    difference = system.score - baseline.score
    # Without any difference, sacrebleu's formula would give 1/1,001.
    p_value = system.p_value if difference else 1.0
    return Difference(float(difference), float(p_value), float(system.ci), signature)
