"""Scenes: which objects captions name and where the model looked for them, by number of objects."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from s2s.comparison.stored import StoredResult
from s2s.data.generators.scenes import has_unseen, parse_scene
from s2s.decoding.translation import Translation
from s2s.metrics.length_buckets import LengthBucket, LengthBuckets
from s2s.metrics.scenes import Pointing, pointing, scene_f1
from s2s.recipe.data import SCENE_SIZE
from s2s.recipe.recipe import Recipe

Measure = Callable[[StoredResult, Sequence[int]], float]  # of some lines, in percent


def is_scenes(recipe: Recipe) -> bool:
    """Return whether a recipe's data are scenes."""
    return recipe.data.kind == "generator" and recipe.data.generator.name == "scenes"


def point_at(scene: str, caption: Translation) -> Pointing:
    """Return where the model looked as it named the shapes of a scene."""
    assert caption.grid is not None
    boxes = [one.box for one in parse_scene(scene)]
    return pointing(np.array(caption.attention), caption.tokens, boxes, caption.grid, SCENE_SIZE)


def scenes_by_objects(
    scenes: Sequence[str], references: Sequence[str], results: Sequence[StoredResult]
) -> list[LengthBuckets]:
    """Return percentages by number of objects: exact captions, objects named, and attention near the named object."""
    lines: dict[int, list[int]] = defaultdict(list)
    for line, scene in enumerate(scenes):
        lines[len(parse_scene(scene))].append(line)

    def buckets(measure: Measure) -> list[LengthBucket]:
        return [
            LengthBucket(count, count, len(members), tuple(measure(stored, members) for stored in results))
            for count, members in sorted(lines.items())
        ]

    def exact(stored: StoredResult, members: Sequence[int]) -> float:
        return 100 * sum(stored.outputs[line] == references[line] for line in members) / len(members)

    def named(stored: StoredResult, members: Sequence[int]) -> float:
        return scene_f1([stored.outputs[line] for line in members], [references[line] for line in members]).objects

    measures = {"% of captions exact": exact, "F1 of objects": named}
    if all(stored.pointing for stored in results):
        measures["% of attention near the object"] = _near
    return [
        LengthBuckets(name, "objects", buckets(measure), by="number of objects", counted="scenes")
        for name, measure in measures.items()
    ]


def _near(stored: StoredResult, members: Sequence[int]) -> float:
    found = [stored.pointing[line] for line in members]
    return 100 * sum(one.near for one in found) / max(1, sum(one.words for one in found))


def scene_notes(scenes: Sequence[str], references: Sequence[str], results: Sequence[StoredResult]) -> list[str]:
    """Return for each system the exact captions of scenes with and without unseen combinations, F1, and pointing."""
    every = range(len(scenes))
    unseen = [line for line in every if has_unseen(scenes[line])]
    seen = [line for line in every if not has_unseen(scenes[line])]
    notes = []
    for stored in results:
        shares = [
            100 * sum(stored.outputs[line] == references[line] for line in lines) / max(1, len(lines))
            for lines in (seen, unseen)
        ]
        scores = scene_f1(stored.outputs, references)
        note = (
            f"{stored.name}: {shares[0]:.1f} % exact, {shares[1]:.1f} % with a colour of a shape that training never "
            f"had; F1 of objects {scores.objects:.1f}, sizes {scores.sizes:.1f}, colours {scores.colours:.1f}, "
            f"shapes {scores.shapes:.1f}"
        )
        if stored.pointing:
            words = max(1, sum(one.words for one in stored.pointing))
            near, inside = (
                100 * sum(part) / words
                for part in ((one.near for one in stored.pointing), (one.inside for one in stored.pointing))
            )
            note += f"; at shapes, {near:.1f} % of attention within a cell of the object, {inside:.1f} % on it"
        notes.append(note)
    return notes
