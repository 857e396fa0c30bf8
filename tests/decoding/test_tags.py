"""Tags before sources: of a line's own or of `--tag`, before each part of a line, and never counted as its text."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from s2s.decoding import settings
from s2s.decoding.diagnostics import diagnostics
from s2s.decoding.engine import ForcedSentence, Hypothesis, Request
from s2s.decoding.scoring import score_lines
from s2s.decoding.segments import Line, cut_lines
from s2s.decoding.translator import RecipeTranslator
from s2s.errors import UsageError
from s2s.recipe.recipe import Recipe
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.text.tokenizer import EOS, Tokenizer
from s2s.text.tokenizer_training import train_tokenizer

FILES = {"source": ["a"], "target": ["b"]}
DATASETS = [
    {"name": "zh", "train": FILES, "source_language": "en", "target_language": "zh", "tag": "<zh>"},
    {"name": "fr", "train": FILES, "source_language": "en", "target_language": "fr", "tag": "{fr}"},
]
WORDS = ["A", "man", "goes.", "Two", "dogs", "run;", "fast"]


class TagEngine:
    """An engine whose translation of a source is its tag, and whose targets attend to the ends of their sources."""

    device = "cpu"

    def start(self, request: Request) -> "TagEngine":
        self.request = request
        return self

    def result(self) -> list[list[Hypothesis]]:
        sources: list[Any] = [one.source for one in self.request.inputs]
        return [[Hypothesis.from_tokens([*source[:2], EOS], -2.0, 0.0, None)] for source in sources]

    def force(self, sources: Any, targets: Any, *, need_attention: bool) -> Iterator[tuple[int, ForcedSentence]]:
        for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
            attention = np.eye(len(target) + 1, len(source) + 1, len(source) - len(target), np.float32)
            yield row, ForcedSentence(np.zeros(len(target) + 1, np.float32), attention if need_attention else None)

    def describe(self) -> str:
        return "tags"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    texts = [" ".join(WORDS[number % 7 :]) for number in range(200)]
    return Tokenizer(train_tokenizer(texts, TokenizerOptions(vocab_size=31, user_symbols=["<zh>", "{fr}"])))


def translator(tokenizer: Tokenizer, tag: str = "", datasets: Sequence[Any] = DATASETS, **data: Any) -> Any:
    values = {"kind": "mixed", "datasets": datasets, "hold_out_validation": 1, "hold_out_test": 1, **data}
    return RecipeTranslator(TagEngine(), tokenizer, Recipe.model_validate({"name": "many", "data": values}), tag=tag)


def test_each_part_of_a_line_has_the_tag(tokenizer: Tokenizer) -> None:
    lines = [" {fr} A man goes. Two dogs run.", "<zh>A man goes. Two dogs run.", "A man goes. Two dogs run."]
    own = translator(tokenizer, "{fr}")
    for line, found in zip(lines, own.translate(lines, split=True), strict=True):
        assert [line[part.start : part.end] for part in found.parts] == ["A man goes.", "Two dogs run."]
    assert [one.text for one in own.translate(lines, split=True)] == ["{fr} {fr}", "<zh> <zh>", "{fr} {fr}"]
    assert [one.text for one in own.translate(lines)] == ["{fr}", "<zh>", "{fr}"]


def test_parts_of_a_long_sentence_have_it_within_the_limit(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "MIN_SOURCE_LIMIT", 12)
    long = translator(tokenizer, filters=[{"name": "length", "max": 12}])
    line = "{fr} " + "Two dogs run; fast " * 4
    (found,) = long.translate([line])
    assert found.cut
    assert found.text == " ".join(["{fr}"] * len(found.parts))
    assert max(part.translation.source_length for part in found.parts) <= 12
    assert found.parts[0].start == len("{fr} ")


def test_a_part_without_text_is_not_translated() -> None:
    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [[*text.strip(" ").encode()] for text in texts]

    line = Line("ab" + "\u2003" * 12 + "cd", 0, "{fr}", "fr")
    segments = cut_lines([line], encode, max_length=12, split=False)
    assert [(one.text.strip(), one.start, one.tag) for one in segments] == [("ab", 0, "{fr}"), ("cd", 12, "{fr}")]


def test_lines_without_text_stay_blank(tokenizer: Tokenizer) -> None:
    assert [one.text for one in translator(tokenizer, "<zh>").translate(["", "{fr}", " {fr} "])] == ["", "", ""]
    assert translator(tokenizer, "<zh>").encode_lines([""]) == [[]]


def test_tags_are_not_part_of_the_text(tokenizer: Tokenizer) -> None:
    (found,) = translator(tokenizer).translate(["{fr} Two dogs"])
    assert diagnostics("{fr} Two dogs", found) == []  # the tag looks like a placeholder
    (found,) = translator(tokenizer).translate(["{fr}"])
    assert diagnostics("{fr}", found) == []


@pytest.mark.parametrize(
    ("line", "alignment"),
    [
        ("Two dogs run;", "0-0 1-1 2-2"),
        ("{fr} Two dogs run;", "1-0 2-1 3-2"),
        (" {fr}Two dogs run;", "0-0 1-1 2-2"),
        ("  Two  dogs run;", "0-0 1-1 2-2"),
        ("{fr}", ""),
    ],
)
def test_words_are_aligned_with_those_of_the_line(tokenizer: Tokenizer, line: str, alignment: str) -> None:
    (scored,) = score_lines(translator(tokenizer, "<zh>"), [line], ["Two dogs run;"], need_attention=True)
    assert scored.as_pharaoh() == alignment


def test_a_line_without_tag_is_noticed_if_training_had_none(tokenizer: Tokenizer) -> None:
    def noticed(tag: str = "", datasets: Sequence[Any] = DATASETS) -> list[str]:
        (found,) = translator(tokenizer, tag, datasets).translate(["A man goes."])
        return diagnostics("A man goes.", found)

    assert noticed() == ["untagged"]
    assert noticed("<zh>") == []
    assert noticed(datasets=[DATASETS[0], {"name": "other", "train": FILES, "source_language": "de"}]) == []


def test_an_unknown_tag_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError, match="--tag <2zh>: many has no such tag") as caught:
        translator(tokenizer, "<2zh>")
    assert caught.value.hint == "did you mean <zh>?"
    with pytest.raises(UsageError, match=r"has no such tag; it has <zh>, \{fr\}$"):
        translator(tokenizer, "german")
    with pytest.raises(UsageError, match="it has none") as caught:
        translator(tokenizer, "<zh>", [{"name": "other", "train": FILES}])
    assert caught.value.hint == "leave out --tag"
