"""Model cards: description, lineage, training and scores of a version."""

from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from s2s.data.source_profile import SourceProfile
from s2s.devices.runtime import Machine
from s2s.recipe.options import Options

SCHEMA = 4  # number of the card's schema; raised when a stored card would be read differently


class ScoreRecord(Options):
    """A score on a test set, and how it was computed."""

    metric: str = Field(description="name of the metric: bleu, chrf, ter, exact, cider, perplexity …")
    value: float
    signature: str = Field(description="how the score was computed, as the metric's library states it")
    test_set: str = Field(description="test set: test, or the name of a file")
    settings: str = Field(
        description='decoding options: "beam 5, length penalty 1, patience 2"; empty without decoding'
    )


class TrainingRecord(Options):
    """How the weights were trained."""

    key: str = Field(
        description="digest of recipe, corpus and version of the training code: the same key, the same weights"
    )
    seed: NonNegativeInt
    updates: NonNegativeInt
    epochs: NonNegativeFloat
    best_update: NonNegativeInt = Field(description="the best update; its weights were published, or the mean below")
    averaged: list[NonNegativeInt] = Field([], description="the updates whose weights' mean was published, if any")
    seconds: NonNegativeFloat = Field(description="seconds of training, without preparation and test")
    tokens_per_second: NonNegativeFloat = Field(description="target tokens trained on in a second")
    device: str
    precision: str
    threads: int = Field(ge=1, description="threads that computed, in each process")
    processes: int = Field(1, ge=1, description="processes that trained together")
    skipped: NonNegativeInt = Field(0, description="updates skipped because loss or gradient was not finite")
    changes: list[str] = Field(
        [], description="changes accepted when the run was resumed; if there are any, training was not bit-exact"
    )


class Card(Options):
    """What `s2s models show` reports about a version."""

    schema_version: int = Field(SCHEMA, alias="schema", ge=1, le=SCHEMA, description="number of the card's schema")
    task: Literal["translation", "captioning"] = "translation"
    description: str = Field("", description="description of the recipe")
    architecture: str = Field(description="the network as a phrase")
    attention: bool = Field(description="whether the decoder attends to the source, or sees one fixed vector")
    recipe: dict[str, Any] = Field(description="the resolved recipe")
    source_language: str = ""
    target_language: str = ""
    corpus: str = Field(description="digest of the corpus")
    pairs: dict[str, NonNegativeInt] = Field({}, description="sentence pairs by split: train, validation, test")
    test_digest: str = Field(description="digest of the test set's sentences")
    train_test_overlap: NonNegativeInt = Field(description="test sources that also occur in training")
    source_profile: SourceProfile = Field(description="sentences and lengths of the training sources")
    parameters: NonNegativeInt = Field(description="trained parameters; shared ones count once")
    memory_bytes: NonNegativeInt = Field(description="bytes of the weights in memory")
    parent: str | None = Field(None, description="reference of the fine-tuned version, if any")
    training: TrainingRecord
    scores: list[ScoreRecord] = Field([], description="figures on test sets, the first of them the one to go by")
    versions: dict[str, str] = Field(description="versions of Python, s2s and the libraries")
    machine: Machine = Field(description="system, processor, its features and usable threads")

    @property
    def of_images(self) -> bool:
        """Whether the model captions images."""
        return self.task == "captioning"

    def as_dict(self) -> dict[str, Any]:
        """Return the card as JSON values."""
        return self.model_dump(mode="json", by_alias=True)
