"""Measure what the diagnosis and the filters of s2s find of known faults, and what they find in clean text.

    python measure.py faults de en train.de.gz train.en.gz --other train.fr.gz > faults.md
    python measure.py faults en de fr ja --po 'django/**/{language}/LC_MESSAGES/*.po' > gettext.md
    python measure.py blocks de en train.de.gz train.en.gz > blocks.md

`faults` injects one fault at a time and prints, for each check and filter, the share of the faulty lines that it finds
(recall) and the share of faulty lines among those that it finds (precision). `blocks` shifts blocks of several sizes
and prints how many are found, and how far their ends are off.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from s2s.data.corruption import FAULTS, Corruption, Fault, FaultKind
from s2s.data.diagnosis import Diagnosis, diagnosis
from s2s.data.diagnosis.signals import Signal
from s2s.data.diagnosis.window import Mask, Window
from s2s.data.filters.text import text_filter
from s2s.data.ledger import Extent, Finding
from s2s.data.readers import Pair, read_split
from s2s.recipe.data import LinesDataOptions, PoDataOptions
from s2s.recipe.filters import LanguageFilterOptions, RatioFilterOptions
from s2s.recipe.splits import LinesSplitOptions, TableSplitOptions
from s2s.text.lines import Texts
from s2s.text.parallel import read_pairs

SIZES = (8, 10, 12, 15, 20, 25, 30, 40, 50, 100, 400)
FILTERS = [LanguageFilterOptions(name="language"), RatioFilterOptions(name="ratio", max=2, unit="characters")]
NONE: Literal["none"] = "none"
Lines = set[int]


class Recorder(Signal):
    """A signal that keeps the lines it was given."""

    def add(self, window: Window, flagged: Mask, judged: Mask | None = None) -> None:
        """Add the pairs of the next window."""
        found.setdefault(self.check.kind, set()).update(window.pairs[row].line for row in np.flatnonzero(flagged))
        super().add(window, flagged, judged)


found: dict[str, Lines] = {}
diagnosis.Signal = Recorder  # type: ignore[attr-defined]


def diagnose(text: Corruption, languages: tuple[str, str]) -> tuple[list[Finding], dict[str, Lines]]:
    """Return the findings, and the lines that each kind of finding is about."""
    found.clear()
    checks = Diagnosis(*languages)
    lines_of_both = enumerate(zip(text.sources, text.targets, strict=True), 1)
    checks.add(Pair(*texts, line, "text") for line, texts in lines_of_both)
    findings = checks.findings()
    lines: dict[str, Lines] = {one.kind: found.get(one.kind, set()) for one in findings}
    for finding in findings:
        if finding.kind == "misaligned":
            blocks = ((extent.first, extent.last) for extent in finding.extents) if finding.extents else ()
            lines["misaligned"] = faulty_lines(blocks) or set(range(1, len(text.sources) + 1))
    return findings, lines


def filtered(text: Corruption, languages: tuple[str, str]) -> dict[str, Lines]:
    """Return the lines that each filter of FILTERS and of the preset "clean" drops because of the text of a pair."""
    data = LinesDataOptions(
        source_language=languages[0],
        target_language=languages[1],
        train=LinesSplitOptions(source=["a"], target=["b"]),
        hold_out_validation=1,
        hold_out_test=1,
        filter_preset="clean",
        filters=FILTERS,
    )
    drops = {one.name: drop for one in data.all_filters() if (drop := text_filter(one, data))}
    pairs = list(enumerate(zip(text.sources, text.targets, strict=True), 1))
    return {f"filter {name}": {line for line, texts in pairs if drop(*texts)} for name, drop in drops.items()}


def faulty_lines(blocks: Iterable[tuple[int, int]]) -> Lines:
    """Return the numbers of all lines of blocks, each from its first to its last one."""
    return {line for first, last in blocks for line in range(first, last + 1)}


def measure_faults(texts: dict[str, list[Texts]], languages: list[tuple[str, str]], other: list[str]) -> None:
    """Print a table for each share of faulty lines; the languages' lines are summed."""
    for share in (0.0, 0.01, 0.1):
        print(f"\n{share:.0%} of the lines\n\n| fault | faulty lines | found by | recall | precision |")
        print("| --- | ---: | --- | ---: | ---: |")
        for kind in FAULTS if share else (NONE,):
            if kind == "wrong_language" and not other:
                continue
            print_fault(kind, share, texts, languages, other)


