"""Load published models: select the engine, precision and device."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from pydantic import ValidationError

from s2s.decoding.engine import Engine, max_source_length
from s2s.decoding.translator import Translator, require_attention, require_task
from s2s.devices.leases import lease
from s2s.devices.runtime import prepare, threads_for
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

AnyEngine = TypeVar("AnyEngine", bound=Engine)
EngineName = Literal["auto", "pytorch", "ctranslate2"]
SEARCH_OPTIONS = {"beam_size", "stopping", "patience"}  # decoding options that do not apply to sampling
SAMPLING_OPTIONS = {"temperature", "top_k", "top_p", "seed"}
PRECISIONS = {
    "pytorch": ("fp32", "tf32", "bf16"),
    "ctranslate2": ("fp32", "int8", "int8_bf16", "bf16", "int8_fp16", "fp16"),
}


@dataclass(frozen=True, slots=True)
class TranslatorConfig:
    """Which models to load, how and where."""

    models: Sequence[str]  # references; several form an ensemble
    command: str  # shown to those who wait for the device
    engine: EngineName = "auto"  # auto: CTranslate2 if supported, else PyTorch
    precision: str = "auto"  # auto: int8 with CTranslate2 (on GPUs int8_fp16), else bf16 where it is fast
    device: str = "auto"  # auto: the first free one
    wait: float = 0.0  # seconds to wait for a busy device before raising
    decoding: Mapping[str, Any] | None = None  # decoding options to override; None values are ignored
    nbest: int = 1  # translations per line
    need_attention: bool = False  # refuse models without attention
    prefixes: bool = False  # whether translations have forced prefixes
    images: bool = False  # whether sources are images


@dataclass(frozen=True, slots=True)
class EngineSelection:
    """The engine to load, and why."""

    name: Literal["pytorch", "ctranslate2"]
    precision: str  # one of PRECISIONS, or for PyTorch auto
    reason: str  # `using PyTorch: CTranslate2 does not support RNN encoders`
    may_fall_back: bool = False  # to PyTorch if CTranslate2 fails


@dataclass(frozen=True, slots=True)
class ResolvedModels:
    """Models that can decode together as requested, before their weights are loaded."""

    versions: list[Version]
    stored: Recipe  # of the first
    recipe: Recipe  # the same, with the decoding options in effect
    tokenizer: Tokenizer

    def translator(self, engine: AnyEngine) -> Translator[AnyEngine]:
        """Return the translator that uses an engine."""
        return Translator(engine, self.tokenizer, self.recipe, self.versions[0].card.source_profile)


@contextmanager
def load_translator(config: TranslatorConfig) -> Iterator[Translator[Engine]]:
    """Lease a device and yield the translator of published models on it.

    Raises: UsageError if models, options and engine are incompatible; ResourceError if the device is busy.
    """
    models = resolve_models(config)
    with lease(config.device, wait=config.wait, command=config.command) as device:
        selection = select_engine(models.stored, device, models.recipe.decoding, config)
        log.debug(selection.reason)
        engine = load_engine(selection, models.versions, models.tokenizer, device)
        log.debug("%s, %s; %s", engine.describe(), device, models.recipe.decoding.describe())
        yield models.translator(engine)


def resolve_models(config: TranslatorConfig) -> ResolvedModels:
    """Resolve references, and check that models and options suit each other. Raises UsageError if they do not."""
    versions = [Registry.default().resolve(model) for model in config.models]
    recipes = [version.recipe() for version in versions]
    recipe = _override_decoding(recipes[0], config.decoding or {})
    for one in recipes:
        require_task(one, images=config.images)
        if config.need_attention:
            require_attention(one)
    _check_models(versions, recipe.decoding, config)
    return ResolvedModels(versions, recipes[0], recipe, Tokenizer(versions[0].read("tokenizer.model")))


def _check_models(versions: Sequence[Version], options: DecodingOptions, config: TranslatorConfig) -> None:
    """Raise UsageError if models cannot form an ensemble, or do not find as many translations as are requested."""
    if config.nbest > options.beam_size and not options.sample:
        raise UsageError(
            f"--nbest {config.nbest} exceeds the beam size ({options.beam_size})", f"--beam-size {config.nbest}"
        )
    if len({version.file("tokenizer.model").digest for version in versions}) > 1:
        names = " and ".join(version.reference for version in versions)
        raise UsageError(f"{names} do not share a vocabulary", "train one --from the other, or from the same corpus")


@contextmanager
def load_reference_translator(
    model: str, device: str, wait: float, command: str
) -> "Iterator[Translator[PyTorchEngine]]":
    """Lease a device and yield a published model's translator in the setting of its test: PyTorch in fp32."""
    config = TranslatorConfig([model], command, "pytorch", "fp32", device, wait)
    with load_translator(config) as translator:
        yield cast("Translator[PyTorchEngine]", translator)


def reference_translator(version: Version, device: "torch.device") -> "Translator[PyTorchEngine]":
    """Load a published model in the setting of its test, PyTorch in fp32, on a device that the caller holds."""
    from s2s.decoding.pytorch_engine import PyTorchEngine, load_network

    recipe = version.recipe()
    prepare(device, threads_for(version.card.parameters, recurrent=recipe.model.recurrent))
    engine = PyTorchEngine(load_network(version).to(device), device)
    return Translator(engine, Tokenizer(version.read("tokenizer.model")), recipe)


def _override_decoding(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """Return the recipe with overridden decoding options. Raises UsageError if they contradict each other."""
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        decoding = DecodingOptions.model_validate(recipe.decoding.model_dump() | given)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"{_flags(given)}: {reason}", f"{recipe.name} has {recipe.decoding.describe()}") from error
    search, sampling = given.keys() & SEARCH_OPTIONS, given.keys() & SAMPLING_OPTIONS
    if decoding.sample and search:
        raise UsageError(f"{_flags(search)} only applies to beam search, not with --sample", "drop one of them")
    if sampling and not decoding.sample:
        raise UsageError(f"{_flags(sampling)} only applies with --sample", "add --sample")
    if "patience" in given and decoding.stopping == "exact":
        raise UsageError("--patience has no effect with --stopping exact", "use --stopping first")
    return recipe.model_copy(update={"decoding": decoding})


def _flags(keys: Iterable[str]) -> str:
    return ", ".join(f"--{key.replace('_', '-')}" for key in sorted(keys))


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
    if config.precision not in ("auto", *PRECISIONS["pytorch"]):
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

    if precision not in PRECISIONS["ctranslate2"]:
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
