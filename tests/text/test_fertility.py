"""How vocabularies fit texts, and what they consist of."""

import sys
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s.errors import ArtefactError, DataError
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.text.fertility import MAX_SPACE, FertilityCounter, ScriptCoverage
from s2s.text.scripts import kind_of
from s2s.text.sentencepiece_model import algorithm, user_symbol_ids
from s2s.text.tokenizer import UNK, Tokenizer
from s2s.text.tokenizer_training import train_tokenizer
from s2s.text.vocabulary import KINDS, describe_vocabulary, fit_texts, token_kinds

TEXTS = [f"ein Haus, {number} Häuser und {{n}}" for number in range(30)]


@pytest.fixture(scope="module", params=[("off", 43), ("on", 300)], ids=["unknown", "bytes"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    fallback, size = request.param
    options = TokenizerOptions(vocab_size=size, algorithm="bpe", byte_fallback=fallback, user_symbols=["{n}", "&nbsp;"])
    return Tokenizer(train_tokenizer(TEXTS, options))


def tokens_of(tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    return np.array([token for row in tokenizer.encode(texts) for token in row], dtype=np.int64)


@given(
    st.lists(st.text(st.sampled_from("einHaus ä,7{}日ж\u2028\u3000\t")), max_size=4),
    st.lists(st.text(max_size=9), max_size=3),
)
def test_figures_are_those_of_counting_one_by_one(tokenizer: Tokenizer, some: list[str], others: list[str]):
    counter = FertilityCounter(tokenizer)
    texts = [*some, *others]
    for part in (some, others):
        counter.add(part, tokens_of(tokenizer, part))
    found, rows = counter.result(), tokenizer.encode(texts)
    characters = [character for text in texts for character in text if not character.isspace()]
    assert found.texts == len(texts)
    assert found.words == len(" ".join(texts).split())
    assert found.characters == len(characters) == sum(one.characters for one in found.scripts.values())
    assert found.tokens == sum(map(len, rows)) == counter.uses.sum()
    assert found.unknown == sum(map(tokenizer.unknown, rows))
    known = tokenizer.characters()
    assert sum(one.covered for one in found.scripts.values()) == sum(character in known for character in characters)
    for script, coverage in found.scripts.items():
        assert coverage.characters == sum(kind_of(character) == script for character in characters)


def test_coverage_names_what_is_missing(tokenizer: Tokenizer):
    counter = FertilityCounter(tokenizer)
    texts = ["ein жжб", "Haus 日, xж &"]
    counter.add(texts, tokens_of(tokenizer, texts))
    found = counter.result()
    assert found.scripts == {
        "Latin": ScriptCoverage(8, 7, ["x"]),
        "Cyrillic": ScriptCoverage(4, 0, ["ж", "б"]),
        "punctuation": ScriptCoverage(2, 2, []),
        "CJK": ScriptCoverage(1, 0, ["日"]),
    }
    assert list(found.scripts) == ["Latin", "Cyrillic", "punctuation", "CJK"]
    assert 0 < found.unknown_rate < 1
    assert (found.tokens_per_word, found.tokens_per_character) == (found.tokens / 6, found.tokens / 15)


def test_no_white_space_is_overlooked():
    assert max(code for code in range(sys.maxunicode + 1) if chr(code).isspace()) == MAX_SPACE


def test_nothing_has_no_rates(tokenizer: Tokenizer):
    empty = FertilityCounter(tokenizer).result()
    assert (empty.tokens_per_word, empty.tokens_per_character, empty.unknown_rate, empty.scripts) == (0, 0, 0, {})
    with pytest.raises(DataError, match="no text"):
        fit_texts(tokenizer, [])


@pytest.mark.parametrize(
    ("characters", "script"),
    [
        ("aßéＡₐ", "Latin"),
        ("ж", "Cyrillic"),
        ("日々", "CJK"),
        ("カｶー", "Katakana"),
        ("ひ", "Hiragana"),
        ("한", "Hangul"),
        ("शि", "Devanagari"),
        ("٣7½", "digits"),
        (".,„—", "punctuation"),
        ("😀+€\u200d", "symbols"),
        ("\u0301µ", "other letters"),
    ],
)
def test_scripts(characters: str, script: str):
    assert {kind_of(character) for character in characters} == {script}


def test_kinds_of_tokens(tokenizer: Tokenizer):
    found = describe_vocabulary(tokenizer)
    with_bytes = tokenizer.size == 300
    assert (found.size, found.algorithm) == (tokenizer.size, "bpe")
    assert tuple(found.kinds) == KINDS
    assert sum(found.kinds.values()) == tokenizer.size
    assert (found.kinds["special"], found.kinds["user symbols"]) == (4, 2)
    assert found.kinds["bytes"] == 256 * with_bytes
    kinds = dict(zip(tokenizer.tokens(range(tokenizer.size)), token_kinds(tokenizer), strict=True))
    assert kinds["{n}"] == "user symbols"
    assert kinds["▁"] == kinds["ä"] == kinds["{"] == "characters"
    assert found.longest[0] == max((one for one in kinds if kinds[one] in KINDS[-2:]), key=len)


def test_least_used_and_unused_tokens(tokenizer: Tokenizer):
    fit = fit_texts(tokenizer, ["ein Haus ein Haus", "und {n}"])
    row = tokenizer.encode(["ein Haus ein Haus"])[0] + tokenizer.encode(["und {n}"])[0]
    used = set(tokenizer.tokens(row))
    special = 4 + 256 * (tokenizer.size == 300)
    assert fit.unused == tokenizer.size - special - len(used)
    assert fit.least_used["{n}"] == 1
    assert set(fit.least_used) <= used
    assert fit.as_dict()["tokens_per_word"] == len(row) / 6
    assert fit.as_dict().items() >= asdict(fit.fertility).items()


@pytest.mark.parametrize("name", ["unigram", "bpe", "char", "word"])
def test_algorithm(name: str):
    size = {"char": 28, "unigram": 32, "bpe": 40, "word": 37}[name]
    model = train_tokenizer(TEXTS, TokenizerOptions(vocab_size=size, algorithm=name))
    assert algorithm(model) == name
    assert user_symbol_ids(model) == []


@pytest.mark.parametrize("content", [b"\x0a", b"\x0a\x05\xff", b"\x80\x80"])
def test_a_cut_model_is_damaged(content: bytes):
    with pytest.raises(ArtefactError, match="damaged"):
        user_symbol_ids(content)
    with pytest.raises(ArtefactError, match="damaged"):
        algorithm(content.replace(b"\x0a", b"\x12"))


def test_characters_exclude_special_tokens(tokenizer: Tokenizer):
    assert {"ä", "{", "▁", "&"} <= tokenizer.characters()
    assert "<" not in tokenizer.characters()
    assert UNK in tokenizer.fallback_tokens
