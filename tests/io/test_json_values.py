import os
from dataclasses import dataclass

import pytest
from pydantic import ConfigDict

from s2s.errors import ArtefactError, UsageError
from s2s.io.json_values import format_json, parse_json, read_json, validate


@dataclass
class Record:
    __pydantic_config__ = ConfigDict(extra="forbid")
    name: str
    threads: int = 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"half":',
        b"\xff",
        b"NaN",
        b'{"a": -Infinity}',
        b"1e400",
        b"9" * 19,
        b"-" + b"9" * 19,
        b"1" * 5000,
        b"[" * 100_000,
        b"[" * 70 + b"]" * 70,
        b'["\\uD800"]',
    ],
    ids=lambda content: content[:12].decode(errors="replace"),
)
def test_damaged_json_is_refused(content):
    with pytest.raises(ArtefactError, match="record is damaged"):
        parse_json(content, "record")


def test_values_at_the_bounds_are_read():
    assert parse_json(b"[9223372036854775807, -9223372036854775808, 1e308]", "x") == [2**63 - 1, -(2**63), 1e308]
    assert parse_json(b"[" * 64 + b"]" * 64, "x")
    assert parse_json(rb'"\ud83d\ude00"', "x") == "😀"


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(ArtefactError, match="not a regular file"):
            read_json(path)
    with pytest.raises(UsageError, match="cannot read"):
        read_json(tmp_path / "missing")


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (
            {"name": "A", "threads": "X"},
            "threads: input should be a valid integer, unable to parse string as an integer",
        ),
        ({}, "name: field required"),
        ({"name": "A", "more": 1}, "more: unexpected keyword argument"),
        (None, "input should be a dictionary or an instance of Record"),
    ],
)
def test_faults_name_the_key(values, fault):
    with pytest.raises(ArtefactError) as caught:
        validate(Record, values, "record of A")
    assert caught.value.message == f"record of A is damaged: {fault}"


def test_numbers_that_are_not_finite_become_null():
    assert (
        format_json({"a": float("nan"), "b": [1.5, float("inf")], "c": ("é",)})
        == '{"a": null, "b": [1.5, null], "c": ["é"]}'
    )
