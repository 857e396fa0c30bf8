"""What training shows and records."""

from pathlib import Path

import pytest

from s2s.metrics.scores import Headline
from s2s.training.training_log import TrainingLog
from s2s.training.validation import Validation


@pytest.mark.parametrize(
    ("metric", "headline", "better", "shown"),
    [
        ("loss", "bleu", True, "loss 3.500 ▲  BLEU 12.3   a → b"),
        ("bleu", "bleu", True, "loss 3.500  BLEU 12.3 ▲   a → b"),
        ("chrf", "bleu", True, "loss 3.500  BLEU 12.3  chrF2 45.6 ▲   a → b"),
        ("chrf", "chrf", True, "loss 3.500  BLEU 12.3  chrF2 45.6 ▲   a → b"),
        ("loss", "bleu", False, "loss 3.500  BLEU 12.3   a → b"),
    ],
)
def test_the_best_figure_is_marked(
    tmp_path: Path, metric: str, headline: Headline, better: bool, shown: str, said: list[str]
) -> None:
    validation = Validation(3.5, 12.34, 45.6, "BLEU|x", ("a", "b", "c"), headline)
    with TrainingLog("mine", tmp_path) as log:
        log.log_validation(60, validation, better=better, metric=metric)
    assert said == [f"  validation  update 60  {shown}"]
    assert shown in (tmp_path / "log.txt").read_text()
