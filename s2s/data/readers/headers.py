"""Headers of tables: find named columns, and recognize a header that would be read as a pair."""

from collections.abc import Collection, Iterable

from s2s.errors import UsageError, did_you_mean
from s2s.recipe.languages import is_language_code, primary_language
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

    Languages are recognized by their names in English and in `languages`.
    """
    one, other = cells
    return one.lower() != other.lower() and all(
        is_one_of(name, NAMES) or language_named(name, languages) for name in cells
    )


def is_one_of(name: str, known: Collection[str]) -> bool:
    """Return whether a column's name is one of these words, in any case."""
    return name.strip().lower().replace(" ", "_") in known


def language_named(name: str, languages: Iterable[str] = ()) -> str:
    """Return the language code of a column that is named after a language: `translation.de`, `de_AT`, `German`.

    Names of languages are recognized in English and in `languages`. Empty if it is not.
    """
    from babel.core import Locale, UnknownLocaleError

    name = name.strip().rpartition(".")[2]
    if is_language_code(name):
        return primary_language(name)
    for code in ["en", *(code.replace("-", "_") for code in languages if code)]:
        try:
            known = Locale.parse(code).languages
        except (UnknownLocaleError, ValueError):
            continue
        found = next((code for code, language in known.items() if language.lower() == name.lower()), "")
        if found:
            return primary_language(found)
    return ""
