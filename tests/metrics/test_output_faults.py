"""Which faults outputs have, judged by their texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s.errors import DataError
from s2s.metrics.output_faults import FAULTS, loops, output_faults
from s2s.metrics.scores import Scoring

SPLIT = Scoring.of("en").word_splitter()


@pytest.mark.parametrize(
    ("text", "expected"),
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
def test_loops(text: str, expected: bool) -> None:
    assert loops(text.split()) is expected


@given(st.lists(st.sampled_from("ab"), max_size=40))
def test_loops_are_windows_with_a_period(tokens: list[str]) -> None:
    expected = False
    for n in range(1, 9):
        size = max(4 * n, 8)  # four times, and eight tokens
        for start in range(len(tokens) - size + 1):
            window = tokens[start : start + size]
            expected |= all(window[i] == window[i % n] for i in range(size))
    assert loops(tokens) is expected


SOURCE = "Der Mann geht heute in die große Stadt."
REFERENCE = "The man is going to the large city today."
UNLIKE = "We all will visit this very old metropolis soon enough."
LAUGHTER = "ha " * 9


@pytest.mark.parametrize(
    ("output", "source", "reference", "expected"),
    [
        ("Today the man goes into the big city.", SOURCE, REFERENCE, []),
        (" ", SOURCE, REFERENCE, ["empty"]),
        ("", "Ja?", ["", "Yes?"], []),
        ("The man is going to the city" + " the large city" * 4, SOURCE, REFERENCE, ["repetition"]),
        (LAUGHTER, "Er lacht.", "He laughs.", ["repetition"]),
        (LAUGHTER, "Er: " + LAUGHTER, "He laughs out loud.", ["copy"]),
        (LAUGHTER, "Er lacht.", ["He laughs.", LAUGHTER], []),
        ("der mann geht heute in die große Stadt", SOURCE, REFERENCE, ["copy"]),
        ("The man goes heute in die, große city", SOURCE, REFERENCE, ["copy"]),
        ("The man goes in die große city", SOURCE, REFERENCE, []),
        ("Bitte nicht stören", "Bitte nicht stören!", "Do not disturb", ["copy"]),
        ("New York", "New York", "New York City", []),
        ("Star Wars Episode IV is on", "Star Wars Episode IV läuft", "They show Star Wars Episode IV", []),
        ("Guten Tag Herr Rossi", "Guten Tag Herr Rossi", ["Good day", "Guten Tag, Herr Rossi."], []),
        ("The man is", SOURCE, REFERENCE, ["omission"]),
        (".", SOURCE, REFERENCE, ["omission"]),
        ("The man walks to town now", SOURCE, REFERENCE, []),  # 6 words of 9
        ("Yes", "Ja gut", "Yes, very well", []),
        ("large city today going man", SOURCE, REFERENCE, []),  # most of the content
        ("Man goes", SOURCE, [REFERENCE, "Man walks"], []),
        ("large city today going man", SOURCE, [REFERENCE, UNLIKE], []),
    ],
)
def test_faults(output: str, source: str, reference: str | list[str], expected: list[str]) -> None:
    others = ["The dog is the best.", "The tree is going to fall on the house."]
    found = output_faults([*others, output], [*others, source], [*others, reference], SPLIT)
    assert [name for name, lines in found.items() if 2 in lines] == expected
    assert [*found] == [*FAULTS]


def test_frequent_words_are_little_of_the_content() -> None:
    references = ["of the and to x y z u v", *(["of the and to"] * 30)]
    outputs = ["x y z u v", *references[1:]]
    assert output_faults(outputs, references, references, SPLIT)["omission"] == []
    outputs = ["of the and to", *references[1:]]
    assert output_faults(outputs, references, references, SPLIT)["omission"] == [0]


def test_references_as_outputs_have_no_faults() -> None:
    references = [REFERENCE, LAUGHTER, "", "a b c d e f"]
    assert output_faults(references, references, references, SPLIT) == {name: [] for name in FAULTS}


def test_unequal_counts_are_refused() -> None:
    with pytest.raises(DataError, match="1 sources for 2"):
        output_faults(["a", "b"], ["a"], ["a", "b"], SPLIT)
