"""Engine selection and incompatible models."""

import json
import logging
import subprocess
import sys

import pytest
from publishing import publish

from s2s.decoding.loading import TranslatorConfig, load_translator, select_engine
from s2s.devices.leases import holders
from s2s.errors import UsageError
from s2s.recipe.load import parse_recipe
from s2s.registry.card import Card
from s2s.registry.store import Registry


@pytest.fixture(autouse=True)
def published(trained_home: object, transformer: dict[str, bytes], card: Card) -> None:
    publish(Registry.default(), "numbers-transformer", transformer, card)


def chosen(*models: str, **config: object) -> tuple[str, list[str]]:
    """Return the description of the engine and the messages that `-v` prints."""
    messages: list[str] = []
    handler, logger = logging.Handler(), logging.getLogger("s2s.decoding.loading")
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        with load_translator(TranslatorConfig(models, "test", **config)) as translator:  # type: ignore[arg-type]
            return translator.engine.describe(), messages
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


def test_transformers_use_ctranslate2_and_others_pytorch() -> None:
    engine, log = chosen("numbers-transformer")
    assert engine == "CTranslate2, int8"
    assert log[0] == "using CTranslate2: it supports this model"
    engine, log = chosen("numbers-attention")
    assert engine == "PyTorch, fp32"
    assert log[0] == "using PyTorch: CTranslate2 does not support RNN encoders"
    assert log[1].startswith("PyTorch, fp32, cpu; beam 2")


def test_selection_neither_loads_nor_leases(transformer: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2S_REGISTRY", "/nowhere")
    recipe = parse_recipe(json.loads(transformer["recipe.json"]), "test")
    config = TranslatorConfig(["no-such-model"], "test")
    selection = select_engine(recipe, "cpu", recipe.decoding, config)
    assert (selection.name, selection.precision) == ("ctranslate2", "int8")
    assert selection.reason == "using CTranslate2: it supports this model"
    sampling = recipe.decoding.model_copy(update={"sample": True})
    selection = select_engine(recipe, "cpu", sampling, config)
    assert (selection.name, selection.precision) == ("pytorch", "auto")
    assert selection.reason == "using PyTorch: the CTranslate2 engine does not support sampling"
    assert holders() == []


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"decoding": {"sample": True}}, "does not support sampling"),
        ({"decoding": {"stopping": "exact"}}, "exact"),
        ({"decoding": {"min_ratio": 0.5}}, "minimum length"),
        ({"decoding": {"max_ratio": 50.0}}, "position table"),
        ({"prefixes": True}, "prefixes"),
    ],
)
def test_unsupported_options_use_pytorch(config: dict[str, object], reason: str) -> None:
    engine, log = chosen("numbers-transformer", **config)
    assert engine == "PyTorch, fp32"
    assert reason in log[0]
    with pytest.raises(UsageError, match=reason):
        chosen("numbers-transformer", engine="ctranslate2", **config)


def test_ensembles() -> None:
    engine, log = chosen("numbers-attention", "numbers-attention")
    assert engine == "PyTorch, fp32"
    assert "2 models" in log[0]
    with pytest.raises(UsageError, match="do not share a vocabulary"):
        chosen("numbers-attention", "numbers-transformer")


def test_precisions() -> None:
    assert chosen("numbers-transformer", precision="fp32")[0] == "CTranslate2, fp32"
    assert chosen("numbers-attention", precision="bf16")[0] == "PyTorch, bf16"
    assert chosen("numbers-transformer", engine="pytorch", precision="bf16")[0] == "PyTorch, bf16"
    with pytest.raises(UsageError, match="int8"):
        chosen("numbers-attention", precision="int8")


def test_contradictory_options_are_refused() -> None:
    with pytest.raises(UsageError, match="min_ratio"):
        chosen("numbers-attention", decoding={"min_ratio": 4.0})
    with pytest.raises(UsageError, match="nbest 3 exceeds the beam size"):
        chosen("numbers-attention", nbest=3)
    with pytest.raises(UsageError, match="no attention"):
        chosen("numbers-bottleneck", need_attention=True)


def test_cached_conversion_loads_without_torch() -> None:
    chosen("numbers-transformer")
    code = (
        "import sys\n"
        "from s2s.cli.app import main\n"
        "assert main(['translate', 'numbers-transformer']) == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=b"abc\n", capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.count(b"\n") == 1
