"""Filters on the texts of a pair: what makes each drop one. Pairs are normalized."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

from s2s.data.filters.languages import is_other_language
from s2s.recipe.filters import (
    CopiesFilterOptions,
    FilterOptions,
    HtmlFilterOptions,
    LanguageFilterOptions,
    LengthFilterOptions,
    LettersFilterOptions,
    NumbersFilterOptions,
    PlaceholdersFilterOptions,
    RatioFilterOptions,
    RepetitionFilterOptions,
    ScriptFilterOptions,
    UrlsFilterOptions,
)
from s2s.recipe.pairs import PairOptions
from s2s.text.placeholders import differing_placeholders, placeholders
from s2s.text.scripts import letters_by_script, scripts_of_language

# digits, with separators of thousands and decimals between them: 1,234.5 and 1 234
NUMBER = re.compile(r"\d+(?:[.,:'’]\d+|[ \u00a0\u202f]\d{3}(?!\d))*")
URL = re.compile(r"(?:https?://|www\.)[^\s<>\"]+|[\w.+-]+@[\w-]+\.[\w.-]+")
NO_LETTERS = bytes(code for code in range(256) if not chr(code).isalpha() and chr(code) != "\n")  # of Latin-1
# Latin-1 without case, but for ß and µ, which become characters that are not in it, or several
FOLDED = bytes(ord(chr(code).casefold()) if code not in b"\xb5\xdf" else code for code in range(256))
FIRST_MARK = "\u0300"  # the first combining character
SPELLED_OUT = 12  # numbers up to this one are often words on the other side
Languages = tuple[str, str]  # of source and target
TextFilter = Callable[[str, str], bool]  # whether a pair of source and target is dropped


def text_filter(options: FilterOptions, data: PairOptions) -> TextFilter | None:
    """Return what decides whether a filter drops a pair; None if that takes more than the pair's text."""
    if options.counts_tokens or options.name not in FILTERS:
        return None
    return partial(FILTERS[options.name], options, (data.source_language, data.target_language))


def numbers(text: str) -> Counter[str]:
    """Count the numbers of a text above SPELLED_OUT, as decimal digits without separators and leading zeros."""
    counts: Counter[str] = Counter()
    if any(map(str.isdecimal, text)):
        for found in NUMBER.findall(text):
            digits = "".join(str(unicodedata.decimal(one)) for one in found if one.isdecimal()).lstrip("0")
            if len(digits) > 2 or int(digits or "0") > SPELLED_OUT:
                counts[digits] += 1
    return counts


def urls(text: str) -> Counter[str]:
    """Count the URLs and e-mail addresses of a text, without punctuation after them."""
    if "://" in text or "www." in text or "@" in text:
        return Counter(found.rstrip(".,;:!?)»”’'\"") for found in URL.findall(text))
    return Counter()


def share_of_letters(text: str) -> float:
    """Return the share of letters and combining marks among the characters that are not spaces; 1 if there are none."""
    letters = sum(map(str.isalpha if text.isascii() else _is_letter, text))
    characters = len(text) - sum(map(str.isspace, text))
    return letters / characters if characters else 1.0


def longest_run(text: str) -> int:
    """Return how many times in a row a word occurs at most, regardless of case."""
    return max((sum(1 for _ in run) for _, run in groupby(text.casefold().split())), default=0)


def has_html(text: str) -> bool:
    """Return whether a text has HTML tags or character references."""
    return any(one[0] in "<&" for one in placeholders(text))


def _shared(source: Counter[str], target: Counter[str]) -> float:
    """Return the share of items that both sides have; 1 if there are none."""
    total = (source | target).total()
    return (source & target).total() / total if total else 1.0


def letters_only(texts: Sequence[str]) -> list[str]:
    """Return the letters of texts, which have no line ends, without case; texts without letters as they are."""
    try:  # all at once, if all of them are Latin-1
        letters = "\n".join(texts).encode("latin-1").translate(FOLDED, NO_LETTERS)
    except UnicodeEncodeError:
        return [_letters_of(text) for text in texts]
    found = letters.decode("latin-1").replace("ß", "ss").replace("µ", "μ").split("\n")
    return [one or text for one, text in zip(found, texts, strict=True)]


def _letters_of(text: str) -> str:
    folded = text.casefold()
    return "".join(filter(str.isalpha if max(folded, default="") < FIRST_MARK else _is_letter, folded)) or text


def _is_letter(character: str) -> bool:
    return character.isalpha() or unicodedata.category(character)[0] == "M"


def _length(options: LengthFilterOptions, _: Languages, *sides: str) -> bool:
    return not all(options.min <= len(side) <= options.max for side in sides)


def _ratio(options: RatioFilterOptions, _: Languages, source: str, target: str) -> bool:
    return max(len(source), len(target)) > options.max * min(len(source), len(target))


def _copies(_: CopiesFilterOptions, __: Languages, source: str, target: str) -> bool:
    return source.casefold().split() == target.casefold().split()


def _script(options: ScriptFilterOptions, languages: Languages, *sides: str) -> bool:
    """Return whether a side has letters, but too few in its scripts; one in an unknown language never has."""
    for language, text in zip(languages, sides, strict=True):
        scripts = scripts_of_language(language)
        if not scripts or (text.isascii() and "LATIN" in scripts):
            continue
        counts = letters_by_script(text)
        if sum(counts[script] for script in scripts) < options.min_share * counts.total():
            return True
    return False


def _language(options: LanguageFilterOptions, languages: Languages, *sides: str) -> bool:
    return any(
        is_other_language(text, language, options.min_confidence)
        for language, text in zip(languages, sides, strict=True)
    )


def _numbers(options: NumbersFilterOptions, _: Languages, source: str, target: str) -> bool:
    return _shared(numbers(source), numbers(target)) < options.min_share


def _urls(_: UrlsFilterOptions, __: Languages, source: str, target: str) -> bool:
    return urls(source) != urls(target)


def _letters(options: LettersFilterOptions, _: Languages, *sides: str) -> bool:
    return min(map(share_of_letters, sides)) < options.min_share


def _repetition(options: RepetitionFilterOptions, _: Languages, *sides: str) -> bool:
    return max(map(longest_run, sides)) > options.max


def _html(_: HtmlFilterOptions, __: Languages, *sides: str) -> bool:
    return any(map(has_html, sides))


def _placeholders(_: PlaceholdersFilterOptions, __: Languages, source: str, target: str) -> bool:
    return bool(differing_placeholders(source, target))


FILTERS: dict[str, Callable[..., bool]] = {
    "length": _length,
    "ratio": _ratio,
    "copies": _copies,
    "script": _script,
    "language": _language,
    "numbers": _numbers,
    "urls": _urls,
    "letters": _letters,
    "repetition": _repetition,
    "html": _html,
    "placeholders": _placeholders,
}  # all but duplicates
