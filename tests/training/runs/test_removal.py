"""Removing runs: what is refused, and what is left when a removal fails."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from s2s.errors import ArtefactError, ResourceError, UsageError
from s2s.io.locks import exclusive_lock
from s2s.io.paths import directory_size
from s2s.training.runs.record import RunRecord, run_directories, runs_directory
from s2s.training.runs.removal import remove_run

OPEN = RunRecord("ab" * 32, "words", "cd" * 32, "cpu", "fp32", 2, "2026-01-02T03:04:05+00:00")
FINISHED = replace(OPEN, published="words:1")


def made(directory: Path, record: RunRecord) -> Path:
    record.write(directory)
    (directory / "checkpoints" / "00000012").mkdir(parents=True)
    (directory / "checkpoints" / "00000012" / "manifest.json").write_bytes(bytes(1000))
    (directory / "metrics.jsonl").write_text('{"kind": "validation", "update": 12}\n')
    return directory


def test_a_finished_run_goes_with_all_its_files(own_home: Path) -> None:
    directory = made(runs_directory() / "words-ab", FINISHED)
    other = made(runs_directory() / "words-cd", OPEN)
    size = directory_size(directory)
    assert size > 1000
    found, freed = remove_run("words-ab")
    assert found == directory
    assert size <= freed <= size + 20  # the lock names this process meanwhile
    assert run_directories() == [other]


def test_an_unfinished_run_goes_by_force_alone(own_home: Path) -> None:
    directory = made(runs_directory() / "words-ab", OPEN)
    with pytest.raises(
        UsageError, match="not finished: 12 updates of training and 1 checkpoint would be lost"
    ) as refused:
        remove_run("words-ab")
    assert "s2s resume words-ab" in (refused.value.hint or "")
    assert (directory / "run.json").exists()
    remove_run("words-ab", force=True)
    assert not directory.exists()


@pytest.mark.parametrize("force", [False, True])
def test_a_run_that_is_being_trained_stays(force: bool, own_home: Path) -> None:
    directory = made(runs_directory() / "words-ab", FINISHED)
    with (
        exclusive_lock(directory / "lock", "at work"),
        pytest.raises(ResourceError, match=r"process .* is training run words"),
    ):
        remove_run("words-ab", force=force)
    assert (directory / "run.json").exists()


def test_what_an_interrupted_removal_leaves_is_no_run_and_can_be_removed(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = made(runs_directory() / "words-ab", FINISHED)

    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            remove_run("words-ab")
    assert directory.exists()
    assert not (directory / "run.json").exists()
    with pytest.raises(UsageError) as refused:
        remove_run("words-ab")
    assert "s2s runs rm words-ab --force" in (refused.value.hint or "")
    remove_run("words-ab", force=True)
    assert not directory.exists()


def test_a_damaged_directory_elsewhere_may_be_anything_and_stays(own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ArtefactError):
        remove_run(str(tmp_path), force=True)
    assert (tmp_path / "run.json").exists()


@pytest.mark.parametrize("name", ["..", ".", "", "words-ab/checkpoints", "words"])
def test_what_is_no_run_stays(name: str, own_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    directory = made(runs_directory() / "words-ab", FINISHED)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no such run"):
        remove_run(name, force=True)
    assert (directory / "run.json").exists()


def test_a_run_behind_a_link_goes_with_the_link(own_home: Path, tmp_path: Path) -> None:
    target = made(tmp_path / "large disk" / "words-ab", FINISHED)
    runs_directory().mkdir()
    (runs_directory() / "words-ab").symlink_to(target)
    remove_run("words-ab")
    assert not target.exists()
    assert not (runs_directory() / "words-ab").is_symlink()
