"""The examples in the commands' help are run as they stand, each in a directory that holds what they name."""

import json
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from publishing import publish
from workshop import Workshop, make_files

from s2s.cli.app import COMMANDS, examples_of, load_command
from s2s.registry.card import Card
from s2s.registry.store import Registry
from s2s.serving.comparison import Comparison, Side


def examples(command, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    inner = getattr(command, "commands", {})
    for name in inner:
        yield from examples(inner[name], (*path, name))
    if not inner:
        for example in examples_of(command):
            yield " ".join(path), example


WITH_MODEL = {"models stop", "models pin"}
WITH_SERVER = WITH_MODEL | {"models load"}
EXAMPLES = [found for name in COMMANDS for found in examples(load_command(name), (name,))]


@pytest.fixture(scope="module")
def prepared(
    trained: Path,
    transformer: dict[str, bytes],
    card: Card,
    tiny: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """What examples name, made once: files, a tokenizer, two versions of a model with an alias, a bundle and a
    remote, a Transformer, a captioner with pictures, a run to resume and one that is finished.
    """
    workshop = Workshop(tmp_path_factory.mktemp("prepared"), tiny)
    work, home = workshop.directory / "work", workshop.directory / "home"
    shutil.copytree(trained, home)
    publish(Registry(home / "registry"), "numbers-transformer", transformer, card)
    unfinished = next((home / "runs").glob("numbers-attention-*")).rename(home / "runs" / "numbers-attention-1a2b3c4d")
    record = json.loads((unfinished / "run.json").read_text())
    (unfinished / "run.json").write_text(json.dumps(record | {"published": None}))
    next((home / "runs").glob("numbers-bottleneck-*")).rename(home / "runs" / "numbers-bottleneck-5e6f7a8b")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S2S_HOME", str(home))
        sides = {"production": Side(model="numbers-attention:2"), "candidate": Side(model="numbers-attention:1")}
        day = "2026-01-02T03:04:05+00:00"
        Comparison(alias="numbers-attention@production", since=day, updated=day, schema=1, **sides).save()
    work.mkdir()
    make_files(work)
    for line in (
        "s2s train numbers/attention --fresh",
        "s2s compare numbers-bottleneck numbers-attention",
        "s2s models alias numbers-attention:2 best",
        "s2s models alias numbers-attention:1 production",
        "s2s models alias numbers-attention:2 production",
        "s2s models export numbers-attention numbers-attention.s2s",
        "s2s models push numbers-attention team",
        "s2s tokenizer train train.de train.en --vocab-size 300 -o tokenizer.model",
        "s2s tokenizer encode tokenizer.model test.de --ids > train.ids",
        "s2s train scenes/attention",
        "s2s data make scenes pictures --count 2",
        "cp pictures/1.png picture.png",
    ):
        done = workshop.run(line)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    return workshop.directory


@pytest.mark.parametrize(("command", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_example(prepared, tiny, tmp_path, command, example):
    directory = tmp_path / "copy"
    shutil.copytree(prepared, directory)
    workshop = Workshop(directory, tiny)
    if " -o tokenizer.model" in example:
        (directory / "work" / "tokenizer.model").unlink()
    if "data rm" in example:
        next((directory / "home" / "corpora").glob("[!.]*")).rename(directory / "home" / "corpora" / "3f2a5e01")
    if "make scenes pictures" in example:
        shutil.rmtree(directory / "work" / "pictures")
    if command == "serve":
        with workshop.server(example) as log:
            pass
        assert "serving" in log.read_text()
        return
    with workshop.server() if command in WITH_SERVER else nullcontext():
        if command in WITH_MODEL:
            workshop.run("s2s models load numbers-attention")
        done = workshop.run(example)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout or done.stderr


def test_every_command_has_examples_that_are_run():
    assert {command.partition(" ")[0] for command, _ in EXAMPLES} == set(COMMANDS)
