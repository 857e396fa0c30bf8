"""What a translator needs to know about its model: a few figures of its recipe."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import ValidationError

from s2s.data.source_profile import SourceProfile
from s2s.errors import UsageError, did_you_mean
from s2s.io.json_values import uncapitalized
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.image_size import ImageSize

if TYPE_CHECKING:
    from s2s.recipe.data import DataOptions
    from s2s.recipe.recipe import Recipe

MIN_SOURCE_LIMIT = 400  # source tokens that every model translates in one go, even if training saw only shorter ones
SEARCH_OPTIONS = {"beam_size", "stopping", "patience"}  # decoding options that do not apply to sampling
SAMPLING_OPTIONS = {"temperature", "top_k", "top_p", "seed"}


def max_source_length(recipe: "Recipe") -> int:
    """Return the maximum source length in tokens, EOS excluded; longer lines are split."""
    return max(MIN_SOURCE_LIMIT, recipe.data.max_length)


@dataclass(frozen=True, slots=True)
class TranslatorSettings:
    """What a translator needs to know about its model."""

    name: str
    network: str  # description
    source_language: str
    target_language: str
    normalization: Literal["nfc", "nfkc", "none"]
    natural: bool  # whether the model was trained on sentences that were not generated
    max_source_length: int  # tokens
    image_size: ImageSize | None  # if sources are images
    grid: tuple[int, int] | None  # (height, width) of an image's memory
    has_attention: bool
    decoding: DecodingOptions  # in effect
    tags: Mapping[str, tuple[str, str]]  # what may stand before sources: source and target language of each
    all_tagged: bool  # whether training had a tag before each source
    tag: str = ""  # put before lines that begin with none

    @classmethod
    def of(cls, recipe: "Recipe") -> Self:
        """Return the settings of a recipe's model."""
        from s2s.recipe.data import parts_of

        data, model = recipe.data, recipe.model
        return cls(
            name=recipe.name,
            network=model.describe(),
            source_language=data.source_language,
            target_language=data.target_language,
            normalization=data.normalization,
            natural=any(part.kind != "generator" for part in parts_of(data)) and data.image_size is None,
            max_source_length=max_source_length(recipe),
            image_size=data.image_size,
            grid=model.encoder.grid if model.encoder else None,
            has_attention=model.has_attention,
            decoding=recipe.decoding,
            tags=tag_languages(data),
            all_tagged=all(data.tags),
        )

    def with_tag(self, tag: str) -> Self:
        """Return the settings with a tag for lines that begin with none.

        Raises: UsageError if the model has no such tag.
        """
        if tag and tag not in self.tags:
            known = ", ".join(self.tags) or "none"
            hint = did_you_mean(tag, [*self.tags]) if self.tags else "leave out --tag"
            raise UsageError(f"--tag {tag}: {self.name} has no such tag; it has {known}", hint)
        return replace(self, tag=tag)

    def split_tag(self, line: str) -> tuple[str, str]:
        """Return the tag that a line is translated with, and the line without the tag that it begins with, if any."""
        text = line.lstrip()
        for tag in sorted(self.tags, key=len, reverse=True):
            if text.startswith(tag):
                return tag, text.removeprefix(tag)
        return self.tag, line

    def lacks_tag(self, line: str) -> bool:
        """Return whether a line has text but no tag, although training had one before each source."""
        return self.all_tagged and bool(line.strip()) and not self.split_tag(line)[0]

    def languages(self, tag: str) -> tuple[str, str]:
        """Return the source and target language of lines with a tag."""
        return self.tags.get(tag, (self.source_language, self.target_language))

    def with_decoding(self, overrides: Mapping[str, Any]) -> Self:
        """Return the settings with overridden decoding options; None values are ignored.

        Raises: UsageError if the options contradict each other.
        """
        given = {key: value for key, value in overrides.items() if value is not None}
        try:
            decoding = DecodingOptions.model_validate(self.decoding.model_dump() | given)
        except ValidationError as error:
            first = error.errors()[0]
            reason = uncapitalized(first["msg"]).removeprefix("input ")
            wrong = [str(first["loc"][0])] if first["loc"] else [key for key in given if key in reason]
            raise UsageError(f"{_flags(wrong)}: {reason}", f"{self.name} has {self.decoding.describe()}") from error
        search, sampling = given.keys() & SEARCH_OPTIONS, given.keys() & SAMPLING_OPTIONS
        if decoding.sample and search:
            hint = "drop one of them" if given.get("sample") else f"add --no-sample: {self.name} samples by default"
            raise UsageError(f"{_flags(search)} only applies to beam search, not with --sample", hint)
        if sampling and not decoding.sample:
            raise UsageError(f"{_flags(sampling)} only applies with --sample", "add --sample")
        if "patience" in given and decoding.stopping == "exact":
            raise UsageError("--patience has no effect with --stopping exact", "use --stopping first")
        return replace(self, decoding=decoding)

    def require_task(self, *, images: bool) -> None:
        """Raise UsageError unless the model captions images, or translates text if not `images`."""
        if images and not self.image_size:
            raise UsageError(f"{self.name} translates text", f"s2s translate {self.name} FILE translates a file")
        if self.image_size and not images:
            raise UsageError(f"{self.name} captions images", f"s2s caption {self.name} IMAGE captions an image")

    def require_attention(self) -> None:
        """Raise UsageError if the model has no attention."""
        if not self.has_attention:
            raise UsageError(
                f"model {self.name} has no attention: {self.network}",
                'train a recipe with model.decoder.context = "attention"',
            )


def tag_languages(data: "DataOptions") -> dict[str, tuple[str, str]]:
    """Return the source and target language of each tag; empty where datasets with the same tag differ."""
    from s2s.recipe.data import parts_of

    found: dict[str, tuple[str, str]] = {}
    for tag, part in zip(data.tags, parts_of(data), strict=True):
        source, target = found.get(tag, (part.source_language, part.target_language))
        found[tag] = (
            source if source == part.source_language else "",
            target if target == part.target_language else "",
        )
    return {tag: languages for tag, languages in found.items() if tag}


def usual_sources(recipe: "Recipe", profile: SourceProfile | None) -> SourceProfile | None:
    """Return the profile of a model's sources as training joined them."""
    merge = recipe.data.augmentation
    return profile and profile.with_merged(merge.merge, merge.merge_lines, recipe.data.max_length)


def _flags(keys: Iterable[str]) -> str:
    return ", ".join(f"--{key.replace('_', '-')}" for key in sorted(keys))
