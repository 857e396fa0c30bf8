from types import SimpleNamespace

from s2s.comparison import test_set
from s2s.comparison.examples import example_lines
from s2s.metrics.scores import Scoring

SOURCES = ["eins", "zwei", "drei und dreissig und noch sehr viel mehr Woerter als sechzig Zeichen", "vier", "fuenf"]
REFERENCES = ["one", "two", "thirty-three", "four", "five"]


def made_test_set(lines: int) -> test_set.TestSet:
    return test_set.TestSet(SOURCES[:lines], SOURCES[:lines], REFERENCES[:lines], "", Scoring(), "bleu")


def system(name: str, bleu: float, outputs: list[str]) -> SimpleNamespace:
    return SimpleNamespace(name=name, first=SimpleNamespace(outputs=outputs), score=bleu)


def test_each_example_has_its_reason():
    good = system("good", 50.0, ["one", "two", "thirty-three", "for", "five"])
    bad = system("bad", 10.0, ["one", "too", "thirty-three", "four", "xxxx"])
    assert example_lines([bad, good], made_test_set(5)) == {
        4: "example",
        2: "the longest source",
        1: "a large win of good (chrF2 22 → 100)",
        3: "a large loss of good (chrF2 100 → 38)",
    }
    alone = system("bad", 10.0, ["one", "too"])
    assert example_lines([alone], made_test_set(2)) == {0: "example", 1: "the lowest chrF2 of bad"}
