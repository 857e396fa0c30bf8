import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

GPU = Path(__file__).parent / "gpu"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(GPU), *arguments], capture_output=True, text=True, check=False)


def test_every_section_runs_on_a_cpu(tmp_path: Path) -> None:
    out = tmp_path / "gpu.jsonl"
    done = run("--tiny", "--device", "cpu", "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    sections = {line["section"] for line in lines}
    assert sections >= {"ceilings", "correctness", "exactness", "steps", "training", "decoding", "attention", "loss"}
    assert sum(line.get("passed", False) for line in lines) >= 20


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_nothing_is_measured_without_a_gpu(tmp_path: Path) -> None:
    done = run("--out", str(tmp_path / "gpu.jsonl"))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "no GPU: nothing to measure\n"
