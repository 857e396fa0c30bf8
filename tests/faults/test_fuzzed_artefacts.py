"""Stored files with random damage: every command that reads them succeeds or fails with an error of s2s."""

import contextlib
import copy
import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from publishing import publish

from s2s.cli.app import main
from s2s.comparison.stored import StoredResult
from s2s.data.corpus import Corpus
from s2s.devices import leases
from s2s.errors import ArtefactError, S2SError
from s2s.io import locks
from s2s.io.digests import digest_file
from s2s.models.build import build_model
from s2s.recipe.load import builtin_directory, load_recipe
from s2s.registry.card import Card
from s2s.registry.store import Registry
from s2s.training.checkpoint import load_checkpoint
from s2s.training.checkpoint_manager import CheckpointManager
from s2s.training.distributed import DistributedContext
from s2s.training.runs.record import complete_checkpoints, recipe_of_run
from s2s.training.step import Learner

TRIALS = 2000  # of each kind in `make faults`
SAMPLE = 12  # of each kind in `make test`
HUGE = "HUGE NUMBER"  # replaced by a number that JSON allows and no field holds
SWAPPED = [None, True, -1, 0, 1.5, "x", "", [], [[]], {}, {"x": 1}, HUGE, 2**62]
ALLOWED = {0, 2, 3, 4, 5}


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Damage a file: delete a key, swap a type, nest deeply, flip a bit, cut or overwrite a part."""
    try:
        values = json.loads(content)
    except ValueError:
        values = None
    kinds = ["flip", "cut", "overwrite"] + (["delete", "swap", "nest"] if isinstance(values, dict) else [])
    kind = chance.choice(kinds)
    if kind in {"delete", "swap", "nest"}:
        parent, key = chance.choice(list(_places(values)))
        if kind == "delete":
            del parent[key]
        else:
            parent[key] = copy.deepcopy(chance.choice(SWAPPED)) if kind == "swap" else "NESTED"
        text = json.dumps(values).replace(f'"{HUGE}"', "1" + "0" * 400)
        return text.replace('"NESTED"', "[" * 100_000 + "]" * 100_000).encode()
    damaged = bytearray(content)
    at = chance.randrange(len(damaged))
    if kind == "flip":
        damaged[at] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del damaged[at:]
    else:
        damaged[at : at + 8] = chance.randbytes(8)
    return bytes(damaged)


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place in JSON values, as its container and key."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in list(items):
        yield values, key
        yield from _places(value)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of stored file and the commands that read it; `{}` in both is the run's or corpus's directory."""

    file: str
    commands: list[str]


KINDS = {
    "version": Kind(
        "registry/models/numbers-attention/1.json",
        ["models list", "models show numbers-attention --json", "tokenizer encode numbers-attention input"],
    ),
    "alias": Kind(
        "registry/models/numbers-attention/aliases/best", ["models show numbers-attention@best", "models list --json"]
    ),
    "run": Kind("runs/{}/run.json", ["runs list", "runs show {} --json"]),
    "run-recipe": Kind("runs/{}/recipe.toml", ["runs show {}"]),
    "metrics": Kind("runs/{}/metrics.jsonl", ["runs show {}", "runs plot {}"]),
    "corpus": Kind("corpora/{}/manifest.json", ["data inspect corpora/{}"]),
    "ledger": Kind("corpora/{}/ledger.json", ["data inspect corpora/{}"]),
    "lease": Kind("leases/cpu-0", ["models ps", "models ps --json"]),
}


