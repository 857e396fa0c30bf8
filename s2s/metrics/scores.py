"""Corpus scores, each with a signature that states how it was computed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from s2s._version import __version__
from s2s.errors import DataError, UsageError, did_you_mean


@dataclass(frozen=True, slots=True)
class Score:
    """A corpus score."""

    metric: str
    value: float  # 0 to 100; TER may be higher
    signature: str  # begins with the metric's name


def _sacrebleu(metric: str, name: str, hypotheses: list[str], references: list[str], **options: Any) -> Score:
    from sacrebleu import metrics

    scorer = getattr(metrics, name)(**options)
    score = scorer.corpus_score(hypotheses, [references])
    return Score(metric, float(score.score), f"{score.name}|{scorer.get_signature().format()}")


def _bleu(hypotheses: list[str], references: list[str]) -> Score:
    # `force` only silences a warning about lines that end in " .", as those of untrained models may.
    return _sacrebleu("bleu", "BLEU", hypotheses, references, force=True)


def _chrf(hypotheses: list[str], references: list[str]) -> Score:
    return _sacrebleu("chrf", "CHRF", hypotheses, references)


def _ter(hypotheses: list[str], references: list[str]) -> Score:
    return _sacrebleu("ter", "TER", hypotheses, references)


def _exact(hypotheses: list[str], references: list[str]) -> Score:
    same = sum(a.strip() == b.strip() for a, b in zip(hypotheses, references, strict=True))
    signature = f"exact|nrefs:1|case:mixed|unit:line|space:trimmed|version:s2s-{__version__}"
    return Score("exact", 100 * same / len(references), signature)


SCORES: dict[str, Callable[[list[str], list[str]], Score]] = {
    "bleu": _bleu,  # sacrebleu's defaults: cased, 13a
    "chrf": _chrf,  # chrF2
    "ter": _ter,  # translation edit rate in percent; lower is better
    "exact": _exact,  # lines equal to their reference, except for outer whitespace, in percent
}


def score_corpus(
    hypotheses: Sequence[str],
    references: Sequence[str],
    metrics: Sequence[str] = ("bleu", "chrf", "ter", "exact"),
) -> dict[str, Score]:
    """Score N hypotheses against their N references, one reference each.

    Raises: DataError if the counts differ or are zero, UsageError for an unknown metric.
    """
    check_counts(hypotheses, references)
    for name in metrics:
        if name not in SCORES:
            known = list(SCORES)
            hint = did_you_mean(name, known) or f"the metrics are {', '.join(known)}"
            raise UsageError(f"{name}: no such metric", hint)
    return {name: SCORES[name](list(hypotheses), list(references)) for name in metrics}


def sentence_chrf(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    """Return the chrF2 of each of N hypotheses, to tell lines apart; not a score to report."""
    from sacrebleu.metrics.chrf import CHRF

    scorer = CHRF()
    pairs = zip(hypotheses, references, strict=True)
    return [scorer.sentence_score(hypothesis, [reference]).score for hypothesis, reference in pairs]


def check_counts(hypotheses: Sequence[str], references: Sequence[str], name: str = "hypotheses") -> None:
    """Raise DataError unless there are as many hypotheses (`name` in the message) as references, and at least one."""
    if len(hypotheses) != len(references):
        raise DataError(
            f"{len(hypotheses):,} {name} for {len(references):,} references",
            "line i of one must belong to line i of the other",
        )
    if not references:
        raise DataError("no lines to score", "give a test set with at least one line")
