"""Is a difference in BLEU more than chance? Paired bootstrap resampling (Koehn 2004), sacrebleu's own.

The p-value is sacrebleu's: two-sided, the share of resamples in which the centred difference exceeds the one measured,
with one added to both counts, so that 1,000 resamples cannot show less than 1/1,001. The seed is sacrebleu's too
(12345, or `SACREBLEU_SEED`), and stands in the signature.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from s2s.metrics.scores import check_counts

CELLS = 10_000_000  # resamples × lines that are held at once, 40 bytes each


@dataclass(frozen=True, slots=True)
class Difference:
    """A system's BLEU against the baseline's.

    `difference` in points (positive: better than the baseline), `p_value`, and `interval`, half the width of the 95 %
    interval of the system's own BLEU, in points.
    """

    difference: float
    p_value: float
    interval: float
    signature: str

    @property
    def probability(self) -> str:
        """`p < 0.001`, `p = 0.034`."""
        return "p < 0.001" if self.p_value < 0.001 else f"p = {self.p_value:.3f}"


def paired_bootstrap(
    baseline: Sequence[str],
    systems: Sequence[Sequence[str]],
    references: Sequence[str],
    samples: int = 1000,
) -> list[Difference]:
    """Test the difference of each system's BLEU to the baseline's over the same N lines.

    Above 10,000 lines fewer resamples are taken, so that memory stays bounded; the signature says how many.
    Raises: DataError where a system or the references differ in their number of lines, or have none.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.significance import PairedTest

    for lines in (baseline, *systems):
        check_counts(lines, references)
    samples = min(samples, max(100, CELLS // len(references)))
    named: list[tuple[str, Sequence[str]]] = [
        (str(number), list(lines)) for number, lines in enumerate([baseline, *systems])
    ]
    test = PairedTest(named, {"BLEU": BLEU(force=True)}, [list(references)], "bs", samples)
    signatures, results = test()
    outcomes: list[Any] = results["BLEU"]
    return [_difference(other, outcomes[0], f"BLEU|{signatures['BLEU'].format()}") for other in outcomes[1:]]


def _difference(system: Any, baseline: Any, signature: str) -> Difference:
    difference = system.score - baseline.score
    # Where nothing differs, sacrebleu's formula gives 1/1,001: the difference "exceeded" by no resample.
    p_value = system.p_value if difference else 1.0
    return Difference(float(difference), float(p_value), float(system.ci), signature)
