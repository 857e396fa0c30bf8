"""Training with weights, gradients and optimizer state shared by processes (`tests/support/sharded.py`)."""

import json
import shutil
import subprocess
import sys
from itertools import pairwise
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sharded
import torch
from safetensors.torch import load_file, save_file

import s2s
from s2s.errors import ArtefactError, UsageError
from s2s.models.profile import training_memory
from s2s.models.sizes import Sizes
from s2s.recipe.load import load_recipe
from s2s.training.checkpoint import AVERAGE, MODEL, OPTIMIZER, load_checkpoint, newest_intact, shard_names
from s2s.training.memory import sharded_memory
from s2s.training.runs.lifecycle import run_key
from s2s.training.runs.record import MANIFEST
from s2s.training.sharding import recompute_blocks
from s2s.training.tensor_files import TensorFiles


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory in which three processes have trained."""
    directory = tmp_path_factory.mktemp("sharded")
    environment = {"PYTHONPATH": str(Path(s2s.__file__).parents[1]), "PATH": "", "TMPDIR": str(directory)}
    command = [sys.executable, "-W", "error::FutureWarning", sharded.__file__]
    processes = [
        subprocess.Popen([*command, str(rank), str(directory)], env=environment, stderr=subprocess.PIPE, text=True)
        for rank in range(3)
    ]
    said = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], "\n".join(said)
    return directory


@pytest.fixture
def found(left: Path) -> dict[str, Any]:
    """Return the figures of the processes."""
    return json.loads((left / "found.json").read_text())


@pytest.mark.parametrize("architecture", sharded.ARCHITECTURES)
def test_losses_and_gradients_are_those_of_one_process(found: dict[str, Any], architecture: str) -> None:
    steps = found["alone"][architecture]
    for alone, together in zip(steps, found["steps"][architecture], strict=True):
        assert together == pytest.approx(alone, rel=1e-4)
    assert steps[0][0] > steps[-1][0] > 0


def test_each_process_has_its_rows(found: dict[str, Any]) -> None:
    table = [shapes["weight"] for shapes in found["shapes"]]
    assert table == [[6, sharded.H], [6, sharded.H], [5, sharded.H]]
    first = [shapes["encoder.blocks.0.feed_forward.fc1.bias"] for shapes in found["shapes"]]
    assert first == [[3], [3], [1]]


def test_planned_parts_are_those_of_the_processes(found: dict[str, Any], tmp_path: Path) -> None:
    network = sharded.Training(tmp_path, sharded.DistributedContext()).network
    sizes = Sizes.of(network)
    held = [sum(map(prod, shapes.values())) for shapes in found["shapes"]]
    assert (max(held), sum(held)) == (sizes.shard(3), sizes.parameters)
    whole = training_memory(network, 7)
    parts = sharded_memory(whole, network, 3, accumulating=False)
    assert (parts.weights, parts.optimizer) == (4 * (max(held) + sizes.gathered), 8 * max(held))
    assert parts.gradients == parts.weights
    assert sharded_memory(whole, network, 3, accumulating=True).gradients == whole.gradients


def test_gathered_weights_need_no_other_process(found: dict[str, Any]) -> None:
    assert found["gathered"] == pytest.approx(found["whole"], rel=1e-6)


def test_a_gradient_that_is_not_finite_in_one_process_changes_nothing(found: dict[str, Any]) -> None:
    assert found["poisoned"] == {"applied": False, "kept": True, "goes on": True}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("saved by two", "read by three"),
        ("saved by three", "read by one"),
        ("uninterrupted", "resumed"),  # also the masks of dropout
    ],
)
def test_everything_is_restored_bit_for_bit(left: Path, one: str, other: str) -> None:
    saved, read = (load_file(left / f"{name}.safetensors") for name in (one, other))
    assert saved.keys() == read.keys()
    moments = [name for name in saved if name.endswith(".exp_avg")]
    assert moments
    assert all(saved[name].any() for name in moments)
    for name, value in saved.items():
        assert torch.equal(value, read[name]), name


@pytest.fixture
def checkpoint(left: Path, tmp_path: Path) -> Path:
    """Return a copy of the checkpoint of three processes."""
    return Path(shutil.copytree(left / "checkpoints" / "00000004", tmp_path / "00000004"))


SHARDS = [name for kind in (MODEL, OPTIMIZER, AVERAGE) for name in shard_names(kind, 3)]


@pytest.mark.parametrize("name", SHARDS)
def test_no_shard_may_be_missing(checkpoint: Path, name: str) -> None:
    assert {*SHARDS, "state.json", MANIFEST} == {path.name for path in checkpoint.iterdir()}
    load_checkpoint(checkpoint)
    content = (checkpoint / name).read_bytes()
    (checkpoint / name).unlink()
    with pytest.raises(ArtefactError, match=f"{name} is damaged"):
        load_checkpoint(checkpoint)
    (checkpoint / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArtefactError, match=f"{name} is damaged"):
        load_checkpoint(checkpoint)
    manifest = json.loads((checkpoint / MANIFEST).read_text())
    del manifest["files"][name]  # not even if the manifest does not know it
    (checkpoint / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ArtefactError, match="is damaged"):
        load_checkpoint(checkpoint)
    with pytest.raises(ArtefactError, match="all checkpoints of the run are damaged"):
        newest_intact([checkpoint.parent])


def test_rows_are_read_from_the_files_that_have_them(tmp_path: Path) -> None:
    whole = torch.randn(7, 3)
    parts = [{"w": rows.clone()} for rows in (whole[:3], whole[3:6], whole[6:6], whole[6:])]
    parts[0] |= {"step": torch.tensor(5.0), "only": torch.arange(4.0)}
    paths = [tmp_path / str(index) for index in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        save_file(part, path)
    stored = TensorFiles(paths)
    assert dict(sorted((name, stored.shape(name)) for name in stored)) == {"only": (4,), "step": (), "w": (7, 3)}
    assert torch.equal(stored["w"], whole)
    assert (float(stored["step"]), stored["only"].tolist()) == (5.0, [0.0, 1.0, 2.0, 3.0])
    for start, stop in pairwise([0, 2, 4, 4, 7]):
        assert torch.equal(stored.rows("w", start, stop), whole[start:stop])
    assert stored.rows("w", 7, 7).shape == (0, 3)


def test_recomputed_blocks_store_less_and_change_nothing(tmp_path: Path) -> None:
    weights, stored = [], []
    for recomputed in (False, True):
        training = sharded.Training(tmp_path, sharded.DistributedContext(), dropout=0.3)
        if recomputed:
            recompute_blocks(training.network)
        sizes: list[int] = []

        def keep(value: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(value.nbytes)
            return value

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            for _ in range(3):
                training.step()
        weights.append(training.everything())
        stored.append(sum(sizes))
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert stored[1] < stored[0] / 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [("parallel=fsdp", "shards the blocks of Transformers; use ddp"), ("recompute=true", "and this model has none")],
)
def test_networks_without_blocks_are_refused(setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe("numbers/attention", [f"training.{setting}"])
    load_recipe("numbers/transformer", [f"training.{setting}"])


def test_how_processes_share_the_work_leaves_the_key_of_a_run() -> None:
    corpus: Any = SimpleNamespace(digest="d")
    settings = [[], ["training.parallel=fsdp"], ["training.recompute=true"], ["training.ema=0.5"]]
    keys = [run_key(load_recipe("numbers/transformer", one), corpus) for one in settings]
    assert keys[0] == keys[1] == keys[2] != keys[3]
