"""What looks wrong with a system's output: each fault is noticed, and nothing is said of a good output."""

import math
import random
from collections.abc import Callable, Sequence

import pytest

from s2s.errors import DataError
from s2s.metrics.line_matching import LineMatches
from s2s.metrics.output_checks import check_output
from s2s.metrics.scores import Reference, Score, Scoring

LINES = 140
CYRILLIC = str.maketrans("aeiourlnst", "аеиоурлнст")


def made_up(seed: int, lines: int, words: int) -> list[str]:
    """Return sentences of made-up words, some of which are frequent, of which a few are capitalized."""
    chance = random.Random(seed)
    syllables = [a + b for a in chance.sample("bdfgklmnprstvz", 9) for b in ("a", "ei", "o", "ur")]
    known = ["".join(chance.choices(syllables, k=chance.randint(1, 3))) for _ in range(words)]
    weights = [1 / (rank + 3) for rank in range(words)]
    rows = [chance.choices(known, weights, k=chance.randint(6, 13)) for _ in range(lines)]
    return [f"{' '.join(row[:4])}, {' '.join(row[4:])}.".capitalize() for row in rows]


def imperfect(references: Sequence[str]) -> list[str]:
    """Return what a fair system could make of the sources: a third of the words differ, and some are left out."""
    chance = random.Random(7)
    others = [word for text in references for word in text.split()[1:-1]]

    def change(word: str) -> str:
        return word if word[-1] in ",." or chance.random() < 0.65 else chance.choice(("", chance.choice(others)))

    return [" ".join(filter(None, [first, *map(change, rest)])) for first, *rest in map(str.split, references)]


SOURCES, REFERENCES, FRENCH = made_up(1, LINES, 1500), made_up(2, LINES, 1500), made_up(3, LINES, 1500)
GOOD = imperfect(REFERENCES)


def kinds(outputs: Sequence[str], references: Sequence[Reference] = REFERENCES, **options: object) -> list[str]:
    return [warning.kind for warning in check_output(outputs, references, {}, **options)]  # type: ignore[arg-type]


def bleu(value: float) -> dict[str, Score]:
    return {"bleu": Score("bleu", value, "BLEU|")}


def tokenized(texts: Sequence[str]) -> list[str]:
    return [text.replace(",", " ,").replace(".", " .") for text in texts]


def lower_cased(texts: Sequence[str]) -> list[str]:
    return [text.lower() for text in texts]


@pytest.mark.parametrize("count", [3, 30, LINES])
def test_nothing_is_said_of_a_good_output(count: int) -> None:
    outputs, references, sources = GOOD[:count], REFERENCES[:count], SOURCES[:count]
    assert check_output(outputs, references, bleu(45), sources=sources) == []
    assert kinds(tokenized(outputs), tokenized(references)) == []
    assert kinds(lower_cased(outputs), lower_cased(references)) == []


