"""Options that all kinds of data share: languages, filters, augmentation, and pairs to hold out."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from s2s.recipe.augmentation import AugmentationOptions
from s2s.recipe.filters import AnyFilterOptions, FilterOptions, LengthFilterOptions, Preset, preset_filters
from s2s.recipe.image_size import ImageSize
from s2s.recipe.options import Options
from s2s.recipe.splits import SplitOptions

Count = Annotated[int, Field(ge=0)]
MAX_FILTERS = 20
UNFILTERED_LENGTH = 1000  # tokens of a source that models take in one go if no filter limited those of training


class PairOptions(Options):
    """What all kinds of data share."""

    kind: str = Field(description="where the pairs come from")
    source_language: str = Field("", max_length=32, description="source language code, such as de")
    target_language: str = Field("", max_length=32, description="target language code, such as en")
    license: str = Field("", max_length=1000, description="license of the data, to be kept with the corpus")
    citation: str = Field("", max_length=10_000, description="how to cite the data, to be kept with the corpus")
    normalization: Literal["nfc", "nfkc", "none"] = Field("nfc", description="Unicode normalization of both sides")
    filter_preset: Preset = Field(
        "basic",
        description="filters of training pairs, before those of the recipe; basic: duplicates, more than 200 tokens on "
        "a side, a ratio of lengths above 9; clean: also copies, other scripts, few letters, different numbers, URLs "
        "and placeholders, repeated words, a ratio above 4",
    )
    filters: Annotated[list[AnyFilterOptions], Field(max_length=MAX_FILTERS)] = Field(
        [],
        description="Further filters of training pairs, in their order; those that count tokens run after all others, "
        "because the tokenizer is trained on what the others keep.",
    )
    augmentation: AugmentationOptions = AugmentationOptions()
    on_invalid: Literal["refuse", "drop"] = Field(
        "refuse", description="invalid UTF-8: refuse the file or drop the pair"
    )

    @property
    def image_size(self) -> ImageSize | None:
        """Size of the sources if they are images; None if they are sentences."""
        return None

    @property
    def tags(self) -> list[str]:
        """What is put before the sources of each dataset; may be empty. Only a mixture has several datasets."""
        return [""]

    @property
    def directions(self) -> list[tuple[str, ...]]:
        """For each dataset, what besides its texts distinguishes a pair from the same pair in another dataset."""
        return [()]

    def all_filters(self) -> list[FilterOptions]:
        """Return the filters of training pairs: those of the preset, then the recipe's own."""
        languages = bool(self.source_language or self.target_language)
        preset = preset_filters(self.filter_preset, of_images=self.image_size is not None, with_languages=languages)
        return [*preset, *self.filters]

    @property
    def min_length(self) -> int:
        """Minimum length of a side of a training pair in tokens."""
        filters = (one for one in self.all_filters() if isinstance(one, LengthFilterOptions) and one.counts_tokens)
        return max((one.min for one in filters), default=1)

    @property
    def max_length(self) -> int:
        """Maximum length of a side of a training pair in tokens; UNFILTERED_LENGTH if no filter sets one."""
        filters = (one for one in self.all_filters() if isinstance(one, LengthFilterOptions) and one.counts_tokens)
        return min((one.max for one in filters), default=UNFILTERED_LENGTH)

    @model_validator(mode="after")
    def _filters_apply(self) -> Self:
        for one in self.filters:
            if one.compares_sides and self.image_size is not None:
                raise ValueError(f"the filter {one.name} compares two texts; kind {self.kind} has images")
            if one.needs_languages and not (self.source_language and self.target_language):
                raise ValueError(f"the filter {one.name} needs source_language and target_language")
        return self

    def with_root(self, root: str) -> Self:
        """Return these options with another base directory; unchanged if this kind reads no files."""
        return self.model_copy(update={"root": root}) if "root" in type(self).model_fields else self


class HeldOutOptions(PairOptions):
    """What all kinds share whose pairs are read."""

    hold_out_validation: Count = Field(
        0, description="training pairs to hold out for validation if no validation data is named"
    )
    hold_out_test: Count = Field(0, description="training pairs to hold out for testing if no test data is named")

    def split(self, name: str) -> SplitOptions:
        """Return the options of a split: train, validation or test."""
        split: SplitOptions = getattr(self, name)
        return split

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.split("train").given:
            raise ValueError("train names no data")
        for name, held in (("validation", self.hold_out_validation), ("test", self.hold_out_test)):
            if self.split(name).given == bool(held):
                raise ValueError(f"set either {name} or hold_out_{name}, but not both")
        return self


class FileOptions(HeldOutOptions):
    """What all kinds share that read files."""

    root: str = Field("", description="base directory of relative file names; default: the recipe's directory")
