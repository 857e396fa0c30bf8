"""Learning curves: loss and scores over the updates of a training, of one run or several, for the terminal and as SVG.

A panel for each figure, with the curves of all runs in it. A run has one letter, and one color: `a` is its training
and `A` its validation.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from s2s.report.braille import Canvas
from s2s.report.marking import printable
from s2s.report.plots import WIDTH, color, legend
from s2s.report.svg import Drawing, document, element, moved, text, text_width, tooltip

Point = tuple[int, float]  # an update and a figure

ROWS = 10  # of a panel in the terminal, in lines
APART = 5  # columns between the first letters of two curves
STYLES = ("yellow", "bright_blue", "green", "magenta", "cyan", "red")
LEFT, RIGHT, TOP, HEIGHT, BOTTOM = 48.0, 28.0, 26.0, 220.0, 44.0  # of a panel in the SVG and of its margins, in pixels
UPDATES = "updates"


@dataclass(frozen=True, slots=True)
class RunCurves:
    """Recorded metrics of a run, in the order of updates: losses in nats per token, BLEU and chrF from 0 to 100.

    All values are finite.
    """

    name: str
    training_loss: Sequence[Point] = ()
    validation_loss: Sequence[Point] = ()
    bleu: Sequence[Point] = ()
    chrf: Sequence[Point] = ()


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a panel: of which run (its place among all), and whether of training or of validation."""

    run: int
    name: str
    training: bool
    points: Sequence[Point]

    @property
    def letter(self) -> str:
        """Letter that marks a run without colors; letters repeat after 26 runs."""
        letter = ascii_lowercase[self.run % 26]
        return letter if self.training else letter.upper()


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from `low` to `high`, with a label at the multiples of `step`."""

    low: float
    high: float
    step: float

    def ticks(self) -> list[float]:
        """Return the multiples of `step` on the scale."""
        first, last = math.ceil(self.low / self.step - 1e-9), math.floor(self.high / self.step + 1e-9)
        return [self.step * count for count in range(first, last + 1)]

    def label(self, value: float) -> str:
        """Format a multiple of `step` with as many decimals as it needs."""
        if self.step > 1e6:
            return f"{value:.2g}"
        return f"{value:,.{max(0, -math.floor(math.log10(self.step) + 1e-9))}f}"

    def fraction(self, value: float) -> float:
        """Return the position of a value on the axis, from 0 to 1."""
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Panel:
    """The curves of one figure on their axes: `x` of updates, `y` of the figure."""

    title: str
    curves: Sequence[Curve]
    x: Axis
    y: Axis


def panels(runs: Sequence[RunCurves]) -> list[Panel]:
    """Return panels for loss, BLEU and chrF that share their updates; leave out those without data."""
    numbered = list(enumerate(runs))
    losses = [Curve(place, run.name, True, run.training_loss) for place, run in numbered]
    losses += [Curve(place, run.name, False, run.validation_loss) for place, run in numbered]
    bleu = [Curve(place, run.name, False, run.bleu) for place, run in numbered]
    chrf = [Curve(place, run.name, False, run.chrf) for place, run in numbered]
    titled = {"loss in nats per token": losses, "validation BLEU": bleu, "validation chrF2": chrf}
    drawn = {title: [curve for curve in curves if curve.points] for title, curves in titled.items()}
    updates = [update for curves in drawn.values() for curve in curves for update, _ in curve.points]
    return [
        Panel(title, curves, _updates(updates), axis_of([figure for curve in curves for _, figure in curve.points]))
        for title, curves in drawn.items()
        if curves
    ]


def _updates(updates: Sequence[int]) -> Axis:
    last = max([1, *updates])
    return Axis(0, last, max(1, _step(last / 6)))


def axis_of(figures: Sequence[float]) -> Axis:
    """Return an axis that ends at round numbers beyond the smallest and largest figures."""
    low, high = min(figures), max(figures)
    step = _step(max(high - low, 1e-3 * max(1, abs(high))) / 4)
    low, high = step * math.floor(low / step), step * math.ceil(high / step)
    return Axis(low, max(high, low + step), step)


def _step(least: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20 … (and 0.1, 0.2 …) that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * count for count in (1, 2, 5, 10) if power * count >= least * (1 - 1e-9))


def terminal_curves(runs: Sequence[RunCurves]) -> RenderableType:
    """Return the panels as a rich renderable of the console's width, with a key of letters."""
    return _Terminal(runs)


@dataclass(frozen=True, slots=True)
class _Terminal:
    runs: Sequence[RunCurves]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        drawn = panels(self.runs)
        labels = max((len(panel.y.label(tick)) for panel in drawn for tick in panel.y.ticks()), default=0)
        for panel in drawn:
            yield Text(panel.title, style="bold")
            yield from _panel_lines(panel, labels, max(8, options.max_width - labels - 2))
            yield Text()
        yield from _letters(self.runs, drawn)


