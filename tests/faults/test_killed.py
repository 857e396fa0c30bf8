"""A training that is killed leaves nothing half-written, and ends as if it had not been."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from s2s.registry.store import Registry
from s2s.training.records import runs_folder


def wait_for_checkpoint(process: subprocess.Popen[bytes]) -> None:
    """Wait until the run has a checkpoint to go on from; fail where the training ends before."""
    while not list(runs_folder().glob("again-*/checkpoints/*/manifest.json")):
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_resumed_is_as_never_killed(blow: signal.Signals, trained_home: Path, tiny: list[str]) -> None:
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
    (folder,) = runs_folder().glob("again-*")
    done = subprocess.run([*command, "resume", folder.name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    again, whole = (Registry.default().resolve(name) for name in ("again", "numbers-attention"))
    assert again.files["weights.safetensors"] == whole.files["weights.safetensors"]
    assert not list(folder.rglob("*.tmp"))
