"""Read and format JSON: whatever a stored file holds, the result is a value of the expected type or an ArtefactError.

Numbers that no stored file needs (integers beyond 64 bits, NaN, infinity), deep nesting and huge files are refused
here, so that no reader has to expect them.
"""

import json
import math
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from s2s.errors import ArtefactError, wrap_os_errors

if TYPE_CHECKING:
    from pydantic import ValidationError

MAX_BYTES = 2**28
MAX_DEPTH = 64
MAX_INTEGER = 2**63
T = TypeVar("T")


def read_json(path: Path, where: str | None = None) -> Any:
    """Read a JSON file; errors name `where`, by default the path.

    Raises: ArtefactError if it is not a regular file of JSON, UsageError if it is missing, ResourceError if it cannot
    be read.
    """
    where = where or str(path)
    return parse_json(read_regular(path, where), where)


def read_regular(path: Path, where: str) -> bytes:
    """Return the content of a regular file, without waiting for the writer of a pipe.

    Raises: ArtefactError if it is something else or larger than 256 MiB; see `read_json`.
    """
    with wrap_os_errors(path, "read"):
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise ArtefactError(f"{where} is damaged: not a regular file")
            if status.st_size > MAX_BYTES:
                raise ArtefactError(f"{where} is damaged: larger than {MAX_BYTES >> 20} MiB")
            with open(handle, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(handle)


def parse_json(content: bytes, where: str) -> Any:
    """Parse JSON. Raises ArtefactError if it is not JSON, or has numbers or nesting that no stored file has."""
    try:
        value = json.loads(content, parse_int=_integer, parse_float=_float, parse_constant=_constant)
    except RecursionError as error:
        raise ArtefactError(f"{where} is damaged: nested too deeply") from error
    except ValueError as error:  # of JSON, of UTF-8 or of a number
        raise ArtefactError(f"{where} is damaged: not JSON ({error})") from error
    if _is_deeper(value, MAX_DEPTH):
        raise ArtefactError(f"{where} is damaged: nested too deeply")
    if b"\\ud" in content.lower():
        _check_surrogates(value, where)
    return value


def validate(kind: type[T], values: Any, where: str, hint: str | None = None) -> T:
    """Return JSON values as a dataclass or pydantic model. Raises ArtefactError naming `where` and the first fault."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        raise ArtefactError(f"{where} is damaged: {first_fault(error)}", hint) from error


def format_json(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON, with null for numbers that are not finite."""
    try:
        return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_with_nulls(value), indent=indent, ensure_ascii=False, allow_nan=False)


def first_fault(error: "ValidationError") -> str:
    """Return the first fault that pydantic found, with its key: `files: input should be a valid dictionary`."""
    fault = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(map(str, fault["loc"]))
    return f"{key}: {uncapitalized(fault['msg'])}" if key else uncapitalized(fault["msg"])


def uncapitalized(message: str) -> str:
    """Return pydantic's message as the end of a sentence."""
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _check_surrogates(value: Any, where: str) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ArtefactError(f"{where} is damaged: half of a surrogate pair") from error


def _with_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_nulls(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_nulls(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _integer(text: str) -> int:
    number = int(text) if len(text) <= 20 else MAX_INTEGER
    if not -MAX_INTEGER <= number < MAX_INTEGER:
        raise ValueError("an integer of more than 64 bits")
    return number


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number too large")
    return number


def _constant(text: str) -> float:
    raise ValueError(text)


def _is_deeper(value: Any, depth: int) -> bool:
    """Return whether lists and objects are nested more than `depth` deep."""
    level = [value]
    for _ in range(depth + 1):
        level = [
            child
            for parent in level
            if isinstance(parent, list | dict)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return False
    return True
