import io
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len
from rich.console import Console

from s2s.report.heatmap import draw_heatmap, svg_heatmap, terminal_heatmap

SVG = "{http://www.w3.org/2000/svg}"


def drawn(renderable, width=80, **options):
    console = Console(file=io.StringIO(), width=width, **options)
    console.print(renderable)
    return console.file.getvalue()


def test_without_colours_weights_are_shaded_blocks_under_labels_written_across():
    text = drawn(terminal_heatmap([[0.05, 0.95], [0.5, 0.5], [0.75, 0.25]], ["▁ein", "und"], ["one", "▁and", "x"]))
    assert [line.rstrip() for line in text.splitlines()] == [
        "     ▁ein und",
        " one ·    █████",
        "▁and ▒▒▒▒▒▒▒▒▒▒",
        "   x ▓▓▓▓▓░░░░░",
        "     0 · ░░▒▒▓▓██ 0.95",
    ]


def test_with_colours_weights_are_backgrounds():
    text = drawn(terminal_heatmap([[0.0, 1.0]], ["a", "b"], ["x"]), force_terminal=True, color_system="truecolor")
    assert "48;2;68;1;84m" in text  # the darkest
    assert "48;2;253;231;37m" in text  # the brightest
    assert "█" not in text


def test_no_color_gives_blocks_in_a_terminal_too(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    text = drawn(terminal_heatmap([[0.0, 1.0]], ["a", "b"], ["x"]), force_terminal=True, color_system="truecolor")
    assert "███" in text
    assert "48;" not in text


def test_narrow_columns_have_labels_written_downwards():
    sources = [f"▁w{number:02d}" for number in range(20)]
    text = drawn(terminal_heatmap([[0.05] * 20], sources, ["x"]), width=64)
    lines = [line[2:].split() for line in text.splitlines()]
    assert ["".join(letters) for letters in zip(*lines[:4], strict=True)] == sources


@pytest.mark.parametrize("width", [4, 11, 30, 80])
def test_it_never_is_wider_than_the_terminal_and_says_what_it_leaves_out(width):
    sources, targets = [f"s{number}" for number in range(97)], ["a-very-long-target-token-indeed", "二"]
    text = drawn(terminal_heatmap([[1 / 97] * 97] * 2, sources, targets), width=width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "more of 97 source" in " ".join(text.split()) or width < 30


def test_a_width_given_is_kept():
    text = drawn(terminal_heatmap([[0.1] * 9], list("abcdefghi"), ["x"], width=12), width=80)
    assert max(len(line.rstrip()) for line in text.splitlines()[:-1]) <= 12


def test_wide_letters_keep_the_columns_in_line():
    text = drawn(terminal_heatmap([[0.5] * 12], ["二十", *["a"] * 11], ["x"]), width=26)
    assert [line.rstrip() for line in text.splitlines()[:3]] == ["  二", "  十" + "a " * 10 + "a", "x " + "██" * 12]


def test_zero_and_not_finite_weights_are_drawn_as_nothing():
    text = drawn(terminal_heatmap([[0.0, float("nan")]], ["a", "b"], ["x"]))
    assert text.splitlines()[1].rstrip() == "x ·  ·"
    assert "fill-opacity" not in svg_heatmap([[0.0, float("nan")]], ["a", "b"], ["x"])


def test_a_token_cannot_steer_the_terminal():
    text = drawn(terminal_heatmap([[1.0]], ["\x1b[2J"], ["[red]x"]))
    assert "\x1b" not in text
    assert "[red]x" in text


@pytest.mark.parametrize("draw", [terminal_heatmap, svg_heatmap])
def test_a_wrong_shape_is_refused(draw):
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        draw([[0.1, 0.9], [0.5, 0.5], [0.2, 0.8]], ["a", "b", "c"], ["x", "y"])


def test_svg_has_a_square_for_each_visible_weight_and_all_labels(heatmap):
    root = ElementTree.fromstring(svg_heatmap([[0.0, 0.25, 0.75]], ["▁a", "b", "<c>"], ["x & y"]))
    squares = [rect for rect in root.iter(f"{SVG}rect") if rect.get("fill-opacity")]
    assert [round(float(square.get("fill-opacity")), 2) for square in squares] == [0.33, 1.0]
    assert [text.text for text in root.iter(f"{SVG}text")] == ["x & y", "▁a", "b", "<c>"]
    assert squares[1].find(f"{SVG}title").text == "x & y ← <c>: 0.75"
    assert root.find(f"{SVG}desc").text == "x & y ← <c> 75 %"


def test_columns_that_do_not_fit_follow_below():
    drawing = draw_heatmap([[0.2] * 5, [0.1] * 5], list("abcde"), ["xx", "y" * 30], width=220)
    root = ElementTree.fromstring(f"<svg>{drawing.body}</svg>")
    blocks = [[text.text for text in block.iter("text")] for block in root.findall("g")]
    rows = ["xx", f"{'y' * 19}…"]
    assert blocks == [[*rows, "a", "b"], [*rows, "c", "d"], [*rows, "e"]]
    assert drawing.width <= 220


def test_svg_needs_nothing_from_elsewhere_and_knows_dark():
    svg = svg_heatmap([[1.0]], ["a\x00"], ["</text><script>"])
    assert "<script" not in svg
    assert "href" not in svg
    assert "url(" not in svg
    assert "prefers-color-scheme:dark" in svg
    assert ElementTree.fromstring(svg).tag == f"{SVG}svg"
