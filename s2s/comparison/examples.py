"""Lines of the test set that show how systems differ."""

from collections.abc import Sequence
from typing import cast

import torch

from s2s.comparison.entries import Entry
from s2s.comparison.measured import SystemResults
from s2s.comparison.test_set import TestSet
from s2s.data.sources import Image, Pixels, RawSources
from s2s.decoding.loading import reference_translator
from s2s.metrics.scores import Reference, sentence_chrf, texts_of
from s2s.report.figures import Example, HeatMap

MAX_LENGTH = 60  # characters of the line whose attention is drawn
SCORED = 2000  # lines that are searched for the worst and the most different outputs
MORE_IMAGES = 3  # images with large differences that are shown beside the one with the largest


def examples(
    entries: Sequence[Entry], systems: Sequence[SystemResults], test: TestSet, device: torch.device
) -> list[Example]:
    """Return sources on which the systems differ, with the outputs of their first seeds.

    The first sentence has the heat maps of the systems with attention, and so have all images.
    """
    lines = example_lines(systems, test)
    drawn = list(lines) if test.of_images else list(lines)[:1]
    heatmaps = [_heatmaps(entry, cast(RawSources, [test.sources[line] for line in drawn]), device) for entry in entries]
    return [
        Example(
            test.names[line],
            test.references[line],
            [system.first.outputs[line] for system in systems],
            [own[number] for own in heatmaps] if number < len(drawn) else (),
            title,
            _pixels(test.sources[line]),
        )
        for number, (line, title) in enumerate(lines.items())
    ]


def _heatmaps(entry: Entry, sources: RawSources, device: torch.device) -> list[HeatMap] | list[None]:
    """Return the attention of a system for each source; None if it has none."""
    version = entry.runs[0].version
    if version is None or not version.card.attention:
        return [None] * len(sources)
    translator = reference_translator(version, device)
    return [
        HeatMap(one.attention, one.source_tokens, one.tokens, one.grid)
        for one in translator.translate(sources, version.recipe().decoding, need_attention=True)
    ]


def _pixels(source: str | Image) -> "Pixels | None":
    return None if isinstance(source, str) else source.picture


def example_lines(systems: Sequence[SystemResults], test: TestSet) -> dict[int, str]:
    """Return lines worth showing, with the reason: the first one suits a picture of attention.

    They are a line that only some systems have exactly, the longest source (of images, the longest reference), the line
    whose outputs differ most in chrF (of images, up to four), and the best system's output with the lowest chrF.
    """
    measured, references = test.measured, test.references
    outputs = [system.first.outputs for system in systems]
    lines = {_partly_exact(outputs, measured, references): "example"}
    longest = max(range(len(measured)), key=lambda line: len(measured[line]))
    lines.setdefault(longest, "the longest reference" if test.of_images else "the longest source")
    scores = [sentence_chrf(own[:SCORED], references[:SCORED]) for own in outputs]
    if len(systems) > 1:
        spread = [max(values) - min(values) for values in zip(*scores, strict=True)]
        most, *others = sorted(range(len(spread)), key=lambda line: -spread[line])
        lines.setdefault(most, "the largest difference in chrF2")
        for line in others[:MORE_IMAGES] if test.of_images else []:
            if spread[line]:
                lines.setdefault(line, "another large difference in chrF2")
    best = max(range(len(systems)), key=lambda place: systems[place].score)
    lines.setdefault(scores[best].index(min(scores[best])), f"the lowest chrF2 of {systems[best].name}")
    return lines


def _partly_exact(outputs: Sequence[Sequence[str]], measured: Sequence[str], references: Sequence[Reference]) -> int:
    """Return the line that only some systems have exactly, whose text is the longest of up to 60 characters.

    If there is none, return the first line.
    """
    best = 0
    for line, reference in enumerate(references):
        exact = {own[line] in texts_of(reference) for own in outputs}
        if len(exact) == 2 and len(measured[best]) * (best > 0) < len(measured[line]) <= MAX_LENGTH:
            best = line
    return best
