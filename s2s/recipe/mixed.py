"""Options of a mixture of datasets: where each is read from, and how much of it training draws."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias, Union

from pydantic import (
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    WithJsonSchema,
    create_model,
    model_validator,
)

from s2s.errors import did_you_mean
from s2s.io.json_values import first_fault
from s2s.recipe.filters import FilterOptions, preset_filters
from s2s.recipe.kinds import (
    CsvDataOptions,
    GeneratorDataOptions,
    HubDataOptions,
    LinesDataOptions,
    PoDataOptions,
    TableDataOptions,
    TmxDataOptions,
    TsvDataOptions,
    kind_of,
)
from s2s.recipe.options import Name, Options
from s2s.recipe.pairs import FileOptions, HeldOutOptions
from s2s.recipe.splits import SplitOptions
from s2s.recipe.user_symbols import symbol_problem

Weight = Annotated[float, Field(ge=0, le=1_000_000)]
Epochs = Annotated[
    str,
    StringConstraints(pattern=r"^([1-9][0-9]{0,8} epochs?)?$"),
    WithJsonSchema({"type": "string", "form": "N epochs"}),
]
MAX_DATASETS = 1000
HELD_OUT = ("validation", "test")
OWN = {"kind", "source_language", "target_language"}  # keys of all kinds that each dataset has for itself
TextDataOptions: TypeAlias = (
    LinesDataOptions
    | TsvDataOptions
    | CsvDataOptions
    | TableDataOptions
    | TmxDataOptions
    | PoDataOptions
    | HubDataOptions
    | GeneratorDataOptions
)
TEXT_KINDS: dict[str, type[TextDataOptions]] = {
    "lines": LinesDataOptions,
    "tsv": TsvDataOptions,
    "csv": CsvDataOptions,
    "jsonl": TableDataOptions,
    "parquet": TableDataOptions,
    "tmx": TmxDataOptions,
    "po": PoDataOptions,
    "hub": HubDataOptions,
    "generator": GeneratorDataOptions,
}


class DatasetOptions(Options):
    """One of several datasets."""

    name: Name = Field(description="name of the dataset, in stages and reports")
    kind: str = Field("lines", description="where the pairs come from")
    source_language: str = Field(
        "", max_length=32, description="source language code, such as de; default: data.source_language"
    )
    target_language: str = Field(
        "", max_length=32, description="target language code, such as en; default: data.target_language"
    )
    weight: Weight = Field(
        1.0, description="relative weight of the dataset when training examples are drawn; see data.temperature"
    )
    tag: str = Field(
        "",
        description="text that is put before each source, such as <2en>: one token, which tells the model the target "
        "language or the kind of text",
    )

    def split(self, name: str) -> SplitOptions | None:
        """Return the options of a split: train, validation or test; None of a generator, which has all of them."""
        return getattr(self, name, None)

    @model_validator(mode="after")
    def _valid_tag(self) -> Self:
        if self.tag and (problem := symbol_problem(self.tag)):
            raise ValueError(f"tag {self.tag!r}: {problem}")
        return self


def _dataset_kind(kind: type[TextDataOptions]) -> type[DatasetOptions]:
    """Return the options of a dataset of a kind: without the keys that are set in `[data]`, for all datasets."""
    shared = {*FileOptions.model_fields} - {"kind"}
    fields = kind.model_fields.items()
    own: dict[str, Any] = {name: (field.rebuild_annotation(), field) for name, field in fields if name not in shared}
    name = kind.__name__.replace("DataOptions", "DatasetOptions")
    return create_model(name, __base__=DatasetOptions, __doc__=kind.__doc__, __module__=__name__, **own)


if TYPE_CHECKING:
    AnyDatasetOptions: TypeAlias = DatasetOptions
else:
    _KINDS = {kind: _dataset_kind(kind) for kind in dict.fromkeys(TEXT_KINDS.values())}
    AnyDatasetOptions = Annotated[
        Union[tuple(Annotated[_KINDS[kind], Tag(name)] for name, kind in TEXT_KINDS.items())],  # noqa: UP007
        Discriminator(
            kind_of, custom_error_type="kind", custom_error_message=f"expected one of {', '.join(TEXT_KINDS)}"
        ),
    ]


class MixedSplitOptions(SplitOptions):
    """One split of all datasets."""

    lists: list[list[str]]  # files of the datasets that have the split
    given_by_any: bool  # whether a dataset has the split

    @property
    def given(self) -> bool:
        """Whether a dataset names anything."""
        return self.given_by_any

    @property
    def file_lists(self) -> list[list[str]]:
        """The lists of files of all datasets."""
        return self.lists


class StageOptions(Options):
    """A part of training, in which datasets have weights of their own."""

    until: Epochs = Field(
        "",
        description="number of epochs from the start of training after which the stage ends; omitted in the last stage",
    )
    weights: dict[str, Weight] = Field(
        {}, description="weights of datasets by their names; others have their own; 0 leaves a dataset out"
    )

    @property
    def end(self) -> int | None:
        """The number of epochs after which the stage ends; None if it does not."""
        return int(self.until.split()[0]) if self.until else None


class MixedDataOptions(FileOptions):
    """Pairs from several datasets."""

    kind: Literal["mixed"] = Field(description="mixed: several datasets, each of a kind of its own")
    temperature: float = Field(
        1.0,
        ge=1,
        le=1000,
        description="datasets are drawn in proportion to weight × pairs^(1/temperature); 1: to their size; larger "
        "values bring small and large datasets closer (Arivazhagan et al. 2019)",
    )
    datasets: Annotated[list[AnyDatasetOptions], Field(min_length=1, max_length=MAX_DATASETS)] = Field(
        description="The datasets of a mixture, in the order of their pairs in the corpus."
    )
    stages: Annotated[list[StageOptions], Field(max_length=MAX_DATASETS)] = Field(
        [], description="Parts of training with other weights of the datasets, in their order."
    )

    @property
    def parts(self) -> Sequence[TextDataOptions]:
        """The options of each dataset as those of data of its kind, with what `[data]` sets for all datasets."""
        return [self._part(one) for one in self.datasets]

    @property
    def tags(self) -> list[str]:
        """What is put before the sources of each dataset; may be empty."""
        return [one.tag for one in self.datasets]

    @property
    def directions(self) -> list[tuple[str, ...]]:
        """The tag and the languages of each dataset: the same pair in two of them is no duplicate."""
        return [(one.tag, one.source_language, one.target_language) for one in self.datasets]

    @property
    def schedule(self) -> list[tuple[int | None, list[float]]]:
        """For each stage: the number of epochs after which it ends (None: never) and the weight of each dataset."""
        return [
            (stage.end, [stage.weights.get(one.name, one.weight) for one in self.datasets])
            for stage in self.stages or [StageOptions()]
        ]

    def split(self, name: str) -> SplitOptions:
        """Return the options of a split of all datasets: train, validation or test."""
        splits = [one.split(name) for one in self.datasets]
        lists = [files for split in splits if split for files in split.file_lists]
        return MixedSplitOptions(lists=lists, given_by_any=any(split is None or split.given for split in splits))

    def all_filters(self) -> list[FilterOptions]:
        """Return the filters of training pairs: those of the preset, then the recipe's own."""
        languages = any(one.source_language or one.target_language for one in self.datasets)
        return [*preset_filters(self.filter_preset, of_images=False, with_languages=languages), *self.filters]

    @model_validator(mode="before")
    @classmethod
    def _languages(cls, values: Any) -> Any:
        """Give datasets the languages of `[data]`, and `[data]` those that all datasets share."""
        datasets = values.get("datasets") if isinstance(values, dict) else None
        if not isinstance(datasets, list) or not all(isinstance(one, dict) for one in datasets):
            return values
        values = values | {"datasets": [dict(one) for one in datasets]}
        for key in ("source_language", "target_language"):
            for one in values["datasets"]:
                one[key] = one.get(key) or values.get(key, "")
            found = [one[key] for one in values["datasets"]]
            if not values.get(key) and found and all(one == found[0] for one in found):
                values[key] = found[0]
        return values

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [one.name for one in self.datasets]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise ValueError(f"datasets: two are called {name}")
        targets: dict[tuple[str, str], str] = {}
        for one in self.datasets:
            known = targets.setdefault((one.tag, one.source_language), one.target_language)
            if known != one.target_language and known and one.target_language:
                tag = f"the tag {one.tag}" if one.tag else "no tag"
                raise ValueError(
                    f"datasets: {known} and {one.target_language} are both targets of "
                    f"{one.source_language or 'sources'} with {tag}: give them different tags"
                )
        return self

    @model_validator(mode="after")
    def _valid_stages(self) -> Self:
        ends = [stage.end for stage in self.stages]
        if None in ends[:-1]:
            raise ValueError(f"stages: stage {ends.index(None) + 1} needs until: it is not the last one")
        if ends and ends[-1] is not None:
            raise ValueError("stages: leave until out in the last stage, which lasts to the end of training")
        if (counted := [end for end in ends if end]) != sorted({*counted}):
            raise ValueError("stages: until counts epochs from the start of training: each must exceed the one before")
        return self

    @model_validator(mode="after")
    def _valid_weights(self) -> Self:
        names = [one.name for one in self.datasets]
        for number, stage in enumerate(self.stages, 1):
            for name in stage.weights:
                if name not in names:
                    hint = did_you_mean(name, names) or f"the datasets are {', '.join(names)}"
                    raise ValueError(f"stages: stage {number} names {name}, which is no dataset; {hint}")
        for number, (_, weights) in enumerate(self.schedule, 1):
            if not any(weights):
                where = f"stages: in stage {number}" if self.stages else "datasets:"
                raise ValueError(f"{where} all weights are 0")
        return self

    @model_validator(mode="after")
    def _filters_apply(self) -> Self:
        """Check that the keys of each dataset, and the filters, go together."""
        for one in self.datasets:
            try:
                part = self._part(one)
            except ValidationError as error:
                raise ValueError(f"datasets: {one.name}: {first_fault(error)}") from error
            if part.image_size:
                raise ValueError(f"datasets: {one.name}: sources are pictures; a mixture has only text")
        return self

    def _part(self, dataset: DatasetOptions) -> TextDataOptions:
        """Return the options of a dataset as those of data of its kind."""
        kind = TEXT_KINDS[dataset.kind]
        shared = {*FileOptions.model_fields} & {*kind.model_fields} - OWN
        values = {name: getattr(self, name) for name in shared}
        values |= {name: value for name, value in dataset if name in kind.model_fields}
        if issubclass(kind, HeldOutOptions):  # pairs are held out from all datasets together, so these are never used
            for name in HELD_OUT:
                split = dataset.split(name)
                values[f"hold_out_{name}"] = int(not (split and split.given))
        return kind.model_validate(values)
