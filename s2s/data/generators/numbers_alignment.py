"""The known alignment of the numbers task: which characters of a source each part of its target translates.

Links are sure or possible, as Och and Ney (2003) annotate them. Sure links hold between what denotes the same:

- number words: `sieben` – `seven`, `siebzehn` – `seventeen`, `siebzig` – `seventy`, `hundert` – `hundred` and the
  scales. They are not divided further: `siebzehn` is one word.
- names of weekdays and months, and each digit of a day or a year
- the comma after a weekday, and the `;` between items

Words and marks without a counterpart of the same meaning have possible links to all that they join:

- `-` to the whole German number, `und` included: `twenty-seven` – `siebenundzwanzig`
- `and` and `,` in a number to the words before and after them, a number such as `siebenundzwanzig` counting as one
- the comma of a date to the day with its full stop and to the year: `March 12, 1999` – `12. März 1999`
"""

import datetime
import functools
import re
from collections.abc import Iterator
from itertools import pairwise

from s2s.data.generators.numbers import (
    ENGLISH_SCALES,
    FIRST_DAY,
    GERMAN_SCALES,
    ITEM_SEPARATOR,
    LARGEST,
    LAST_DAY,
    date_texts,
    english_number,
    german_number,
)
from s2s.metrics.alignment import Span, SpanLink

BELOW_HUNDRED = (*range(1, 20), *range(20, 100, 10))  # numbers that are one word
GERMAN_WORDS = {
    **{german_number(number): number for number in BELOW_HUNDRED},
    **{"ein": 1, "eine": 1, "hundert": 100, "tausend": 1000},
    **{word: size for size, one, many in GERMAN_SCALES for word in (one.removeprefix("eine "), many)},
}
ENGLISH_WORDS = {
    **{english_number(number): number for number in BELOW_HUNDRED},
    **{"hundred": 100},
    **{scale: size for size, scale in ENGLISH_SCALES},
}
GERMAN_DATE = re.compile(r"(?:(\w+)(,) )?(\d+)(\.) (\w+) (\d+)")
ENGLISH_DATE = re.compile(r"(?:(\w+)(,) )?(\w+) (\d+)(,) (\d+)")

Word = tuple[int, Span]  # the number that a word denotes, and its characters


def numbers_alignment(source: str, target: str) -> list[SpanLink] | None:
    """Return the links between the characters of a sentence and its translation, in the order of the target.

    None unless the two are a pair that the generator can make.
    """
    sources, targets = list(_items(source)), list(_items(target))
    if len(sources) != len(targets):
        return None
    links: list[SpanLink] = []
    for (german, german_start), (english, english_start) in zip(sources, targets, strict=True):
        if english_start:
            links.append(SpanLink((german_start - 2, german_start - 1), (english_start - 2, english_start - 1), True))
        own = _date_links(german, english) if english[-1:].isdigit() else _number_links(german, english)
        if own is None:
            return None
        links.extend(link.shifted(german_start, english_start) for link in own)
    return links


def _items(sentence: str) -> Iterator[tuple[str, int]]:
    """Yield the items of a sentence and where they start."""
    start = 0
    for item in sentence.split(ITEM_SEPARATOR):
        yield item, start
        start += len(item) + len(ITEM_SEPARATOR)


def _number_links(german: str, english: str) -> list[SpanLink] | None:
    source, target = _words(german, GERMAN_WORDS), _words(english, ENGLISH_WORDS)
    number = _value([value for value, _ in target])
    if not 1 <= number <= LARGEST or (german, english) != (german_number(number), english_number(number)):
        return None
    wholes = [span for _, span in source]  # the number below hundred that a word is part of, or the word
    for index, ((first, start), (second, end)) in enumerate(pairwise([*source])):
        if first < 10 and 20 <= second < 100:  # siebenundzwanzig: the only words in another order than in English
            source[index : index + 2] = source[index + 1], source[index]
            wholes[index : index + 2] = [(start[0], end[1])] * 2
    links: list[SpanLink] = []
    for index, ((_, own), (_, translated)) in enumerate(zip(source, target, strict=True)):
        if index:
            links.extend(_joint_links(wholes[index - 1 : index + 1], english, target[index - 1][1][1], translated[0]))
        links.append(SpanLink(own, translated, True))
    return links


def _words(text: str, words: dict[str, int]) -> list[Word]:
    """Return the number words of a text, the longest at each place."""
    longest_first = "|".join(sorted(words, key=len, reverse=True))
    return [(words[found.group()], found.span()) for found in re.finditer(longest_first, text)]


def _value(values: list[int]) -> int:
    """Return the number that English words denote: 3, 100, 20, 1, 1000, 5 -> 321005."""
    total = group = 0
    for value in values:
        if value < 100:
            group += value
        elif value == 100:
            group *= value
        else:
            total, group = total + group * value, 0
    return total + group


def _joint_links(joined: list[Span], english: str, start: int, end: int) -> Iterator[SpanLink]:
    """Yield possible links of the mark or word between two English words to the German spans that it joins."""
    text = english[start:end]
    if text.strip():
        start += len(text) - len(text.lstrip())
        for span in dict.fromkeys(joined):
            yield SpanLink(span, (start, start + len(text.strip())), False)


def _date_links(german: str, english: str) -> list[SpanLink] | None:
    source, target = GERMAN_DATE.fullmatch(german), ENGLISH_DATE.fullmatch(english)
    if not source or not target:
        return None
    try:
        date = datetime.date(int(source[6]), _months().get(source[5], 0), int(source[3]))
    except ValueError:  # there is no such day
        return None
    if not FIRST_DAY <= date <= LAST_DAY or (german, english) != date_texts(date, weekday=bool(source[1])):
        return None
    weekday = [(1, 1), (2, 2)] if source[1] else []
    links = [SpanLink(source.span(own), target.span(other), True) for own, other in [*weekday, (5, 3)]]
    links += _digit_links(source.span(3), target.span(4))
    links += [SpanLink(source.span(own), target.span(5), False) for own in (3, 4, 6)]
    return links + _digit_links(source.span(6), target.span(6))


def _digit_links(source: Span, target: Span) -> list[SpanLink]:
    return [SpanLink((s, s + 1), (t, t + 1), True) for s, t in zip(range(*source), range(*target), strict=True)]


@functools.cache
def _months() -> dict[str, int]:
    """Return the number of each German month's name."""
    firsts = (datetime.date(2000, month, 1) for month in range(1, 13))
    return {date_texts(first, weekday=False)[0].split()[1]: first.month for first in firsts}
