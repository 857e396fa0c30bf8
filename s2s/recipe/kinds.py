"""Kinds of data: each has its own keys, which say where its pairs come from."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from s2s.recipe.image_size import SCENE_SIZE, ImageSize
from s2s.recipe.options import Options
from s2s.recipe.pairs import FileOptions, HeldOutOptions, PairOptions
from s2s.recipe.splits import CaptionSplitOptions, HubSplitOptions, LinesSplitOptions, TableSplitOptions

Side = Literal["msgid", "msgstr"]
Pixels = Annotated[int, Field(ge=8, le=1024)]
Cells = Annotated[int, Field(ge=1, le=256)]


def _as_column(value: Any) -> int | str:
    """Return a column's number from 1 or its name; a number may be given as text."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+", value, re.ASCII) and len(value) < 10:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "" or (type(value) is int and value < 1):
        raise ValueError("expected a column's number, from 1, or its name in the first row")
    return value


Column = Annotated[
    int | str,
    BeforeValidator(_as_column),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}]}),
]


class GeneratorOptions(Options):
    """Pairs made from a seed: the same on every machine."""

    name: Literal["numbers", "recall", "scenes", "grammar"] = Field(
        "numbers",
        description="numbers: German and English numbers and dates; "
        "recall: look up the values of four keys among up to 500; "
        "scenes: describe pictures of coloured shapes; "
        "grammar: sentences of a probabilistic grammar, translated with noise of known entropy",
    )
    seed: int = Field(1, ge=0, description="random seed of the pairs")
    train: int = Field(20_000, ge=1, le=10_000_000, description="number of training pairs")
    validation: int = Field(500, ge=1, le=1_000_000, description="number of validation pairs")
    test: int = Field(1_000, ge=1, le=1_000_000, description="number of test pairs")
    min_items: int = Field(
        1,
        ge=1,
        le=1000,
        description="minimum number of items per pair (numbers or dates; key–value pairs; shapes; clauses)",
    )
    max_items: int = Field(3, ge=1, le=1000, description="maximum number of items per pair")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_items > self.max_items:
            raise ValueError(f"min_items ({self.min_items}) is larger than max_items ({self.max_items})")
        if self.name == "recall" and self.max_items > 500:
            raise ValueError(f"max_items ({self.max_items}) exceeds the 500 keys of recall")
        if self.name == "scenes" and self.max_items > 9:
            raise ValueError(f"max_items ({self.max_items}) exceeds the nine cells of a scene")
        return self


class LinesDataOptions(FileOptions):
    """Pairs from two text files, aligned line by line."""

    kind: Literal["lines"] = Field("lines", description="lines: two text files, aligned line by line")
    train: LinesSplitOptions = LinesSplitOptions()
    validation: LinesSplitOptions = LinesSplitOptions()
    test: LinesSplitOptions = LinesSplitOptions()

    @model_validator(mode="after")
    def _two_sided(self) -> Self:
        for name, split in (("train", self.train), ("validation", self.validation), ("test", self.test)):
            if bool(split.source) != bool(split.target):
                raise ValueError(f"{name} needs both source and target")
        return self


class TableFileOptions(FileOptions):
    """What all kinds share that read tables."""

    train: TableSplitOptions = TableSplitOptions()
    validation: TableSplitOptions = TableSplitOptions()
    test: TableSplitOptions = TableSplitOptions()


class DelimitedDataOptions(TableFileOptions):
    """Pairs from rows of delimited cells."""

    source_column: Column = Field(
        1, description="source column: its number, from 1, or its name, which makes the first row a header"
    )
    target_column: Column = Field(
        2, description="target column: its number, from 1, or its name, which makes the first row a header"
    )

    @property
    def has_header(self) -> bool:
        """Whether the first row of each file names the columns."""
        return isinstance(self.source_column, str) or isinstance(self.target_column, str)


class TsvDataOptions(DelimitedDataOptions):
    """Pairs from tab-separated files."""

    kind: Literal["tsv"] = Field(description="tsv: tab-separated files, in which quotes are text")


class CsvDataOptions(DelimitedDataOptions):
    """Pairs from comma-separated files."""

    kind: Literal["csv"] = Field(description="csv: comma-separated files, in which cells may be quoted")
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1, pattern=r'^[^"\r\n]$')] = Field(
        ",", description="character between cells, such as ;"
    )


