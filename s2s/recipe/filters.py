"""Options of the filters that drop training pairs."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from s2s.recipe.options import Options

Share = Annotated[float, Field(ge=0, le=1)]
Unit = Literal["tokens", "characters"]
LONGEST = 65_536  # tokens


class FilterOptions(Options):
    """What all filters share."""

    compares_sides: ClassVar[bool] = True  # meaningless where the source is an image
    needs_languages: ClassVar[bool] = False
    drops: ClassVar[str]  # description of the pairs that it drops, with its thresholds in braces

    name: str = Field(description="what the filter looks at")

    @property
    def counts_tokens(self) -> bool:
        """Whether it can only run once the pairs are tokenized."""
        return getattr(self, "unit", None) == "tokens"

    def describe(self) -> str:
        """Describe the pairs that it drops."""
        return self.drops.format(**self.model_dump())


class LengthFilterOptions(FilterOptions):
    """Drop pairs with a side that is too short or too long."""

    drops = "a side does not have {min:,} to {max:,} {unit}"
    compares_sides = False
    name: Literal["length"] = Field(description="length: a side is too short or too long")
    unit: Unit = Field("tokens", description="what lengths are counted in")
    min: int = Field(1, ge=1, le=LONGEST, description="minimum length of each side")
    max: int = Field(200, ge=1, le=LONGEST, description="maximum length of each side")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) is larger than max ({self.max})")
        return self


class RatioFilterOptions(FilterOptions):
    """Drop pairs whose sides differ too much in length."""

    drops = "a side has more than {max:g} times as many {unit} as the other"
    name: Literal["ratio"] = Field(description="ratio: the lengths of the two sides differ too much")
    unit: Unit = Field("tokens", description="what lengths are counted in")
    max: float = Field(9.0, ge=1, description="maximum ratio of the longer side to the shorter one")


class DuplicatesFilterOptions(FilterOptions):
    """Drop repeated pairs; the first one is kept."""

    compares_sides = False
    name: Literal["duplicates"] = Field(description="duplicates: the pair occurred before")
    by: Literal["pair", "letters", "source", "target"] = Field(
        "pair",
        description="what is compared: both sides; both sides without case, digits and punctuation; one side",
    )

    def describe(self) -> str:
        """Describe the pairs that it drops."""
        return {
            "pair": "duplicate",
            "letters": "duplicate but for case, digits and punctuation",
            "source": "the source occurred before",
            "target": "the target occurred before",
        }[self.by]


class CopiesFilterOptions(FilterOptions):
    """Drop pairs whose sides are the same."""

    drops = "both sides are the same"
    name: Literal["copies"] = Field(description="copies: both sides are the same but for case")


class ScriptFilterOptions(FilterOptions):
    """Drop pairs with a side in another script than its language's."""

    drops = "less than {min_share:.0%} of a side's letters are in the script of its language"
    compares_sides = False
    needs_languages = True
    name: Literal["script"] = Field(description="script: a side is in another script than its language's")
    min_share: Share = Field(0.5, description="minimum share of a side's letters in a script of its language")


class LanguageFilterOptions(FilterOptions):
    """Drop pairs with a side in another language than declared; needs the extra `language`."""

    drops = "a side is in another language"
    compares_sides = False
    needs_languages = True
    name: Literal["language"] = Field(
        description="language: a side is in another language than declared (needs the extra language)"
    )
    min_confidence: Share = Field(
        0.5, description="minimum probability of the other language, as py3langid estimates it"
    )


class NumbersFilterOptions(FilterOptions):
    """Drop pairs whose numbers differ."""

    drops = "the numbers of the sides differ"
    name: Literal["numbers"] = Field(
        description="numbers: the sides have different numbers; up to twelve they are often spelled out"
    )
    min_share: Share = Field(0.5, description="minimum share of the numbers above twelve that both sides have")


class UrlsFilterOptions(FilterOptions):
    """Drop pairs whose URLs and e-mail addresses differ."""

    drops = "the URLs or e-mail addresses of the sides differ"
    name: Literal["urls"] = Field(description="urls: the sides have different URLs or e-mail addresses")


