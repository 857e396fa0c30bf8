"""How these tests run commands: in this process where that shows enough, else as a user's shell does."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import s2s
from s2s.cli.app import main


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """`run("recipes", "list")` in this process."""

    def call(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture
def in_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, and the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory, own_home: Path) -> Callable[..., Result]:
    """`shell("s2s recipes list | head -1")` with bash, where the code is that of the first command that fails."""
    directory = tmp_path_factory.mktemp("bin")
    command = directory / "s2s"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m s2s "$@"\n')
    command.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{directory}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(s2s.__file__).parents[1]),
    }

    def call(line: str, **variables: str) -> Result:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return call
