import sys
import unicodedata

import numpy as np
import pytest
from pydantic import TypeAdapter

from s2s.data.filters import languages
from s2s.data.filters.fingerprints import count_overlap, fingerprint, text_digests
from s2s.data.filters.selection import PairStatus, classify, token_filter
from s2s.data.filters.text import letters_only, numbers, text_filter
from s2s.data.ledger import Overlap
from s2s.data.readers import Pair
from s2s.errors import DataError, ResourceError
from s2s.recipe.data import DataOptions
from s2s.recipe.filters import FILTERS, PRESETS, DuplicatesFilterOptions

data_options = TypeAdapter(DataOptions).validate_python


def options(**values: object) -> DataOptions:
    given = {"kind": "tsv", "train": {"files": ["train.tsv"]}}
    for name in ("validation", "test"):
        if f"hold_out_{name}" not in values:
            given[name] = {"files": [f"{name}.tsv"]}
    return data_options({**given, **values})


def pairs_of(*texts: tuple[str, str]) -> list[Pair]:
    return [Pair(source, target, line, "train.tsv") for line, (source, target) in enumerate(texts, 1)]


def classified(texts: list[tuple[str, str]], data: DataOptions) -> tuple[list[int], list[int]]:
    """The status of each pair, and what each filter drops alone."""
    filters = data.all_filters()
    compared = [one.by for one in filters if isinstance(one, DuplicatesFilterOptions)]
    found = fingerprint(pairs_of(*texts), [[text_filter(one, data) for one in filters]], compared)
    status, alone = classify([found], data, filters)
    return status.tolist(), alone


def held(texts: list[tuple[str, str]], validation: int, test: int) -> dict[str, set[tuple[str, str]]]:
    """The pairs that get each status."""
    found, _ = classified(texts, options(hold_out_validation=validation, hold_out_test=test))
    return {
        status.name: {pair for pair, known in zip(texts, found, strict=True) if known == status}
        for status in PairStatus
    }


def test_a_pair_with_an_empty_side_is_dropped_even_without_filters():
    found, alone = classified([("a", "b"), ("", "b"), ("a", " \t\u2003"), ("", "")], options(filter_preset="none"))
    assert (found, alone) == ([PairStatus.KEPT, PairStatus.EMPTY, PairStatus.EMPTY, PairStatus.EMPTY], [])


def test_the_first_of_equal_pairs_stays_and_another_translation_is_no_duplicate():
    found, alone = classified([("a", "b"), ("c", "d"), ("a", "e"), ("a", "b"), ("a ", " b"), ("c", "d")], options())
    assert found == [PairStatus.KEPT] * 3 + [PairStatus.FILTERED] * 3
    assert alone == [3, 0, 0]


@pytest.mark.parametrize(
    ("by", "kept"),
    [("pair", [0, 1, 2, 3, 4, 5]), ("letters", [0, 1, 2, 3]), ("source", [0, 1, 2, 4]), ("target", [0, 2, 3, 5])],
)
def test_duplicates_are_compared_by_what_the_filter_says(by, kept):
    texts = [("Ab 1", "x"), ("c", "x"), ("5", "6"), ("c", "y"), ("ab, 2!", "X"), ("c", "Y."), ("c", "y")]
    if by == "target":
        texts[4] = ("ab, 2!", "x")
    found, _ = classified(texts, options(filter_preset="none", filters=[{"name": "duplicates", "by": by}]))
    assert [row for row, status in enumerate(found) if status == PairStatus.KEPT] == kept


def test_a_filter_counts_what_it_drops_alone_and_after_those_before_it():
    data = options(
        filter_preset="none",
        filters=[{"name": "copies"}, {"name": "duplicates"}, {"name": "letters"}, {"name": "html"}],
    )
    texts = [("12", "12"), ("12", "12"), ("a", "b"), ("a", "b"), ("1 <b>", "2"), ("a", "<strong/>"), ("", "")]
    found, alone = classified(texts, data)
    FILTERED = PairStatus.FILTERED
    assert found == [FILTERED, FILTERED, 0, FILTERED + 1, FILTERED + 2, FILTERED + 3, PairStatus.EMPTY]
    assert alone == [2, 2, 3, 2]


