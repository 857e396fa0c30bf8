"""Tables at narrow terminals: every figure whole."""

import re

import pytest
from rich.console import Console

from s2s.cli import tables
from s2s.cli.tables import print_table

COLUMNS = ("model", "parameters", "BLEU", "network")
ROWS = [["numbers-attention:1", "384,002", "98.7", "bidirectional GRU encoder; GRU decoder"], ["b:2", "1", "0.0", ""]]
NUMBERS = {"parameters", "BLEU"}


@pytest.mark.parametrize("details", [None, "network"])
@pytest.mark.parametrize("width", [40, 60, 80, 120, 0])
def test_nothing_is_cut(width, details, monkeypatch, capsys):
    if width:
        monkeypatch.setattr(tables, "out", Console(width=width, force_terminal=True, color_system=None))
    print_table(COLUMNS, ROWS, NUMBERS, details=details)
    text = capsys.readouterr().out
    assert "…" not in text
    for figure in ("384,002", "98.7", "0.0"):
        assert len(re.findall(rf"(?<![\d,.]){re.escape(figure)}(?![\d,.])", text)) == 1
    assert "".join(["numbers-attention:1"]) in re.sub(r"\s", "", text)
    assert all(len(line.rstrip()) <= (width or 200) for line in text.splitlines())


def test_a_long_row_stays_one_line_in_a_pipe(capsys):
    print_table(COLUMNS, [["long:1", "1", "0.0", "x" * 2500]], NUMBERS)
    assert [len(line) for line in capsys.readouterr().out.splitlines()] == [33, 2526]
