"""CIDEr-D agrees with the published scorer, and has the limits that its equations give."""

from statistics import mean

import pytest

from s2s.metrics.cider import MIN_LINES, TOO_FEW_LINES, cider_d
from s2s.metrics.scores import CAPTION_SCORES, TEXT_SCORES, Scoring, score_corpus

# Hypothesis, references, and the value of the scorer of pycocoevalcap 1.2 (cider/cider_scorer.py) on these words.
LINES = [
    (
        "a small red circle above a big blue star",
        ["a small red circle above a big blue star", "a little red disc over a large blue star"],
        5.658786988413965,
    ),
    ("", ["two dogs run over the wet grass", "dogs are running on a lawn", "two brown dogs play"], 0.0),
    ("seven green parrots whistle", ["a man rides his bicycle down the road", "a cyclist on a road"], 0.0),
    (
        "a man in a hat plays the guitar",
        [
            "a man in a hat is playing the guitar",
            "a man with a guitar",
            "the man plays the guitar on a stage",
            "someone in a hat plays music",
            "a guitar player on a stage",
        ],
        2.9238214932448265,
    ),
    (
        "the the the the the the cat",
        ["the cat sleeps on the sofa", "a cat lies on the sofa", "a cat is asleep"],
        1.2528105543047487,
    ),
    ("children", ["children", "children play in the snow"], 1.9009261587429869),
    ("a woman", ["a woman", "a woman"], 5.0),
    (
        "a train",
        [
            "a long train stands at the station while many people wait on the platform with their bags",
            "a train at the station",
            "",
        ],
        0.8409855766175451,
    ),
    (
        "a boat on the water near a house and another boat on the water near a house with a red roof",
        ["a boat on the water", "a red boat near a house", "a boat on a lake", "one boat on the water"],
        0.06716989876262283,
    ),
    ("a girl jumps into the lake", ["the girl jumps into a lake", "a girl leaps into the water"], 3.3267435959965344),
    (
        "two people sit at a table",
        [
            "two people sit at a table",
            "people at a table eat dinner",
            "two people sit at a table",
            "a couple has dinner at a table",
        ],
        6.339196184479839,
    ),
    (
        "snow on the road a bicycle in the snow",
        ["a bicycle in the snow", "a bicycle stands on a road with snow"],
        3.396170184107254,
    ),
]
MEAN = 2.55888421955586  # of the same scorer
HYPOTHESES = [hypothesis for hypothesis, _, _ in LINES]
REFERENCES = [references for _, references, _ in LINES]
VALUES = [value for _, _, value in LINES]


def score(hypotheses: list[str], references: list[list[str]]) -> list[float]:
    return cider_d([text.split() for text in hypotheses], [[text.split() for text in texts] for texts in references])


def test_lines_and_corpus_agree_with_the_published_scorer() -> None:
    assert score(HYPOTHESES, REFERENCES) == pytest.approx(VALUES, abs=1e-9)
    found = score_corpus(HYPOTHESES, REFERENCES, ["cider"])["cider"]
    assert found.value == pytest.approx(100 * MEAN, abs=1e-9)


def test_captions_equal_to_all_their_references_score_the_maximum() -> None:
    texts = ["a red ring on a chair", "two blue stars in the sky", "one of many small circles"]
    assert score(texts, [[text, text] for text in texts]) == pytest.approx([10, 10, 10])
    assert score_corpus(texts, texts, ["cider"])["cider"].value == pytest.approx(1000)


def test_order_of_references_and_lines_does_not_matter() -> None:
    reverse = score(HYPOTHESES[::-1], [references[::-1] for references in REFERENCES[::-1]])
    assert reverse[::-1] == pytest.approx(VALUES, abs=1e-9)


def test_words_of_all_lines_weigh_nothing() -> None:
    assert score(["a red ring"], [["a red ring"]]) == [0]
    assert score(["a", "a"], [["a ring"], ["a star"]]) == [0, 0]


def test_lines_without_any_words_score_0() -> None:
    assert score(["", "a ring"], [["", ""], [""]]) == [0, 0]


def test_words_are_lower_cased_and_split_by_the_tokenizer_of_bleu() -> None:
    raw = ["A red ring, on a chair.", "TWO blue stars!"]
    split = ["a red ring , on a chair .", "two blue stars !"]
    references = [["the red ring , on a chair", "a ring"], ["blue stars !"]]
    found = score_corpus(raw, references, ["cider"])["cider"].value
    assert found == pytest.approx(100 * mean(score(split, references)))
    assert found > 0
    chinese = score_corpus(["他买书", "狗在跑"], [["他买书"], ["狗在跑"]], ["cider"], Scoring.of("zh"))["cider"]
    assert chinese.value == pytest.approx(750)  # three characters: no 4-grams
    assert "|tok:zh|" in chinese.signature


def test_the_signature_says_how_words_and_frequencies_are_counted() -> None:
    found = score_corpus(HYPOTHESES, REFERENCES, ["cider"])["cider"]
    assert found.signature.startswith("CIDEr-D|nrefs:var|case:lc|tok:13a|n:4|sigma:6|df:refs|scale:100|version:s2s-")
    one = score_corpus(["a ring"], ["a ring"], ["cider"])["cider"]
    assert one.signature.startswith("CIDEr-D|nrefs:1|")


def test_captions_have_cider_on_request_only() -> None:
    assert tuple(score_corpus(["a"], ["a"])) == TEXT_SCORES
    assert tuple(score_corpus(["a"], ["a"], CAPTION_SCORES)) == CAPTION_SCORES
    assert "cider" in CAPTION_SCORES


def test_few_lines_have_a_sentence_to_warn_with() -> None:
    assert f"fewer than {MIN_LINES} images" in TOO_FEW_LINES