SIDES = {
    "length": [("12345", "1234"), ("12345678", "1"), ("123", "1234")],
    "ratio": [("12", "123456"), ("12", "1234567"), ("1234567", "12")],
    "copies": [("Straße 3", "Strasse 4"), ("Straße  a", "STRASSE A"), ("OK", "ok")],
    "script": [("Привет, Word", "hello"), ("hello мир", "hi"), ("Привет", "Привет")],
    "numbers": [("2 von 1.234,5", "two of 1,234.5"), ("am 13.", "on the 14th"), ("12345 ja", "yes")],
    "urls": [("(www.a.de).", "see www.a.de"), ("an a@b.de", "to a at b"), ("http://a.b/c", "http://a.b/d")],
    "letters": [("ab 12", "नमस्ते"), ("ab 123", "abc"), ("abc", "- - -")],
    "repetition": [("ja ja ja nein ja", "yes"), ("ja Ja JA ja", "yes"), ("yes", "no no no no")],
    "html": [("a < b & c", "50 % ig"), ("<b>ja</b>", "<b>yes</b>"), ("a", "b&nbsp;c")],
    "placeholders": [("%s {a}", "{a} %s"), ("%s", "%d"), ("ja", "yes <b>")],
}
VALUES = {"length": {"min": 2, "max": 6}, "ratio": {"max": 3}, "repetition": {"max": 3}}


@pytest.mark.parametrize("name", SIDES)
def test_text_filters_keep_the_first_pair_and_drop_the_others(name):
    unit = {"unit": "characters"} if name in ("length", "ratio") else {}
    one = {"name": name, **VALUES.get(name, {}), **unit}
    data = options(filter_preset="none", filters=[one], source_language="ru", target_language="en")
    if name == "length":
        SIDES[name][2] = ("1234567", "1234")
    found, alone = classified(SIDES[name], data)
    assert (found, alone) == ([PairStatus.KEPT, PairStatus.FILTERED, PairStatus.FILTERED], [2])


def test_numbers_above_twelve_are_read_without_separators_and_leading_zeros():
    found = numbers("12 und 13, 1.234,50 und 1 000 000; 007, 0012 und 0013; ٣٤")
    assert found == {"13": 2, "123450": 1, "1000000": 1, "34": 1}


def test_the_language_of_each_side_is_identified():
    data = options(filter_preset="none", filters=[{"name": "language"}], source_language="de_AT", target_language="en")
    german = "Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche."
    english = "Two young, White males are outside near many bushes."
    texts = [(german, english), (english, german), (german, german), ("OK", "OK")]
    assert classified(texts, data)[0] == [PairStatus.KEPT, PairStatus.FILTERED, PairStatus.FILTERED, PairStatus.KEPT]


def test_without_its_library_the_language_filter_says_what_to_install(monkeypatch):
    languages._identifier.cache_clear()
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    with pytest.raises(ResourceError, match="py3langid") as caught:
        languages.is_other_language("a", "de", 0.5)
    assert "s2s-toolkit[language]" in str(caught.value.hint)


def test_every_filter_is_tested_and_presets_have_known_ones():
    tested = {*SIDES, "language", "duplicates"}
    assert tested == set(FILTERS)
    for preset in PRESETS:
        assert all(one.describe() for one in options(filter_preset=preset, source_language="de").all_filters())


def test_the_border_between_the_sides_counts():
    assert len({*text_digests(["a b", "a", "a", "b"], ["c", "b c", "b", "a"])}) == 4
    spaced, plain = (
        fingerprint(pairs_of((" a  b", "c\u2028d ")), compared=["letters"]),
        fingerprint(pairs_of(("a b", "c d"))),
    )
    assert (spaced.sources == plain.sources, spaced.pairs == plain.pairs) == (True, True)


@pytest.mark.parametrize("beside", ["a", "я"], ids=["Latin-1", "others"])
def test_letters_do_not_depend_on_the_texts_beside_them(beside: str):
    texts = [*map(chr, range(0x20, 0x180)), "Straße", "STRASSE", "5 µm", "5 ΜM", "É!", "1 2", ""]
    for text in texts:
        letters = "".join(one for one in text.casefold() if one.isalpha() or unicodedata.category(one)[0] == "M")
        assert letters_only([beside, text, "b"]) == [beside, letters or text, "b"]


