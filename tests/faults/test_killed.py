"""A killed training leaves nothing half-written, and ends after a resume as if it had not been killed."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from trials import Trial, check_whole, digest, in_parts

from s2s.registry.store import Registry
from s2s.training.runs.record import runs_directory

PARTS = 16  # that the file operations are split into
KILLS = 5  # at random moments, per training
VARIANTS = [
    (),
    ("training.precision=bf16",),
    ("training.stop_after=2 epochs", "training.validate_every=1 epochs", "training.ema=0.9"),
    ("training.stop_after=2500 tokens", "training.averaging=last:2", "training.precision=bf16"),
    ("training.subword_regularization=0.2", "training.word_dropout=0.1", "training.micro_batch_tokens=150"),
    ("data.augmentation={merge=0.2, upper_case=0.1, typos=0.3}", "training.r_drop=1", "model.dropout=0.1"),
]

Count = Callable[[str], None]


def resume_killed(trial: Trial, expected: str, count: Count) -> None:
    """Resume a killed training, and check that it ends with the weights of an undisturbed one."""
    check_whole(trial.home)
    if trial.exit_code():
        assert "is finished: again:1" in trial.said()  # the last operation only makes the published model durable
    count("resumes")
    if digest(trial.home) != expected:
        count("mismatches")
    assert digest(trial.home) == expected
    assert Registry(trial.home / "registry").numbers("again") == [1]
    check_whole(trial.home)


@in_parts(PARTS)
def test_killed_at_each_file_operation(
    part: int, new_home: Callable[[], Path], trained: Path, tiny: list[str], count: Count
) -> None:
    number, expected = part, digest(trained, "numbers-attention")
    while True:
        home = new_home()
        if Trial(home, tuple(tiny), kill_at=number).exit_code() == 0:
            break
        count("kills")
        resume_killed(Trial(home, tuple(tiny)), expected, count)
        number += PARTS
    assert number > 100  # a training with three saves


@pytest.mark.parametrize(
    ("variant", "seed"),
    [
        pytest.param(variant, seed, marks=[pytest.mark.faults] if seed else [], id=f"{number}-{seed}")
        for number, variant in enumerate(VARIANTS)
        for seed in range(2)
    ],
)
def test_killed_at_random_moments(
    variant: tuple[str, ...], seed: int, tmp_path: Path, tiny: list[str], count: Count
) -> None:
    settings, draw, kills = (*tiny, "training.stop_after=24 updates", *variant), random.Random(seed), 0
    whole = Trial(tmp_path / "whole", settings)
    whole.home.mkdir()
    begun = time.monotonic()
    assert whole.exit_code() == 0, whole.said()
    seconds, expected = time.monotonic() - begun, digest(whole.home)
    for attempt in range(20 * KILLS):
        trial = Trial(tmp_path / f"killed-{attempt}", settings)
        trial.home.mkdir()
        while kills < KILLS:
            process = trial.start()
            process.join(draw.uniform(0.1, seconds))
            process.kill()
            process.join()
            if process.exitcode == 0 or (process.exitcode == 2 and "is finished: again:1" in trial.said()):
                break
            assert process.exitcode == -signal.SIGKILL, trial.said()
            check_whole(trial.home)
            kills += 1
            count("kills")
        if not digest_or_none(trial.home):
            resume_killed(trial, expected, count)
        assert digest(trial.home) == expected
        if kills == KILLS:
            return
    pytest.fail("the training always ended before it was killed")


def digest_or_none(home: Path) -> str | None:
    """Return the digest of the published model, or None."""
    return digest(home) if "again" in Registry(home / "registry").names() else None


def wait_for_checkpoint(process: subprocess.Popen[bytes]) -> None:
    """Wait until the run has a checkpoint to go on from; fail where the training ends before."""
    while not list(runs_directory().glob("again-*/checkpoints/*/manifest.json")):
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_killed_command_resumes_exactly(blow: signal.Signals, trained_home: Path, tiny: list[str]) -> None:
    settings = [part for setting in tiny for part in ("--set", setting)]
    command = [sys.executable, "-m", "s2s"]
    started = [*command, "train", "numbers/attention", "--name", "again", *settings]
    with subprocess.Popen(started, stderr=subprocess.PIPE) as process:
        wait_for_checkpoint(process)
        os.kill(process.pid, blow)
        _, said = process.communicate()
    assert process.returncode == (-blow if blow == signal.SIGKILL else 130)
    assert (b"s2s resume again-" in said) == (blow == signal.SIGINT)
    assert "again" not in Registry.default().names()
    (directory,) = runs_directory().glob("again-*")
    done = subprocess.run([*command, "resume", directory.name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    again, whole = (Registry.default().resolve(name) for name in ("again", "numbers-attention"))
    assert again.files["weights.safetensors"] == whole.files["weights.safetensors"]
    assert not list(directory.rglob("*.tmp"))
