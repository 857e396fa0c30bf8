"""Headers of tables: find named columns, and recognize a header that would be read as a pair."""

from collections.abc import Iterable

from s2s.errors import UsageError, did_you_mean
from s2s.recipe.data import is_language_code
from s2s.text.lines import Texts

SOURCE_NAMES = ("source", "src", "source_text", "input", "original", "from")
TARGET_NAMES = ("target", "tgt", "trg", "target_text", "translation", "output", "reference", "ref", "to")
NAMES = {*SOURCE_NAMES, *TARGET_NAMES, "text", "sentence", "label", "sentence1", "sentence2"}


def find_column(header: list[str], name: str, path: str) -> int:
    """Return the number, from 1, of the column of that name. Raises UsageError if there is not exactly one."""
    names = [cell.strip() for cell in header]
    if names.count(name) == 1:
        return names.index(name) + 1
    if name in names:
        raise UsageError(f"{path}: several columns are named {name}", "rename all but one in the first row")
    known = did_you_mean(name, names) or f"its first row: {', '.join(names)}"
    raise UsageError(f"{path} has no column {name}", f"{known} (data.source_column, data.target_column)")


def looks_like_header(cells: Texts, languages: Iterable[str]) -> bool:
    """Return whether two cells of a first row are names of columns: typical words, language codes or languages.

    Names of languages are recognized in English and in `languages`.
    """
    one, other = (cell.strip().lower() for cell in cells)
    return one != other and all(
        name.replace(" ", "_") in NAMES or is_language_code(name) or _is_language(name, languages)
        for name in (one, other)
    )


def _is_language(name: str, languages: Iterable[str]) -> bool:
    from babel.core import Locale, UnknownLocaleError

    for code in {"en", *(code.replace("-", "_") for code in languages if code)}:
        try:
            names = Locale.parse(code).languages.values()
        except (UnknownLocaleError, ValueError):
            continue
        if name in {known.lower() for known in names}:
            return True
    return False
