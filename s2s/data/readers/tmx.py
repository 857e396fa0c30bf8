"""Reader of TMX files: translation units, each with a text per language (TMX 1.4b).

Files are parsed by expat, on which `xml.etree` is built: unit by unit, with line numbers. Entities that a file declares
are refused, and nothing outside the file is read.
"""

import functools
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO
from xml.parsers import expat

from s2s.data.readers.files import data_path, open_data_file
from s2s.data.readers.messages import log_once
from s2s.data.readers.pair import OnInvalid, Pair, drop_invalid
from s2s.errors import DataError, UsageError
from s2s.io.inputs import read_lines
from s2s.recipe.kinds import TmxDataOptions
from s2s.recipe.languages import primary_language
from s2s.recipe.splits import TableSplitOptions
from s2s.text.lines import Texts, single_line

CODES = {"bpt", "ept", "it", "ph", "ut"}  # elements inside a text that hold formatting codes
MAX_MARKUP = 2**22  # bytes of a tag or comment
MAX_UNIT = 2**22  # characters of a unit's languages and texts
CHUNK = 2**16  # bytes


@dataclass(slots=True)
class Unit:
    """A translation unit."""

    line: int  # where it starts
    texts: dict[str, str] = field(default_factory=dict)  # by language code; the first of each
    entity: str = ""  # one that is not known; empty if there is none


def read_tmx(data: TmxDataOptions, split: TableSplitOptions, invalid: OnInvalid) -> Iterator[Pair]:
    """Yield the pairs of TMX files, one per unit that has both languages, without formatting codes.

    `en` takes a text of `en`, else of `en-GB` or another region; `en-GB` takes one of `en-GB`, else of `en`.
    Raises: DataError if a file is not TMX, UsageError if none of its units has both languages.
    """
    for name in split.files:
        path = data_path(data, name)
        count, lacking, languages = 0, 0, Counter[str]()
        with open_data_file(data, name) as file:
            for unit in read_units(file, path):
                count += 1
                languages.update([*unit.texts])
                codes = _codes((data.source_column, data.target_column), tuple(unit.texts))
                if codes is None:
                    lacking += 1
                    continue
                read = functools.partial(_texts, unit, codes, f"{path}:{unit.line}")
                texts = drop_invalid(read, data, f"{name}:{unit.line}", invalid)
                if texts is not None:
                    yield Pair(*texts, unit.line, name)
        both = f"both {data.source_column} and {data.target_column}"
        if lacking and lacking == count:
            known = ", ".join(code for code, _ in languages.most_common(20))
            hint = f"its languages: {known} (data.source_column, data.target_column)"
            raise UsageError(f"{path}: no unit has {both}", hint)
        if lacking:
            log_once(logging.WARNING, f"{path}: {lacking:,} of {count:,} units do not have {both}")


def read_units(file: BinaryIO, path: str) -> Iterator[Unit]:
    """Yield the units of a TMX file. Memory: a chunk of it.

    Raises: DataError naming the line if it is not TMX, declares entities or is not well-formed.
    """
    handler = _Handler(path)
    chunk: list[bytes] = []
    size = 0
    for line in read_lines(file, path):
        chunk.append(line)
        size += len(line) + 1
        if size > CHUNK:
            yield from handler.feed(b"\n".join([*chunk, b""]))
            chunk, size = [], 0
    yield from handler.feed(b"\n".join(chunk), final=True)


class _Handler:
    """Collects units from the events of expat."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._units: list[Unit] = []
        self._unit = Unit(0)
        self._size = 0  # characters of its languages and texts
        self._language = ""
        self._text: list[str] | None = None  # parts of a text, inside of one
        self._code_depth = 0  # open elements of formatting codes
        self._fed = 0  # bytes
        self._started = False
        parser = expat.ParserCreate("UTF-8")  # whatever the file declares: all input is UTF-8
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.SkippedEntityHandler = self._skipped_entity
        self._parser = parser

    def feed(self, chunk: bytes, *, final: bool = False) -> list[Unit]:
        """Parse the next bytes and return the units that they complete."""
        try:
            self._parser.Parse(chunk, final)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            raise DataError(
                f"{self._path}:{error.lineno}: not well-formed XML: {reason}, character {error.offset + 1}",
                "the file must be TMX in UTF-8",
            ) from error
        self._fed += len(chunk)
        if self._fed - self._parser.CurrentByteIndex > MAX_MARKUP:
            self._refuse(f"a tag or comment is longer than {MAX_MARKUP >> 20} MiB")
        units, self._units = self._units, []
        return units

    def _refuse(self, problem: str) -> None:
        raise DataError(f"{self._path}:{self._parser.CurrentLineNumber}: {problem}")

    def _doctype(self, name: str, system: str | None, public: str | None, has_internal_subset: bool) -> None:
        if has_internal_subset:
            self._refuse("the document type declares entities or elements of its own, which can do harm")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._started and name != "tmx":
            self._refuse(f"not TMX: its root is {name}")
        self._started = True
        if name == "tu":
            self._unit, self._size = Unit(self._parser.CurrentLineNumber), 0
        elif name == "tuv":
            self._language = attributes.get("xml:lang") or attributes.get("lang", "")
            self._grow(1 + len(self._language))
        elif name == "seg":
            self._text, self._code_depth = [], 0
        elif name in CODES:
            self._code_depth += 1

    def _end(self, name: str) -> None:
        if name == "tu":
            self._units.append(self._unit)
        elif name == "seg" and self._text is not None:
            self._unit.texts.setdefault(self._language, single_line("".join(self._text)))
            self._text = None
        elif name in CODES:
            self._code_depth -= 1

    def _characters(self, text: str) -> None:
        if self._text is not None and not self._code_depth:
            self._text.append(text)
            self._grow(len(text))

    def _grow(self, characters: int) -> None:
        self._size += characters
        if self._size > MAX_UNIT:
            self._refuse(f"a unit is longer than {MAX_UNIT:,} characters")

    def _skipped_entity(self, name: str, is_parameter: bool) -> None:
        self._unit.entity = name


def _texts(unit: Unit, codes: Texts, where: str) -> Texts:
    if unit.entity:
        raise DataError(f"{where}: unknown entity &{unit.entity};")
    return unit.texts[codes[0]], unit.texts[codes[1]]


@functools.lru_cache(maxsize=256)
def _codes(wanted: Texts, known: tuple[str, ...]) -> Texts | None:
    """Return the codes of a unit's source and target among those it has; None if it does not have both."""
    source, target = (_nearest(code, known) for code in wanted)
    return None if source is None or target is None or source == target else (source, target)


def _nearest(wanted: str, known: tuple[str, ...]) -> str | None:
    """Return the code that is `wanted`, else its first region, else the language without its region."""
    wanted = _canonical(wanted)
    codes = {_canonical(code): code for code in reversed(known)}
    region = next((code for code in reversed(codes) if code.startswith(f"{wanted}-")), wanted.partition("-")[0])
    return codes.get(wanted, codes.get(region))


def _canonical(code: str) -> str:
    language, separator, rest = code.replace("_", "-").partition("-")
    return f"{primary_language(language)}{separator}{rest.lower()}"
