import datetime
import itertools
import random
import re

import pytest
from babel.dates import format_date
from num2words import num2words

from s2s.data.generators.numbers import date_texts, english_number, german_number, numbers_pairs, numbers_stream
from s2s.recipe.kinds import GeneratorOptions

SMALL = {"train": 700, "validation": 50, "test": 130}
Pairs = list[tuple[str, str]]


def sample() -> list[int]:
    """Numbers of all lengths, many of them with zeros in the middle or at the end, and the round ones."""
    draw = random.Random(5)
    numbers = [10**power for power in range(13)] + [10**power + 1 for power in range(12)] + [21, 1_100, 2_000_006]
    for _ in range(300):
        number = draw.randrange(1, 10 ** draw.randint(1, 12))
        zeros = 10 ** draw.randint(0, 6)
        numbers.append(number // zeros * zeros or number)
    return numbers


@pytest.mark.parametrize(("language", "words"), [("de", german_number), ("en", english_number)])
def test_numbers_are_what_num2words_says(language: str, words):
    said = {number: num2words(number, lang=language) for number in sample()}
    if language == "de":  # num2words says einhunderteinstausend
        said = {number: text.replace("hunderteinstausend", "hunderteintausend") for number, text in said.items()}
    assert {number: words(number) for number in said} == said


def test_hundred_and_one_thousand_is_right_in_german():
    assert german_number(101_001) == "einhunderteintausendeins"
    assert german_number(6_000) == "sechstausend"


@pytest.mark.parametrize("weekday", [True, False])
def test_dates_are_what_babel_says(weekday: bool):
    for days in range(0, 73_000, 1_009):
        date = datetime.date(1900, 1, 1) + datetime.timedelta(days)
        german = format_date(date, "full" if weekday else "long", "de")
        english = format_date(date, "full" if weekday else "long", "en")
        assert date_texts(date, weekday=weekday) == (german, english)


def test_examples():
    date = datetime.date(2087, 1, 22)
    assert date_texts(date, weekday=False) == ("22. Januar 2087", "January 22, 2087")
    assert date_texts(date, weekday=True)[0] == "Mittwoch, 22. Januar 2087"
    assert (german_number(21), english_number(21)) == ("einundzwanzig", "twenty-one")


def test_splits_have_their_sizes_and_share_no_sentence():
    splits = numbers_pairs(GeneratorOptions(**SMALL))
    assert {name: len(pairs) for name, pairs in splits.items()} == SMALL
    pairs = list(itertools.chain.from_iterable(splits.values()))
    for side in (0, 1):
        assert len({pair[side] for pair in pairs}) == sum(SMALL.values())


def test_a_seed_gives_the_same_pairs_and_another_seed_others():
    first, again, other = (numbers_pairs(GeneratorOptions(**SMALL, seed=seed)) for seed in (2, 2, 3))
    assert first == again
    assert not set(first["train"]) & set(other["test"])


def test_pairs_stay_the_same_from_release_to_release():
    assert numbers_pairs(GeneratorOptions(seed=1, train=2, validation=1, test=1)) == {
        "train": [("einhundertvier", "one hundred and four"), ("vierundzwanzig", "twenty-four")],
        "validation": [
            (
                "dreiundzwanzig Millionen achthundertzweiundzwanzigtausendeinhundertdreißig ; Samstag, 5. März 1910",
                "twenty-three million, eight hundred and twenty-two thousand, one hundred and thirty"
                " ; Saturday, March 5, 1910",
            )
        ],
        "test": [
            (
                "Donnerstag, 4. Oktober 1900 ; Sonntag, 30. Juli 1995",
                "Thursday, October 4, 1900 ; Sunday, July 30, 1995",
            )
        ],
    }


def test_sentences_have_each_number_of_items_alike_often_and_the_same_on_both_sides():
    pairs = numbers_pairs(GeneratorOptions(train=1200, validation=1, test=1, min_items=2, max_items=4))["train"]
    counts = [source.count(" ; ") + 1 for source, _ in pairs]
    assert counts == [target.count(" ; ") + 1 for _, target in pairs]
    assert set(counts) == {2, 3, 4}
    assert all(300 < counts.count(items) < 500 for items in (2, 3, 4))


def test_single_items_are_numbers_of_all_sizes_and_dates_with_and_without_weekday():
    targets = [target for _, target in itertools.islice(numbers_stream(4, 1, 1), 4000)]
    dates = [target for target in targets if target[-1].isdigit()]
    assert 1800 < len(dates) < 2200
    assert 800 < sum(target.count(",") == 2 for target in dates) < 1200
    years = {int(target[-4:]) for target in dates}
    assert (min(years), max(years)) == (1900, 2099)
    numbers = [target for target in targets if not target[-1].isdigit()]
    scales = [next(iter(re.findall("billion|million|thousand", number)), "below") for number in numbers]
    for scale in ("below", "thousand", "million", "billion"):  # uniform in the logarithm: a quarter each
        assert 0.2 < scales.count(scale) / len(numbers) < 0.3


def test_held_out_sentences_are_as_common_as_those_of_training():
    splits = numbers_pairs(GeneratorOptions(train=3000, validation=3000, test=3000, max_items=1))

    def below_hundred(pairs: Pairs) -> int:
        return sum(" " not in target for _, target in pairs)

    assert all(below_hundred(pairs) > 15 for pairs in splits.values())  # of 99 in all


def test_the_stream_has_no_end_and_is_not_the_training_data_of_its_seed():
    first, again = (list(itertools.islice(numbers_stream(1, 2, 3), 500)) for _ in range(2))
    assert first == again
    trained = numbers_pairs(GeneratorOptions(seed=1, train=500, validation=1, test=1, min_items=2))["train"]
    assert len(set(first) & set(trained)) < 5
