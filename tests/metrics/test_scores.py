import sys
from typing import Any

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF, TER

from s2s.errors import DataError, ResourceError, UsageError
from s2s.metrics.scores import SCENE_SCORES, Reference, Scoring, distinct_words, score_corpus, sentence_chrf

HYPOTHESES = ["the cat sat on the mat .", "A dog barks, loudly!", "nothing like it"]
REFERENCES = ["the cat sat on a mat .", "a dog barks, loudly!", "quite another sentence"]


def test_scores_are_sacrebleu_s_defaults_with_full_signatures():
    scores = score_corpus(HYPOTHESES, REFERENCES)

    assert list(scores) == ["bleu", "chrf", "ter", "exact"]
    assert scores["bleu"].value == pytest.approx(sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score)
    assert scores["chrf"].value == pytest.approx(sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score)
    assert scores["ter"].value == pytest.approx(sacrebleu.corpus_ter(HYPOTHESES, [REFERENCES]).score)
    version = sacrebleu.__version__
    assert scores["bleu"].signature == f"BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{version}"
    assert scores["chrf"].signature.startswith("chrF2|nrefs:1|case:mixed")
    assert scores["ter"].signature.startswith("TER|nrefs:1|")


def test_bleu_minds_case():
    perfect = ["A dog barks loudly at night"]
    assert score_corpus(perfect, perfect, ["bleu"])["bleu"].value == pytest.approx(100)
    assert score_corpus(["a DOG barks loudly at night"], perfect, ["bleu"])["bleu"].value < 60


def test_exact_is_the_share_of_identical_lines_but_for_space_at_their_ends():
    score = score_corpus(["one ", "Two", "three", "x  y"], ["one", "two", "three", "x y"], ["exact"])["exact"]
    assert score.value == 50
    assert score.signature.startswith("exact|nrefs:1|case:mixed|unit:line|")
    assert "version:s2s-" in score.signature


def test_empty_hypotheses_count_as_wrong():
    scores = score_corpus(["", ""], ["one two", "three"])
    assert (scores["bleu"].value, scores["chrf"].value, scores["exact"].value) == (0, 0, 0)
    assert scores["ter"].value == 100


def test_unequal_counts_are_refused_with_both_counts():
    with pytest.raises(DataError, match="2 hypotheses for 3 references"):
        score_corpus(["a", "b"], ["a", "b", "c"])


def test_no_lines_are_refused():
    with pytest.raises(DataError, match="no lines"):
        score_corpus([], [])


def test_unknown_metric_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="bleau") as caught:
        score_corpus(["a"], ["a"], ["bleau"])
    assert caught.value.hint == "did you mean bleu?"


def test_no_warning_about_tokenised_text(capsys):
    lines = ["it ends ."] * 200
    assert score_corpus(lines, lines, ["bleu"])["bleu"].value == 0  # no 4-grams at all
    assert "tokenized" not in capsys.readouterr().err
    assert "sacrebleu" in sys.modules


@pytest.mark.parametrize(
    ("language", "tokenizer", "text"),
    [
        ("zh", "zh", "他昨天在北京买了一本新书。"),
        ("zh_TW", "zh", "他昨天在北京買了一本新書。"),
        ("cmn", "zh", "他昨天在北京買了一本新書。"),
        ("ja", "char", "これはペンです。"),
        ("jpn", "char", "これはペンです。"),
        ("ko", "char", "나는 학교에 갑니다."),
        ("th", "char", "สวัสดีครับผม"),
        ("deu", "13a", "Das ist ein kurzer Satz."),
        ("", "13a", "This is a short sentence."),
    ],
)
def test_bleu_splits_by_language(language, tokenizer, text):
    scoring = Scoring.of(language)
    scores = score_corpus([text], [text], scoring=scoring)
    assert scores["bleu"].value == pytest.approx(100)
    assert f"|tok:{tokenizer}|" in scores["bleu"].signature
    assert ("asian:yes" in scores["ter"].signature) == (tokenizer != "13a")
    assert scoring.headline([text]) == "bleu"


def test_a_tokenizer_can_be_chosen():
    assert Scoring.of("zh", "char").tokenizer == "char"
    with pytest.raises(ResourceError, match="tokenizer ja-mecab is not available"):
        Scoring.of("ja", "ja-mecab").scorer("bleu")


def test_short_references_are_judged_by_chrf():
    assert Scoring.of("en").headline(["Save", "Open file", "Close the big window now"]) == "chrf"
    assert Scoring.of("en").headline(["Save", "Close the big window now"]) == "bleu"


SEVERAL = [
    ["a big red star", "one large red star"],
    "a ring",
    ["the circle is small and blue", "a small blue circle", "it"],
]
CAPTIONS = ["a large red star", "a ring", "a small blue circle"]


