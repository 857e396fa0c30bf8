"""The recipe: data, tokenizer, model, training and decoding of one model."""

import re
import unicodedata
from typing import Any, Self

from pydantic import Field, model_validator

from s2s.recipe.data import DataOptions
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.model import ModelOptions
from s2s.recipe.options import NAME_PATTERN, Name, Options
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.recipe.training import TrainingOptions

SCHEMA = 5  # number of the recipe's schema; raised when a stored recipe would be read differently


class Recipe(Options):
    """Everything about one model."""

    schema_version: int = Field(SCHEMA, alias="schema", ge=1, description="number of the recipe's schema")
    name: Name = Field(description="name under which the model is published")
    description: str = Field("", description="what the recipe shows, in one line")
    data: DataOptions = Field(description="The sentence pairs: where they are read from and which are kept.")
    tokenizer: TokenizerOptions = TokenizerOptions()
    model: ModelOptions = ModelOptions()
    training: TrainingOptions = TrainingOptions()
    decoding: DecodingOptions = DecodingOptions()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for option, algorithm in (("subword_regularization", "unigram"), ("bpe_dropout", "bpe")):
            if getattr(self.training, option) and self.tokenizer.algorithm != algorithm:
                raise ValueError(
                    f"training.{option} requires a {algorithm} model, "
                    f"but tokenizer.algorithm is {self.tokenizer.algorithm}"
                )
        form = self.data.normalization
        symbols = [("tokenizer.user_symbols", symbol) for symbol in self.tokenizer.user_symbols]
        symbols += [("data.datasets.tag", tag) for tag in self.data.tags]
        for key, symbol in symbols if form != "none" else ():
            if (written := unicodedata.normalize("NFC" if form == "nfc" else "NFKC", symbol)) != symbol:
                raise ValueError(f"{key}: {symbol!r} never occurs in {form.upper()}: write {written!r}")
        if any(self.data.tags) and self.tokenizer.algorithm == "word":
            raise ValueError('data.datasets.tag is not supported with tokenizer.algorithm = "word"')
        if self.training.r_drop and not self.model.dropout:
            raise ValueError("training.r_drop requires model.dropout: without it, both passes are the same")
        if self.training.attention_coverage and not self.model.has_attention:
            raise ValueError("training.attention_coverage requires a decoder with attention")
        transformers = [side.family == "transformer" for side in self.model.sides.values()]
        if self.training.parallel == "fsdp" and not all(transformers):
            raise ValueError("training.parallel fsdp shards the blocks of Transformers; use ddp for this model")
        if self.training.recompute and not any(transformers):
            raise ValueError("training.recompute computes blocks of Transformers again, and this model has none")
        self._check_images()
        return self

    def _check_images(self) -> None:
        if (self.data.image_size is None) == self.model.of_images:
            kind = self.data.kind
            if self.model.encoder is None:
                raise ValueError(f"sources of data.kind {kind} need an encoder, but model.architecture is decoder_only")
            family = self.model.encoder.family
            expected = "cnn" if self.data.image_size else "rnn or transformer"
            raise ValueError(f"model.encoder.family is {family}, but sources of data.kind {kind} need {expected}")
        size = self.data.image_size
        augmentation = self.data.augmentation
        if size and (augmentation.changes_texts or augmentation.merge):
            raise ValueError("data.augmentation changes sentences; with images, leave it out")
        if size and size.features != self.model.features:
            needed = f"input_channels = {size.features} and no stages" if size.features else "stages"
            raise ValueError(f"sources of data.kind {self.data.kind} need an encoder with {needed}")
        if size and size.features and self.training.augments_images:
            raise ValueError("training.image_shift, image_color and image_flip change pixels; features have none")

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe with every default filled in, for JSON and TOML."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def is_name(text: str) -> bool:
    """Whether `text` is a valid model name."""
    return re.fullmatch(NAME_PATTERN, text) is not None
