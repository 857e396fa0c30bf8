import re
from xml.etree import ElementTree

import pytest
from rich.console import Console

from s2s.report.curves import Axis, RunCurves, panels, svg_curves, terminal_curves

SVG = "{http://www.w3.org/2000/svg}"
LONG = RunCurves(
    "long",
    training_loss=[(update, 8 / (1 + update / 100)) for update in range(50, 1001, 50)],
    validation_loss=[(250, 3.0), (500, 2.0), (750, 1.7), (1000, 1.6)],
    bleu=[(250, 2.5), (500, 21.0), (750, 30.0), (1000, 33.3)],
)
SHORT = RunCurves("short", validation_loss=[(4, 5.5), (8, 5.25)], bleu=[(4, 0.0), (8, 0.0)], chrf=[(4, 9.0), (8, 12.0)])


def drawn(*runs: RunCurves, width: int = 80, **options) -> list[str]:
    console = Console(width=width, markup=False, emoji=False, highlight=False, **options)
    with console.capture() as captured:
        console.print(terminal_curves(runs))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [24, 40, 80, 200])
def test_it_takes_the_width_there_is(width):
    lines = drawn(LONG, width=width)
    axes = [place for place, line in enumerate(lines) if "└" in line]
    assert [len(lines[place]) for place in axes] == [width, width]
    assert max(map(len, lines)) == width
    assert all(lines[place + 1].endswith(" updates") for place in axes)


def test_axes_and_letters_are_labelled():
    lines = drawn(LONG, SHORT)
    for title in ("loss in nats per token", "validation BLEU", "validation chrF2"):
        assert title in lines
    text = "\n".join(lines)
    for label in (" 6 ┤", " 0 ┤", "40 ┤", "   200 ", "   800 "):
        assert label in text
    assert lines[-2:] == ["a training  A validation  long", "B validation  short"]


def test_what_nothing_is_known_of_has_no_panel_and_no_letter():
    lines = drawn(LONG)
    assert "validation chrF2" not in lines
    assert lines[-1] == "a training  A validation  long"
    assert [panel.title for panel in panels([RunCurves("empty")])] == []


def test_a_curve_stands_where_its_figures_are():
    rising = RunCurves("rising", bleu=[(0, 0.0), (100, 100.0)])
    lines = [line.partition("┤")[2] or line.partition("│")[2] for line in drawn(rising, width=44)[1:11]]
    first = [re.search(r"[\u2800-\u28ffA]", line).start() for line in lines]
    assert first == sorted(first, reverse=True)
    assert lines[-1][0] != " "
    assert lines[0].rstrip()[-1] == "A"
    assert len(lines[0].rstrip()) == 44 - len("100 ┤")


def test_a_single_figure_is_drawn():
    for runs in ([RunCurves("one", training_loss=[(7, 2.5)])], [RunCurves("none yet", bleu=[(0, 0.0)])]):
        lines = drawn(*runs)
        assert sum("a" in line or "A" in line for line in lines if "┤" in line or "│" in line) == 1
        assert ElementTree.fromstring(svg_curves(runs)).find(f".//{SVG}circle") is not None


def test_figures_of_any_size_have_axes():
    for figure in (1e-9, 1e-3, 123456.0, 1e30, -4.0):
        lines = drawn(RunCurves("x", validation_loss=[(1, figure), (2, 2 * figure)]))
        assert max(map(len, lines)) <= 80
        assert sum("┤" in line for line in lines) >= 2


@pytest.mark.parametrize(
    ("axis", "labels"),
    [
        (Axis(0, 40, 10), ["0", "10", "20", "30", "40"]),
        (Axis(1.5, 2.5, 0.5), ["1.5", "2.0", "2.5"]),
        (Axis(0.06, 0.1, 0.02), ["0.06", "0.08", "0.10"]),
        (Axis(0, 4321, 2000), ["0", "2,000", "4,000"]),
        (Axis(-2, 1, 1), ["-2", "-1", "0", "1"]),
    ],
)
def test_labels_are_the_multiples_of_the_step(axis, labels):
    assert [axis.label(tick) for tick in axis.ticks()] == labels


def test_axes_hold_all_figures_between_round_numbers():
    losses, bleu = panels([LONG])
    assert losses.x == bleu.x == Axis(0, 1000, 200)
    assert (losses.y, bleu.y) == (Axis(0, 6, 2), Axis(0, 40, 10))


def test_names_cannot_drive_the_terminal_or_the_page():
    hostile = RunCurves("a\x1b[31mb<script>", bleu=[(1, 2.0), (2, 3.0)])
    assert drawn(hostile)[-1] == "A validation  a\ufffd[31mb<script>"
    assert "<script>" not in svg_curves([hostile])


def test_colours_only_where_there_are_some():
    assert "\x1b[" in "".join(drawn(LONG, force_terminal=True, color_system="standard"))
    assert "\x1b[" not in "".join(drawn(LONG))


def circles(svg):
    return [one for one in ElementTree.fromstring(svg).iter(f"{SVG}circle") if one.find(f"{SVG}title") is not None]


def test_the_svg_has_a_line_for_each_curve_in_its_runs_colour():
    root = ElementTree.fromstring(svg_curves([LONG, SHORT]))
    lines = [line for line in root.iter(f"{SVG}polyline") if "series" in line.get("stroke")]
    # loss: training of one, validation of both; BLEU of both; chrF of one
    assert [line.get("stroke")[-2] for line in lines] == ["0", "0", "1", "0", "1", "1"]
    assert [len(line.get("points").split()) for line in lines] == [20, 4, 2, 4, 2, 2]
    assert float(lines[0].get("stroke-width")) < float(lines[1].get("stroke-width"))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    for expected in ("long", "short", "training", "validation", "updates", "validation chrF2", "1,000"):
        assert expected in texts


def test_the_svg_stands_for_itself_in_light_and_dark():
    svg = svg_curves([LONG])
    assert "prefers-color-scheme:dark" in svg
    assert re.findall(r"(?:href|src|url)", svg) == []
    assert ElementTree.fromstring(svg).get("aria-label") == "Learning curves: long"


def test_points_lie_where_their_figures_are_and_say_them():
    found = circles(svg_curves([RunCurves("x", bleu=[(0, 0.0), (50, 20.0), (100, 40.0)])]))
    places = [(float(one.get("cx")), float(one.get("cy"))) for one in found]
    assert places[1][0] == pytest.approx((places[0][0] + places[2][0]) / 2)
    assert places[1][1] == pytest.approx((places[0][1] + places[2][1]) / 2)
    assert places[0][1] > places[2][1]
    assert found[1].find(f"{SVG}title").text == "x, update 50: validation BLEU 20.000"


def test_many_runs_stay_inside_the_picture():
    runs = [RunCurves(f"multi30k-attention-{place:08d}", bleu=[(1, 2.0), (1000000, 30.0)]) for place in range(30)]
    root = ElementTree.fromstring(svg_curves(runs))
    assert all(float(text.get("x")) + 6 * len(text.text) <= 790 for text in root.iter(f"{SVG}text"))
    assert len(drawn(*runs)) > 30
