"""The examples in the commands' help are run, each in a folder that holds what they name.

They run as they stand, with a shell. Only the sizes are made small behind their backs: `s2s` is a script here that
gives the commands that take recipes a few more `--set`.
"""

import gzip
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import s2s
from s2s.cli import COMMANDS, examples_of, load_command

WITH_RECIPE = {"train", "compare", "data prepare", "data inspect"}
SCRIPT = """#!/bin/sh
case "$1 $2" in
{cases}) exec {python} -m s2s "$@" {settings} ;;
*) exec {python} -m s2s "$@" ;;
esac
"""


def examples(command, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    inner = getattr(command, "commands", {})
    for name in inner:
        yield from examples(inner[name], (*path, name))
    if not inner:
        for example in examples_of(command):
            yield " ".join(path), example


EXAMPLES = [found for name in COMMANDS for found in examples(load_command(name), (name,))]


def sentences(count: int, seed: int, words: int) -> list[str]:
    """Lines of made-up words, about `words` different ones."""
    chance = random.Random(seed)
    syllables = [a + b for a in "bdfgklmnprst" for b in ("a", "ei", "o", "ur", "ink")]
    known = ["".join(chance.choices(syllables, k=chance.randint(1, 4))) for _ in range(words)]
    return [" ".join(chance.choices(known, k=chance.randint(2, 9))) for _ in range(count)]


def write(path: Path, lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def make_files(folder: Path) -> None:
    """The text files that examples name."""
    for number, side in enumerate(("de", "en")):
        train = sentences(3000, number, 60_000)
        write(folder / f"train.{side}", train)
        write(folder / f"train.{side}.gz", train)
        for name in ("input", "test"):
            write(folder / f"{name}.{side}", sentences(3, number + 2, 20))
        (folder / "multi30k").mkdir(exist_ok=True)
        for name, count in (("train", 90), ("val", 5), ("test_2016_flickr", 7)):
            write(folder / "multi30k" / f"{name}.{side}.gz", sentences(count, number + 4 + 2 * count, 400))


class Workshop:
    """A folder to run command lines in, with a home of its own."""

    def __init__(self, folder: Path, overrides: Sequence[str]) -> None:
        self.folder = folder
        settings = shlex.join(part for override in overrides for part in ("--set", override))
        cases = " | ".join(f'"{name}"*' for name in sorted(WITH_RECIPE))
        script = folder / "bin" / "s2s"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(SCRIPT.format(python=shlex.quote(sys.executable), settings=settings, cases=cases))
        script.chmod(0o755)

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a command line as a user's shell does; the code is that of the first command that fails."""
        variables = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(Path(s2s.__file__).parents[1]),
            "S2S_HOME": str(self.folder / "home"),
            "S2S_LEASES": str(self.folder / "leases"),
        }
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=self.folder / "work",
            env={key: value for key, value in os.environ.items() if key != "S2S_REGISTRY"} | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


@pytest.fixture(scope="module")
def prepared(trained: Path, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What examples name, made once: files, a tokenizer, two versions of a model with an alias, a run to
    resume and one that is finished.
    """
    workshop = Workshop(tmp_path_factory.mktemp("prepared"), tiny)
    work, home = workshop.folder / "work", workshop.folder / "home"
    shutil.copytree(trained, home)
    unfinished = next((home / "runs").glob("numbers-attention-*")).rename(home / "runs" / "numbers-attention-1a2b3c4d")
    record = json.loads((unfinished / "run.json").read_text())
    (unfinished / "run.json").write_text(json.dumps(record | {"published": None}))
    next((home / "runs").glob("numbers-bottleneck-*")).rename(home / "runs" / "numbers-bottleneck-5e6f7a8b")
    work.mkdir()
    make_files(work)
    for line in (
        "s2s train numbers/attention --fresh",
        "s2s models alias numbers-attention:2 best",
        "s2s tokenizer train train.de train.en --vocabulary 300 -o tokenizer.model",
        "s2s tokenizer encode tokenizer.model test.de --ids > train.ids",
    ):
        done = workshop.run(line)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    return workshop.folder


@pytest.mark.parametrize(("command", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_example(prepared, tiny, tmp_path, command, example):
    folder = tmp_path / "copy"
    shutil.copytree(prepared, folder)
    workshop = Workshop(folder, tiny)
    if " -o tokenizer.model" in example:
        (folder / "work" / "tokenizer.model").unlink()
    done = workshop.run(example)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout or done.stderr


def test_every_command_has_examples_that_are_run():
    assert {command.partition(" ")[0] for command, _ in EXAMPLES} == set(COMMANDS)
