"""Checkpoints: complete or not there, checked when read."""

from pathlib import Path

import pytest
import torch

from s2s.errors import ArtefactError
from s2s.training.checkpoint import (
    MODEL,
    OPTIMIZER,
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
        {"w": torch.full((2, 3), value)}, {"0.step": torch.tensor(value)}, {"position": {"update": value}}
    )


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 7, checkpoint(1.5))
    found = load_checkpoint(path)
    assert torch.equal(found.model["w"], torch.full((2, 3), 1.5))
    assert torch.equal(found.optimizer["0.step"], torch.tensor(1.5))
    assert found.state == {"position": {"update": 1.5}}


@pytest.mark.parametrize("name", [MODEL, OPTIMIZER, STATE, MANIFEST])
def test_a_damaged_byte_is_found_and_the_one_before_used(tmp_path: Path, name: str) -> None:
    save_checkpoint(tmp_path, 1, checkpoint(1.0))
    newest = save_checkpoint(tmp_path, 2, checkpoint(2.0))
    content = bytearray((newest / name).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (newest / name).write_bytes(content)
    said: list[str] = []
    found = load_latest([tmp_path])
    assert found is not None
    assert found.state["position"]["update"] == 1.0
    assert len(said) == 1


def test_one_without_a_manifest_does_not_count(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, checkpoint(1.0))
    half = save_checkpoint(tmp_path, 2, checkpoint(2.0))
    (half / MANIFEST).unlink()
    assert [path.name for path in complete_checkpoints(tmp_path)] == ["00000001"]
    save_checkpoint(tmp_path, 2, checkpoint(3.0))
    assert load_checkpoint(half).state["position"]["update"] == 3.0


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    for update in (1, 2, 3, 4, 5):
        save_checkpoint(tmp_path, update, checkpoint(update))
    prune_checkpoints(tmp_path, newest=2, kept={2})
    assert [int(path.name) for path in complete_checkpoints(tmp_path)] == [2, 4, 5]


def test_nothing_is_pruned_for_a_checkpoint_that_cannot_be_read(tmp_path: Path) -> None:
    for update in (1, 2, 3):
        newest = save_checkpoint(tmp_path, update, checkpoint(update))
    (newest / MODEL).write_bytes(b"damaged")
    with pytest.raises(ArtefactError):
        prune_checkpoints(tmp_path, newest=1, kept={3})
    assert len(complete_checkpoints(tmp_path)) == 3
