"""What to know of a comparison: what its figures cover, how systems were trained and decoded, where recipes differ."""

from collections.abc import Sequence

from s2s.comparison.differences import differences
from s2s.comparison.measured import SystemResults
from s2s.comparison.scenes import scene_notes
from s2s.comparison.stored import StoredTraining
from s2s.comparison.test_set import TestSet, same_data
from s2s.metrics.cider import MIN_LINES, TOO_FEW_LINES
from s2s.metrics.scores import SCORE_NAMES, SHORT_REFERENCES
from s2s.recipe.load import parse_stored_recipe
from s2s.report.table import COLUMNS

FEW_LINES = 100  # of a test set, below which a p-value means little


def notes(systems: Sequence[SystemResults], test: TestSet) -> list[str]:
    """Describe how the systems were scored, trained and decoded, and in which keys their recipes differ."""
    found = [SHORT_REFERENCES] if test.metric == "chrf" else []
    if len(systems) > 1:
        found += _difference_notes(systems, test)
    if "cider" in test.metrics and len(test.names) < MIN_LINES:
        found.append(TOO_FEW_LINES)
    if test.of_scenes:
        found += scene_notes(systems, test)
    decoded = sorted({run.decoding for system in systems for run in system.runs if run.decoding})
    found += [f"decoded with {' or '.join(decoded)}"] if decoded else []
    trainings = [system.training for system in systems if system.training]
    if len(systems) > 1:
        found.append(f"all outputs are for the same test set ({test.digest[:12]})")
    return found + (_training_notes(trainings) if len(trainings) > 1 else [])


def _difference_notes(systems: Sequence[SystemResults], test: TestSet) -> list[str]:
    """Say what intervals and p-values cover."""
    notes = []
    if len(test.names) < FEW_LINES:
        notes.append(
            f"a test set of fewer than {FEW_LINES} lines says little: differences may be due to chance, regardless of p"
        )
    if test.of_images:
        notes.append(
            f"p is that of {SCORE_NAMES[test.metric]}, over resamples of the images, each with all its captions; "
            "other scores are not tested"
        )
    counts = sorted({len(system.runs) for system in systems})
    if counts[-1] > 1:
        notes.append("± after a score is the standard deviation over the seeds")
    if counts[0] > 1:
        notes.append("intervals and p cover the choice of sentences and chance in training")
    else:
        notes.append("intervals and p cover the choice of sentences, not chance in training: --seeds 3 covers both")
    return notes


def _training_notes(trainings: Sequence[StoredTraining]) -> list[str]:
    """Say whether the systems had the same training data, and in which keys their recipes differ."""
    recipes = [parse_stored_recipe(one.recipe, "recipe") for one in trainings]
    if len({one.corpus for one in trainings}) == 1:
        notes = [f"all were trained on the same corpus ({trainings[0].corpus[:12]})"]
    elif all(same_data(recipe, recipes[0]) for recipe in recipes):
        notes = ["all were trained on the same data, tokenized differently"]
    else:
        notes = ["they were trained on different data"]
    keys = differences([recipe.as_dict() for recipe in recipes])
    if len(trainings) > COLUMNS:  # too many values to list
        keys = [line.partition(":")[0] for line in keys]
    return [*notes, f"the recipes differ in {'; '.join(keys)}" if keys else "the recipes are the same"]
