"""Scripts: which writing systems a text uses, and which its language is written in."""

import functools
import re
import unicodedata
from collections import Counter

# scripts whose Unicode names differ from those of babel
UNICODE_NAMES = {"Bangla": "BENGALI", "Odia": "ORIYA", "Ethiopic": "ETHIOPIC", "N’Ko": "NKO"}
KINDS = {"L": "other letters", "M": "other letters", "N": "digits", "P": "punctuation", "Z": "spaces"}
WIDTHS = {"FULLWIDTH", "HALFWIDTH", "SUPERSCRIPT", "SUBSCRIPT"}  # before the script in a character's name
OF_NO_SCRIPT = {"COMBINING", "VARIATION", "MODIFIER", "MATHEMATICAL", "MICRO", "FEMININE", "MASCULINE"}
COMPOSED = {  # scripts that ISO 15924 gives for a mixture of others
    "Jpan": {"CJK", "HIRAGANA", "KATAKANA"},
    "Kore": {"HANGUL", "CJK"},
    "Hans": {"CJK", "BOPOMOFO"},
    "Hant": {"CJK", "BOPOMOFO"},
}


@functools.lru_cache(maxsize=1 << 16)
def script_of(character: str) -> str:
    """Return the script of a letter or combining mark as Unicode names it: `LATIN`, `CYRILLIC`, `CJK`; else "".

    Marks that several scripts share have none.
    """
    if unicodedata.category(character)[0] not in "LM":
        return ""
    words = [word for word in re.split("[ -]", unicodedata.name(character, "")) if word not in WIDTHS]
    script = words[0] if words else ""
    return "" if script in OF_NO_SCRIPT else "CJK" if script == "IDEOGRAPHIC" else script


def kind_of(character: str) -> str:
    """Return the script of a letter, capitalized, or `digits`, `punctuation`, `spaces` or `symbols`, emoji included."""
    script = script_of(character)
    category = unicodedata.category(character)[0]
    return (script if script == "CJK" else script.capitalize()) or KINDS.get(category, "symbols")


def letters_by_script(text: str) -> Counter[str]:
    """Count the letters of a text by script."""
    if text.isascii():
        letters = sum(map(str.isalpha, text))
        return Counter({"LATIN": letters} if letters else {})
    counts = Counter(map(script_of, text))
    del counts[""]
    return counts


@functools.cache
def scripts_of_language(code: str) -> frozenset[str]:
    """Return the scripts that a language is written in, by the code's own script if it has one; empty if unknown.

    `de` gives `LATIN`, `sr` `CYRILLIC`, `sr-Latn` `LATIN`, `ja` `CJK`, `HIRAGANA` and `KATAKANA`.
    """
    from babel.core import Locale, get_global

    parts = code.replace("-", "_").split("_")
    given = next((part.title() for part in parts[1:] if len(part) == 4 and part.isalpha()), None)
    names = ("_".join(parts[:count]) for count in range(len(parts), 0, -1))
    likely = next((found for name in names if (found := get_global("likely_subtags").get(name))), None)
    script = given or (likely.split("_")[1] if likely else None)
    if script is None:
        return frozenset()
    if script in COMPOSED:
        return frozenset(COMPOSED[script])
    name = Locale("en").scripts.get(script, "")
    return frozenset({UNICODE_NAMES.get(name, name.upper().partition(" ")[0])} if name else set())