class LettersFilterOptions(FilterOptions):
    """Drop pairs with a side that is mostly digits, punctuation or symbols."""

    drops = "less than {min_share:.0%} of a side are letters"
    compares_sides = False
    name: Literal["letters"] = Field(description="letters: a side has few letters")
    min_share: Share = Field(0.5, description="minimum share of letters in the characters of each side, without spaces")


class RepetitionFilterOptions(FilterOptions):
    """Drop pairs with a word that is repeated over and over."""

    drops = "a word occurs more than {max:,} times in a row"
    compares_sides = False
    name: Literal["repetition"] = Field(description="repetition: a word is repeated over and over")
    max: int = Field(4, ge=1, le=1000, description="maximum number of times that a word occurs in a row")


class HtmlFilterOptions(FilterOptions):
    """Drop pairs with left-overs of HTML."""

    drops = "a side has HTML tags or character references"
    compares_sides = False
    name: Literal["html"] = Field(description="html: a side has HTML tags or character references")


class PlaceholdersFilterOptions(FilterOptions):
    """Drop pairs whose placeholders and tags differ."""

    drops = "the placeholders or tags of the sides differ"
    name: Literal["placeholders"] = Field(
        description="placeholders: the sides have different placeholders (%s, {name}) or tags"
    )


FILTERS: dict[str, type[FilterOptions]] = {
    "length": LengthFilterOptions,
    "ratio": RatioFilterOptions,
    "duplicates": DuplicatesFilterOptions,
    "copies": CopiesFilterOptions,
    "script": ScriptFilterOptions,
    "language": LanguageFilterOptions,
    "numbers": NumbersFilterOptions,
    "urls": UrlsFilterOptions,
    "letters": LettersFilterOptions,
    "repetition": RepetitionFilterOptions,
    "html": HtmlFilterOptions,
    "placeholders": PlaceholdersFilterOptions,
}
Preset = Literal["none", "basic", "clean"]
PRESETS: dict[Preset, list[dict[str, Any]]] = {
    "none": [],
    "basic": [{"name": "duplicates"}, {"name": "length"}, {"name": "ratio"}],
    "clean": [
        {"name": "duplicates", "by": "letters"},
        {"name": "copies"},
        {"name": "letters"},
        {"name": "script"},
        {"name": "numbers"},
        {"name": "urls"},
        {"name": "placeholders"},
        {"name": "repetition"},
        {"name": "length"},
        {"name": "ratio", "max": 4},
    ],
}


def preset_filters(preset: Preset, *, of_images: bool, with_languages: bool) -> list[FilterOptions]:
    """Return the filters of a preset; of images only those of one side, without languages none that needs them."""
    filters = [FILTERS[values["name"]].model_validate(values) for values in PRESETS[preset]]
    return [
        one for one in filters if not (of_images and one.compares_sides) and (with_languages or not one.needs_languages)
    ]


def filter_name(values: Any) -> Any:
    """Return the name of a filter's values; None if they are not a table."""
    return values.get("name") if isinstance(values, dict) else getattr(values, "name", None)


AnyFilterOptions = Annotated[
    Annotated[LengthFilterOptions, Tag("length")]
    | Annotated[RatioFilterOptions, Tag("ratio")]
    | Annotated[DuplicatesFilterOptions, Tag("duplicates")]
    | Annotated[CopiesFilterOptions, Tag("copies")]
    | Annotated[ScriptFilterOptions, Tag("script")]
    | Annotated[LanguageFilterOptions, Tag("language")]
    | Annotated[NumbersFilterOptions, Tag("numbers")]
    | Annotated[UrlsFilterOptions, Tag("urls")]
    | Annotated[LettersFilterOptions, Tag("letters")]
    | Annotated[RepetitionFilterOptions, Tag("repetition")]
    | Annotated[HtmlFilterOptions, Tag("html")]
    | Annotated[PlaceholdersFilterOptions, Tag("placeholders")],
    Discriminator(filter_name, custom_error_type="name", custom_error_message=f"expected one of {', '.join(FILTERS)}"),
]
