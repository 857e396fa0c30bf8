"""Give every test a home directory of its own, apart from the user's."""

import json
import logging
import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from s2s.devices import runtime

if TYPE_CHECKING:
    from s2s.registry.card import Card


# The same examples in every run: a failure in continuous integration can be repeated.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


def pytest_configure() -> None:
    """Pin each worker to one processor: tiny networks are faster in one thread, and workers do not compete."""
    for number, handler in {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}.items():
        if signal.getsignal(number) is signal.SIG_IGN:  # in the background, or after nohup: commands would inherit it
            signal.signal(number, handler)
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and hasattr(os, "sched_setaffinity"):
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {processors[int(worker.removeprefix("gw")) % len(processors)]})


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh directory as the home of s2s, and an environment without the user's other choices."""
    directory = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("S2S_HOME", str(directory))
    monkeypatch.setenv("S2S_LEASES", str(directory / "leases"))
    monkeypatch.setenv("S2S_CACHE", str(directory / "cache"))
    monkeypatch.setenv("S2S_SERVERS", str(directory / "servers"))
    monkeypatch.setenv("COLUMNS", "80")
    for variable in ("S2S_REGISTRY", "S2S_DEBUG", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(runtime, "_requested_threads", [])
    return directory


TINY = [
    "data.generator.train=300",
    "data.generator.validation=20",
    "data.generator.test=30",
    "data.generator.max_items=1",
    "tokenizer.algorithm=unigram",
    "tokenizer.vocab_size=120",
    "model.embedding_size=16",
    "model.encoder.hidden_size=12",
    "model.decoder.hidden_size=24",
    "training.stop_after=12 updates",
    "training.validate_every=4 updates",
    "training.validation_lines=5",
    "training.batch_tokens=400",
    "decoding.beam_size=2",
    "decoding.max_ratio=0.5",
]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with tiny models `numbers-attention:1` and `numbers-bottleneck:1`, to be read alone."""

    from s2s.recipe.load import load_recipe
    from s2s.training.runs.lifecycle import train

    directory = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S2S_HOME", str(directory))
        patch.setenv("S2S_LEASES", str(directory / "leases"))
        patch.setenv("S2S_CACHE", str(directory / "cache"))
        patch.delenv("S2S_REGISTRY", raising=False)
        for name in ("numbers/attention", "numbers/bottleneck"):
            recipe = load_recipe(name, TINY)
            train(recipe, device="cpu", wait=0)
    return directory


@pytest.fixture
def trained_home(trained: Path, own_home: Path) -> Path:
    """A home of the test's own with the tiny models in it."""
    shutil.copytree(trained, own_home, dirs_exist_ok=True)
    return own_home


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Overrides that make `numbers/*` tiny, as in `trained`."""
    return list(TINY)


@pytest.fixture(scope="session")
def transformer() -> dict[str, bytes]:
    """The files of a version of a tiny Transformer that was never trained."""
    import torch
    from safetensors.torch import save

    from s2s.models.build import build_model
    from s2s.recipe.recipe import Recipe
    from s2s.text.tokenizer_training import train_tokenizer

    blocks = {"family": "transformer", "layers": 1, "heads": 2}
    recipe = Recipe.model_validate(
        {
            "name": "numbers-transformer",
            "data": {"kind": "generator"},
            "tokenizer": {"vocab_size": 60},
            "model": {"embedding_size": 12, "encoder": blocks, "decoder": blocks},
        }
    )
    letters = random.Random(1)
    tokenizer = train_tokenizer(("".join(letters.choices("abcdefgh ", k=20)) for _ in range(400)), recipe.tokenizer)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = build_model(recipe.model, 60)
    return {
        "weights.safetensors": save(network.weights()),
        "tokenizer.model": tokenizer,
        "recipe.json": json.dumps(recipe.as_dict()).encode(),
    }


@pytest.fixture(scope="session")
def many_models(
    trained: Path, transformer: dict[str, bytes], card: "Card", tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A home with the tiny models of `trained`, a Transformer that was never trained, and a captioner."""
    from publishing import publish
    from tiny_scenes import RECURRENT, TINY_SCENES

    from s2s.recipe.load import load_recipe
    from s2s.registry.store import Registry
    from s2s.training.runs.lifecycle import train

    directory = tmp_path_factory.mktemp("models")
    shutil.copytree(trained, directory, dirs_exist_ok=True)
    publish(Registry(directory / "registry"), "numbers-transformer", transformer, card)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S2S_HOME", str(directory))
        patch.setenv("S2S_LEASES", str(directory / "leases"))
        patch.delenv("S2S_REGISTRY", raising=False)
        train(load_recipe("scenes/attention", [*TINY_SCENES, *RECURRENT]), device="cpu", wait=0)
    return directory


@pytest.fixture(scope="session")
def card() -> "Card":
    """A card, as a version has one."""
    from s2s.registry.card import Card

    frozen = Path(__file__).parent / "registry" / "frozen" / "version-2.json"
    return Card.model_validate(json.loads(frozen.read_text())["card"])


class _Messages(logging.Handler):
    """Collect what s2s logs, warnings marked as the command line marks them."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__()
        self.messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        mark = "warning: " if record.levelno >= logging.WARNING else ""
        self.messages.append(mark + record.getMessage())


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What s2s logs during the test."""
    messages: list[str] = []
    handler, logger = _Messages(messages), logging.getLogger("s2s")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield messages
    logger.removeHandler(handler)
    logger.setLevel(level)
