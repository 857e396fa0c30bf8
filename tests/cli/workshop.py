"""A directory that holds what a user's would, to run command lines in as a shell does.

Only the sizes are made small behind their backs: `s2s` is a script here that gives the commands that take recipes a few
more `--set`.
"""

import grp
import gzip
import os
import random
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import tiny_ladder
from served import wait_until_it_greets
from tiny_ladder import TINY_SCALING
from tiny_scenes import RECURRENT, TINY_SCENES

import s2s

WITH_RECIPE = {"train", "compare", "data prepare", "data inspect"}
SCRIPT = """#!/bin/sh
case "$*" in
"compare numbers-"*|"compare comparison/"*|"compare mine --"*) exec {python} -m s2s "$@" ;;
"bench scaling"*) exec {python} -m tiny_ladder "$@" {scaling} ;;
*scenes/attention*) exec {python} -m s2s "$@" {scenes} ;;
{generated}) exec {python} -m s2s "$@" {settings} {generator} ;;
{cases}) exec {python} -m s2s "$@" {settings} ;;
*) exec {python} -m s2s "$@" ;;
esac
"""


def sentences(count: int, seed: int, words: int) -> list[str]:
    """Lines of made-up words, about `words` different ones."""
    chance = random.Random(seed)
    syllables = [a + b for a in "bdfgklmnprst" for b in ("a", "ei", "o", "ur", "ink")]
    known = ["".join(chance.choices(syllables, k=chance.randint(1, 4))) for _ in range(words)]
    return [" ".join(chance.choices(known, k=chance.randint(2, 9))) for _ in range(count)]


def write(path: Path, lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def make_files(directory: Path) -> None:
    """The text files and the table that examples name."""
    for number, side in enumerate(("de", "en")):
        train = sentences(3000, number, 60_000)
        write(directory / f"train.{side}", train)
        write(directory / f"train.{side}.gz", train)
        for name in ("input", "test", "system"):
            write(directory / f"{name}.{side}", sentences(3, number + 2, 20))
        (directory / "multi30k").mkdir(exist_ok=True)
        for name, count in (("train", 90), ("val", 5), ("test_2016_flickr", 7)):
            write(directory / "multi30k" / f"{name}.{side}.gz", sentences(count, number + 4 + 2 * count, 400))
    pairs = zip(sentences(90, 5, 400), sentences(90, 6, 400), strict=True)
    write(directory / "pairs.csv", ["de,en", *(f"{one},{other}" for one, other in pairs)])


def _flags(overrides: Sequence[str]) -> str:
    return shlex.join(part for override in overrides for part in ("--set", override))


class Workshop:
    """A directory to run command lines in, with a home of its own."""

    def __init__(self, directory: Path, overrides: Sequence[str]) -> None:
        self.directory = directory
        made = [override for override in overrides if override.startswith("data.generator")]
        values = {
            "settings": _flags([override for override in overrides if override not in made]),
            "generator": _flags(made),
            "scaling": _flags(TINY_SCALING),
            "scenes": _flags([*TINY_SCENES, *RECURRENT]),
            "cases": " | ".join(f'"{name}"*' for name in sorted(WITH_RECIPE)),
            "generated": " | ".join(f'"{name}"*numbers/*' for name in sorted(WITH_RECIPE)),
        }
        script = directory / "bin" / "s2s"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(SCRIPT.format(python=shlex.quote(sys.executable), **values))
        script.chmod(0o755)

    @contextmanager
    def server(self, line: str = "s2s serve") -> Iterator[Path]:
        """Run a server while the block runs, and yield the file of what it says."""
        log = self.directory / "server.log"
        own_group = grp.getgrgid(os.getgid()).gr_name
        with log.open("wb") as file:
            command = ["bash", "-c", f"exec {line.replace('--group staff', f'--group {own_group}')}"]
            # leases of its own: these tests may have a single processor
            environment = self.environment | {"S2S_LEASES": str(self.directory / "leases-of-servers")}
            process = subprocess.Popen(command, cwd=self.directory / "work", env=environment, stderr=file)
        try:
            wait_until_it_greets(self.directory / "servers", process)
            yield log
            process.terminate()
            assert process.wait(60) == 0, log.read_text()
        finally:
            process.kill()

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a command line as a user's shell does; the code is that of the first command that fails."""
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=self.directory / "work",
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the commands."""
        variables = {
            "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(map(str, (Path(s2s.__file__).parents[1], Path(tiny_ladder.__file__).parent))),
            "S2S_HOME": str(self.directory / "home"),
            "S2S_LEASES": str(self.directory / "leases"),
            "S2S_CACHE": str(self.directory / "cache"),
            "S2S_SERVERS": str(self.directory / "servers"),
        }
        return {key: value for key, value in os.environ.items() if key != "S2S_REGISTRY"} | variables
