"""Engine selection and incompatible models."""

import json
import logging
import subprocess
import sys
from dataclasses import replace

import ctranslate2
import pytest
from publishing import publish

from s2s.decoding import loading
from s2s.decoding.config import TranslatorConfig
from s2s.decoding.loading import EngineSelection, load_engine, load_translator, select_engine
from s2s.devices.leases import holders
from s2s.errors import ResourceError, UsageError
from s2s.recipe.load import parse_recipe
from s2s.recipe.recipe import Recipe
from s2s.registry.card import Card
from s2s.registry.store import Registry
from s2s.text.tokenizer import Tokenizer


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


def test_decoder_only_models_use_pytorch(transformer: dict[str, bytes]) -> None:
    values = json.loads(transformer["recipe.json"])
    del values["model"]["encoder"]
    values["model"]["architecture"] = "decoder_only"
    recipe = parse_recipe(values, "test")
    selection = select_engine(recipe, "cpu", recipe.decoding, TranslatorConfig(["alone"], "test"))
    assert selection.name == "pytorch"
    assert selection.reason == "using PyTorch: the CTranslate2 engine does not support decoder-only models"
    with pytest.raises(UsageError, match="does not support decoder-only models") as caught:
        select_engine(recipe, "cpu", recipe.decoding, TranslatorConfig(["alone"], "test", "ctranslate2"))
    assert caught.value.hint == "--engine pytorch"


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


@pytest.mark.parametrize("options", [{}, {"sample": True}], ids=["search", "sampling"])
@pytest.mark.parametrize("model", ["numbers-attention", "numbers-transformer"])
def test_attention_in_bf16(model: str, options: dict[str, object]) -> None:
    config = TranslatorConfig([model], "test", "pytorch", "bf16", decoding=options, need_attention=True)
    with load_translator(config) as translator:
        (found,) = translator.translate(["abc de"], need_attention=True)
    assert found.attention
    for row in found.attention:
        assert sum(row) == pytest.approx(1, abs=0.02)


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


class TestCTranslate2OnAGraphicsCard:
    @pytest.fixture
    def recipe(self, transformer: dict[str, bytes]) -> Recipe:
        return parse_recipe(json.loads(transformer["recipe.json"]), "test")

    @staticmethod
    def select(recipe: Recipe, **config: object) -> EngineSelection:
        options = TranslatorConfig(["numbers-transformer"], "test", **config)  # type: ignore[arg-type]
        return select_engine(recipe, "cuda:1", recipe.decoding, options)

    def test_selection(self, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
        supported = {("cuda", 1): {"int8_float16", "float16"}}
        monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda *device: supported[device])
        assert self.select(recipe).precision == "int8_fp16"
        assert self.select(recipe, precision="fp16").precision == "fp16"
        assert self.select(recipe, precision="bf16").name == "pytorch"

    def test_a_build_without_cuda(self, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> set[str]:
            raise ValueError("This CTranslate2 package was not compiled with CUDA support")

        monkeypatch.setattr(ctranslate2, "get_supported_compute_types", fail)
        selection = self.select(recipe)
        assert selection.name == "pytorch"
        assert "CTranslate2 does not work on cuda:1: This CTranslate2 package was not" in selection.reason
        with pytest.raises(UsageError, match="not compiled with CUDA"):
            self.select(recipe, engine="ctranslate2")

    def test_a_library_that_is_missing(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        class Translator:
            def __init__(self, *_: object, **options: object) -> None:
                assert (options["device"], options["device_index"]) == ("cuda", 1)

            def translate_batch(self, *_: object, **__: object) -> None:
                raise RuntimeError("Library libcublas.so.12 is not found or cannot be loaded")

        monkeypatch.setattr(ctranslate2, "Translator", Translator)
        monkeypatch.setattr(loading, "_load_pytorch", lambda versions, device, precision: (device, precision))
        version = Registry.default().resolve("numbers-transformer")
        tokenizer = Tokenizer(version.read("tokenizer.model"))
        selection = EngineSelection("ctranslate2", "int8_fp16", "", may_fall_back=True)
        assert load_engine(selection, [version], tokenizer, "cuda:1") == ("cuda:1", "auto")
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "using PyTorch instead of CTranslate2" in caplog.text
        assert "libcublas.so.12 is not found" in caplog.text
        with pytest.raises(ResourceError, match="libcublas"):
            load_engine(replace(selection, may_fall_back=False), [version], tokenizer, "cuda:1")
