"""A section that runs a server: two models with memory for one, and their memory against the device's own figure."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from bench import TINY, Bench, transformer
from safetensors.torch import save_file

from s2s.decoding.config import TranslatorConfig
from s2s.devices.memory import free_without_context
from s2s.models.build import build_model
from s2s.recipe.recipe import Recipe
from s2s.registry.card import Card
from s2s.registry.store import Registry
from s2s.serving.client import Connection, served_translator
from s2s.text.tokenizer import Tokenizer
from s2s.text.tokenizer_training import train_tokenizer

CARD = Path(__file__).parents[2] / "registry" / "frozen" / "version-2.json"
NAMES = ("one", "other")
LINES = [" ".join(f"w{number % 97}" for number in range(start, start + 20)) for start in range(64)]


def serving(bench: Bench) -> None:
    """Load, evict and measure models in a server."""
    with tempfile.TemporaryDirectory() as home:
        variables = {"S2S_HOME": home} | {f"S2S_{name}": f"{home}/{name}" for name in ("LEASES", "SERVERS", "CACHE")}
        with mock.patch.dict(os.environ, variables):
            for name in NAMES:
                _publish(bench, name)
            with _server(bench) as connection:
                sizes = [_measure(bench, connection, name) for name in NAMES]
                with served_translator(TranslatorConfig([NAMES[0]], "bench")) as translator:
                    bench.report("serving", auto=translator.engine.describe())
            budget = int(max(sizes) + 0.5 * min(sizes))
            with _server(bench, "--memory", f"{budget // 1000}kB") as connection:
                for name in (*NAMES, *NAMES):
                    _measure(bench, connection, name)
                status = connection.status()
                passed = status.evictions == 3 and status.memory_used <= budget
                bench.check("serving", passed, evictions=status.evictions, used=status.memory_used, budget=budget)


def _publish(bench: Bench, name: str) -> None:
    model = TINY["small"][0] if bench.tiny else transformer(512, 6, 8, 0.1)
    recipe = Recipe.model_validate(
        {"name": name, "data": {"kind": "generator"}, "tokenizer": {"vocab_size": 60}, "model": model}
    )
    tokenizer = train_tokenizer(iter(LINES * 20), recipe.tokenizer)
    with tempfile.TemporaryDirectory() as directory:
        files = {file: Path(directory) / file for file in ("weights.safetensors", "tokenizer.model", "recipe.json")}
        save_file(build_model(recipe.model, Tokenizer(tokenizer).size).weights(), files["weights.safetensors"])
        files["tokenizer.model"].write_bytes(tokenizer)
        files["recipe.json"].write_text(json.dumps(recipe.as_dict()))
        Registry.default().publish(name, files, Card.model_validate(json.loads(CARD.read_text())["card"]))


@contextmanager
def _server(bench: Bench, *options: str) -> Iterator[Connection]:
    command = [sys.executable, "-m", "s2s", "serve", "--device", str(bench.device), *options]
    with subprocess.Popen(command) as process:
        while not (connection := Connection.open()):
            assert process.poll() is None, "the server does not start"
            time.sleep(0.1)
        with connection:
            yield connection
        process.terminate()


def _measure(bench: Bench, connection: Connection, name: str) -> int:
    """Translate with a model, and compare its memory with what the device lost meanwhile; return the bytes."""
    free = free_without_context(str(bench.device)) + connection.status().memory_used
    started = time.perf_counter()
    with served_translator(TranslatorConfig([name], "bench", "pytorch", bench.precision)) as translator:
        loading = time.perf_counter() - started
        translator.translate(LINES)
        seconds = time.perf_counter() - started - loading
    time.sleep(0.5)  # until the process has reported its memory
    status = connection.status()
    (found,) = [one for one in status.models if one.reference == f"{name}:1"]
    taken = free - free_without_context(str(bench.device))
    values = {"model": name, "load_s": loading, "translate_s": seconds, "bytes": found.bytes}
    if not bench.cuda:
        bench.report("serving", **values)
        return found.bytes
    error = status.memory_used / taken - 1
    bench.check("serving", abs(error) < 0.1, **values, used=status.memory_used, taken=taken, error=error)
    return found.bytes