def test_as_many_are_held_out_as_asked_for_and_no_source_stands_in_two_splits():
    texts = [(f"s{number % 17}", f"t{number}") for number in range(40)]
    found = held(texts, validation=3, test=5)
    assert (len(found["VALIDATION"]), len(found["TEST"])) == (3, 5)
    sources = {name: {source for source, _ in found[name]} for name in ("KEPT", "VALIDATION", "TEST")}
    assert len(sources["VALIDATION"]) == 3
    assert len(sources["KEPT"] | sources["VALIDATION"] | sources["TEST"]) == 17 == sum(map(len, sources.values()))
    assert found["HELD_OUT_SOURCE"]


def test_what_is_held_out_depends_on_the_texts_and_not_on_their_order():
    texts = [(f"s{number % 17}", f"t{number}") for number in range(40)]
    shuffled = [texts[row] for row in np.random.default_rng(1).permutation(len(texts))]
    first, second = held(texts, 3, 5), held(shuffled, 3, 5)
    assert first == second


def test_empty_pairs_are_never_held_out():
    found = held([("", f"t{number}") for number in range(9)] + [("a", "b"), ("c", "d"), ("e", "f")], 1, 1)
    assert len(found["EMPTY"]) == 9
    assert ("", "t0") not in found["VALIDATION"] | found["TEST"]


def test_too_few_sources_to_hold_out_are_refused_with_their_number():
    with pytest.raises(DataError, match="3 distinct sources") as caught:
        held([("a", "1"), ("a", "2"), ("b", "3"), ("c", "4")], 2, 1)
    assert "data.hold_out_validation" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("source", "target", "dropped"),
    [
        (2, 2, []),
        (1, 2, ["length"]),
        (2, 1, ["length"]),
        (7, 7, []),
        (8, 7, ["length"]),
        (7, 8, ["length"]),
        (2, 6, []),
        (2, 7, ["ratio"]),
        (7, 2, ["ratio"]),
        (1, 9, ["length", "ratio"]),
    ],
)
def test_lengths_decide_at_their_bounds(source, target, dropped):
    filters = [{"name": "length", "min": 2, "max": 7}, {"name": "ratio", "max": 3}]
    data = options(filter_preset="none", filters=filters)
    lengths = np.array([3, source]), np.array([3, target])
    found = {one.name: token_filter(one, *lengths).tolist() for one in data.all_filters()}
    assert found == {name: [False, name in dropped] for name in ("length", "ratio")}
    assert data.max_length == 7


def overlap_of(train: list[tuple[str, str]], kept: list[bool], *texts: tuple[str, str], block: int = 99) -> Overlap:
    pairs, found = pairs_of(*texts), pairs_of(*train)
    starts = range(0, len(train), block)
    blocks = [(fingerprint(found[start : start + block]), np.array(kept[start : start + block])) for start in starts]
    return count_overlap(blocks, fingerprint(pairs), pairs)


def test_overlap_counts_sources_letters_and_whole_pairs_of_what_is_kept():
    train = [("a", "1"), ("b 2", "2"), ("c", "3")]
    texts = [("a", "1"), ("b 2", "other"), ("c", "3"), ("d", "4"), ("", ""), ("B, 3", "2")]
    overlap = overlap_of(train, [True, True, False], *texts)
    assert (overlap.source.count, overlap.letters.count, overlap.pair.count) == (2, 3, 1)
    assert [example.line for example in overlap.letters.examples] == ["train.tsv:1", "train.tsv:2", "train.tsv:6"]


def test_overlap_is_the_same_in_blocks():
    train = [(f"s{row % 7} {chr(97 + row % 5)}", str(row % 3)) for row in range(50)]
    kept, texts = [row % 4 > 0 for row in range(50)], [(f"s{row} {chr(97 + row)}", "1") for row in range(9)]
    whole = overlap_of(train, kept, *texts)
    assert overlap_of(train, kept, *texts, block=3) == whole
    assert whole.source.count > whole.pair.count > 0


def test_nothing_overlaps_with_an_empty_training_set():
    assert overlap_of([("a", "1")], [False], ("a", "1")).source.count == 0
