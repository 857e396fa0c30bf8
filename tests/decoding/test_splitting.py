"""Lines of several sentences, over-long sentences, and translations that leave out a part."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from s2s.data.source_profile import RatioBound, SourceProfile
from s2s.decoding import settings
from s2s.decoding.diagnostics import DiagnosticCounts, diagnostics
from s2s.decoding.engine import Hypothesis, Request
from s2s.decoding.streaming import StreamOptions
from s2s.decoding.translation import Part, Translation, join_parts
from s2s.decoding.translator import RecipeTranslator
from s2s.recipe.recipe import Recipe
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.text.tokenizer import EOS, Tokenizer
from s2s.text.tokenizer_training import train_tokenizer

PROFILE = SourceProfile(0.003, 24.0, [RatioBound(12, 0.5), RatioBound(24, 0.25)])
LINES: dict[str, Any] = {"train": {"source": ["a"], "target": ["b"]}, "hold_out_validation": 1, "hold_out_test": 1}
WORDS = ["Ein", "Mann", "geht.", "Zwei", "Hunde,", "laufen;", "schnell", "Am", "12.", "März", "z.", "B."]


class CopyEngine:
    """An engine whose translations are `copied` of the source's tokens, with attention to the first of them."""

    device, copied, repeated, attended = "cpu", 100, 1, 100

    def start(self, request: Request) -> "CopyEngine":
        self.request = request
        return self

    def result(self) -> list[list[Hypothesis]]:
        return [[self._hypothesis(one.source)] * self.request.nbest for one in self.request.inputs]

    def _hypothesis(self, source: list[int]) -> Hypothesis:
        tokens = [*source[: self.copied] * self.repeated, EOS]
        attention = np.zeros((len(tokens), len(source) + 1), dtype=np.float32)
        for position in range(len(tokens)):
            attention[position, min(position, self.attended, len(source))] = 1
        return Hypothesis.from_tokens(tokens, -2.0, 0.0, attention if self.request.need_attention else None)

    def describe(self) -> str:
        return "a copy"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    texts = [" ".join(WORDS[number % 12 :]) for number in range(400)]
    return Tokenizer(train_tokenizer(texts, TokenizerOptions(vocab_size=35)))


def translator(
    tokenizer: Tokenizer, profile: SourceProfile | None = PROFILE, **data: Any
) -> RecipeTranslator[CopyEngine]:
    values = {"name": "copy", "data": {"source_language": "de", "target_language": "en", **(data or LINES)}}
    return RecipeTranslator(CopyEngine(), tokenizer, Recipe.model_validate(values), profile)


def found(tokenizer: Tokenizer, line: str, *, split: bool = True) -> Translation:
    return translator(tokenizer).translate([line], split=split)[0]


def test_sentences_are_translated_one_by_one(tokenizer: Tokenizer) -> None:
    line = " Ein Mann geht.  Zwei Hunde, am 12. März. Am z. B. Mann"
    copy = translator(tokenizer)
    (translation,) = copy.translate([line], split=True)
    texts = ["Ein Mann geht.", "Zwei Hunde, am 12. März.", "Am z. B. Mann"]
    assert [line[part.start : part.end] for part in translation.parts] == texts
    assert [part.translation.text for part in translation.parts] == texts
    assert translation.text == line.strip()
    assert not translation.cut
    assert copy.translate([line])[0].parts == ()


def test_parts_are_joined_with_the_white_space_between_them(tokenizer: Tokenizer) -> None:
    assert found(tokenizer, "Mann geht.\tZwei geht.   Ein").text == "Mann geht.\tZwei geht.   Ein"
    parts = [Part(0, 4, Translation("He left.")), Part(4, 8, Translation("She too."))]
    assert join_parts("他走了。她也。", parts, spaces=True).text == "He left. She too."
    assert join_parts("他走了。她也。", parts, spaces=False).text == "He left.She too."
    parts = [Part(0, 2, Translation("a")), Part(5, 7, Translation("b"))]
    assert join_parts("a. \u200b\tb.", parts, spaces=True).text == "a\tb"  # what has no tokens is no part


def test_figures_of_parts_are_summed_up() -> None:
    one = Translation(
        "a", -1.0, -2.5, ("a", "</s>"), truncated=True, cut=True, incomplete=True, source_length=3, unknown_tokens=1
    )
    other = Translation("b", -4.0, -8.0, ("b",), looping=True, long_source=True, source_length=5, unknown_tokens=6)
    parts = (Part(0, 2, replace(one, tag="{fr}", untagged=True)), Part(3, 5, other))
    assert join_parts("a. b.", parts, spaces=True) == Translation(
        "a b",
        score=-2.5,
        log_probability=-10.5,
        tokens=("a", "</s>", "b"),
        parts=parts,
        truncated=True,
        looping=True,
        cut=True,
        long_source=True,
        incomplete=True,
        source_length=8,
        unknown_tokens=7,
        tag="{fr}",
        untagged=True,
    )


