"""Models of others: whatever their files hold, the command ends with a message and exit code 4."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from publishing import publish
from safetensors.torch import load, save

from s2s.decoding import pytorch_engine
from s2s.registry.store import Registry


@pytest.fixture
def translate(run, card, transformer, in_directory) -> Callable[..., str]:
    """Publish the tiny Transformer with other files and translate a line with it; return the error."""
    (in_directory / "input").write_text("abc\n")

    def call(engine: str, **files: bytes | None) -> str:
        contents = {name: files.get(name.split(".")[0], content) for name, content in transformer.items()}
        contents = {name: content for name, content in contents.items() if content is not None}
        publish(Registry.default(), "theirs", contents, card)
        result = run("translate", "theirs", "input", "--engine", engine)
        assert result.code == 4, result
        assert result.out == ""
        return result.err

    return call


def changed(recipe: bytes, **model: Any) -> bytes:
    values = json.loads(recipe)
    for key, value in model.items():
        table, _, name = key.rpartition("__")
        place = values
        for part in table.split("__"):
            place = place[part]
        place[name] = value
    return json.dumps(values).encode()


ENGINES = pytest.mark.parametrize("engine", ["pytorch", "ctranslate2"])


@ENGINES
@pytest.mark.parametrize("kind", ["nan", "inf", "bf16", "f8", "missing", "cut", "empty"])
def test_damaged_weights(translate, transformer, engine, kind):
    weights = load(transformer["weights.safetensors"])
    if kind in {"nan", "inf"}:
        weights["bias"][3] = float(kind)
    elif kind == "missing":
        del weights["bias"]
    else:
        types = {"bf16": torch.bfloat16, "f8": torch.float8_e4m3fn}
        weights = {name: value.to(types.get(kind, value.dtype)) for name, value in weights.items()}
    content = save(weights)
    stored = {"cut": content[: len(content) // 2], "empty": b""}.get(kind, content)
    error = translate(engine, weights=stored)
    expected = {"nan": "bias is not finite", "inf": "bias is not finite", "bf16": "type BF16", "f8": "type F8_E4M3"}
    assert expected.get(kind, "not a safetensors file" if kind != "missing" else "missing weights: bias") in error


@ENGINES
def test_weights_are_compared_before_the_network_is_built(translate, transformer, monkeypatch, engine):
    def too_large(*_: object) -> None:
        raise AssertionError("the network was allocated")

    monkeypatch.setattr(pytorch_engine, "build_model", too_large)
    recipe = changed(
        transformer["recipe.json"], model__embedding_size=16384, model__encoder__layers=128, model__decoder__layers=128
    )
    assert "weights and recipe do not fit together: missing weights" in translate(engine, recipe=recipe)


@pytest.mark.parametrize("engine", ["auto", "pytorch"])
def test_lengths_are_bounded(translate, transformer, engine):
    recipe = changed(transformer["recipe.json"], data__filters=[{"name": "length", "max": 10**9}])
    assert "data.filters.max: input should be less than or equal to 65536" in translate(engine, recipe=recipe)


@pytest.mark.parametrize(
    "recipe",
    [b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"schema": 99}', b'{"schema": 3}', b'{"name": 1e999}'],
    ids=lambda content: content[:10].decode(errors="replace"),
)
def test_recipes_that_are_none(translate, recipe):
    assert "recipe of theirs:1" in translate("auto", recipe=recipe)


def test_unknown_keys_of_a_stored_recipe(translate, transformer):
    assert "model.depth: unknown key" in translate("auto", recipe=changed(transformer["recipe.json"], model__depth=3))


@pytest.mark.parametrize("file", ["weights", "tokenizer", "recipe"])
def test_missing_files(translate, file):
    assert f"model theirs:1 is damaged: it has no {file}." in translate("auto", **{file: None})


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x0a\x04\x0a\x02\xff\xfe"])
def test_tokenizers_that_are_none(translate, content):
    assert "tokenizer" in translate("auto", tokenizer=content)


def test_tokens_that_are_not_utf8(translate, transformer):
    model = transformer["tokenizer.model"]
    assert "a token is not UTF-8" in translate("auto", tokenizer=model.replace(b"\x0a\x01b", b"\x0a\x01\xff", 1))


@pytest.mark.parametrize(
    "path", [("files", "recipe.json", "size"), ("card", "memory_bytes"), ("card", "machine"), ("published",)]
)
@pytest.mark.parametrize("value", [10**400, 1e308, [[]], None, "x" * 10])
def test_cards_that_are_none(run, card, transformer, path, value):
    version = publish(Registry.default(), "theirs", transformer, card)
    file = Registry.default().root / "models" / "theirs" / "1.json"
    values = place = json.loads(file.read_text())
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    file.write_text(json.dumps(values))
    for command in (("list",), ("show", "theirs"), ("list", "--json")):
        assert run("models", *command).code in {0, 4}
    assert run("models", "rm", version.reference).code == 0
