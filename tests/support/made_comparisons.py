"""Comparisons with made-up figures, for the tests of reports."""

import math

from s2s.metrics.breakdown import Breakdown, Bucket
from s2s.metrics.scores import Score
from s2s.metrics.significance import Significance
from s2s.metrics.variance import Estimate
from s2s.report.figures import Comparison, Difference, Example, HeatMap, System

BLEU = "BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"
CHRF = "chrF2|nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0"
EXACT = "exact|nrefs:1|case:mixed|unit:line|space:trimmed|version:s2s-0.1.0"
TEST = "BLEU|nrefs:1|bs:1000|seed:12345|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"
AR = "BLEU|nrefs:1|ar:10000|seed:12345|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"

SOURCE = ["▁ein", "und", "zwanzig", "▁;", "▁22", ".", "▁Januar", "▁2087", "</s>"]
TARGET = ["▁twenty", "-", "one", "▁;", "▁January", "▁22", ",", "▁2087", "</s>"]
LOOKS_AT = [2, 2, 0, 3, 6, 4, 5, 7, 8]


def scores(bleu, chrf, exact):
    return {"bleu": Score("bleu", bleu, BLEU), "chrf": Score("chrf", chrf, CHRF), "exact": Score("exact", exact, EXACT)}


def made_heatmap(source=tuple(SOURCE), target=tuple(TARGET), looks_at=tuple(LOOKS_AT)):
    rows = [[math.exp(-1.7 * abs(column - centre)) for column in range(len(source))] for centre in looks_at]
    return HeatMap([[weight / sum(row) for weight in row] for row in rows], list(source), list(target))


def made_difference(points, p_value):
    """A difference with an interval, and the outcomes of both tests."""
    return Difference(Estimate(points, 0.6, None, None), Significance(p_value, TEST), Significance(0.002, AR))


def made_comparison(systems, source=None, outputs=None):
    """A comparison of that many systems; the first has no attention."""
    kinds = ["bottleneck", "attention", "attention-current", "transformer", "transformer-deep", "wide", "tiny", "best"]
    made, heatmaps = [], []
    for place in range(systems):
        kind, bleu = kinds[place], [61.24, 98.71, 98.5, 99.2, 99.25, 97.0, 55.5, 99.3][place]
        difference = made_difference(bleu - 61.24, 1 / 1001 if place != 5 else 0.0344) if place else None
        network = "GRU, additive attention" if place else "GRU, fixed context"
        cost = {"updates": 2_460, "seconds": 75.4 + 60 * place, "tokens": 943_434}
        system = System(
            f"numbers-{kind}", scores(bleu, bleu + 0.5, bleu - 20), network, 312_456 + 1_234 * place, perplexity=1.84,
            difference=difference, group=1 if place else 2, command=f"s2s compare numbers/{kind}",
            code="s2s 0.1.0 (1a2b3c4d5e6f)", machine="Linux x86_64 (avx2), 2 threads", **cost,
        )  # fmt: skip
        made.append(system)
        heatmaps.append(made_heatmap() if place else None)
    lengths = [("1–19", 204, 94.4), ("20–39", 370, 72.0), ("40–79", 264, 56.7), ("80–", 162, 48.9)]
    buckets = [
        Bucket(label, n, (bleu, *(98.7 - i / 3 for i in range(systems - 1))), (1.5,) * systems)
        for label, n, bleu in lengths
    ]
    reference = "twenty-one ; January 22, 2087 ; four hundred and seven"
    outputs = outputs or ["twenty ; January 12, 2087 ; four hundred", *[reference] * (systems - 1)]
    example = Example(source or "einundzwanzig ; 22. Januar 2087 ; vierhundertsieben", reference, outputs, heatmaps)
    return Comparison(
        "numbers: bottleneck and attention",
        "numbers · de → en · test: 1,000 pairs, none of them in training",
        made,
        [Breakdown("BLEU", "source length", buckets, "characters")],
        [example],
        ["decoded greedily"],
        ["s2s translate numbers-attention", "s2s models show numbers-attention"],
    )
