"""Checkpoints: complete or ignored, verified when read."""

import json
from pathlib import Path

import pytest
import torch

from s2s.errors import ArtefactError
from s2s.training.checkpoint import (
    MODEL,
    OPTIMIZER,
    SCHEMA,
    STATE,
    Checkpoint,
    load_checkpoint,
    load_latest,
    prune_checkpoints,
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
    found = load_latest([tmp_path])
    assert found is not None
    assert found.state["train_state"]["update"] == 1.0
    (record,) = caplog.records
    assert "is damaged" in record.getMessage()
    assert "using the previous checkpoint" in record.getMessage()


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
        load_latest([tmp_path]) if latest else load_checkpoint(path)


def test_newer_schema_is_refused(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 1, checkpoint(1.0))
    manifest = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps(manifest | {"schema": SCHEMA + 1}))
    with pytest.raises(ArtefactError, match="is newer than this s2s reads"):
        load_checkpoint(path)


def test_nothing_is_pruned_if_the_last_checkpoint_is_damaged(tmp_path: Path) -> None:
    for update in (1, 2, 3):
        newest = save_checkpoint(tmp_path, update, checkpoint(update))
    (newest / MODEL).write_bytes(b"damaged")
    with pytest.raises(ArtefactError):
        prune_checkpoints(tmp_path, newest=1, kept={3})
    assert len(complete_checkpoints(tmp_path)) == 3