def test_parts_have_attention_of_their_own(tokenizer: Tokenizer) -> None:
    copy = translator(tokenizer)
    (translation,) = copy.translate(["Mann geht. Zwei Hunde"], need_attention=True, split=True)
    assert translation.attention == ()
    assert [len(part.attention) for part in translation.with_attention] == [
        len(part.translation.tokens) for part in translation.parts
    ]
    assert translation._repr_html_().count("<svg") == 2
    (whole,) = copy.translate(["Mann geht."], need_attention=True)
    assert whole.with_attention == [whole]
    assert copy.translate(["Mann geht."])[0].with_attention == []


def test_doubled_and_outer_spaces_of_an_output_are_collapsed(tokenizer: Tokenizer) -> None:
    assert found(tokenizer, " Ein   Mann  geht. ", split=False).text == "Ein Mann geht."


def test_overlong_sentences_are_cut_at_punctuation(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "MIN_SOURCE_LIMIT", 40)
    copy = translator(tokenizer, **LINES, filters=[{"name": "length", "max": 40}])
    line = "Zwei Hunde, laufen schnell Ein Mann; " * 4
    (translation,) = copy.translate([line])
    assert translation.cut
    assert translation.text == line.strip()
    assert all(part.translation.text.endswith(";") for part in translation.parts)
    assert "cut" in diagnostics(line, translation)
    assert "long_source" not in diagnostics(line, translation)
    assert not copy.translate(["Zwei Hunde"])[0].cut


@pytest.mark.parametrize(
    ("profile", "data", "options", "splits"),
    [
        (PROFILE, {}, {}, True),
        (SourceProfile(0.05, 8.0, []), {}, {}, False),
        (None, {}, {}, False),
        (PROFILE, {"kind": "generator"}, {}, False),
        (PROFILE, {"kind": "generator"}, {"split": "on"}, True),
        (PROFILE, {}, {"split": "off"}, False),
        (PROFILE, {}, {"nbest": 2}, False),
        (PROFILE, {}, {"need_attention": True}, False),
        (PROFILE, {}, {"prefixes": "file"}, False),
    ],
)
def test_when_lines_are_split(
    tokenizer: Tokenizer, profile: SourceProfile | None, data: dict[str, Any], options: dict[str, Any], splits: bool
) -> None:
    assert StreamOptions(**options).splits(translator(tokenizer, profile, **data)) is splits


def test_a_model_of_joined_pairs_translates_lines_whole(tokenizer: Tokenizer) -> None:
    long = "Ein Mann Zwei Hunde, laufen; schnell Am 12. März " * 2
    for share, merged in ((0.04, False), (0.1, True)):
        copy = translator(tokenizer, **LINES, augmentation={"merge": share})
        assert copy.single_sentences is not merged
        assert copy.translate([long])[0].long_source is not merged
        assert copy.translate([2 * long])[0].long_source


def test_sources_longer_than_in_training_are_reported(tokenizer: Tokenizer) -> None:
    assert diagnostics("Ein Mann", found(tokenizer, "Ein Mann")) == []
    long = "Ein Mann Zwei Hunde, laufen; schnell Am 12. März"
    assert "long_source" in diagnostics(long, found(tokenizer, long))


@pytest.mark.parametrize(("copied", "attended", "incomplete"), [(100, 100, False), (0, 100, True), (100, 2, True)])
def test_omissions_are_reported(tokenizer: Tokenizer, copied: int, attended: int, incomplete: bool) -> None:
    copy = translator(tokenizer)
    copy.engine.copied, copy.engine.attended = copied, attended
    (translation,) = copy.translate(["Ein Mann schnell"], need_attention=True)
    assert translation.incomplete is incomplete


@pytest.mark.parametrize("source", ["Mann " * 9, "Mann........", "Mann"])
def test_a_repetition_of_the_source_is_no_fault(tokenizer: Tokenizer, source: str) -> None:
    copy = translator(tokenizer, None)
    assert not copy.translate([source])[0].looping
    copy.engine.repeated = 9
    assert copy.translate([source])[0].looping is (source == "Mann")


def test_split_lines_are_counted_apart(tokenizer: Tokenizer) -> None:
    counts = DiagnosticCounts()
    for line in ("Ein Mann geht. Zwei Hunde", "Ein Mann"):
        counts.add(line, found(tokenizer, line))
    assert (counts.lines, counts.several, dict(counts.counts)) == (2, 1, {"copy": 1})


def test_unknown_characters_of_a_prefix_are_kept(tokenizer: Tokenizer) -> None:
    prefixes = ["☃ Mann ", "Mann", "☃▁ Mann"]
    lines = [f"{prefix.strip()} geht." for prefix in prefixes]
    assert [nbest[0].text for nbest in translator(tokenizer).start(lines, prefixes=prefixes).result()] == lines


def test_the_profile_of_training_sources() -> None:
    lengths = np.array([*range(1, 101)] * 20)
    profile = SourceProfile.of(lengths, np.where(lengths > 50, lengths // 2, lengths), 40)
    assert profile.sentence_ends == 0.02
    assert profile.single_sentences
    assert (profile.is_longer(125), profile.is_longer(126)) == (False, True)
    assert (profile.is_too_short(20, 20), profile.is_too_short(20, 19)) == (False, True)
    assert (profile.is_too_short(90, 45), profile.is_too_short(90, 40)) == (False, True)
    assert profile.is_too_short(900, 400)
