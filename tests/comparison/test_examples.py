from types import SimpleNamespace

import pytest

from s2s.comparison import examples, test_set
from s2s.comparison.examples import example_lines
from s2s.decoding.translation import Translation
from s2s.metrics.scores import Scoring

SOURCES = ["eins", "zwei", "drei und dreissig und noch sehr viel mehr Woerter als sechzig Zeichen", "vier", "fuenf"]
REFERENCES = ["one", "two", "thirty-three", "four", "five"]


def made_test_set(lines: int) -> test_set.TestSet:
    return test_set.TestSet(SOURCES[:lines], SOURCES[:lines], REFERENCES[:lines], "", Scoring(), "bleu")


def system(name: str, bleu: float, outputs: list[str]) -> SimpleNamespace:
    return SimpleNamespace(name=name, first=SimpleNamespace(outputs=outputs), score=bleu)


def test_a_line_translated_in_parts_has_no_heat_map(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Translation("a", 0.0, 0.0, ("▁a", "</s>"), source_tokens=("</s>",), attention=((1.0,), (1.0,)))
    in_parts = Translation("a b", 0.0, 0.0, ("▁a", "▁b"))
    translator = SimpleNamespace(translate=lambda *_, **__: [whole, in_parts])
    monkeypatch.setattr(examples, "reference_translator", lambda *_: translator)
    version = SimpleNamespace(card=SimpleNamespace(attention=True), recipe=lambda: SimpleNamespace(decoding=None))
    entry = SimpleNamespace(runs=[SimpleNamespace(version=version)])
    assert [drawn is None for drawn in examples._heatmaps(entry, ["a", "a. b"], None)] == [False, True]


def test_each_example_has_its_reason():
    good = system("good", 50.0, ["one", "two", "thirty-three", "for", "five"])
    bad = system("bad", 10.0, ["one", "too", "thirty-three", "four", "xxxx"])
    assert example_lines([bad, good], made_test_set(5)) == {
        4: "example",
        2: "the longest source",
        1: "a large win of good (chrF2 22 → 100)",
        3: "a large loss of good (chrF2 100 → 38)",
    }
    right, none = system("right", 100.0, ["one", "two"]), system("none", 0.0, ["on", "to"])
    assert next(iter(example_lines([right, none], made_test_set(2)))) == 0
    alone = system("bad", 10.0, ["one", "too"])
    assert example_lines([alone], made_test_set(2)) == {0: "example", 1: "the lowest chrF2 of bad"}
