"""Scenes: which objects captions name and where the model looked for them, by number of objects."""

from collections import defaultdict
from collections.abc import Sequence

from s2s.comparison.stored import StoredResult
from s2s.data.generators.scenes import has_unseen, parse_scene
from s2s.metrics.length_buckets import LengthBucket, LengthBuckets
from s2s.metrics.scenes import pointing_scores
from s2s.metrics.scores import Reference, score_corpus

BY_OBJECTS = {
    "exact": "% of captions exact",
    "f1_objects": "F1 of objects",
    "pointing_near": "% of attention near the object",
}


def scenes_by_objects(
    scenes: Sequence[str], references: Sequence[Reference], results: Sequence[StoredResult]
) -> list[LengthBuckets]:
    """Return percentages by number of objects: exact captions, objects named, and attention near the named object."""
    lines: dict[int, list[int]] = defaultdict(list)
    for line, scene in enumerate(scenes):
        lines[len(parse_scene(scene))].append(line)

    def buckets(metric: str) -> list[LengthBucket]:
        return [
            LengthBucket(
                count, count, len(members), tuple(_score(metric, stored, references, members) for stored in results)
            )
            for count, members in sorted(lines.items())
        ]

    return [
        LengthBuckets(label, "objects", buckets(metric), by="number of objects", counted="scenes")
        for metric, label in BY_OBJECTS.items()
        if metric != "pointing_near" or all(stored.pointing for stored in results)
    ]


def scene_notes(scenes: Sequence[str], references: Sequence[Reference], results: Sequence[StoredResult]) -> list[str]:
    """Return for each system the share of exact captions of scenes with and without unseen combinations."""
    every = range(len(scenes))
    unseen = [line for line in every if has_unseen(scenes[line])]
    seen = [line for line in every if not has_unseen(scenes[line])]
    notes = []
    for stored in results:
        known, new = (_score("exact", stored, references, lines) if lines else 0.0 for lines in (seen, unseen))
        notes.append(
            f"{stored.name}: {known:.1f} % exact, {new:.1f} % with a colour of a shape that training never had"
        )
    return notes


def _score(metric: str, stored: StoredResult, references: Sequence[Reference], lines: Sequence[int]) -> float:
    """Return a score of some captions, in percent."""
    if metric == "pointing_near":
        return pointing_scores([stored.pointing[line] for line in lines])[metric].value
    outputs = [stored.outputs[line] for line in lines]
    return score_corpus(outputs, [references[line] for line in lines], [metric])[metric].value