@pytest.mark.parametrize(("metric", "scorer"), [("bleu", BLEU()), ("chrf", CHRF()), ("ter", TER())])
def test_a_line_may_have_several_references(metric: str, scorer: Any) -> None:
    streams = [
        ["a big red star", "a ring", "the circle is small and blue"],
        ["one large red star", None, "a small blue circle"],
        [None, None, "it"],
    ]
    expected = scorer.corpus_score(CAPTIONS, streams)
    found = score_corpus(CAPTIONS, SEVERAL, [metric])[metric]
    assert found.value == expected.score
    assert "nrefs:var" in found.signature


def test_exact_match_with_any_reference() -> None:
    found = score_corpus(CAPTIONS, SEVERAL, ["exact"])["exact"]
    assert found.value == pytest.approx(100 * 2 / 3)
    assert found.signature.startswith("exact|nrefs:var|")
    assert "nrefs:2" in score_corpus(["a"], [["b", "a"]], ["exact"])["exact"].signature


def test_the_headline_counts_all_references() -> None:
    long, short = "a reference of many words", "two words"
    assert Scoring().headline([[long, long, short], short]) == "bleu"
    assert Scoring().headline([[long, short, short], long]) == "bleu"
    assert Scoring().headline([[long, short, short], short]) == "chrf"


@pytest.mark.parametrize(
    ("metric", "scorer"), [("bleu", BLEU(force=True)), ("chrf", CHRF()), ("ter", TER())], ids=["bleu", "chrf", "ter"]
)
def test_a_line_counts_only_the_references_it_has(metric: str, scorer: Any) -> None:
    hypotheses = [f"{text} over there" for text in CAPTIONS]
    texts = [[line] if isinstance(line, str) else line for line in SEVERAL]
    statistics = [
        scorer._extract_corpus_statistics([hypothesis], [[text] for text in several])[0]
        for hypothesis, several in zip(hypotheses, texts, strict=True)
    ]
    expected = scorer._aggregate_and_compute(statistics).score
    assert score_corpus(hypotheses, SEVERAL, [metric])[metric].value == pytest.approx(expected)
    assert 0 < expected < 100


def test_a_list_of_one_reference_is_scored_as_the_reference() -> None:
    assert score_corpus(HYPOTHESES, [[text] for text in REFERENCES]) == score_corpus(HYPOTHESES, REFERENCES)


def test_chrf_of_a_line_is_that_of_its_nearest_reference() -> None:
    found = sentence_chrf(CAPTIONS, SEVERAL)
    assert found == [CHRF().sentence_score(CAPTIONS[0], SEVERAL[0]).score, pytest.approx(100), pytest.approx(100)]
    assert found[0] == max(sentence_chrf([CAPTIONS[0]], [text])[0] for text in SEVERAL[0])


def test_a_line_without_references_is_refused() -> None:
    with pytest.raises(DataError, match="line 2 has no reference"):
        score_corpus(["a", "b"], ["a", []])


def test_unlike_any_metric_is_refused_with_all_known() -> None:
    with pytest.raises(UsageError) as caught:
        score_corpus(["a"], ["a"], ["perplexity"])
    assert caught.value.hint == (
        "the metrics are bleu, chrf, ter, exact, cider, distinct, f1_objects, f1_sizes, f1_colours, f1_shapes"
    )


def test_distinct_words_are_lower_cased_and_split_like_bleu() -> None:
    assert distinct_words(["A ring, a ring.", "", "the Ring"]) == 5  # a ring , . the
    assert distinct_words(["买书买", "书"], Scoring.of("zh")) == 2
    assert distinct_words([""]) == 0
    found = score_corpus(["A ring, a ring.", "the Ring"], ["x", "y"], ["distinct"])["distinct"]
    assert (found.value, found.shown) == (5, "5")
    assert found.signature.startswith("distinct|case:lc|tok:13a|")


PARTS = [*"aBß57.,-&;!$ \t\xa0\u2028", "..", "&lt;", "&quot;", "&amp;gt;", "<skipped>"]


@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
def test_words_are_those_that_bleu_counts(text: str) -> None:
    expected = BLEU(tokenize="13a", lowercase=True)._preprocess_segment(text).split()
    assert Scoring().word_splitter()(text) == expected


def test_objects_that_captions_of_scenes_name() -> None:
    outputs = ["a small red circle and a big red circle", "a big blue star"]
    references: list[Reference] = ["a small red circle and a big blue circle", ["a big blue star", "nothing"]]
    found = score_corpus(outputs, references, SCENE_SCORES)
    shown = {name: score.shown for name, score in found.items() if name.startswith("f1_")}
    assert shown == {"f1_objects": "66.7", "f1_sizes": "100.0", "f1_colours": "66.7", "f1_shapes": "100.0"}
    assert found["f1_sizes"].signature.startswith("F1|nrefs:1|unit:sizes|match:lcs|average:micro|")
    assert "cider" not in found
