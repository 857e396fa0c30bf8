"""Several processes train the same model as one; signals and errors are reported once."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import s2s
from s2s.data.batching import plan_batches
from s2s.data.corpus import Corpus
from s2s.recipe.load import load_recipe
from s2s.registry.store import Registry
from s2s.training.distributed import DistributedContext
from s2s.training.runs.lifecycle import train
from s2s.training.runs.record import RunRecord, read_run, runs_directory

SETTINGS = [
    "training.batch_tokens=60",
    "training.stop_after=40 updates",
    "training.validate_every=8 updates",
    "training.log_every=1",
]
COMMAND = [sys.executable, "-m", "s2s"]


def started(tiny: list[str], *settings: str, name: str, home: Path) -> "subprocess.Popen[str]":
    """Start `s2s train … --processes 2` in its own process group."""
    given = [part for setting in [*tiny, *SETTINGS, *settings] for part in ("--set", setting)]
    command = [*COMMAND, "train", "numbers/attention", *given, "--name", name, "--processes", "2"]
    return subprocess.Popen(command, env=environment(home), stderr=subprocess.PIPE, text=True, start_new_session=True)


def environment(home: Path) -> dict[str, str]:
    (home / "temporary").mkdir(exist_ok=True)
    here = {"S2S_HOME": str(home), "S2S_LEASES": str(home / "leases"), "TMPDIR": str(home / "temporary")}
    return os.environ | here | {"PYTHONPATH": str(Path(s2s.__file__).parents[1])}


@pytest.fixture(scope="module")
def trained_by_two(trained: Path, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a home in which two processes have trained `two:1`, and their standard error."""
    home = tmp_path_factory.mktemp("two")
    shutil.copytree(trained, home, dirs_exist_ok=True)
    with started(tiny, name="two", home=home) as process:
        _, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    assert list((home / "temporary").iterdir()) == []
    return home, said


@pytest.fixture
def said(trained_by_two: tuple[Path, str], own_home: Path) -> str:
    """Return the standard error of two processes, in a home with their model."""
    home, text = trained_by_two
    shutil.copytree(home, own_home, dirs_exist_ok=True)
    return text


def run_of(name: str) -> Path:
    (directory,) = runs_directory().glob(f"{name}-*")
    return directory


@pytest.mark.parametrize("count", [0, 1, 2, 7])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_shards_cover_each_sentence_once(count: int, size: int) -> None:
    shares = [list(DistributedContext(rank, size).shard(count)) for rank in range(size)]
    assert sorted(row for share in shares for row in share) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_two_processes_train_like_one(said: str, own_home: Path, tiny: list[str]) -> None:
    assert said.count("model two:1. Next:") == 1
    assert said.count("  validation  update 8 ") == 1
    recipe = load_recipe("numbers/attention", [*tiny, *SETTINGS, "name=one"])
    train(recipe, device="cpu", wait=0)
    one, two = read_run(run_of("one")), read_run(run_of("two"))
    assert len(two.metrics.training) == 40
    for wanted, found in zip(one.metrics.training, two.metrics.training, strict=True):
        assert found["loss"] == pytest.approx(wanted["loss"], abs=1e-4)
        assert found["gradient_norm"] == pytest.approx(wanted["gradient_norm"], abs=1e-3)
        assert found["tokens"] == wanted["tokens"]
    for wanted, found in zip(one.metrics.validation, two.metrics.validation, strict=True):
        assert found["loss"] == pytest.approx(wanted["loss"], abs=1e-4)
        assert found["sample"] == wanted["sample"]
    assert (two.record.processes, one.record.processes) == (2, 1)
    assert Registry.default().resolve("two").card.training.processes == 2

    pairs = Corpus.open(next(path for path in (own_home / "corpora").iterdir() if path.is_dir())).split("train")
    planned = plan_batches(pairs.source_lengths, pairs.target_lengths, 60, recipe.training.seed, 0)[:40]
    assert min(map(len, planned)) == 1  # one process has nothing to do, or more than the other
    assert max(map(len, planned)) >= 3


def test_signal_is_reported_once_and_the_run_resumes_exactly(said: str, own_home: Path, tiny: list[str]) -> None:
    with started(tiny, name="again", home=own_home) as process:
        while not list(runs_directory().glob("again-*/checkpoints/*/manifest.json")):
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=100)
    assert process.returncode == 130, said
    directory = run_of("again")
    assert said.count(f"hint: s2s resume {directory.name}") == 1, said
    assert said.count("s2s: interrupted") == said.count("interrupted at update ") == 1
    assert "death signal" not in said  # the launcher's own message
    assert "Traceback" not in said
    assert RunRecord.read(directory).published is None
    done = subprocess.run(
        [*COMMAND, "resume", directory.name], env=environment(own_home), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    again, whole = (Registry.default().resolve(name) for name in ("again", "two"))
    assert again.files["weights.safetensors"] == whole.files["weights.safetensors"]
    assert again.card.training.changes == []
    assert again.card.training.processes == 2


def test_error_is_reported_once(own_home: Path, tiny: list[str]) -> None:
    with started(tiny, "tokenizer.vocab_size=20000", name="never", home=own_home) as process:
        _, said = process.communicate(timeout=100)
    assert process.returncode == 2
    assert said.count("tokenizer.vocab_size is 20000") == 1
    assert "Traceback" not in said
    assert not list(runs_directory().glob("never-*"))


POISONED = """
import os
from dataclasses import replace

from s2s.cli.app import main
from s2s.models.encoder_decoder import EncoderDecoder

forward, calls = EncoderDecoder.forward, []

def poisoned(self, *given):
    sums = forward(self, *given)
    if self.training:
        calls.append(1)
        if os.environ["RANK"] == "1" and 10 <= len(calls) < 15:
            return replace(sums, loss=sums.loss * float("nan"))
    return sums

EncoderDecoder.forward = poisoned
main()
"""


def test_processes_roll_back_together(trained: Path, own_home: Path, tiny: list[str], tmp_path: Path) -> None:
    script = tmp_path / "poisoned.py"
    script.write_text(POISONED)
    given = [part for setting in [*tiny, *SETTINGS, "name=poisoned"] for part in ("--set", setting)]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(
        [*torchrun, "train", "numbers/attention", *given],
        env=environment(own_home), capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("rolled back to update 8, at 0.5 × the learning rate") == 1
    run = read_run(run_of("poisoned"))
    assert run.record.published == "poisoned:1"
    assert Registry.default().resolve("poisoned").card.training.skipped == 5
