"""Removing runs: what is refused, and what is left when a removal fails."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from s2s.errors import ArtefactError, ResourceError, UsageError
from s2s.io.locks import only_writer
from s2s.training.runs.record import RunRecord, run_folders, runs_folder
from s2s.training.runs.removal import remove_run, size_of

OPEN = RunRecord("ab" * 32, "words", "cd" * 32, "cpu", "fp32", 2, "2026-01-02T03:04:05+00:00")
FINISHED = replace(OPEN, published="words:1")


def made(folder: Path, record: RunRecord) -> Path:
    record.write(folder)
    (folder / "checkpoints" / "00000012").mkdir(parents=True)
    (folder / "checkpoints" / "00000012" / "manifest.json").write_bytes(bytes(1000))
    (folder / "metrics.jsonl").write_text('{"kind": "validation", "update": 12}\n')
    return folder


def test_a_finished_run_goes_with_all_its_files(own_home: Path) -> None:
    folder = made(runs_folder() / "words-ab", FINISHED)
    other = made(runs_folder() / "words-cd", OPEN)
    size = size_of(folder)
    assert size > 1000
    found, freed = remove_run("words-ab")
    assert found == folder
    assert size <= freed <= size + 20  # the lock names this process meanwhile
    assert run_folders() == [other]


def test_an_unfinished_run_goes_by_force_alone(own_home: Path) -> None:
    folder = made(runs_folder() / "words-ab", OPEN)
    with pytest.raises(
        UsageError, match="not finished: 12 updates of training and 1 checkpoint would be lost"
    ) as refused:
        remove_run("words-ab")
    assert "s2s resume words-ab" in (refused.value.hint or "")
    assert (folder / "run.json").exists()
    remove_run("words-ab", force=True)
    assert not folder.exists()


@pytest.mark.parametrize("force", [False, True])
def test_a_run_that_is_being_trained_stays(force: bool, own_home: Path) -> None:
    folder = made(runs_folder() / "words-ab", FINISHED)
    with (
        only_writer(folder / "lock", "at work"),
        pytest.raises(ResourceError, match=r"process .* is training run words"),
    ):
        remove_run("words-ab", force=force)
    assert (folder / "run.json").exists()


def test_what_an_interrupted_removal_leaves_is_no_run_and_can_be_removed(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(runs_folder() / "words-ab", FINISHED)

    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            remove_run("words-ab")
    assert folder.exists()
    assert not (folder / "run.json").exists()
    with pytest.raises(UsageError) as refused:
        remove_run("words-ab")
    assert "s2s runs rm words-ab --force" in (refused.value.hint or "")
    remove_run("words-ab", force=True)
    assert not folder.exists()


def test_a_damaged_folder_elsewhere_may_be_anything_and_stays(own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ArtefactError):
        remove_run(str(tmp_path), force=True)
    assert (tmp_path / "run.json").exists()


@pytest.mark.parametrize("name", ["..", ".", "", "words-ab/checkpoints", "words"])
def test_what_is_no_run_stays(name: str, own_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = made(runs_folder() / "words-ab", FINISHED)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no such run"):
        remove_run(name, force=True)
    assert (folder / "run.json").exists()


def test_a_run_behind_a_link_goes_with_the_link(own_home: Path, tmp_path: Path) -> None:
    target = made(tmp_path / "large disk" / "words-ab", FINISHED)
    runs_folder().mkdir()
    (runs_folder() / "words-ab").symlink_to(target)
    remove_run("words-ab")
    assert not target.exists()
    assert not (runs_folder() / "words-ab").is_symlink()
