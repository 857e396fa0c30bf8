"""What the names of data files tell: the kind of data, the languages, a name for a model."""

import re
from itertools import takewhile
from pathlib import PurePath

from s2s.io.compression import without_suffix
from s2s.recipe.languages import is_language_code, primary_language
from s2s.recipe.recipe import is_name
from s2s.text.lines import Texts

TABLES = ("tsv", "csv", "jsonl", "parquet", "tmx", "po")  # kinds of data, and how their files' names end
# a language with its script or region, as in pt_BR, or whatever stands between two separators
PART = re.compile(r"[a-z]{2,3}(?:[-_][A-Z][a-z]{3})?(?:[-_](?:[A-Z]{2}|[0-9]{3}))?(?![^._-])|[^._-]+")


def kind_of_file(name: str) -> str:
    """Return the kind of data of a table by its file's name: `pairs.csv.gz` -> `csv`; empty if it is none."""
    suffix = PurePath(without_suffix(name)).suffix.lower().removeprefix(".")
    return suffix if suffix in TABLES else ""


def table_stem(name: str) -> str:
    """Return the name of a table without what tells its kind: `pairs.csv.gz` -> `pairs`."""
    return PurePath(without_suffix(name)).stem


def languages_of_files(source: str, target: str) -> Texts:
    """Return the languages that file names tell: `train.pt_BR.gz`, `train.EN.gz` -> `pt`, `en`; empty if unknown.

    They are the last parts in which the names differ and that are language codes.
    """
    for one, other in zip(*map(reversed, (_parts(source), _parts(target))), strict=False):
        if one != other and is_language_code(one) and is_language_code(other):
            return primary_language(one), primary_language(other)
    return "", ""


def language_of_file(name: str) -> str:
    """Return the language that a file name ends with: `test.pt_BR.gz` -> `pt_BR`; empty if it ends with none."""
    suffix = PurePath(without_suffix(name)).suffix.removeprefix(".")
    return suffix if is_language_code(suffix) else ""


def model_name(source: str, target: str, languages: Texts) -> str:
    """Suggest a model name from the common beginning of file names: `train.de`, `train.en` -> `train-de-en`.

    For a table, both names are its own without the suffix.
    """
    alike = takewhile(lambda both: both[0] == both[1], zip(_parts(source), _parts(target), strict=False))
    common = [part.lower() for part, _ in alike]
    name = "-".join([*common, *(code for code in languages if code and code not in common)])[:64]
    return name if is_name(name) else "my-model"


def _parts(name: str) -> list[str]:
    return PART.findall(without_suffix(name))
