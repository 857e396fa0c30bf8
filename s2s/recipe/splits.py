"""Options that say where the pairs of one split are read from."""

from pydantic import Field

from s2s.recipe.options import Options, Texts


class SplitOptions(Options):
    """Where one split (train, validation, test) is read from."""

    @property
    def given(self) -> bool:
        """Whether the recipe names anything."""
        return any(value for _, value in self)

    @property
    def file_lists(self) -> list[list[str]]:
        """The lists of files: source and target, or tables; empty on the hub."""
        return [value for _, value in self if isinstance(value, list)]


class LinesSplitOptions(SplitOptions):
    """Text files of one split."""

    source: Texts = Field(
        [], description="files with one source sentence per line, plain or compressed (gzip, bzip2, xz, zstd)"
    )
    target: Texts = Field([], description="files with the target sentences, aligned line by line")


class TableSplitOptions(SplitOptions):
    """Tables of one split."""

    files: Texts = Field([], description="files with both sides; except parquet: plain or compressed")


class CaptionSplitOptions(SplitOptions):
    """Captions of one split."""

    files: Texts = Field(
        [],
        description="files that name images and their captions: .tsv, .jsonl or COCO-style .json, plain or compressed",
    )


class HubSplitOptions(SplitOptions):
    """One split of a data set on the hub."""

    hub_split: str = Field("", description="name of the split on the hub, such as train")
