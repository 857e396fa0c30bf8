"""Checkpoints: complete or ignored, verified when read."""

import errno
import hashlib
import json
import shutil
import signal
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

import pytest
import torch
from safetensors.torch import save_file

from s2s.errors import ArtefactError, NewerError, ResourceError, S2SError, StoppedError
from s2s.training.checkpoint import (
    MODEL,
    OPTIMIZER,
    SCHEMA,
    STATE,
    Checkpoint,
    load_checkpoint,
    newest_intact,
    prune_checkpoints,
    remove_checkpoints,
    save_checkpoint,
)
from s2s.training.runs.record import MANIFEST, complete_checkpoints


def checkpoint(value: float) -> Checkpoint:
    return Checkpoint(
        {"w": torch.full((2, 3), value)}, {"w.step": torch.tensor(value)}, {"train_state": {"update": value}}
    )


def test_round_trip(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 7, checkpoint(1.5))
    found = load_checkpoint(path)
    assert torch.equal(found.model["w"], torch.full((2, 3), 1.5))
    assert torch.equal(found.optimizer["w.step"], torch.tensor(1.5))
    assert found.state == {"train_state": {"update": 1.5}}


@pytest.mark.parametrize("name", [MODEL, OPTIMIZER, STATE, MANIFEST])
def test_damaged_checkpoint_falls_back_to_the_previous_one(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    save_checkpoint(tmp_path, 1, checkpoint(1.0))
    newest = save_checkpoint(tmp_path, 2, checkpoint(2.0))
    content = bytearray((newest / name).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (newest / name).write_bytes(content)
    found = newest_intact([tmp_path])
    assert found is not None
    assert load_checkpoint(found).state["train_state"]["update"] == 1.0
    (record,) = caplog.records
    assert "is damaged" in record.getMessage()
    assert "set aside as 00000002.damaged" in record.getMessage()


def test_all_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    for update in (1, 2):
        (save_checkpoint(tmp_path, update, checkpoint(1.0)) / MODEL).write_bytes(b"damaged")
    for _ in range(2):  # also once they are set aside
        with pytest.raises(ArtefactError, match=r"all checkpoints.* are damaged: .*1\.damaged, .*2\.damaged"):
            newest_intact([tmp_path])


@pytest.mark.parametrize("manifest", ['{"schema": "x"}', '{"schema": 4, "files": {}}', "[[[", "[]", "{}"])
def test_strange_manifests_are_refused(tmp_path: Path, manifest: str) -> None:
    path = save_checkpoint(tmp_path, 1, checkpoint(1.0))
    (path / MANIFEST).write_text(manifest)
    with pytest.raises(ArtefactError, match="damaged"):
        load_checkpoint(path)


def test_copies_and_links_are_not_checkpoints(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "own", 1, checkpoint(1.0))
    elsewhere = save_checkpoint(tmp_path / "elsewhere", 2, checkpoint(2.0))
    shutil.copytree(path, tmp_path / "own" / "00000190.bak")
    (tmp_path / "own" / "00000002").symlink_to(elsewhere)
    assert newest_intact([tmp_path / "own"]) == path
    save_checkpoint(tmp_path / "own", 2, checkpoint(3.0))
    remove_checkpoints(tmp_path / "own")
    assert load_checkpoint(elsewhere).state["train_state"]["update"] == 2.0
    assert [left.name for left in (tmp_path / "own").iterdir()] == ["00000190.bak"]


def test_a_checkpoint_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(path: Path, tensors: dict[str, torch.Tensor]) -> None:
        path.parent.mkdir(exist_ok=True)
        save_file({name: value + 1 for name, value in tensors.items()}, path)

    monkeypatch.setattr("s2s.training.checkpoint.write_tensors", damaged)
    with pytest.raises(ResourceError, match="not stored as it was written"):
        save_checkpoint(tmp_path, 1, checkpoint(1.0))
    assert list(tmp_path.iterdir()) == []


def test_checkpoint_without_manifest_is_ignored(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, checkpoint(1.0))
    half = save_checkpoint(tmp_path, 2, checkpoint(2.0))
    (half / MANIFEST).unlink()
    assert [path.name for path in complete_checkpoints(tmp_path)] == ["00000001"]
    save_checkpoint(tmp_path, 2, checkpoint(3.0))
    assert load_checkpoint(half).state["train_state"]["update"] == 3.0


def test_pruning_keeps_the_newest_and_the_kept(tmp_path: Path) -> None:
    for update in (1, 2, 3, 4, 5):
        save_checkpoint(tmp_path, update, checkpoint(update))
    prune_checkpoints(tmp_path, newest=2, kept={2})
    assert [int(path.name) for path in complete_checkpoints(tmp_path)] == [2, 4, 5]


@pytest.mark.parametrize("latest", [False, True])
def test_older_schema_is_refused(tmp_path: Path, latest: bool) -> None:
    path = save_checkpoint(tmp_path, 1, checkpoint(1.0))
    manifest = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps(manifest | {"schema": SCHEMA - 1}))
    with pytest.raises(ArtefactError, match="older than this s2s reads; train anew"):
        newest_intact([tmp_path]) if latest else load_checkpoint(path)


@pytest.mark.parametrize("latest", [False, True])
def test_newer_schema_is_refused(tmp_path: Path, latest: bool) -> None:
    path = save_checkpoint(tmp_path, 1, checkpoint(1.0))
    manifest = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps(manifest | {"schema": SCHEMA + 1}))
    with pytest.raises(NewerError, match="is newer than this s2s reads"):
        newest_intact([tmp_path]) if latest else load_checkpoint(path)
    assert complete_checkpoints(tmp_path) == [path]


@pytest.mark.parametrize(
    ("fault", "damaged"),
    [
        (OSError(errno.EIO, ""), True),
        (OSError(errno.EMFILE, ""), False),
        (OSError(errno.EACCES, ""), False),
        (StoppedError(signal.SIGTERM), False),
    ],
    ids=["disk", "open files", "permission", "signal"],
)
def test_only_a_damaged_checkpoint_is_set_aside(
    tmp_path: Path, fault: BaseException, damaged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.file_digest

    def failing(file: BinaryIO, algorithm: str) -> object:
        if newest.name in file.name:
            raise fault
        return digest(file, algorithm)

    previous, newest = (save_checkpoint(tmp_path, update, checkpoint(update)) for update in (1, 2))
    monkeypatch.setattr(hashlib, "file_digest", failing)
    with nullcontext() if damaged else pytest.raises((S2SError, StoppedError)):
        assert newest_intact([tmp_path]) == previous
    assert complete_checkpoints(tmp_path) == [previous, newest][: 1 if damaged else 2]