@pytest.mark.parametrize(
    ("outputs", "kind"),
    [
        (REFERENCES, "equals_references"),
        (SOURCES, "repeats_sources"),
        ([*GOOD[:90], *SOURCES[90:]], "repeats_sources"),
        ([*GOOD[:-1], " "], "blank"),
        ([""] * LINES, "blank"),
        ([text.replace("ei", "e@@ i") for text in GOOD], "subwords"),
        (["▁" + text.replace(" ", " ▁") for text in GOOD], "subwords"),
        ([*GOOD[:-1], GOOD[-1] + " </s>"], "special_tokens"),
        ([*GOOD[:-1], "A ⁇ " + GOOD[-1]], "special_tokens"),
        ([*GOOD[:-1], GOOD[-1].replace(" ", " d&apos;", 1)], "entities"),
        (tokenized(GOOD), "punctuation"),
        (lower_cased(GOOD), "case"),
        ([text.upper() for text in GOOD], "case"),
        ([text.translate(CYRILLIC) for text in GOOD], "script"),
        (FRENCH, "language"),
        ([*GOOD[1:], GOOD[0]], "shifted"),
        ([*GOOD[:50], GOOD[3], *GOOD[50:-1]], "shifted"),
        (random.Random(5).sample(GOOD, LINES), "unrelated"),
        ([GOOD[0]] * LINES, "unrelated"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fault_is_noticed(outputs: list[str], kind: str) -> None:
    assert kinds(outputs, sources=SOURCES) == [kind]


def test_a_fault_of_the_references_is_noticed() -> None:
    assert kinds(GOOD, tokenized(REFERENCES)) == ["punctuation"]
    assert kinds(GOOD, lower_cased(REFERENCES)) == ["case"]


def test_first_letters_of_nouns_do_not_hide_those_of_lines() -> None:
    german = [text.replace(" d", " D").replace(" g", " G") for text in REFERENCES]
    truecased = [text[0].lower() + text[1:] for text in imperfect(german)]
    assert kinds(imperfect(german), german) == []
    assert kinds(truecased, german) == ["case"]


def test_messages_count_and_quote() -> None:
    (found,) = check_output(["a@@ b", "c", "d@@"], ["ab", "c f", "de"], {})
    assert found.message == "2 of 3 lines have marks of subwords (@@): join them to words"


@pytest.mark.parametrize(
    ("outputs", "where"),
    [
        ([*GOOD[1:], GOOD[0]], "lines 1 to 139 match the references of the line after"),
        ([*GOOD[-3:], *GOOD[:-3]], "lines 4 to 140 match the references of 3 lines before"),
        ([*GOOD[:50], "x", *GOOD[50:-1]], "lines 52 to 140 match the references of the line before"),
    ],
)
def test_shifted_lines_are_located(outputs: list[str], where: str) -> None:
    (found,) = check_output(outputs, REFERENCES, {})
    assert found.message.startswith(where)


def test_outputs_like_the_sources_are_in_their_language() -> None:
    mostly = [*(f"So {text}" for text in SOURCES[:120]), *GOOD[120:]]
    assert kinds(mostly) == []
    assert kinds(mostly, sources=SOURCES) == ["language"]
    assert kinds(GOOD, sources=REFERENCES) == []  # of one language, as corrections


def test_implausible_scores() -> None:
    def found(references: Sequence[str], value: float) -> list[str]:
        return [one.kind for one in check_output(imperfect(references), references, bleu(value))]

    few_words = made_up(4, LINES, 80)
    assert (found(REFERENCES, 80.1), found(REFERENCES, 79.9)) == (["high_bleu"], [])
    assert found(few_words, 99) == []
    assert found(made_up(8, 90, 9000), 99) == []  # too few lines
    assert (found(few_words, 0.9), found(few_words, 1.1)) == (["low_bleu"], [])
    assert found(few_words[:90], 0.9) == []
    assert [one.kind for one in check_output(lower_cased(GOOD), REFERENCES, bleu(0.9))] == ["case"]


def test_a_tokenizer_that_does_not_suit_the_script() -> None:
    chance = random.Random(6)
    texts = ["".join(map(chr, chance.choices(range(0x4E00, 0x4F00), k=12))) for _ in range(40)]
    outputs = [text[:5] + text[6:] for text in texts]
    assert kinds(outputs, texts) == ["tokenizer"]
    assert kinds(outputs, texts, scoring=Scoring.of("zh")) == []
    assert kinds([*outputs[1:], outputs[0]], texts, scoring=Scoring.of("zh")) == ["shifted"]


def test_marks_and_sources_that_a_reference_has_are_no_faults() -> None:
    references: list[Reference] = [["two parts", "R&amp;D parts"], ["Kafka"]]
    assert kinds(["of R&amp;D", "Kafka"], references, sources=["von R&amp;D", "Kafka"]) == []
    assert kinds(["R&amp;D parts", "Kafka"], references) == ["equals_references"]
    assert kinds([*SOURCES[:60], *GOOD[60:]], [*SOURCES[:60], *REFERENCES[60:]], sources=SOURCES) == []


@pytest.mark.parametrize("change", [lambda: check_output(["a"], ["a", "b"], {}), lambda: check_output([], [], {})])
def test_counts_must_agree(change: Callable[[], object]) -> None:
    with pytest.raises(DataError):
        change()
    with pytest.raises(DataError, match="1 sources for 2 references"):
        check_output(["a", "b"], ["c", "d"], {}, sources=["e"])


def test_frequent_words_count_less() -> None:
    matches = LineMatches([{"the", "cat"}, {"the", "dog"}, set()], [{"the", "cat", "sat"}, {"the", "ox"}, set()])
    rare, frequent = math.log(4), math.log(4 / 2)
    assert matches.match(0, 0) == pytest.approx(2 * (rare + frequent) / (3 * rare + 2 * frequent))
    assert matches.match(1, 1) == pytest.approx(2 * frequent / (2 * rare + 2 * frequent))
    assert matches.match(2, 2) == 0
