"""What is known of runs from their directories."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from s2s.errors import ArtefactError, UsageError
from s2s.recipe.load import parse_recipe
from s2s.training.runs.record import (
    RunRecord,
    find_run,
    number,
    read_metrics,
    read_run,
    run_directories,
    runs_directory,
    series,
)

RECORD = RunRecord("ab" * 32, "words", "cd" * 32, "cpu", "fp32", 2, "2026-01-02T03:04:05+00:00")
HOLD = """
import sys
from pathlib import Path
from s2s.io.locks import exclusive_lock
with exclusive_lock(Path(sys.argv[1]), "at work"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def directory(own_home: Path) -> Path:
    """A run's directory that holds its record alone."""
    path = runs_directory() / "words-abababab"
    RECORD.write(path)
    return path


@pytest.fixture
def trainer(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that trains the run, as far as others can see."""
    command = [sys.executable, "-c", HOLD, str(directory / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def recorded(directory: Path, *lines: dict[str, object]) -> Path:
    path = directory / "metrics.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def trained(update: int, loss: object, **more: object) -> dict[str, object]:
    return {"kind": "training", "update": update, "loss": loss} | more


def validated(update: int, loss: float, **more: object) -> dict[str, object]:
    return {"kind": "validation", "update": update, "loss": loss} | more


def test_a_run_that_was_trained_is_read(trained_home: Path) -> None:
    (directory,) = (path for path in run_directories() if path.name.startswith("numbers-attention-"))
    run = read_run(directory)
    assert (run.name, run.state, run.process) == (directory.name, "finished", None)
    assert run.record.published == "numbers-attention:1"
    assert run.updates == 12
    assert [line["update"] for line in run.metrics.validation] == [4, 8, 12]
    assert run.metrics.best is not None
    assert run.metrics.best["update"] in run.checkpoints
    assert run.recipe().training.stop_after == "12 updates"


def test_a_run_that_has_recorded_nothing_is_unfinished(directory: Path) -> None:
    run = read_run(directory)
    assert (run.state, run.updates, run.done, run.checkpoints) == ("unfinished", 0, None, [])
    assert (run.metrics.training, run.metrics.validation, run.metrics.best) == ([], [], None)


def test_a_run_is_being_trained_as_long_as_its_process_lives(directory: Path, trainer: subprocess.Popen[str]) -> None:
    run = read_run(directory)
    assert (run.state, run.process) == ("training", str(trainer.pid))
    trainer.kill()
    trainer.wait()
    assert read_run(directory).state == "unfinished"


def test_lines_that_cannot_be_read_or_are_of_no_use_are_passed_over(directory: Path) -> None:
    path = recorded(
        directory, trained(50, 3.5, done=0.25, new="key"), validated(60, 3.0), {"kind": "training", "loss": 1}
    )
    useless = b'{"kind": "rollback", "update": 5}\n[1]\n7\n\n\xff\xfe\n{"kind": ["training"], "update": 9}\n'
    half = b'{"kind": "training", "update": 100, "lo'
    path.write_bytes(path.read_bytes() + useless + half)
    metrics = read_metrics(path)
    assert metrics.training == [trained(50, 3.5, done=0.25, new="key")]
    assert metrics.validation == [validated(60, 3.0)]
    assert metrics.updates == 60


def test_what_a_resumed_run_records_takes_the_place_of_what_it_had_recorded(directory: Path) -> None:
    lines = [trained(50, 5.0), validated(60, 4.5, better=True), trained(100, 4.0), validated(120, 3.9, better=True)]
    again = [trained(100, 4.1, done=0.5), validated(120, 3.8, better=False)]
    path = recorded(directory, *lines, trained(150, 3.5), trained(200, 3.3), *again)
    metrics = read_metrics(path)
    assert series(metrics.training, "loss") == [(50, 5.0), (100, 4.1)]
    assert series(metrics.validation, "loss") == [(60, 4.5), (120, 3.8)]
    assert metrics.best == validated(60, 4.5, better=True)
    assert metrics.updates == 120
    assert read_run(directory).done == 0.5


def test_figures_that_are_missing_or_not_finite_are_none(directory: Path) -> None:
    path = recorded(directory, trained(1, float("nan")), trained(2, float("inf")), trained(3, None), trained(4, 2))
    lines = read_metrics(path).training
    assert series(lines, "loss") == [(4, 2.0)]
    assert series(lines, "bleu") == []
    assert [number({"x": value}, "x") for value in ("1", True, float("inf"), 0)] == [None, None, None, 0.0]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema": "one"}', '{"schema": 99}'])
def test_a_damaged_record_is_told(content: str, directory: Path) -> None:
    (directory / "run.json").write_text(content)
    with pytest.raises(ArtefactError):
        read_run(directory)


def test_half_made_directories_are_among_the_directories_and_no_runs(directory: Path) -> None:
    half = runs_directory() / "half"
    half.mkdir()
    (runs_directory() / "a file").touch()
    assert run_directories() == [half, directory]
    with pytest.raises(ArtefactError, match=r"half is damaged: it has no run\.json"):
        read_run(half)
    with pytest.raises(UsageError):
        find_run("half")


def test_there_are_no_directories_before_the_first_run(own_home: Path) -> None:
    assert run_directories() == []


def test_a_damaged_recipe_is_told_as_damage_of_the_run(directory: Path) -> None:
    with pytest.raises(ArtefactError, match="run words-abababab is damaged"):
        read_run(directory).recipe()


def test_a_run_elsewhere_is_found_by_its_path(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.move(directory, tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    assert find_run(".") == tmp_path / "moved"
    assert read_run(find_run(".")).name == "moved"


def test_the_frozen_record_is_read_and_written_unchanged(tmp_path: Path) -> None:
    frozen = Path(__file__).parent / "frozen" / "run-2.json"
    shutil.copy(frozen, tmp_path / "run.json")
    record = RunRecord.read(tmp_path)
    assert (record.name, record.published, record.parent) == ("numbers-tuned", "numbers-tuned:1", "numbers-attention:3")
    assert (record.device, record.precision, record.threads, record.processes) == ("cpu", "fp32", 2, 2)
    assert (record.micro_batch_tokens, record.deterministic, record.code) == (200, True, 2)
    assert (record.versions["s2s"], record.features) == ("0.1.0", ["avx2", "avx512f"])
    assert record.changes == ["training.lr: 0.01 → 0.015"]
    assert record.tokenizer.startswith("07b8f9ad")
    assert parse_recipe(record.recipe, "frozen").training.stop_after == "12 updates"
    record.write(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text()) == json.loads(frozen.read_text())


def test_missing_fields_are_empty(tmp_path: Path) -> None:
    first = ["key", "name", "corpus", "device", "precision", "threads", "created", "published", "schema"]
    frozen = json.loads((Path(__file__).parent / "frozen" / "run-2.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({name: frozen[name] for name in first}))
    record = RunRecord.read(tmp_path)
    assert (record.recipe, record.processes, record.micro_batch_tokens, record.parent) == ({}, 1, 0, None)
    assert (record.code, record.versions, record.changes) == (0, {}, [])
