"""Reader of PO files, the catalogs of gettext, through `polib`."""

import functools
import gettext
import logging
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

from s2s.data.readers.files import data_path, open_data_file
from s2s.data.readers.messages import log_once
from s2s.data.readers.pair import OnInvalid, Pair, drop_invalid
from s2s.errors import DataError
from s2s.io.inputs import open_input, read_lines
from s2s.recipe.kinds import PoDataOptions
from s2s.recipe.languages import is_language_code, primary_language
from s2s.recipe.splits import TableSplitOptions
from s2s.text.lines import Texts, decode_line, single_line

MAX_BYTES = 2**26
PLURAL = 5  # number whose form stands for the plural: a common one in languages with several


def read_po(data: PoDataOptions, split: TableSplitOptions, invalid: OnInvalid) -> Iterator[Pair]:
    """Yield the pairs of PO files: the entries that are translated, and neither fuzzy nor obsolete.

    An entry with plural forms gives two pairs: the singular with the form of 1 and the plural with that of 5.
    Raises: DataError naming the line of what is not an entry.
    """
    for name in split.files:
        path = data_path(data, name)
        with open_data_file(data, name) as file:
            catalog = read_catalog(file, path)
        forms = _forms(catalog.metadata.get("Plural-Forms", ""))
        skipped = Counter[str]()
        for entry in catalog:
            line = max(1, entry.linenum)
            texts = _translations(entry, forms)
            if reason := _reason_to_skip(entry, texts):
                skipped[reason] += 1
                continue
            for pair in texts:
                read = functools.partial(_texts, pair, f"{path}:{line}", data)
                checked = drop_invalid(read, data, f"{name}:{line}", invalid)
                if checked is not None:
                    yield Pair(*checked, line, name)
        if skipped:
            counts = ", ".join(f"{count:,} {reason}" for reason, count in skipped.items())
            log_once(logging.INFO, f"{path}: entries left out: {counts}")


def read_catalog(file: BinaryIO, path: str) -> Any:
    """Return the `polib.POFile` of a file; bytes that are not UTF-8 are surrogates.

    Raises: DataError if it is too large or not a PO file.
    """
    import polib

    lines, size = [], 0
    for line in read_lines(file, path):
        lines.append(line.decode(errors="surrogateescape"))
        size += len(line) + 1
        if size > MAX_BYTES:
            raise DataError(f"{path} is larger than {MAX_BYTES >> 20} MiB", "split the catalog")
    try:
        return polib.pofile(_Content("\n".join([*lines, ""])), encoding="utf-8")
    except OSError as error:
        place = re.search(r"\(line (\d+)\)", str(error))
        reason = str(error).partition("): ")[2] or "not part of an entry"
        raise DataError(f"{path}{f':{place[1]}' if place else ''}: not a PO file: {reason}") from error


def catalog_language(path: str) -> str:
    """Return the language code in the header of a PO file; empty if it has none. Raises: see read_catalog."""
    with open_input(path) as file:
        code = read_catalog(file, path).metadata.get("Language", "")
    return primary_language(code) if is_language_code(code) else ""


class _Content(str):
    """Text that polib splits as files are: at line feeds only."""

    def splitlines(self, keepends: bool = False) -> list[str]:
        return self.split("\n")


def _forms(header: str) -> tuple[int, int]:
    """Return the plural forms of 1 and of PLURAL, by the header's expression, else as in Germanic languages."""
    found = re.search(r"plural\s*=\s*([^;]+)", header)
    try:
        form = gettext.c2py(found[1].strip() if found else "n != 1")
        return form(1), form(PLURAL)
    except (ValueError, ZeroDivisionError):  # not an expression; n % 0
        return 0, 1


def _translations(entry: Any, forms: tuple[int, int]) -> list[Texts]:
    """Return an entry's messages with their translations, without those that have none."""
    pairs = [(entry.msgid, entry.msgstr)]
    if entry.msgid_plural:
        messages = entry.msgid, entry.msgid_plural
        pairs = [(text, entry.msgstr_plural.get(form, "")) for text, form in zip(messages, forms, strict=True)]
    return [pair for pair in pairs if all(pair)]


def _reason_to_skip(entry: Any, pairs: list[Texts]) -> str:
    """Return why an entry is left out; empty if it is not."""
    return "obsolete" if entry.obsolete else "fuzzy" if entry.fuzzy else "" if pairs else "untranslated"


def _texts(pair: Texts, where: str, data: PoDataOptions) -> Texts:
    """Return source and target as single lines. Raises DataError naming `where` for invalid UTF-8."""
    for text in pair:
        decode_line(text.encode(errors="surrogateescape"), where, "refuse")
    message, translation = map(single_line, pair)
    return (message, translation) if data.source_column == "msgid" else (translation, message)