class TableDataOptions(TableFileOptions):
    """Pairs from tables with named columns."""

    kind: Literal["jsonl", "parquet"] = Field(description="jsonl, parquet: tables with named columns")
    source_column: str = Field("source", description="name of the source column")
    target_column: str = Field("target", description="name of the target column")


class TmxDataOptions(TableFileOptions):
    """Pairs from translation memories."""

    kind: Literal["tmx"] = Field(description="tmx: translation memories")
    source_column: str = Field("", description="language code of the source in the files; default: source_language")
    target_column: str = Field("", description="language code of the target in the files; default: target_language")

    @model_validator(mode="before")
    @classmethod
    def _languages(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        sides = {f"{side}_column": f"{side}_language" for side in ("source", "target")}
        return values | {column: values.get(column) or values.get(code, "") for column, code in sides.items()}

    @model_validator(mode="after")
    def _chosen(self) -> Self:
        if not (self.source_column and self.target_column):
            raise ValueError("kind tmx needs source_language and target_language")
        if self.source_column == self.target_column:
            raise ValueError(f"both sides are {self.source_column}")
        return self


class PoDataOptions(TableFileOptions):
    """Pairs from gettext catalogs."""

    kind: Literal["po"] = Field(
        description="po: gettext catalogs, without entries that are fuzzy, obsolete or untranslated"
    )
    source_column: Side = Field("msgid", description="side of an entry that is the source; the other is the target")


class CaptionDataOptions(FileOptions):
    """What images and features share."""

    images: str = Field("", description="directory of the images or features, below data.root")
    max_damaged: float = Field(
        0.01, ge=0, le=1, description="share of images that may be damaged or missing; their captions are dropped"
    )
    train: CaptionSplitOptions = CaptionSplitOptions()
    validation: CaptionSplitOptions = CaptionSplitOptions()
    test: CaptionSplitOptions = CaptionSplitOptions()


class ImagesDataOptions(CaptionDataOptions):
    """Images and their captions."""

    kind: Literal["images"] = Field(description="images: image files, and tables of their captions")
    height: Pixels = Field(64, description="height in pixels to which images are scaled; the rest is cropped")
    width: Pixels = Field(64, description="width in pixels to which images are scaled; the rest is cropped")

    @property
    def image_size(self) -> ImageSize:
        """Size of the stored images."""
        return ImageSize(self.height, self.width)


class FeaturesDataOptions(CaptionDataOptions):
    """Features of images, computed by another network, and captions of the images."""

    kind: Literal["features"] = Field(
        description="features: a .safetensors file per image, with a tensor [height, width, channels], and tables of "
        "captions"
    )
    height: Cells = Field(description="height of the grid of features, in cells")
    width: Cells = Field(description="width of the grid of features, in cells")
    channels: Annotated[int, Field(ge=1, le=65_536)] = Field(description="numbers in each cell of the grid")

    @property
    def image_size(self) -> ImageSize:
        """Size of the stored features."""
        return ImageSize(self.height, self.width, self.channels)


class HubDataOptions(HeldOutOptions):
    """Pairs from a data set on the Hugging Face hub."""

    kind: Literal["hub"] = Field(description="hub: a data set on the Hugging Face hub (downloaded once)")
    hub: str = Field(min_length=1, description="name of the data set on the hub")
    hub_config: str = Field("", description="configuration of the data set")
    train: HubSplitOptions = HubSplitOptions()
    validation: HubSplitOptions = HubSplitOptions()
    test: HubSplitOptions = HubSplitOptions()
    source_column: str = Field("source", description="name of the source column")
    target_column: str = Field("target", description="name of the target column")


class GeneratorDataOptions(PairOptions):
    """Pairs from a built-in generator."""

    kind: Literal["generator"] = Field(description="generator: pairs made from a seed, without files")
    generator: GeneratorOptions = GeneratorOptions()

    @property
    def image_size(self) -> ImageSize | None:
        """Size of scenes; None for sentences."""
        return SCENE_SIZE if self.generator.name == "scenes" else None


def kind_of(table: Any) -> Any:
    """Return the kind of data values, by default lines; None if they are not a table."""
    return table.get("kind", "lines") if isinstance(table, dict) else getattr(table, "kind", None)
