"""Texts that are always one token: those that the recipe names, and the placeholders of the training text."""

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from s2s.errors import UsageError
from s2s.recipe.recipe import Recipe
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.recipe.user_symbols import MIN_PLACEHOLDERS
from s2s.text import tokenizer_training as module
from s2s.text.subword_regularization import SubwordSampler
from s2s.text.tokenizer import Tokenizer
from s2s.text.tokenizer_training import frequent_placeholders, sample_texts, train_tokenizer

SYMBOLS = ["%s", "%sx", "{0}", "</b>", "<b>", "ung", '",a', "😀", "<2de>"]
WORDS = [
    "Endung",
    "Zung",
    "%50",
    "50%",
    "sein",
    "</i>",
    "</",
    "b>",
    "Nummer",
    "{",
    "0}",
    "un",
    "ng",
    "x",
    '"',
    ",",
    "2de>",
]
TEXTS = [f"{WORDS[i % 17]} {WORDS[i * 7 % 17]}{WORDS[i * 3 % 17]} {'%s' if i % 9 == 0 else 'der'}" for i in range(800)]


def options(size: int, **values: Any) -> TokenizerOptions:
    return TokenizerOptions(vocab_size=size, **values)


@pytest.fixture(
    scope="module",
    params=[
        ("unigram", 60, "off"),
        ("unigram", 316, "on"),
        ("bpe", 70, "off"),
        ("bpe", 340, "on"),
        ("char", 40, "off"),
    ],
    ids=lambda one: "-".join(map(str, one)),
)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    algorithm, size, fallback = request.param
    chosen = options(size, algorithm=algorithm, byte_fallback=fallback, user_symbols=SYMBOLS)
    return Tokenizer(train_tokenizer(TEXTS, chosen))


@pytest.fixture(scope="module")
def sampler(tokenizer: Tokenizer) -> SubwordSampler:
    return tokenizer.unigram_sampler(0.1) if tokenizer.size in (60, 316) else tokenizer.bpe_sampler(0.5)


def expected(text: str) -> list[str]:
    """The symbols of a text from left to right, the longest first."""
    found, at = [], 0
    while at < len(text):
        longest = max((symbol for symbol in SYMBOLS if text.startswith(symbol, at)), key=len, default="")
        found += [longest] if longest else []
        at += len(longest) or 1
    return found


@given(st.lists(st.sampled_from([*SYMBOLS, *WORDS, " ", "▁", "d"])).map("".join))
def test_symbols_are_never_split(tokenizer: Tokenizer, sampler: SubwordSampler, text: str):
    for rows in (tokenizer.encode([text]), sampler.sample([text], seed=1)):
        tokens = tokenizer.tokens(rows[0])
        assert [token for token in tokens if token in SYMBOLS] == expected(text)
        assert tokenizer.decode(rows) == [" ".join(text.replace("▁", " ").split())]


def test_samples_differ_only_between_symbols(tokenizer: Tokenizer, sampler: SubwordSampler):
    text = "Nummer%sEndungseinNummer </b>"
    drawn = {tuple(sampler.sample([text], seed=seed)[0]) for seed in range(20)}
    assert len(drawn) > 1 or tokenizer.size == 40
    assert tokenizer.decode(list(drawn)) == [text] * len(drawn)


def test_without_them_texts_are_encoded_as_ever():
    one, other = (Tokenizer(train_tokenizer(TEXTS, options(50, **more))) for more in ({}, {"keep_placeholders": False}))
    assert one.model == other.model
    assert one.encode(["a %s"]) == other.encode(["a %s"])


def test_frequent_placeholders_become_tokens_the_same_ones_each_time():
    texts = ["Wert {0}"] * 30 + ["%s von %(name)s, <s>durch</s> <a href='x'>"] * MIN_PLACEHOLDERS + ["&nbsp;"] * 9
    kept = options(39, keep_placeholders=True)
    tokenizer = Tokenizer(train_tokenizer(texts, kept))
    assert tokenizer.tokens(range(4, 7)) == ["{0}", "%(name)s", "%s"]
    assert len(set(tokenizer.tokens(tokenizer.encode(["x%s{0}%(name)s"])[0])) & {"%s", "{0}", "%(name)s"}) == 3
    assert train_tokenizer(texts, kept) == tokenizer.model
    assert frequent_placeholders(texts, 2) == ["{0}", "%(name)s"]
    assert frequent_placeholders(texts, 9, except_for=["{0}"]) == ["%(name)s", "%s"]


def test_named_symbols_and_placeholders_together():
    tokenizer = Tokenizer(train_tokenizer(TEXTS, options(50, user_symbols=["%s", "Zung"], keep_placeholders=True)))
    assert tokenizer.tokens(range(4, 7))[:2] == ["%s", "Zung"]
    assert tokenizer.tokens(range(tokenizer.size)).count("%s") == 1


@pytest.mark.parametrize(
    ("symbols", "problem"),
    [
        (["New York"], "no spaces"),
        (["a", "b", "a"], "twice"),
        (["</s>"], "special token"),
        (["<0x41>"], "special token"),
        (["▁a"], "does not take"),
        ([""], "1 to 200 characters"),
    ],
)
def test_texts_that_cannot_be_symbols_are_refused(symbols: list[str], problem: str):
    with pytest.raises(ValidationError, match=problem):
        options(90, user_symbols=symbols)


def test_a_symbol_that_normalization_removes_is_refused():
    with pytest.raises(ValidationError, match="never occurs in NFC: write 'é'"):
        Recipe.model_validate(
            {
                "name": "x",
                "data": {"kind": "generator", "generator": {"name": "numbers"}},
                "tokenizer": {"user_symbols": "e\u0301"},
            }
        )


@pytest.mark.parametrize("fallback", ["on", "off"])
def test_a_size_below_the_number_of_symbols_names_the_smallest(fallback: str):
    smallest = 296 if fallback == "on" else 40
    for algorithm in ("unigram", "bpe", "char"):
        chosen = options(9, algorithm=algorithm, byte_fallback=fallback, user_symbols=SYMBOLS)
        with pytest.raises(UsageError) as caught:
            train_tokenizer(TEXTS, chosen)
        assert caught.value.hint == f"--set tokenizer.vocab_size={smallest}"


def test_words_have_no_symbols():
    with pytest.raises(ValidationError, match="are not supported with algorithm"):
        options(90, algorithm="word", keep_placeholders=True)


def test_a_sample_is_named(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setattr(module, "MAX_TEXTS", 700)
    with caplog.at_level(logging.INFO):
        trained = train_tokenizer(TEXTS, options(50))
    assert trained == train_tokenizer(sample_texts(TEXTS, 700)[0], options(50))
    assert trained != train_tokenizer(TEXTS[:700], options(50))
    assert "from a sample of 700 of 800 texts" in caplog.text
