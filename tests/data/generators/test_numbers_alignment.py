"""The known alignment of the numbers task links what denotes the same, and knows no other sentences."""

import itertools

import pytest
from babel import Locale
from hypothesis import given, settings
from hypothesis import strategies as st
from num2words import num2words

from s2s.data.generators.numbers import numbers_stream
from s2s.data.generators.numbers_alignment import numbers_alignment
from s2s.metrics.alignment import SpanLink

LETTERS = st.text("abdefhilmnorstuvwxyzßMW ,.;-0129", min_size=1, max_size=2)


def denotations(language: str, other: dict[str, int]) -> dict[str, object]:
    """What words and marks denote: a number, a month, a weekday, or themselves."""
    locale = Locale(language)
    numbers = {num2words(n, lang=language): n for n in [*range(1, 20), *range(20, 100, 10)]}
    months = {name: ("month", n) for n, name in locale.months["format"]["wide"].items()}
    days = {name: ("weekday", n) for n, name in locale.days["format"]["wide"].items()}
    return numbers | other | months | days | {mark: mark for mark in ",;0123456789"}


BIG = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
SCALES = {"Millionen": 10**6, "Milliarden": 10**9, "Million": 10**6, "Milliarde": 10**9, "Billion": 10**12}
GERMAN = denotations("de", {"ein": 1, "eine": 1, "hundert": 100, "tausend": 1000} | SCALES)
ENGLISH = denotations("en", {"hundred": 100} | BIG)
ENGLISH_MONTHS = Locale("en").months["format"]["wide"].values()


def shown(source: str, target: str) -> list[str]:
    links = numbers_alignment(source, target)
    assert links is not None
    return [f"{source[slice(*one.source)]}{'=' if one.sure else '~'}{target[slice(*one.target)]}" for one in links]


def unlinked(text: str, spans: list[tuple[int, int]]) -> set[str]:
    """The parts of a text outside of spans."""
    outside = list(text)
    for start, end in spans:
        outside[start:end] = " " * (end - start)
    return set("".join(outside).split())


def pairs(seed: int, count: int, items: int = 4) -> list[tuple[str, str]]:
    return list(itertools.islice(numbers_stream(seed, 1, items), count))


def test_numbers():
    assert shown("siebenundzwanzigtausend", "twenty-seven thousand") == [
        "zwanzig=twenty",
        "siebenundzwanzig~-",
        "sieben=seven",
        "tausend=thousand",
    ]
    assert shown("eine Million einhunderteinundzwanzig", "one million, one hundred and twenty-one") == [
        *("eine=one", "Million=million", "Million~,", "ein~,", "ein=one", "hundert=hundred"),
        *("hundert~and", "einundzwanzig~and", "zwanzig=twenty", "einundzwanzig~-", "ein=one"),
    ]


def test_dates():
    assert shown("siebzehn ; Sonntag, 2. März 2087", "seventeen ; Sunday, March 2, 2087") == [
        *("siebzehn=seventeen", ";=;", "Sonntag=Sunday", ",=,", "März=March", "2=2"),
        *("2~,", ".~,", "2087~,", "2=2", "0=0", "8=8", "7=7"),
    ]


def check_sure(source: str, target: str, links: list[SpanLink]) -> None:
    """Sure links are one to one, denote the same, and cross only in twenty-one and in March 12."""
    for one in links:
        assert GERMAN[source[slice(*one.source)]] == ENGLISH[target[slice(*one.target)]]
    for one, other in itertools.combinations(links, 2):
        assert one.target[1] <= other.target[0]
        if one.source[1] > other.source[0]:
            assert other.source[1] <= one.source[0]
            between = target[one.target[1] : other.target[0]]
            assert between == "-" or target[slice(*one.target)] in ENGLISH_MONTHS


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_links_of_any_sentence_denote_the_same_and_cover_all(seed: int):
    for source, target in pairs(seed, 3):
        links = numbers_alignment(source, target)
        assert links is not None
        sure = [link for link in links if link.sure]
        check_sure(source, target, sure)
        assert unlinked(source, [link.source for link in sure]) <= {"und", "."}
        assert unlinked(target, [link.target for link in sure]) <= {"and", ",", "-"}
        assert not unlinked(source, [link.source for link in links])
        assert not unlinked(target, [link.target for link in links])


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.data())
def test_changed_sentences_are_refused(seed: int, data: st.DataObject):
    (source, target), (_, other) = pairs(seed, 2)
    assert other == target or numbers_alignment(source, other) is None
    at, letters = data.draw(st.integers(0, len(target))), data.draw(LETTERS)
    for changed in (target[:at] + letters + target[at:], target[:at] + target[at + 1 :], target[:at] + letters):
        assert changed == target or numbers_alignment(source, changed) is None
    at = data.draw(st.integers(0, len(source)))
    for changed in (source[:at] + letters + source[at:], source[:at] + source[at + 1 :], source[:at] + letters):
        assert changed == source or numbers_alignment(changed, target) is None


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("", ""),
        (" ; ", " ; "),
        ("null", "zero"),
        ("eine Billion eins", "one trillion and one"),
        ("tausend", "thousand"),
        ("eins eins", "two"),
        ("eins ; zwei", "one"),
        ("eins", "one ; two"),
        ("eins ; zwei", "two ; one"),
        ("einhunderteinstausend", "one hundred and one thousand"),
        ("30. Februar 2000", "February 30, 2000"),
        ("1. Smarch 2000", "Smarch 1, 2000"),
        ("1. Januar 2100", "January 1, 2100"),
        ("31. Dezember 1899", "December 31, 1899"),
        (f"1. Januar {'9' * 5000}", f"January 1, {'9' * 5000}"),
        ("Montag, 22. Januar 2087", "Monday, January 22, 2087"),
        ("22. Januar 2087", "Wednesday, January 22, 2087"),
        ("02. Januar 2087", "January 02, 2087"),
        ("2. Januar 2087", "²"),
    ],
)
def test_other_sentences_are_refused(source: str, target: str):
    assert numbers_alignment(source, target) is None
