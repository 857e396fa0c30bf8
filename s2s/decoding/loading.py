"""Load published models: select the engine, precision and device."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from s2s.decoding.config import TranslatorConfig
from s2s.decoding.described_models import DescribedModel, combine
from s2s.decoding.engine import Engine
from s2s.decoding.settings import max_source_length
from s2s.decoding.translator import RecipeTranslator
from s2s.devices.leases import lease
from s2s.devices.runtime import Precision, prepare, threads_for
from s2s.errors import ResourceError, UsageError
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.recipe import Recipe
from s2s.registry.store import Registry
from s2s.registry.version import Version
from s2s.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    import torch

    from s2s.decoding.pytorch_engine import PyTorchEngine

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineSelection:
    """The engine to load, and why."""

    name: Literal["pytorch", "ctranslate2"]
    precision: str  # one of CTranslate2's COMPUTE_TYPES; for PyTorch a Precision or auto
    reason: str  # `using PyTorch: CTranslate2 does not support RNN encoders`
    may_fall_back: bool = False  # to PyTorch if CTranslate2 fails


@contextmanager
def load_translator(config: TranslatorConfig) -> Iterator[RecipeTranslator[Engine]]:
    """Lease a device and yield the translator of published models on it.

    Raises: UsageError if models, options and engine are incompatible; ResourceError if the device is busy.
    """
    versions = [Registry.default().resolve(model) for model in config.models]
    models = combine([DescribedModel.of(version) for version in versions], config)
    recipe, options = versions[0].recipe(), models.settings.decoding
    with lease(config.device, wait=config.wait, command=config.command) as device:
        selection = select_engine(recipe, device, options, config)
        log.debug(selection.reason)
        engine = load_engine(selection, versions, models.tokenizer, device)
        log.debug("%s, %s; %s", engine.describe(), device, options.describe())
        decoding = recipe.model_copy(update={"decoding": options})
        yield RecipeTranslator(engine, models.tokenizer, decoding, versions[0].card.source_profile, config.tag)


def reference_translator(version: Version, device: "torch.device") -> "RecipeTranslator[PyTorchEngine]":
    """Load a published model in the setting of its test, PyTorch in fp32, on a device that the caller holds."""
    from s2s.decoding.pytorch_engine import PyTorchEngine, load_network

    recipe = version.recipe()
    prepare(device, threads_for(version.card.parameters, recurrent=recipe.model.recurrent))
    engine = PyTorchEngine(load_network(version).to(device), device)
    return RecipeTranslator(engine, Tokenizer(version.read("tokenizer.model")), recipe)


def select_engine(recipe: Recipe, device: str, options: DecodingOptions, config: TranslatorConfig) -> EngineSelection:
    """Select the engine for a model, and say why.

    `recipe` is the model's own, `options` are the decoding options in effect.
    Raises: UsageError if the requested engine or precision is not supported.
    """
    reason = "--engine pytorch"
    if config.engine != "pytorch":
        unsupported = unsupported_reason(recipe, options, config)
        precision = config.precision
        if precision == "auto":
            precision = "int8" if device == "cpu" else "int8_fp16"
        unsupported_precision = unsupported or _unsupported_precision(precision, device)
        if not unsupported_precision:
            may_fall_back = config.engine == config.precision == "auto"
            return EngineSelection("ctranslate2", precision, "using CTranslate2: it supports this model", may_fall_back)
        if config.engine == "ctranslate2":
            hint = "--engine pytorch" if unsupported else "--precision auto"
            raise UsageError(f"--engine ctranslate2: {unsupported_precision}", hint)
        reason = unsupported_precision
    if config.precision not in ("auto", *get_args(Precision)):
        raise UsageError(f"--precision {config.precision}: PyTorch has fp32, tf32 and bf16", "--precision auto")
    return EngineSelection("pytorch", config.precision, f"using PyTorch: {reason}")


def unsupported_reason(recipe: Recipe, options: DecodingOptions, config: TranslatorConfig) -> str | None:
    """Return why the CTranslate2 engine cannot decode as requested, or None if it can."""
    from s2s.decoding.ctranslate2_conversion import max_output_length, unsupported_network

    features = {
        f"ensembles ({len(config.models)} models)": len(config.models) > 1,
        "sampling": options.sample,
        "prefixes": config.prefixes,
        "exact stopping": options.stopping == "exact" and options.beam_size > 1,
        "a minimum length": options.min_ratio > 0,
        "outputs longer than its position table": options.max_length(max_source_length(recipe))
        > max_output_length(recipe),
    }
    unsupported = next((feature for feature, is_requested in features.items() if is_requested), None)
    if unsupported:
        return f"the CTranslate2 engine does not support {unsupported}"
    return unsupported_network(recipe)


def _unsupported_precision(precision: str, device: str) -> str | None:
    """Return why CTranslate2 cannot compute in a precision on a device, or None if it can."""
    import ctranslate2

    from s2s.decoding.ctranslate2_conversion import COMPUTE_TYPES

    if precision not in COMPUTE_TYPES:
        return f"CTranslate2 does not support precision {precision}"
    kind, _, index = device.partition(":")
    try:
        supported = ctranslate2.get_supported_compute_types(kind, int(index or 0))
    except (RuntimeError, ValueError) as error:  # a build without CUDA, or no driver for it
        return f"CTranslate2 does not work on {device}: {error}"
    if COMPUTE_TYPES[precision] in supported:
        return None
    return f"CTranslate2 does not support precision {precision} on {device}"


def load_engine(selection: EngineSelection, versions: Sequence[Version], tokenizer: Tokenizer, device: str) -> Engine:
    """Load the selected engine with published models on a device that the caller holds."""
    if selection.name == "pytorch":
        return _load_pytorch(versions, device, selection.precision)
    from s2s.decoding.ctranslate2_conversion import COMPUTE_TYPES, cached_conversion
    from s2s.decoding.ctranslate2_engine import CTranslate2Engine

    try:
        directory = cached_conversion(versions[0], selection.precision)
        return CTranslate2Engine(directory, tokenizer, device, selection.precision, COMPUTE_TYPES[selection.precision])
    except ResourceError as error:
        if not selection.may_fall_back:
            raise
        log.warning("using PyTorch instead of CTranslate2: %s", error.described)
        return _load_pytorch(versions, device, "auto")


def _load_pytorch(versions: Sequence[Version], device: str, precision: str) -> Engine:
    from s2s.decoding.pytorch_engine import PyTorchEngine, load_network
    from s2s.devices.select import choose_precision, resolve_device
    from s2s.models.ensemble import Ensemble

    size = sum(version.card.parameters for version in versions)
    recurrent = any(version.recipe().model.recurrent for version in versions)
    place = resolve_device(device)
    chosen = choose_precision(precision, place, size)  # type: ignore[arg-type]
    prepare(place, threads_for(size, recurrent=recurrent), chosen)
    networks = [load_network(version).to(place) for version in versions]
    return PyTorchEngine(networks[0] if len(networks) == 1 else Ensemble(networks), place, chosen)
