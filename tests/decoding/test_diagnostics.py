"""Which translations diagnostics apply to."""

import pytest

from s2s.decoding.diagnostics import DiagnosticCounts, diagnostics
from s2s.decoding.translation import Translation


@pytest.mark.parametrize(
    ("source", "translation", "names"),
    [
        ("drei", Translation("three", tokens=("three", "</s>"), source_length=1), []),
        ("drei", Translation("", tokens=("</s>",), source_length=1), ["empty"]),
        (" \t", Translation(""), []),
        ("drei", Translation("a a", truncated=True, looping=True, source_length=1), ["truncated", "loop"]),
        ("das ist gut", Translation("das ist gut", source_length=3), ["copy"]),
        ("New York", Translation("New York", source_length=2), []),
        ("drei", Translation("x", source_length=6, unknown_tokens=2), []),
        ("drei", Translation("x", source_length=6, unknown_tokens=3), ["unknown_tokens"]),
        ("%s und %(name)s", Translation("%(name)s and %s", source_length=3), []),
        ("<b>%d</b>&nbsp;mal", Translation("<b>three</b>\xa0times", source_length=3), ["lost_placeholders"]),
        ("100 % und 3 < 4", Translation("100 and 3", source_length=3), []),
        ("drei", Translation("three %s", source_length=1), []),
        ("drei", Translation("x", cut=True, source_length=900), ["cut"]),
    ],
)
def test_diagnostics(source: str, translation: Translation, names: list[str]) -> None:
    assert diagnostics(source, translation) == names


def test_warnings_count_lines() -> None:
    counted = DiagnosticCounts()
    assert counted.warnings() == []
    for text in ("", "", "three"):
        counted.add("drei", Translation(text, source_length=1))
    counted.add_invalid("a:1")
    counted.add_invalid("a:7")
    assert counted.warnings() == [
        "2 of 3 lines: not valid UTF-8, invalid bytes replaced; first: a:1",
        "2 of 3 lines: translation empty",
    ]
