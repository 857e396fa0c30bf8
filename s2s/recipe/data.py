"""Options of the data: one of several kinds, or a mixture of datasets."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from s2s.recipe.kinds import (
    CsvDataOptions,
    FeaturesDataOptions,
    GeneratorDataOptions,
    HubDataOptions,
    ImagesDataOptions,
    LinesDataOptions,
    PoDataOptions,
    TableDataOptions,
    TmxDataOptions,
    TsvDataOptions,
    kind_of,
)
from s2s.recipe.mixed import MixedDataOptions
from s2s.recipe.pairs import PairOptions

# keys that locate the pairs; meaningless to another kind
LOCATION = {"train", "validation", "test", "source_column", "target_column", "hub", "hub_config", "generator"}
KINDS: dict[str, type[PairOptions]] = {
    "lines": LinesDataOptions,
    "tsv": TsvDataOptions,
    "csv": CsvDataOptions,
    "jsonl": TableDataOptions,
    "parquet": TableDataOptions,
    "tmx": TmxDataOptions,
    "po": PoDataOptions,
    "images": ImagesDataOptions,
    "features": FeaturesDataOptions,
    "hub": HubDataOptions,
    "generator": GeneratorDataOptions,
    "mixed": MixedDataOptions,
}
DataOptions = Annotated[
    Annotated[LinesDataOptions, Tag("lines")]
    | Annotated[TsvDataOptions, Tag("tsv")]
    | Annotated[CsvDataOptions, Tag("csv")]
    | Annotated[TableDataOptions, Tag("jsonl")]
    | Annotated[TableDataOptions, Tag("parquet")]
    | Annotated[TmxDataOptions, Tag("tmx")]
    | Annotated[PoDataOptions, Tag("po")]
    | Annotated[ImagesDataOptions, Tag("images")]
    | Annotated[FeaturesDataOptions, Tag("features")]
    | Annotated[HubDataOptions, Tag("hub")]
    | Annotated[GeneratorDataOptions, Tag("generator")]
    | Annotated[MixedDataOptions, Tag("mixed")],
    Discriminator(kind_of, custom_error_type="kind", custom_error_message=f"expected one of {', '.join(KINDS)}"),
]


def keys_of(kind: Any) -> set[str]:
    """Return the keys of a kind; empty if there is no such kind."""
    return set(KINDS[kind].model_fields) if isinstance(kind, str) and kind in KINDS else set()


def parts_of(data: DataOptions) -> Sequence[DataOptions]:
    """Return the options of each dataset of a mixture, or the data themselves, which are then dataset 0."""
    return data.parts if isinstance(data, MixedDataOptions) else [data]
