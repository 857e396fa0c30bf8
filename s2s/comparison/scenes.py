"""Scenes: which objects captions name and where the model looked for them, by number of objects."""

from collections import defaultdict
from collections.abc import Sequence

from s2s.comparison.measured import SystemResults
from s2s.comparison.stored import StoredResult
from s2s.comparison.test_set import TestSet
from s2s.data.generators.scenes import has_unseen, parse_scene
from s2s.metrics.breakdown import Breakdown, Bucket
from s2s.metrics.scenes import pointing_scores
from s2s.metrics.scores import Reference, score_corpus

BY_OBJECTS = {
    "exact": "% of captions exact",
    "f1_objects": "F1 of objects",
    "pointing_near": "% of attention near the object",
}


def scenes_by_objects(systems: Sequence[SystemResults], test: TestSet) -> list[Breakdown]:
    """Return percentages by number of objects: exact captions, objects named, and attention near the named object."""
    lines: dict[int, list[int]] = defaultdict(list)
    for line, scene in enumerate(test.names):
        lines[len(parse_scene(scene))].append(line)

    def buckets(metric: str) -> list[Bucket]:
        return [
            Bucket(str(count), len(members), tuple(_mean_score(metric, system, test, members) for system in systems))
            for count, members in sorted(lines.items())
        ]

    return [
        Breakdown(label, "number of objects", buckets(metric), "objects", "scenes")
        for metric, label in BY_OBJECTS.items()
        if metric != "pointing_near" or all(run.pointing for system in systems for run in system.runs)
    ]


def scene_notes(systems: Sequence[SystemResults], test: TestSet) -> list[str]:
    """Return for each system the share of exact captions of scenes with and without unseen combinations."""
    every = range(len(test.names))
    unseen = [line for line in every if has_unseen(test.names[line])]
    seen = [line for line in every if not has_unseen(test.names[line])]
    notes = []
    for system in systems:
        shares = [
            f"{_mean_score('exact', system, test, lines):.1f} % {label}"
            for lines, label in [(seen, "exact"), (unseen, "with a colour of a shape that training never had")]
            if lines
        ]
        notes.append(f"{system.name}: {', '.join(shares)}")
    return notes


def _mean_score(metric: str, system: SystemResults, test: TestSet, lines: Sequence[int]) -> float:
    """Return a score of some captions, in percent, as the mean over the seeds."""
    return sum(_score(metric, run, test.references, lines) for run in system.runs) / len(system.runs)


def _score(metric: str, stored: StoredResult, references: Sequence[Reference], lines: Sequence[int]) -> float:
    """Return a score of some captions, in percent."""
    if metric == "pointing_near":
        return pointing_scores([stored.pointing[line] for line in lines])[metric].value
    outputs = [stored.outputs[line] for line in lines]
    return score_corpus(outputs, [references[line] for line in lines], [metric])[metric].value