def print_fault(
    kind: FaultKind | Literal["none"],
    share: float,
    texts: dict[str, list[Texts]],
    languages: list[tuple[str, str]],
    other: list[str],
) -> None:
    """Inject one fault, and print a row for each check and filter that finds at least 2 % of its lines."""
    faulty, hits, flagged = 0, defaultdict[str, int](int), defaultdict[str, int](int)
    for pair in languages:
        text = Corruption(*zip(*texts[pair[1]], strict=True), seed=1, block_lines=100)
        before = filtered(text, pair)
        if kind != "none":
            text.inject(kind, share, other)
        wrong = faulty_lines((fault.first, fault.last) for fault in text.faults)
        faulty += len(wrong)
        for name, lines in (diagnose(text, pair)[1] | filtered(text, pair)).items():
            hits[name] += len(lines & wrong)
            flagged[name] += len(lines - (before.get(name, set()) - wrong)) if share else len(lines)
    if not share:
        for name in flagged:
            if flagged[name]:
                print(f"| none | 0 | {name} | | {flagged[name]:,} lines |")
        return
    noticed = [name for name in sorted(hits, key=lambda one: -hits[one]) if hits[name] >= 0.02 * max(1, faulty)]
    for name in noticed:
        print(f"| {kind} | {faulty:,} | {name} | {hits[name] / faulty:.3f} | {hits[name] / flagged[name]:.3f} |")
    if not noticed:
        print(f"| {kind} | {faulty:,} | nothing | | |")


def measure_blocks(pairs: list[Texts], languages: tuple[str, str], repetitions: int) -> None:
    """Print how many shifted blocks of each size are found."""
    print("| lines | blocks | found | ends off by: mean | most | more than 10 | false |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for size in SIZES:
        blocks, ends, false = 0, [], 0
        for seed in range(repetitions):
            text = Corruption(*zip(*pairs, strict=True), seed=seed, block_lines=size)
            text.inject("shifted", min(0.1, 20 * size / len(pairs)))
            extents = [
                one
                for finding in diagnose(text, languages)[0]
                if finding.kind == "misaligned"
                for one in finding.extents
            ]
            blocks += len(text.faults)
            for fault in text.faults:
                ends += errors(fault, extents)
            false += sum(all(not overlap(fault, one) for fault in text.faults) for one in extents)
        wide = sum(end > 10 for end in ends)
        mean = np.mean(ends) if ends else 0.0
        print(
            f"| {size} | {blocks} | {len(ends) // 2} | {mean:.1f} | {max(ends, default=0)} | {wide} | {false} |",
            flush=True,
        )


def overlap(fault: Fault, extent: Extent) -> bool:
    """Return whether a fault and an extent share a line."""
    return fault.first <= extent.last and extent.first <= fault.last


def errors(fault: Fault, extents: list[Extent]) -> list[int]:
    """Return by how many lines the ends of a block are off; nothing if it is not found."""
    inside = [one for one in extents if overlap(fault, one) and one.shift == fault.shift]
    if not inside:
        return []
    first, last = min(one.first for one in inside), max(one.last for one in inside)
    return [abs(first - fault.first), abs(last - fault.last)]


def po_pairs(pattern: str, source: str, target: str) -> Iterator[Texts]:
    """Return the pairs of all PO files that match a pattern, in which {language} stands for the target language."""
    files = sorted(map(str, Path().glob(pattern.replace("{language}", target))))
    data = PoDataOptions(
        kind="po",
        source_language=source,
        target_language=target,
        train=TableSplitOptions(files=files),
        hold_out_validation=1,
        hold_out_test=1,
    )
    return ((pair.source, pair.target) for pair in read_split(data, "train"))


def main() -> None:
    """Run what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["faults", "blocks"])
    parser.add_argument("source_language")
    parser.add_argument(
        "rest", nargs="+", metavar="TARGET_LANGUAGE", help="TARGET_LANGUAGE SOURCE TARGET, or with --po languages"
    )
    parser.add_argument("--po", metavar="PATTERN", help="PO files; {language} stands for each target language")
    parser.add_argument("--other", metavar="FILE", help="text in another language, for the fault wrong_language")
    parser.add_argument("--repetitions", type=int, default=10, help="of each size of blocks")
    options = parser.parse_args()
    if options.po:
        targets = options.rest
        texts = {target: list(po_pairs(options.po, options.source_language, target)) for target in targets}
    else:
        target, *files = options.rest
        targets, texts = [target], {target: [pair for group in read_pairs(*files) for pair in group]}
    other = [text for group in read_pairs(options.other, options.other) for text, _ in group] if options.other else []
    languages = [(options.source_language, target) for target in targets]
    print(f"{sum(map(len, texts.values())):,} pairs, {options.source_language} to {', '.join(targets)}")
    if options.what == "faults":
        measure_faults(texts, languages, other)
    else:
        measure_blocks(texts[targets[0]], languages[0], options.repetitions)


if __name__ == "__main__":
    main()
