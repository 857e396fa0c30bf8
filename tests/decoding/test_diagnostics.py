"""What is odd about a translation, and what is not."""

import pytest

from s2s.decoding.diagnostics import Diagnostics, diagnostics, loops
from s2s.decoding.translator import Translation


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        ("a b c d e f g h", False),
        ("a a a a a a a a", True),
        ("ha ha ha ha", False),  # too short to be sure
        ("x y z a b a b a b a b c", True),
        ("x y z a b a b a b c", False),
        ("a b c a b c a b c a b c", True),
        ("a b c a b c a b c a b", False),
        ("", False),
    ],
)
def test_loops(text: str, odd: bool) -> None:
    assert loops(text.split()) is odd


LOOP = ("a",) * 9


@pytest.mark.parametrize(
    ("source", "translation", "names"),
    [
        ("drei", Translation("three", tokens=("three", "</s>"), source_length=1), []),
        ("drei", Translation("", tokens=("</s>",), source_length=1), ["empty"]),
        (" \t", Translation(""), []),
        ("drei", Translation("a a", tokens=LOOP, cut=True, source_length=1), ["cut", "loop"]),
        (" ".join(LOOP), Translation("a a", tokens=LOOP, source_length=9), []),
        ("das ist gut", Translation("das ist gut", source_length=3), ["copy"]),
        ("New York", Translation("New York", source_length=2), []),
        ("drei", Translation("x", source_length=6, unknown=2), []),
        ("drei", Translation("x", source_length=6, unknown=3), ["unknown"]),
        ("drei", Translation("x", split=True, source_length=900), ["split"]),
    ],
)
def test_findings(source: str, translation: Translation, names: list[str]) -> None:
    assert diagnostics(source, translation) == names


def test_warnings_count_lines() -> None:
    counted = Diagnostics()
    assert counted.warnings() == []
    for text in ("", "", "three"):
        counted.add("drei", Translation(text, source_length=1))
    counted.add_invalid("a:1")
    counted.add_invalid("a:7")
    assert counted.warnings() == [
        "2 of 3 lines: not valid UTF-8, its bad bytes replaced; the first: a:1",
        "2 of 3 lines: translation empty",
    ]
