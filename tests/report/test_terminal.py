import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from s2s.metrics.scores import Score
from s2s.report.table import signatures, table
from s2s.report.terminal import print_comparison


def printed(comparison, width=80, **options):
    console = Console(file=io.StringIO(), width=width, **options)
    print_comparison(comparison, console)
    return console.file.getvalue()


def test_piped_it_says_everything_without_codes(comparison):
    text = printed(comparison)
    assert "\x1b" not in text
    assert "numbers · de → en · test: 1,000 pairs, none of them in training" in text
    assert re.search(r"BLEU +61\.2 +98\.7   \+37\.5  p < 0\.001", text)
    assert re.search(r"40–79 +264 +█+▊? 56\.7 +█+ 98\.7", text)
    assert "twenty‹…› ; January ‹12›, 2087 ; four hundred‹…›" in text
    assert "attention of numbers-attention" in text
    assert set(signatures(comparison)) <= {line.strip() for line in text.splitlines()}


@pytest.mark.parametrize("systems", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("width", [80, 120])
def test_no_figure_is_cut_and_no_line_too_wide(make_comparison, systems, width):
    comparison = make_comparison(systems)
    with_ter = [
        replace(system, scores={**system.scores, "ter": Score("ter", 12.3, "TER|x")}) for system in comparison.systems
    ]
    [lengths] = comparison.breakdowns
    *buckets, last = lengths.buckets
    buckets.append(replace(last, label="over 80, longer than any in training"))
    by_length = replace(lengths, buckets=buckets)
    text = printed(replace(comparison, systems=with_ter, breakdowns=[by_length]), width)
    exempt = {*signatures(comparison)}
    lines = [line for line in text.splitlines() if line.strip() not in exempt]
    assert max(len(line.rstrip()) for line in lines) <= width
    for row in table(comparison):
        for cell in row.cells:
            if row.label != "network":
                assert f" {cell.text}" in text
            assert cell.note in text
    words = text[text.index("BLEU by source length") :].split()
    assert {"over", "80,", "longer", "than", "training"} <= {*words}
    for bucket in buckets:
        assert {f"{bucket.count:,}", *(f"{value:.1f}" for value in bucket.values)} <= {*words}


@pytest.mark.parametrize("width", [40, 50])
def test_in_a_narrow_terminal_nothing_is_lost(make_comparison, width):
    text = printed(make_comparison(6), width)
    for figure in ("312,456", "1 min 15 s", "+37.5  p < 0.001", "41.2 %", "perplexity", "204", "94.4", "98.7", "48.9"):
        assert figure in text


def test_more_than_three_systems_become_lines(make_comparison):
    text = printed(make_comparison(4))
    assert re.search(r"numbers-attention +98\.7 +\+37\.5  p < 0\.001 +\+37\.5 +99\.2 +78\.7 % +1\.84", text)
    assert re.search(r"sentences +204 +370 +264 +162", text)


def test_long_names_break_after_their_hyphens(make_comparison):
    text = printed(make_comparison(3))
    assert re.search(r"numbers-attention- *\n", text)
    assert "numbers-attention-curren " not in text


def test_with_colours_differences_are_red_without_marks(comparison):
    text = printed(comparison, force_terminal=True, color_system="truecolor")
    assert "\x1b[1;31m12\x1b[0m" in text
    assert "‹12›" not in text


def test_no_color_is_respected(comparison, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    text = printed(comparison, force_terminal=True, color_system="truecolor")
    assert not re.search(r"\x1b\[[\d;]*(3\d|4\d|9\d)m", text)
    assert "‹12›" in text


def test_text_of_others_is_neither_markup_nor_control(make_comparison):
    output = "[bold red]x[/] \x1b]0;owned\x07 :smile:"
    text = printed(make_comparison(2, source="[link=x]s[/link]", outputs=[output, "\x1b[2J"]))
    assert "\x1b" not in text
    assert "[link=x]s[/link]" in text
    assert ":smile:" in text.replace("‹", "").replace("›", "")
    assert "bold red" in text


def test_a_very_long_source_is_shown_without_its_middle(make_comparison):
    words = [f"k{number}" for number in range(1000)]
    shown = re.sub(r"\s+", " ", printed(make_comparison(2, source=" ".join(words))))
    assert " source k0 k1 k2 " in shown
    assert " … " in shown
    assert " k998 k999 " in shown
    assert "k500" not in shown


def test_without_lengths_examples_and_scores_it_still_prints(make_comparison):
    comparison = make_comparison(2)
    bare = replace(
        comparison,
        systems=[replace(system, scores={}, difference=None, group=None) for system in comparison.systems],
        breakdowns=[], examples=[], notes=[], commands=[],
    )  # fmt: skip
    text = printed(bare)
    assert "parameters" in text
    assert "BLEU" not in text
