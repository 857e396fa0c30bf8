from dataclasses import replace

from s2s.report.figures import NgramDifference
from s2s.report.markdown import markdown_comparison


def test_few_systems_are_columns(comparison):
    lines = markdown_comparison(comparison).splitlines()
    assert lines[0] == "# numbers: bottleneck and attention"
    assert "|  | numbers-bottleneck | numbers-attention |" in lines
    assert "| BLEU | 61.2 | **98.7** (+37.5, p < 0.001) |" in lines
    assert "| 20–39 | 370 | 72.0 ± 1.5 | 98.7 ± 1.5 |" in lines
    assert "- `BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0`" in lines
    assert "- decoded greedily" in lines
    assert "| difference | – | +37.5 ± 1.2 |" in lines
    assert lines[-1].startswith("| numbers-attention | s2s 0.1.0 (1a2b3c4d5e6f) | Linux x86\\_64 (avx2), 2 threads | ")


def test_ngrams_of_each_system_are_a_table(comparison):
    names = (comparison.systems[0].name, comparison.systems[1].name)
    ngrams = [NgramDifference("and | seven", names, names[1], ((0, 12), (1_345, 0)), "four hundred and seven")]
    lines = markdown_comparison(replace(comparison, ngrams=ngrams)).splitlines()
    place = lines.index("numbers-attention writes:")
    assert lines[place + 2] == "|  | numbers-bottleneck: correct | wrong | numbers-attention: correct | wrong |"
    assert lines[place + 4] == r"| and \| seven | 0 | 12 | 1,345 | 0 |"
    assert "numbers-bottleneck writes:" not in lines


def test_many_systems_are_lines(make_comparison):
    lines = markdown_comparison(make_comparison(5)).splitlines()
    [row] = [line for line in lines if line.startswith("| numbers-transformer |") and "GRU" in line]
    assert "| 316,158 |" in row
    assert "**99.2** (+38.0, p < 0.001)" in row
    assert "| characters | 1–19 | 20–39 | 40–79 | 80– |" in lines


def test_every_row_of_a_table_has_the_same_cells_whatever_the_text(comparison):
    named = replace(comparison.systems[0], name="a|b", network="<b>*x*|\n")
    lines = markdown_comparison(replace(comparison, systems=[named, comparison.systems[1]])).splitlines()
    rows = [line.replace("\\|", "") for line in lines if line.startswith("|")]
    assert {row.count("|") for row in rows} == {4, 5}
    assert r"\<b\>\*x\*\|" in "\n".join(lines)
