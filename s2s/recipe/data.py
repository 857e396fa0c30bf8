"""Options of the data: where sentence pairs are read from and which are kept."""

from typing import Literal, Self

from pydantic import Field, model_validator

from s2s.recipe.options import Options


class SplitOptions(Options):
    """Where one split (train, validation, test) is read from."""

    source: list[str] = Field([], description="kind lines: files with one source sentence per line, plain or .gz")
    target: list[str] = Field([], description="kind lines: files with the target sentences, aligned line by line")
    files: list[str] = Field(
        [], description="kinds tsv, jsonl, parquet: files with both sides, tsv and jsonl plain or .gz"
    )
    hub_split: str = Field("", description="kind hub: the split's name there")

    @property
    def given(self) -> bool:
        """Whether anything is named."""
        return bool(self.source or self.target or self.files or self.hub_split)


class GeneratorOptions(Options):
    """Embedded data, made from a seed: the same pairs everywhere."""

    name: Literal["numbers", "recall"] = Field(
        "numbers",
        description="generator: numbers, German and English numbers and dates; "
        "recall, look up the values of four keys among up to 500",
    )
    seed: int = Field(1, ge=0, description="seed of the pairs")
    train: int = Field(20_000, ge=1, description="training pairs")
    validation: int = Field(500, ge=1, description="validation pairs")
    test: int = Field(1_000, ge=1, description="test pairs")
    min_items: int = Field(
        1, ge=1, le=1000, description="minimum number of items per sentence (numbers or dates; key–value pairs)"
    )
    max_items: int = Field(3, ge=1, le=1000, description="maximum number of items per sentence")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_items > self.max_items:
            raise ValueError("min_items is larger than max_items")
        if self.name == "recall" and self.max_items > 500:
            raise ValueError("recall has 500 keys, and max_items is larger")
        return self


class DataOptions(Options):
    """The sentence pairs: where they are, and which are kept."""

    kind: Literal["lines", "tsv", "jsonl", "parquet", "hub", "generator"] = Field(
        "lines", description="where pairs come from: two text files, a table, a hub data set or a generator"
    )
    source_language: str = Field("", max_length=32, description="source language code, such as de")
    target_language: str = Field("", max_length=32, description="target language code, such as en")
    root: str = Field("", description="base directory of relative file names; default: the recipe's directory")
    train: SplitOptions = SplitOptions()
    validation: SplitOptions = SplitOptions()
    test: SplitOptions = SplitOptions()
    hold_out_validation: int = Field(
        0, ge=0, description="training pairs to hold out for validation if there are no validation files"
    )
    hold_out_test: int = Field(0, ge=0, description="training pairs to hold out for testing if there are no test files")
    source_column: str = Field("source", description="tables: the source's column; for tsv its number, from 1")
    target_column: str = Field("target", description="tables: the target's column; for tsv its number, from 1")
    hub: str = Field("", description="kind hub: name of the data set (the only use of the network)")
    hub_config: str = Field("", description="kind hub: the data set's configuration")
    generator: GeneratorOptions = GeneratorOptions()
    normalization: Literal["nfc", "nfkc", "none"] = Field("nfc", description="Unicode normalization of both sides")
    min_length: int = Field(1, ge=1, description="minimum length of each side of a training pair, in tokens")
    max_length: int = Field(200, ge=1, description="maximum length of each side of a training pair, in tokens")
    max_ratio: float = Field(9.0, ge=1, description="maximum ratio of the two sides' lengths in a training pair")
    drop_duplicates: bool = Field(True, description="drop duplicate training pairs")
    on_invalid: Literal["refuse", "drop"] = Field(
        "refuse", description="invalid UTF-8: refuse the file or drop the pair"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind == "generator":
            return self
        if not self.train.given:
            raise ValueError(f"kind is {self.kind}, but train names no data")
        if self.kind == "lines" and not (self.train.source and self.train.target):
            raise ValueError("kind is lines, so train needs source and target")
        if self.kind == "hub" and not self.hub:
            raise ValueError("kind is hub, but hub names no data set")
        for name, split, held in (
            ("validation", self.validation, self.hold_out_validation),
            ("test", self.test, self.hold_out_test),
        ):
            if split.given == bool(held):
                raise ValueError(f"give either {name} files or hold_out_{name}, and not both")
        return self
