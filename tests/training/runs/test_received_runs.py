"""Runs of others: links in them are not followed, and damaged records are refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s2s.cli.app import main
from s2s.errors import ArtefactError
from s2s.training.runs.record import RunRecord, runs_directory


@pytest.fixture
def received(trained_home: Path) -> Path:
    """The directory of a run that is not published yet."""
    (directory,) = runs_directory().glob("numbers-attention-*")
    record = json.loads((directory / "run.json").read_text())
    (directory / "run.json").write_text(json.dumps(record | {"published": None}))
    return directory


@pytest.fixture
def precious(tmp_path: Path) -> Iterator[Path]:
    """A directory of somebody else, which must not change."""
    directory = tmp_path / "precious"
    (directory / "00000099").mkdir(parents=True)
    for name in ("thesis.tex", "manifest.json", "model.safetensors", "00000099/manifest.json"):
        (directory / name).write_text("keep")
    before = {path: path.read_text() for path in directory.rglob("*") if path.is_file()}
    yield directory
    assert {path: path.read_text() for path in directory.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("lock", "thesis.tex"),
        ("log.txt", "thesis.tex"),
        ("metrics.jsonl", "thesis.tex"),
        ("run.json", "thesis.tex"),
        ("published", "."),
        ("checkpoints", "."),
        ("stopped", "."),
        ("stopped/00000099", "."),
        ("checkpoints/.state.json.tmp", "thesis.tex"),
    ],
)
def test_links_are_not_followed(received: Path, precious: Path, name: str, target: str) -> None:
    link = received / name
    if link.is_dir():
        link.rename(received.parent / "moved")
    link.unlink(missing_ok=True)
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(precious / target)
    assert main(["resume", received.name]) == 4
    assert main(["runs", "rm", received.name, "--force"]) == (5 if name == "lock" else 0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("threads", "x"),
        ("threads", 0),
        ("features", [1]),
        ("features", "avx2"),
        ("micro_batch_tokens", -1),
        ("key", None),
        ("schema", "2"),
        ("schema", []),
        ("recipe", []),
        ("unknown", 1),
        ("precision", "int3"),
    ],
)
def test_damaged_records_are_refused(received: Path, key: str, value: Any) -> None:
    record = json.loads((received / "run.json").read_text())
    (received / "run.json").write_text(json.dumps(record | {key: value}))
    with pytest.raises(ArtefactError, match=f"run {received.name} is damaged: {key}"):
        RunRecord.read(received)


def test_a_damaged_run_does_not_stop_others(received: Path, tiny: list[str], said: list[str]) -> None:
    (received / "run.json").write_text("[" * 1000)
    settings = [part for setting in tiny for part in ("--set", setting)]
    assert main(["train", "numbers/attention", *settings]) == 0
    assert "numbers-attention:1 is this recipe" in said[-1]
    assert main(["runs", "list"]) == 4
