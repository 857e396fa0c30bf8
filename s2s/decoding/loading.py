"""From names of models to a translator: which engine, in which precision, on which device."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import ValidationError

from s2s.decoding.hypothesis import Engine, longest_source
from s2s.decoding.translator import Translator, require_attention
from s2s.devices.leases import lease
from s2s.devices.runtime import configure, threads_for
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

EngineName = Literal["auto", "pytorch", "ctranslate2"]
OF_SEARCH = {"beam_size", "stopping", "patience"}  # decoding options that samples have no use for
OF_SAMPLES = {"temperature", "top_k", "top_p", "seed"}
PRECISIONS = {"pytorch": ("fp32", "bf16"), "ctranslate2": ("fp32", "int8", "int8_bf16", "bf16")}


@dataclass(frozen=True, slots=True)
class TranslatorConfig:
    """What a user asks for: models that translate together, engine, precision, device, changes of decoding options,
    and what not every engine or model has: weights of attention, given prefixes.
    """

    models: Sequence[str]
    command: str
    engine: EngineName = "auto"
    precision: str = "auto"
    device: str = "auto"
    wait: bool = False
    decoding: Mapping[str, Any] | None = None
    nbest: int = 1
    need_attention: bool = False
    prefixes: bool = False


@contextmanager
def loaded_translator(config: TranslatorConfig) -> Iterator[Translator[Engine]]:
    """Yield the translator of published models on a leased device, with the requested decoding options.

    Raises: UsageError where models, options or engine do not go together.
    """
    versions = [Registry.default().resolve(model) for model in config.models]
    stored = versions[0].recipe()
    recipe = _changed(stored, config.decoding or {})
    if config.nbest > recipe.decoding.beam_size and not recipe.decoding.sample:
        raise UsageError(
            f"--nbest {config.nbest} exceeds the beam size ({recipe.decoding.beam_size})", f"--beam-size {config.nbest}"
        )
    if config.need_attention:
        for version in versions:
            require_attention(version.recipe())
    if len({version.files["tokenizer.model"].digest for version in versions}) > 1:
        names = " and ".join(version.reference for version in versions)
        raise UsageError(f"{names} do not share a vocabulary", "train one --from the other, or from the same corpus")
    tokenizer = Tokenizer(versions[0].read("tokenizer.model"))
    with lease(config.device, wait=config.wait, command=config.command) as device:
        reason = _why_not_ctranslate(config, stored, recipe.decoding, device)
        if config.engine == "ctranslate2" and reason:
            hint = "--precision auto" if "precision" in reason else "--engine pytorch"
            raise UsageError(f"--engine ctranslate2: {reason}", hint)
        engine = None
        if config.engine != "pytorch" and not reason:
            engine = _ctranslate(versions[0], tokenizer, device, config)
        elif config.engine == "auto":
            log.debug("using PyTorch: %s", reason)
        engine = engine or _pytorch(versions, device, config.precision)
        log.debug("%s, %s; %s", engine.describe(), device, recipe.decoding.describe())
        yield Translator(engine, tokenizer, recipe)


@contextmanager
def loaded_reference(model: str, device: str, wait: bool, command: str) -> "Iterator[Translator[PyTorchEngine]]":
    """Yield a published model's translator, in the precision of its test, on a leased device."""
    config = TranslatorConfig([model], command, "pytorch", "fp32", device, wait)
    with loaded_translator(config) as translator:
        yield cast("Translator[PyTorchEngine]", translator)


def reference_translator(version: Version, device: "torch.device") -> "Translator[PyTorchEngine]":
    """Return a published model's translator in the setting of its test: PyTorch in fp32, its own decoding options."""
    from s2s.decoding.pytorch_engine import PyTorchEngine, load_network

    configure(threads_for(version.card.parameters))
    engine = PyTorchEngine(load_network(version).to(device), device)
    return Translator(engine, Tokenizer(version.read("tokenizer.model")), version.recipe())


