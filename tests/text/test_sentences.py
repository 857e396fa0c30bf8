import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s.text import sentences as module
from s2s.text.sentences import are_plain, split_long, split_sentences


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("de", ["Am 12. März kam z. B. Herr Dr. J. S. Bach. ", "Er blieb.  ", "Wirklich?"]),
        ("de", ["Er wohnt im 2. Stock. ", "Der 1. FC spielt."]),
        ("de_AT", ["Das war 1999. ", "Es kostet 3.50 Euro usw. und mehr."]),
        ("de", ["1. Erstens. ", "Ende."]),
        ("en", ["He is 12. ", "I met Mr. J. Smith at www.example.com. ", "He left."]),
        ("zh", ["他走了。", "她来了！", "真的吗？"]),
        ("ja", ["これはペンです。", "あれは本です。"]),
        ("fr", ["Ça va ? ", "Oui ! ", "Bien."]),
        ("", ["Hello there. ", "World."]),
        ("de", ["  Ein Satz.   ", "Noch einer.  "]),
        ("de", ["kein Satzende"]),
        ("de", ["Ende ..."]),
    ],
)
def test_sentences(language, sentences):
    assert split_sentences("".join(sentences), language) == sentences


def count_words(texts):
    """Count words as tokens, and each character of a long one."""
    return [sum(1 if len(word) < 12 else len(word) for word in re.findall(r"\S+", text)) for text in texts]


def parts(text, max_length):
    found = split_long(text, max_length, count_words)
    assert "".join(found) == text
    return found


def test_cuts_prefer_punctuation_near_the_middle():
    text = "a b c d e f; g h, i j k l m n"
    assert parts(text, 10) == ["a b c d e f; ", "g h, i j k l m n"]
    assert parts(text.replace(";", ""), 10) == ["a b c d e f g h, ", "i j k l m n"]
    assert parts(text.replace(";", "").replace(",", ""), 10) == ["a b c d e f g ", "h i j k l m n"]
    assert parts("a; b c d e f g h i j k l m n", 10) == ["a; b c d e f g ", "h i j k l m n"]


def test_short_texts_are_whole():
    assert parts("a b c", 3) == ["a b c"]


def test_words_numbers_and_placeholders_are_whole():
    text = "see {name, plural, one} at https://x.y/a;b,c and <b class='x y'> 1,000.5 units" * 3
    for length in range(25, 60):
        for part in parts(text, length)[:-1]:
            assert part.endswith(" ")
            assert part.count("{") == part.count("}")
            assert part.count("<") == part.count(">")


def test_chinese_is_cut_after_punctuation():
    assert parts("我来了，你走了；他也来了，", 13) == ["我来了，你走了；他也来了，"]
    assert split_long("我来了，你走了；他也来了", 6, lambda texts: [len(text) for text in texts]) == [
        "我来了，",
        "你走了；",
        "他也来了",
    ]


def test_what_has_no_space_is_cut_anywhere():
    found = split_long("x" * 95, 20, lambda texts: [len(text) for text in texts])
    assert "".join(found) == "x" * 95
    assert all(len(part) <= 20 for part in found)


@pytest.mark.parametrize("seed", range(20))
def test_parts_are_few_and_nearly_equal(seed):
    chance = random.Random(seed)
    text = "".join(chance.choice(["w ", "w ", "w ", "w, ", "w; "]) for _ in range(chance.randint(50, 300)))
    limit = chance.randint(10, 60)
    lengths = count_words(parts(text, limit))
    assert len(lengths) == -(-sum(lengths) // limit)
    assert max(lengths) <= limit


@given(st.text(alphabet="ab ;,.{}<>。，😀\t", max_size=200), st.integers(1, 9))
def test_parts_are_the_text(text, limit):
    found = split_long(text or "a", limit, lambda texts: [len(part.encode()) for part in texts])
    assert "".join(found) == (text or "a")
    assert all(found)
    assert "".join(split_sentences(text, "de")) == text


@pytest.mark.parametrize("language", ["de", "en", "fr", "ja", "hi"])
def test_plain_lines_are_one_sentence_for_the_library_too(language, monkeypatch):
    """They are recognized without it."""
    lines = [
        "Ein Mann",
        "two dogs, running",
        "l’homme qu'elle a vu.",
        "3 Katzen  ",
        "犬が走る。",
        "कुत्ता दौड़ता है।",
        "x-y?",
        "",
    ]
    quick = [split_sentences(line, language) for line in lines]
    monkeypatch.setattr(module, "PLAIN", re.compile("(?!)"))
    assert quick == [split_sentences(line, language) for line in lines]


def test_texts_without_an_inner_sentence_end_are_plain():
    plain = ["", ".", "Ein Mann", "two dogs, running!", "l’homme qu'elle a vu.", "犬が走る。", "a"]
    others = ["A. b", "He left... ", "犬。猫", "𝄞 b", "..", "a\u2028b"]
    texts = [text for both in zip(plain, others, strict=False) for text in both]
    assert are_plain(texts).tolist() == [True, False] * len(others)
    assert all(len(split_sentences(text, "en")) <= 1 for text in plain)
