"""Lines of the test set that show how systems differ."""

from collections.abc import Sequence
from typing import cast

import torch

from s2s.comparison.entries import Entry
from s2s.comparison.measured import SystemResults
from s2s.comparison.test_set import TestSet
from s2s.data.sources import Image, Pixels, RawSources
from s2s.decoding.loading import reference_translator
from s2s.metrics.line_differences import line_differences
from s2s.metrics.scores import Reference, sentence_chrf, texts_of
from s2s.report.figures import Example, HeatMap

MAX_LENGTH = 60  # characters of the line whose attention is drawn
SCORED = 2000  # lines that are searched for the worst and the most different outputs
WINS = 3  # lines that the best system wins most clearly, and that it loses


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


def _heatmaps(entry: Entry, sources: RawSources, device: torch.device) -> list[HeatMap | None]:
    """Return the attention of a system for each source; None if it has none, or translated the source in parts."""
    version = entry.runs[0].version
    if version is None or not version.card.attention:
        return [None] * len(sources)
    translator = reference_translator(version, device)
    return [
        HeatMap(one.attention, one.source_tokens, one.tokens, one.grid) if one.attention else None
        for one in translator.translate(sources, version.recipe().decoding, need_attention=True)
    ]


def _pixels(source: str | Image) -> "Pixels | None":
    return None if isinstance(source, str) else source.picture


def example_lines(systems: Sequence[SystemResults], test: TestSet) -> dict[int, str]:
    """Return lines worth showing, with the reason: the first one suits a picture of attention.

    They are a line that only some systems have exactly, the longest source (of images, the longest reference), those
    that the best system wins or loses most clearly against the first one, and its output with the lowest chrF.
    """
    measured, references = test.measured, test.references
    outputs = [system.first.outputs for system in systems]
    lines = {_partly_exact(outputs, measured, references): "example"}
    longest = max(range(len(measured)), key=lambda line: len(measured[line]))
    lines.setdefault(longest, "the longest reference" if test.of_images else "the longest source")
    best = max(range(len(systems)), key=lambda place: systems[place].score)
    for line, reason in _wins_and_losses(systems, best or len(systems) - 1, references).items():
        lines.setdefault(line, reason)
    scores = sentence_chrf(outputs[best][:SCORED], references[:SCORED])
    lines.setdefault(scores.index(min(scores)), f"the lowest chrF2 of {systems[best].name}")
    return lines


def _wins_and_losses(systems: Sequence[SystemResults], place: int, references: Sequence[Reference]) -> dict[int, str]:
    """Return the lines on which a system differs most from the first one."""
    if not place:
        return {}
    name = systems[place].name
    first, second = systems[0].first.outputs[:SCORED], systems[place].first.outputs[:SCORED]
    wins, losses = line_differences(first, second, references[:SCORED], WINS)
    return {
        **{one.line: f"a large win of {name} (chrF2 {one.first:.0f} → {one.second:.0f})" for one in wins},
        **{one.line: f"a large loss of {name} (chrF2 {one.first:.0f} → {one.second:.0f})" for one in losses},
    }


def _partly_exact(outputs: Sequence[Sequence[str]], measured: Sequence[str], references: Sequence[Reference]) -> int:
    """Return the line that only some systems have exactly, whose text is the longest of up to 60 characters.

    If there is none, return the first line.
    """

    def suits(line: int) -> bool:
        exact = {own[line] in texts_of(references[line]) for own in outputs}
        return len(exact) == 2 and len(measured[line]) <= MAX_LENGTH

    return max(filter(suits, range(len(references))), key=lambda line: len(measured[line]), default=0)