def _panel_lines(panel: Panel, labels: int, columns: int) -> Iterator[Text]:
    """Draw a panel: labels of that many cells, an axis, the curves in that many columns, and the updates below."""
    canvas = Canvas(columns, ROWS)
    for place, curve in enumerate(panel.curves):
        dots = [(panel.x.fraction(update), panel.y.fraction(figure)) for update, figure in curve.points]
        canvas.draw(dots, curve.letter, STYLES[curve.run % len(STYLES)], 3 + APART * (place % 3))
    named = {canvas.cell(0, panel.y.fraction(tick))[0]: panel.y.label(tick) for tick in panel.y.ticks()}
    for row in range(ROWS):
        margin = f"{named.get(row, ''):>{labels}} {'┤' if row in named else '│'}"
        yield Text.assemble(margin, canvas.line(row), no_wrap=True)
    marks = {canvas.cell(panel.x.fraction(tick), 0)[1]: panel.x.label(tick) for tick in panel.x.ticks()}
    axis = "".join("┬" if column in marks else "─" for column in range(columns))
    yield Text(f"{'':{labels}} └{axis}", no_wrap=True)
    yield Text(f"{'':{labels}}  {_label_line(marks, columns)}", no_wrap=True)


def _label_line(marks: dict[int, str], columns: int) -> str:
    """Return the labels below their columns, without those that do not fit, and their unit."""
    line, room = "", columns - len(UPDATES) - 1
    for column, label in sorted(marks.items()):
        start = max(0, column - len(label) // 2)
        if (start > len(line) or not line) and start + len(label) <= room:
            line = f"{line:{start}}{label}"
    return f"{line:{room}} {UPDATES}"


def _letters(runs: Sequence[RunCurves], drawn: Sequence[Panel]) -> Iterator[Text]:
    """Return one line per run that has a curve: its letters and its name."""
    for place, run in enumerate(runs):
        curves = [curve for panel in drawn for curve in panel.curves if curve.run == place]
        words = {curve.letter: f"{curve.letter} {'training' if curve.training else 'validation'}" for curve in curves}
        if words:
            yield Text(f"{'  '.join(words.values())}  {printable(run.name)}", STYLES[place % len(STYLES)])


def svg_curves(runs: Sequence[RunCurves]) -> str:
    """Return the panels as a self-contained SVG for light and dark backgrounds."""
    return document(draw_curves(runs), f"Learning curves: {', '.join(run.name for run in runs)}")


def draw_curves(runs: Sequence[RunCurves]) -> Drawing:
    """Draw the panels one below the other, under the runs' names and colors."""
    key = legend([run.name for run in runs])
    parts, y = [key.body], key.height + 8
    for panel in panels(runs):
        drawing = _draw_panel(panel)
        parts.append(moved(drawing, 0, y))
        y += drawing.height
    return Drawing(WIDTH, y + 4, "".join(parts))


def _draw_panel(panel: Panel) -> Drawing:
    width = WIDTH - LEFT - RIGHT
    parts = [text(panel.title, 4, 14, class_="muted"), *_key(panel), *_grid(panel, width)]
    for curve in panel.curves:
        places = [
            (width * panel.x.fraction(update), HEIGHT * (1 - panel.y.fraction(figure)))
            for update, figure in curve.points
        ]
        parts.append(moved(Drawing(width, HEIGHT, _line(curve, places, panel.title)), LEFT, TOP))
    return Drawing(WIDTH, TOP + HEIGHT + BOTTOM, "".join(parts))


def _grid(panel: Panel, width: float) -> Iterator[str]:
    """Draw grid lines and the labels of both axes."""
    bottom = TOP + HEIGHT
    for tick in panel.y.ticks():
        y = TOP + HEIGHT * (1 - panel.y.fraction(tick))
        yield element("line", x1=LEFT, x2=LEFT + width, y1=y, y2=y, class_="line")
        yield text(panel.y.label(tick), LEFT - 8, y + 4, text_anchor="end", class_="muted")
    for tick in panel.x.ticks():
        x = LEFT + width * panel.x.fraction(tick)
        yield element("line", x1=x, x2=x, y1=bottom, y2=bottom + 4, class_="line")
        yield text(panel.x.label(tick), x, bottom + 18, text_anchor="middle", class_="muted")
    yield text(UPDATES, LEFT + width / 2, bottom + 34, text_anchor="middle", class_="muted")


def _key(panel: Panel) -> Iterator[str]:
    """Draw the key to the two line styles in the upper right corner of a panel that has both."""
    kinds = {curve.training for curve in panel.curves}
    if len(kinds) < 2:
        return
    x = WIDTH - RIGHT
    for training, word in ((False, "validation"), (True, "training")):
        x -= text_width(word)
        yield text(word, x, 14, class_="muted")
        x -= 36
        yield from _stroke([(x, 10), (x + 28, 10)], "var(--muted)", training)
        if not training:
            yield element("circle", cx=x + 14, cy=10, r=3, fill="var(--muted)")
        x -= 16


def _line(curve: Curve, places: Sequence[tuple[float, float]], title: str) -> str:
    """Draw a curve: a thin line for training, or a thick one with points for validation."""
    shade = color(curve.run)
    parts = [*_stroke(places, shade, curve.training)]
    if not curve.training or len(places) == 1:
        for (x, y), (update, figure) in zip(places, curve.points, strict=True):
            told = tooltip(f"{curve.name}, update {update:,}: {title} {figure:.3f}")
            parts.append(element("circle", told, cx=x, cy=y, r=3, fill=shade))
    return "".join(parts)


def _stroke(places: Sequence[tuple[float, float]], shade: str, training: bool) -> Iterator[str]:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    thick, opacity = (1.2, 0.75) if training else (2.0, 1.0)
    yield element("polyline", points=points, fill="none", stroke=shade, stroke_width=thick, stroke_opacity=opacity)
