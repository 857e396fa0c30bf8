"""Models as translators see them: described by the registry, or by a server that has read them already."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from s2s.data.source_profile import RatioBound, SourceProfile
from s2s.decoding.config import TranslatorConfig
from s2s.decoding.settings import TranslatorSettings, usual_sources
from s2s.errors import ArtefactError, UsageError, wrap_os_errors
from s2s.io.digests import digest_bytes
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.image_size import ImageSize
from s2s.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from s2s.registry.version import Version

TOKENIZER = "tokenizer.model"


@dataclass(frozen=True, slots=True)
class DescribedModel:
    """A version of a model."""

    reference: str  # NAME:3
    settings: TranslatorSettings
    profile: SourceProfile | None  # of the sources that it was trained on
    tokenizer: Path
    tokenizer_digest: str  # sha256

    @classmethod
    def of(cls, version: "Version") -> Self:
        """Describe a version in the registry. Raises ArtefactError if it is damaged."""
        recipe = version.recipe()
        profile = usual_sources(recipe, version.card.source_profile)
        digest = version.file(TOKENIZER).digest
        return cls(version.reference, TranslatorSettings.of(recipe), profile, version.path(TOKENIZER), digest)

    def as_dict(self) -> dict[str, Any]:
        """Return the description as JSON values."""
        values = asdict(self) | {"tokenizer": str(self.tokenizer)}
        values["settings"]["decoding"] = self.settings.decoding.model_dump()
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the model that `as_dict` described."""
        settings, profile = values["settings"], values["profile"]
        lists: dict[str, Any] = {
            "image_size": settings["image_size"] and ImageSize(*settings["image_size"]),
            "grid": settings["grid"] and tuple(settings["grid"]),
            "decoding": DecodingOptions.model_validate(settings["decoding"]),
            "tags": {tag: tuple(languages) for tag, languages in settings["tags"].items()},
        }
        sources = profile and SourceProfile(**profile | {"ratios": [RatioBound(**one) for one in profile["ratios"]]})
        return cls(
            values["reference"],
            TranslatorSettings(**settings | lists),
            sources,
            Path(values["tokenizer"]),
            values["tokenizer_digest"],
        )

    def read_tokenizer(self) -> Tokenizer:
        """Read the tokenizer. Raises ArtefactError if it is damaged."""
        with wrap_os_errors(self.tokenizer, "read"):
            content = self.tokenizer.read_bytes()
        if digest_bytes(content) != self.tokenizer_digest:
            raise ArtefactError(f"{self.reference} is damaged: {TOKENIZER}: its content has changed")
        return Tokenizer(content)


@dataclass(frozen=True, slots=True)
class CombinedModels:
    """Models that can decode together as requested, before their weights are loaded."""

    references: tuple[str, ...]
    settings: TranslatorSettings  # of the first, with the decoding options in effect
    profile: SourceProfile | None  # of the first
    tokenizer: Tokenizer


def combine(models: Sequence[DescribedModel], config: TranslatorConfig) -> CombinedModels:
    """Check that models and options suit each other. Raises UsageError if they do not."""
    settings = models[0].settings.with_decoding(config.decoding or {}).with_tag(config.tag)
    for one in models:
        one.settings.with_tag(config.tag)
        one.settings.require_task(images=config.images)
        if config.need_attention:
            one.settings.require_attention()
    options = settings.decoding
    if config.nbest > options.beam_size and not options.sample:
        raise UsageError(
            f"--nbest {config.nbest} exceeds the beam size ({options.beam_size})", f"--beam-size {config.nbest}"
        )
    references = tuple(one.reference for one in models)
    if len({one.tokenizer_digest for one in models}) > 1:
        names = " and ".join(references)
        raise UsageError(f"{names} do not share a vocabulary", "train one --from the other, or from the same corpus")
    return CombinedModels(references, settings, models[0].profile, models[0].read_tokenizer())
