"""The numbers task: German and English numbers in words and dates, which translate exactly.

A sentence is one or several items joined by ` ; `. An item is a number from 1 to 10¹² in words, with probability
proportional to 1/number (log-uniform), or a date from 1900 to 2099, with or without its weekday:

    einundzwanzig ; 12. März 1999                    twenty-one ; March 12, 1999
    eine Million zwei ; Mittwoch, 22. Januar 2087    one million and two ; Wednesday, January 22, 2087

Only integers are drawn, so that a seed gives the same sentences on every machine.
"""

import datetime
import functools
from collections.abc import Iterator
from random import Random

from babel import Locale
from num2words import num2words

from s2s.recipe.kinds import GeneratorOptions
from s2s.text.lines import Texts

LARGEST = 10**12
FIRST_DAY, LAST_DAY = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
ITEM_SEPARATOR = " ; "
GERMAN_SCALES = (
    (10**12, "eine Billion", "Billionen"),
    (10**9, "eine Milliarde", "Milliarden"),
    (10**6, "eine Million", "Millionen"),
)
ENGLISH_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (10**3, "thousand"))


def numbers_pairs(options: GeneratorOptions) -> dict[str, list[Texts]]:
    """Return the pairs of `train`, `validation` and `test`, without repeated sentences.

    There are more than 10¹² sentences of one item, so the search for a new one always ends.
    """
    random = Random(options.seed)
    pairs: dict[str, str] = {}
    for _ in range(options.train + options.validation + options.test):
        items = random.randint(options.min_items, options.max_items)
        source, target = _sentence(random, items)
        while source in pairs:  # with the same number of items, or short sentences would become rarer
            source, target = _sentence(random, items)
        pairs[source] = target
    shuffled = list(pairs.items())
    random.shuffle(shuffled)  # later pairs have fewer of the common small numbers
    held_out = options.validation + options.test
    return {
        "train": shuffled[held_out:],
        "validation": shuffled[: options.validation],
        "test": shuffled[options.validation : held_out],
    }


def numbers_stream(seed: int, min_items: int, max_items: int) -> Iterator[Texts]:
    """Yield pairs endlessly, different from those that `numbers_pairs` draws from the same seed.

    Nothing is stored, so sentences may repeat, and some may be among those of `numbers_pairs`.
    """
    random = Random(f"stream {seed}")
    while True:
        yield _sentence(random, random.randint(min_items, max_items))


def _sentence(random: Random, items: int) -> Texts:
    pairs = [_number(random) if random.getrandbits(1) else _date(random) for _ in range(items)]
    return ITEM_SEPARATOR.join(german for german, _ in pairs), ITEM_SEPARATOR.join(english for _, english in pairs)


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
    """Spell out a number from 1 to 999; num2words is slow, so results are cached."""
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
    """Return the names of months (from 1) and weekdays (from Monday, 0)."""
    locale = Locale(language)
    return dict(locale.months["format"]["wide"]), dict(locale.days["format"]["wide"])
