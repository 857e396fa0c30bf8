"""Numbers in words and dates, in German and English: exact translations without a file or a network.

A sentence is one or several items joined by ` ; `. An item is a number from 1 to 10¹² in words, each with a probability
in proportion to 1/number (uniform in the logarithm), or a day of 1900 to 2099, with or without its weekday:

    einundzwanzig ; 12. März 1999                    twenty-one ; March 12, 1999
    eine Million zwei ; Mittwoch, 22. Januar 2087    one million and two ; Wednesday, January 22, 2087

Everything is drawn as integers, so that a seed gives the same sentences on every machine.
"""

import datetime
import functools
from collections.abc import Iterator
from random import Random

from babel import Locale
from num2words import num2words

from s2s.recipe.data import GeneratorOptions

LARGEST = 10**12
FIRST_DAY, LAST_DAY = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
BETWEEN = " ; "
GERMAN_SCALES = (
    (10**12, "eine Billion", "Billionen"),
    (10**9, "eine Milliarde", "Milliarden"),
    (10**6, "eine Million", "Millionen"),
)
ENGLISH_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (10**3, "thousand"))

Texts = tuple[str, str]  # German and English


def numbers_pairs(options: GeneratorOptions) -> dict[str, list[Texts]]:
    """Return the pairs of `train`, `validation` and `test`: no sentence twice, and none in two splits.

    There are more than 10¹² sentences even of one item, so the search for a new one always ends.
    """
    random = Random(options.seed)
    pairs: dict[str, str] = {}
    for _ in range(options.train + options.validation + options.test):
        items = random.randint(options.min_items, options.max_items)
        source, target = _sentence(random, items)
        while source in pairs:  # as many items again, or short sentences would be rarer than long ones
            source, target = _sentence(random, items)
        pairs[source] = target
    drawn = list(pairs.items())
    random.shuffle(drawn)  # the last ones drawn hold fewer of the common small numbers
    held_out = options.validation + options.test
    return {
        "train": drawn[held_out:],
        "validation": drawn[: options.validation],
        "test": drawn[options.validation : held_out],
    }


def numbers_stream(seed: int, min_items: int, max_items: int) -> Iterator[Texts]:
    """Pairs without end, other ones than `numbers_pairs` draws from the same seed.

    None is remembered, so memory stays flat, a sentence can come twice and can be one of `numbers_pairs`.
    """
    random = Random(f"stream {seed}")
    while True:
        yield _sentence(random, random.randint(min_items, max_items))


def _sentence(random: Random, items: int) -> Texts:
    pairs = [_number(random) if random.getrandbits(1) else _date(random) for _ in range(items)]
    return BETWEEN.join(german for german, _ in pairs), BETWEEN.join(english for _, english in pairs)


def _number(random: Random) -> Texts:
    number = _logarithmic(random)
    return german_number(number), english_number(number)


def _logarithmic(random: Random) -> int:
    """Draw a number from 1 to LARGEST with probability proportional to 1/number, by rejection."""
    while True:
        power = 1 << random.randrange(LARGEST.bit_length())
        number = power + random.randrange(power)
        if number <= LARGEST and random.randrange(number) < power:
            return number


def german_number(number: int) -> str:
    """Spell out `number` (1 to 10¹²): `eine Million zweihunderttausenddrei`."""
    words = []
    for size, one, many in GERMAN_SCALES:
        count, number = divmod(number, size)
        if count:
            words.append(one if count == 1 else f"{_below_thousand(count, 'de')} {many}")
    thousands, rest = divmod(number, 1000)
    small = _below_thousand(rest, "de") if rest else ""
    if thousands:
        before = _below_thousand(thousands, "de")
        small = f"{before.removesuffix('s') if thousands % 100 == 1 else before}tausend{small}"  # einhunderteintausend
    return " ".join([*words, small] if small else words)


def english_number(number: int) -> str:
    """Spell out `number` (1 to 10¹²): `one million, two hundred thousand and three`."""
    words = []
    for size, scale in ENGLISH_SCALES:
        count, number = divmod(number, size)
        if count:
            words.append(f"{_below_thousand(count, 'en')} {scale}")
    high = ", ".join(words)
    if not number:
        return high
    low = _below_thousand(number, "en")
    return f"{high}{' and ' if number < 100 else ', '}{low}" if high else low


@functools.cache
def _below_thousand(number: int, language: str) -> str:
    """num2words, which takes most of a millisecond a number: asked for the numbers from 1 to 999 alone."""
    return str(num2words(number, lang=language))


def _date(random: Random) -> Texts:
    days = (LAST_DAY - FIRST_DAY).days + 1
    date = FIRST_DAY + datetime.timedelta(days=random.randrange(days))
    return date_texts(date, weekday=bool(random.getrandbits(1)))


def date_texts(date: datetime.date, *, weekday: bool) -> Texts:
    """Format a date in German and English (CLDR `d. MMMM y`, `MMMM d, y`), optionally with its weekday."""
    (german_months, german_days), (english_months, english_days) = _names("de"), _names("en")
    german = f"{date.day}. {german_months[date.month]} {date.year}"
    english = f"{english_months[date.month]} {date.day}, {date.year}"
    if not weekday:
        return german, english
    return f"{german_days[date.weekday()]}, {german}", f"{english_days[date.weekday()]}, {english}"


@functools.cache
def _names(language: str) -> tuple[dict[int, str], dict[int, str]]:
    """Names of months (from 1) and weekdays (Monday is 0)."""
    locale = Locale(language)
    return dict(locale.months["format"]["wide"]), dict(locale.days["format"]["wide"])
