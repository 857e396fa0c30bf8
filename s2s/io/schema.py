"""Schema numbers of stored files: refuse what this version of s2s cannot read."""

from typing import Any

from s2s.errors import ArtefactError, NewerError, OutdatedError


def check_schema(values: Any, current: int, what: str, remedy: str = "train anew") -> None:
    """Raise if the schema number in `values` is not `current`.

    Values without a schema are left to the caller's own validation.

    Raises:
        OutdatedError: the file is older; `remedy` says what to do about it.
        NewerError: the file is newer.
        ArtefactError: its schema is not a number.
    """
    if not isinstance(values, dict) or "schema" not in values:
        return
    schema = values["schema"]
    if type(schema) is not int:
        raise ArtefactError(f"{what} is damaged: schema: not an integer")
    if schema < current:
        raise OutdatedError(f"{what}: older than this s2s reads; {remedy}")
    if schema > current:
        raise NewerError(f"{what}: schema {schema} is newer than this s2s reads ({current})", "use a newer s2s")