def _changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return the recipe with changed decoding options. Raises UsageError if they contradict each other."""
    given = {key: value for key, value in changes.items() if value is not None}
    try:
        decoding = DecodingOptions.model_validate(recipe.decoding.model_dump() | given)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"{_flags(given)}: {reason}", f"{recipe.name} has {recipe.decoding.describe()}") from error
    search, samples = given.keys() & OF_SEARCH, given.keys() & OF_SAMPLES
    if decoding.sample and search:
        raise UsageError(f"{_flags(search)} only applies to beam search, not with --sample", "drop one of them")
    if samples and not decoding.sample:
        raise UsageError(f"{_flags(samples)} only applies with --sample", "add --sample")
    if "patience" in given and decoding.stopping == "exact":
        raise UsageError("--patience has no effect with --stopping exact", "use --stopping first")
    return recipe.model_copy(update={"decoding": decoding})


def _flags(keys: Iterable[str]) -> str:
    return ", ".join(f"--{key.replace('_', '-')}" for key in sorted(keys))


def _why_not_ctranslate(config: TranslatorConfig, stored: Recipe, options: DecodingOptions, device: str) -> str | None:
    """Why CTranslate2 cannot do what is wished as it is meant, or None where it can."""
    from s2s.decoding.ctranslate2_conversion import longest_output, unsupported_reason

    reasons = {
        f"{len(config.models)} models in an ensemble are not supported": len(config.models) > 1,
        "sampling is not supported": options.sample,
        "prefixes are not supported": config.prefixes,
        "exact stopping is not supported": options.stopping == "exact" and options.beam_size > 1,
        "a minimum length is not supported": options.min_ratio > 0,
        "outputs may exceed its position table": options.max_length(longest_source(stored)) > longest_output(stored),
        f"it has no precision {config.precision}": config.precision not in ("auto", *PRECISIONS["ctranslate2"]),
    }
    said = next((reason for reason, is_so in reasons.items() if is_so), None)
    return said or unsupported_reason(stored) or _unsupported(config.precision, device)


def _unsupported(precision: str, device: str) -> str | None:
    """Why CTranslate2 cannot compute in a precision on a device."""
    import ctranslate2

    from s2s.decoding.ctranslate2_conversion import COMPUTE_TYPES

    kind, _, index = device.partition(":")
    supported = ctranslate2.get_supported_compute_types(kind, int(index or 0))
    wanted = COMPUTE_TYPES["int8" if precision == "auto" else precision]
    return None if wanted in supported else f"it cannot compute in precision {precision} here"


def _ctranslate(version: Version, tokenizer: Tokenizer, device: str, config: TranslatorConfig) -> Engine | None:
    """Return the CTranslate2 engine; None if the cache has no room and the engine was not requested."""
    from s2s.decoding.ctranslate2_conversion import COMPUTE_TYPES, converted
    from s2s.decoding.ctranslate2_engine import CTranslateEngine

    chosen = "int8" if config.precision == "auto" else config.precision
    try:
        directory = converted(version, chosen)
    except ResourceError as error:
        if config.engine != "auto" or config.precision != "auto":
            raise
        log.warning("using PyTorch instead of CTranslate2: %s; %s", error.message, error.hint)
        return None
    return CTranslateEngine(directory, tokenizer, device, chosen, COMPUTE_TYPES[chosen])


def _pytorch(versions: Sequence[Version], device: str, precision: str) -> Engine:
    from s2s.decoding.pytorch_engine import PyTorchEngine, load_network
    from s2s.devices.select import choose_precision, resolve_device
    from s2s.models.ensemble import Ensemble

    if precision not in ("auto", *PRECISIONS["pytorch"]):
        raise UsageError(f"--precision {precision}: PyTorch has fp32 and bf16", "--precision auto")
    size = sum(version.card.parameters for version in versions)
    configure(threads_for(size))
    place = resolve_device(device)
    networks = [load_network(version).to(place) for version in versions]
    chosen = choose_precision(precision, place, size)  # type: ignore[arg-type]
    return PyTorchEngine(networks[0] if len(networks) == 1 else Ensemble(networks), place, chosen)