@pytest.fixture
def home(trained_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a model, a run and a corpus, as the current directory."""
    Registry.default().set_alias("numbers-attention", "best")
    (trained_home / "input").write_text("eins\n")
    monkeypatch.chdir(trained_home)
    return trained_home


def owner(home: Path, kind: str) -> str:
    """Return the name of the directory that holds a kind."""
    directory = home / ("corpora" if kind in {"corpus", "ledger"} else "runs")
    return next(path.name for path in sorted(directory.iterdir()) if path.is_dir())


def trials(count: int) -> Callable[[Any], Any]:
    """Run a test with a sample in `make test`, and with all trials in `make faults`."""
    return pytest.mark.parametrize(
        "count", [pytest.param(SAMPLE, id="sample"), pytest.param(count, marks=pytest.mark.faults, id="all")]
    )


@trials(TRIALS)
@pytest.mark.parametrize("kind", KINDS)
def test_commands_fail_with_errors_of_s2s(
    home: Path, kind: str, count: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "PAUSE_SECONDS", 0)
    chance, name = random.Random(kind), owner(home, kind)
    with leases.lease("cpu", wait=0, command="fuzz"):
        file = home / KINDS[kind].file.format(name)
        content = file.read_bytes()
        for _ in range(count):
            damaged = mutated(content, chance)
            file.write_bytes(damaged)
            if kind == "ledger":
                sign(file.parent, "ledger.json")
            for command in KINDS[kind].commands:
                code = main(command.format(name).split())
                assert code in ALLOWED, f"{command}: {capfd.readouterr().err}\n{damaged[:2000]!r}"
            capfd.readouterr()


def sign(directory: Path, name: str) -> None:
    """Write the digest and size of a changed file into the manifest beside it, as a hostile author would."""
    manifest = json.loads((directory / "manifest.json").read_text())
    digest, size = digest_file(directory / name), (directory / name).stat().st_size
    manifest["files"][name] = digest if isinstance(manifest["files"][name], str) else {"sha256": digest, "bytes": size}
    (directory / "manifest.json").write_text(json.dumps(manifest))


@trials(TRIALS)
@pytest.mark.parametrize("name", ["recipe.json", "tokenizer.model", "weights.safetensors"])
def test_models_fail_with_errors_of_s2s(
    home: Path, name: str, count: int, transformer: dict[str, bytes], card: Card, capfd: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(name)
    for number in range(count):
        damaged = mutated(transformer[name], chance)
        publish(Registry.default(), "theirs", transformer | {name: damaged}, card)
        command = ["translate", "theirs", "input", "--engine", ["pytorch", "ctranslate2"][number % 2]]
        assert main(command) in ALLOWED, f"{capfd.readouterr().err}\n{damaged[:2000]!r}"
        capfd.readouterr()
        shutil.rmtree(home / "registry" / "models" / "theirs")
        shutil.rmtree(home / "cache", ignore_errors=True)


@trials(TRIALS)
@pytest.mark.parametrize("name", ["manifest.json", "state.json", "model.safetensors", "optimizer.safetensors"])
def test_checkpoints_fail_with_errors_of_s2s(home: Path, name: str, count: int) -> None:
    run = home / "runs" / owner(home, "run")
    recipe = recipe_of_run(run)
    network = build_model(recipe.model, recipe.tokenizer.vocab_size)
    learner = Learner(network, recipe.training, torch.device("cpu"), "fp32", DistributedContext())
    manager = CheckpointManager(run, network, learner, None, keep=2)
    path = complete_checkpoints(run / "checkpoints")[-1]
    content, manifest = (path / name).read_bytes(), (path / "manifest.json").read_bytes()
    chance, refused = random.Random(name), 0
    for _ in range(count):
        (path / "manifest.json").write_bytes(manifest)
        (path / name).write_bytes(mutated(content, chance))
        if name != "manifest.json":
            sign(path, name)
        try:
            manager.restore(load_checkpoint(path))
        except ArtefactError:
            refused += 1
    assert refused > 0


@trials(TRIALS)
def test_splits_fail_with_errors_of_s2s(home: Path, count: int) -> None:
    file = home / "corpora" / owner(home, "corpus") / "validation.arrow"
    content, chance = file.read_bytes(), random.Random(1)
    for _ in range(count):
        file.write_bytes(mutated(content, chance))
        sign(file.parent, file.name)
        with contextlib.suppress(ArtefactError):
            split = Corpus.open(file.parent).split("validation")
            rows = range(len(split))
            assert len(split.texts(rows)) + len(split.encoded(rows)) == 4
            assert len(split.places(rows)) == len(rows)


@trials(TRIALS)
def test_results_fail_with_errors_of_s2s(home: Path, count: int) -> None:
    content = (builtin_directory() / "numbers" / "results" / "numbers-attention-seed-1.json").read_bytes()
    chance, refused = random.Random(1), 0
    for _ in range(count):
        Path("result.json").write_bytes(mutated(content, chance))
        try:
            stored = StoredResult.read(Path("result.json"))
            assert stored.training is None or stored.training.describe_machine()
        except ArtefactError:
            refused += 1
    assert 0 < refused < count


@trials(TRIALS)
def test_recipes_fail_with_errors_of_s2s(home: Path, count: int) -> None:
    content = (builtin_directory() / "numbers" / "attention.toml").read_bytes()
    chance, refused = random.Random(1), 0
    for _ in range(count):
        Path("mine.toml").write_bytes(mutated(content, chance))
        try:
            load_recipe("mine.toml")
        except S2SError:
            refused += 1
    assert refused > 0
