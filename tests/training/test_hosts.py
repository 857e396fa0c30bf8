"""Sharded training on several hosts, here two of torchrun's agents on one: killed, continued, and as one process."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import s2s
from s2s.recipe.load import load_recipe
from s2s.registry.store import Registry
from s2s.training.runs.lifecycle import train
from s2s.training.runs.record import read_run, runs_directory

TINY = [
    "data.generator.train=300",
    "data.generator.validation=20",
    "data.generator.test=30",
    "data.generator.max_items=1",
    "tokenizer.vocab_size=121",
    "model.embedding_size=12",
    "model.encoder.layers=1",
    "model.encoder.ffn_size=19",
    "model.decoder.layers=1",
    "model.decoder.ffn_size=23",
    "training.stop_after=40 updates",
    "training.validate_every=8 updates",
    "training.validation_lines=5",
    "training.batch_tokens=120",
    "training.log_every=1",
    "decoding.beam_size=2",
    "decoding.max_ratio=0.5",
]
NAMES = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}


def environment(home: Path, host: str = "first") -> dict[str, str]:
    """Return the environment of a host, which has its own leases."""
    here = {"S2S_HOME": str(home), "S2S_LEASES": str(home / f"leases-{host}"), "OMP_NUM_THREADS": "1"}
    return os.environ | here | {"PYTHONPATH": str(Path(s2s.__file__).parents[1])}


def agents(home: Path, name: str) -> "list[subprocess.Popen[str]]":
    """Start training by two agents, each with one process."""
    with socket.socket() as one:
        one.bind(("localhost", 0))
        port = one.getsockname()[1]
    torchrun = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d"]
    torchrun += [f"--rdzv-endpoint=localhost:{port}", "-m", "s2s", "train", "numbers/transformer", "--device", "cpu"]
    settings = [part for setting in [*TINY, "training.parallel=fsdp"] for part in ("--set", setting)]
    command = [sys.executable, *torchrun, *settings, "--name", name]
    return [
        subprocess.Popen(command, env=environment(home, host), stderr=subprocess.PIPE, text=True)
        for host in ("first", "second")
    ]


def worker_of(agent: "subprocess.Popen[str]") -> int:
    children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
    return next(int(child) for child in children if b"s2s" in Path(f"/proc/{child}/cmdline").read_bytes())


def test_a_killed_host_ends_the_other_and_the_run_continues(own_home: Path) -> None:
    train(load_recipe("numbers/transformer", [*TINY, "name=one"]), device="cpu", wait=0)
    both = agents(own_home, "sharded")
    while not (found := list(runs_directory().glob("sharded-*/checkpoints/00000008/manifest.json"))):
        assert all(agent.poll() is None for agent in both), "".join(agent.communicate()[1] for agent in both)
        time.sleep(0.05)
    os.kill(worker_of(both[1]), signal.SIGKILL)
    said = [agent.communicate(timeout=100)[1] for agent in both]
    assert all(agent.returncode for agent in both), said
    run = found[0].parents[2]
    assert f"hint: s2s resume {run.name} continues from the last checkpoint" in "".join(said)
    assert {path.name for path in found[0].parent.glob("model*")} == NAMES
    saved = max(read_run(run).checkpoints)

    command = [sys.executable, "-m", "s2s", "resume", run.name]
    done = subprocess.run(command, env=environment(own_home), capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    assert f"continuing from the checkpoint of update {saved}" in done.stderr
    (alone,) = runs_directory().glob("one-*")
    wanted, found_metrics = read_run(alone).metrics, read_run(run).metrics
    for kind in ("training", "validation"):
        for expected, line in zip(getattr(wanted, kind), getattr(found_metrics, kind), strict=True):
            assert line["update"] == expected["update"]
            assert line["loss"] == pytest.approx(expected["loss"], abs=1e-4)
            assert line.get("sample") == expected.get("sample")
    version = Registry.default().resolve("sharded")
    assert (version.card.training.processes, version.card.training.changes) == (2, [])
