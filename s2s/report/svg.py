"""The little of SVG that the reports draw with: elements, a style for light and dark, and whole documents."""

import textwrap
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from rich.cells import cell_len, chop_cells

from s2s.report.marking import printable

LIGHT = ("#c2702e", "#2f6fd0", "#2e8b57", "#9b4dca", "#a87b00", "#008b8b", "#c2406b", "#6b7280")
DARK = ("#e39a5f", "#6ea8fe", "#5fc08a", "#c38be8", "#e0b64a", "#4cc3c3", "#ee7fa3", "#a3acb8")
CHARACTER = 7.3  # the width of a character of 12 pixels in the monospaced face, in pixels


@dataclass(frozen=True, slots=True)
class Drawing:
    """Elements in a box, in pixels."""

    width: float
    height: float
    body: str


def _colors(colors: tuple[str, ...]) -> str:
    return "".join(f"--series-{number}:{color};" for number, color in enumerate(colors))


STYLE = f"""
.s2s{{--ink:#1f2328;--muted:#59636e;--line:#d5dae0;--paper:#ffffff;{_colors(LIGHT)}}}
@media screen and (prefers-color-scheme:dark){{
.s2s{{--ink:#e6edf3;--muted:#9aa4af;--line:#3a424c;--paper:#14181d;{_colors(DARK)}}}}}
.s2s text{{fill:var(--ink);font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}}
.s2s .muted{{fill:var(--muted)}}
.s2s .token{{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}}
.s2s .title{{font-size:15px;font-weight:600}}
.s2s .line{{stroke:var(--line);stroke-width:1}}
.s2s .interval{{stroke:var(--ink);stroke-width:1.5;opacity:.55}}
.s2s .frame{{fill:none;stroke:var(--line)}}
.s2s .paper{{fill:var(--paper)}}
"""


def element(tag: str, content: str = "", **attributes: str | float) -> str:
    """Return `<tag …>content</tag>`; attributes are escaped, `content` is markup.

    `class_` is class, other `_` become `-`.
    """
    named = "".join(f" {_name(name)}={quoteattr(_value(value))}" for name, value in attributes.items())
    return f"<{tag}{named}>{content}</{tag}>" if content else f"<{tag}{named}/>"


def text(content: str, x: float, y: float, **attributes: str | float) -> str:
    """Return a text element at a baseline point, in pixels; `content` is any text."""
    return element("text", escape(printable(content)), x=x, y=y, **attributes)


def tooltip(content: str) -> str:
    """Return a title element, which browsers show as a tooltip."""
    return element("title", escape(printable(content)))


def moved(drawing: Drawing, x: float, y: float) -> str:
    """Return a drawing's elements with its upper left corner at (x, y)."""
    return element("g", drawing.body, transform=f"translate({_value(x)} {_value(y)})")


def text_width(content: str) -> float:
    """Estimate the maximum width of 12-pixel text, in pixels."""
    return CHARACTER * cell_len(content)


def wrapped(content: str, width: float) -> list[str]:
    """Break text into lines of at most `width` pixels, at spaces and hyphens where there are any."""
    cells = max(1, int(width / CHARACTER))
    return [part for line in textwrap.wrap(printable(content), cells) for part in chop_cells(line, cells)] or [""]


def document(drawing: Drawing, label: str, description: str = "") -> str:
    """Return a complete SVG with style and background for light and dark.

    `label` and `description` are its accessible name and description: what it shows, and what can be seen in it.
    """
    width, height = _value(drawing.width), _value(drawing.height)
    paper = element("rect", width=width, height=height, rx=8, class_="paper")
    described = element("desc", escape(printable(description))) if description else ""
    return element(
        "svg",
        f"{described}<style>{STYLE}</style>{paper}{drawing.body}",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        class_="s2s",
        role="img",
        aria_label=printable(label),
    )


def _name(name: str) -> str:
    return name if name == "viewBox" else name.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
