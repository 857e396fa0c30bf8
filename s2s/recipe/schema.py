"""The recipe: data, tokenizer, network, training, decoding. Each field has a line that `s2s explain` prints."""

import re
from typing import Annotated, Literal, Self, cast

from pydantic import Field, StringConstraints, model_validator

from s2s.recipe.model_options import ModelOptions
from s2s.recipe.options import Options

SCHEMA = 1  # number of the recipe's schema; raised when a stored recipe would be read differently
NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,63}"
Name = Annotated[str, StringConstraints(pattern=rf"^{NAME_PATTERN}$")]
Limit = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]* (updates?|epochs?|tokens?|minutes?)$")]
Interval = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]* (updates?|epochs?)$")]
Averaging = Annotated[str, StringConstraints(pattern=r"^(none|(last|best):[1-9][0-9]*)$")]
Unit = Literal["updates", "epochs", "tokens", "minutes"]


def limit_parts(limit: str) -> tuple[int, Unit]:
    """`"12 epochs"` -> (12, "epochs")."""
    count, unit = limit.split()
    return int(count), cast(Unit, unit.rstrip("s") + "s")


class SplitOptions(Options):
    """Where one split (train, validation, test) is read from."""

    source: list[str] = Field([], description="kind lines: files with a source sentence a line, plain or .gz")
    target: list[str] = Field(
        [], description="kind lines: files with the target sentences, line by line with the source"
    )
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
        description="which generator: numbers, German and English numbers and dates; "
        "recall, the values of four keys among up to 500",
    )
    seed: int = Field(1, ge=0, description="seed of the pairs")
    train: int = Field(20_000, ge=1, description="training pairs")
    validation: int = Field(500, ge=1, description="validation pairs")
    test: int = Field(1_000, ge=1, description="test pairs")
    min_items: int = Field(
        1, ge=1, le=1000, description="fewest items in a sentence: numbers or dates; keys with their values"
    )
    max_items: int = Field(3, ge=1, le=1000, description="most items in a sentence")

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
        "lines", description="how pairs are stored: two text files, a table, a hub's data set, or an embedded generator"
    )
    source_language: str = Field("", max_length=32, description="language of the source, as a code: de")
    target_language: str = Field("", max_length=32, description="language of the target, as a code: en")
    root: str = Field(
        "", description="folder that relative file names start from; the recipe's own folder where not given"
    )
    train: SplitOptions = SplitOptions()
    validation: SplitOptions = SplitOptions()
    test: SplitOptions = SplitOptions()
    hold_out_validation: int = Field(
        0, ge=0, description="training pairs held out for validation, where no validation files are given"
    )
    hold_out_test: int = Field(
        0, ge=0, description="training pairs held out for testing, where no test files are given"
    )
    source_column: str = Field("source", description="tables: the source's column; for tsv its number, from 1")
    target_column: str = Field("target", description="tables: the target's column; for tsv its number, from 1")
    hub: str = Field("", description="kind hub: the data set's name there (the one thing that asks the network)")
    hub_config: str = Field("", description="kind hub: the data set's configuration")
    generator: GeneratorOptions = GeneratorOptions()
    normalization: Literal["nfc", "nfkc", "none"] = Field("nfc", description="Unicode normalisation of both sides")
    min_length: int = Field(1, ge=1, description="fewest pieces a side of a training pair may have")
    max_length: int = Field(200, ge=1, description="most pieces a side of a training pair may have")
    max_ratio: float = Field(
        9.0, ge=1, description="largest ratio of the two sides' lengths in a training pair, in pieces"
    )
    drop_duplicates: bool = Field(True, description="drop a training pair that occurred before")
    on_invalid: Literal["refuse", "drop"] = Field(
        "refuse", description="invalid UTF-8: refuse the file, or drop and count the pair"
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


class TokenizerOptions(Options):
    """One SentencePiece model for both sides, trained from the training side of the corpus."""

    vocabulary: int = Field(8000, ge=8, le=1_000_000, description="pieces, the four special ones included")
    algorithm: Literal["unigram", "bpe", "char", "word"] = Field("unigram", description="SentencePiece's algorithm")
    character_coverage: float = Field(1.0, gt=0.9, le=1, description="share of characters with a piece of their own")
    byte_fallback: Literal["auto", "on", "off"] = Field(
        "auto", description="spell unknown characters as bytes (256 pieces); auto: from a vocabulary of 2,000 on"
    )


class TrainingOptions(Options):
    """How the network is trained."""

    seed: int = Field(1, ge=0, description="seed of weights, order and dropout")
    limit: Limit = Field(
        "10 epochs",
        description='when training ends: "12 epochs", "3000 updates", "5000000 tokens" of the target, or "90 minutes" '
        "(by the clock, so that a run that was resumed ends elsewhere than one that was not)",
    )
    batch_tokens: int = Field(
        4096,
        ge=1,
        description="tokens in a batch: sentences × longest side, padding included; the same on every machine",
    )
    micro_batch_tokens: Annotated[int, Field(ge=0)] | Literal["auto"] = Field(
        0,
        description="tokens computed at once; gradients are summed up to batch_tokens. 0: the whole batch; "
        "auto: the most that fits the device",
    )
    lr: float = Field(2e-3, gt=0, le=10, description="peak learning rate of AdamW")
    warmup: int = Field(100, ge=0, description="updates in which the learning rate rises to its peak")
    decay: Literal["linear", "cosine", "inverse_sqrt", "plateau", "none"] = Field(
        "linear",
        description="how the learning rate falls after warm-up: linear or cosine (to 0 at the limit), inverse_sqrt "
        "(of the updates), plateau (halved where validation does not get better), none",
    )
    plateau_patience: int = Field(
        2, ge=1, description="decay plateau: validations without a better figure before the learning rate is halved"
    )
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.98), description="AdamW's decay of its two averages"
    )
    weight_decay: float = Field(0.0, ge=0, description="AdamW's weight decay")
    clip_norm: float = Field(1.0, ge=0, description="largest norm of the gradient; 0: not clipped")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="probability spread over the whole vocabulary")
    word_dropout: float = Field(
        0.0, ge=0, lt=1, description="share of the input pieces of both sides that the unknown piece replaces"
    )
    subword_sampling: float = Field(
        0.0,
        ge=0,
        le=1,
        description="α of segmentations that are drawn anew each time a sentence is trained on (unigram alone): "
        "the smaller, the wilder, but 0: always the best one",
    )
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of a moving average of the weights, which is then validated and published; 0: none",
    )
    averaging: Averaging = Field(
        "none", description='mean of the weights of several checkpoints, published in the end: "best:5", "last:5", none'
    )
    freeze: list[str] = Field([], description='parameters that are not trained, as patterns: "encoder.*"')
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="numbers computed in; auto: bf16 where the device has it, for a million parameters and more"
    )
    validate_every: Interval = Field(
        "1 epoch", description='how often to validate and save: "1 epoch" or "500 updates"'
    )
    validation_lines: int = Field(
        200, ge=0, description="validation pairs translated at each validation; 0: loss alone"
    )
    best_by: Literal["loss", "bleu", "chrf"] = Field(
        "loss", description="the validation figure that decides which checkpoint is published"
    )
    patience: int = Field(
        0, ge=0, description="validations without a better figure before training stops early; 0: never"
    )
    keep_checkpoints: int = Field(
        2, ge=1, description="newest checkpoints kept, beside the best and those to be averaged"
    )
    log_every: int = Field(50, ge=1, description="updates between two lines of metrics.jsonl")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.best_by != "loss" and self.validation_lines == 0:
            raise ValueError(f"best_by is {self.best_by}, but validation_lines is 0")
        return self


class DecodingOptions(Options):
    """How the model translates where nothing else is said."""

    beam: int = Field(5, ge=1, le=1000, description="hypotheses kept for each sentence; 1: greedy")
    length_penalty: float = Field(
        1.0, ge=0, le=10, description="α: hypotheses are ranked by log-probability / length^α"
    )
    stopping: Literal["first", "exact"] = Field(
        "first",
        description="when a beam search ends: first, when patience × beam hypotheses have finished; "
        "exact, when nothing under way could become better than what has finished",
    )
    patience: float = Field(
        2.0,
        ge=1,
        le=100,
        description="stopping first: finished hypotheses to wait for, as a multiple of the beam (Kasai et al. 2022); "
        "with 1, a model that is sure of itself may end with scraps that finish before its first choice does",
    )
    min_ratio: float = Field(0.0, ge=0, description="shortest output, as a multiple of the source's pieces")
    max_ratio: float = Field(
        3.0, gt=0, le=1000, description="longest output, as a multiple of the source's pieces (and 10 more)"
    )
    no_repeat_ngram: int = Field(
        0, ge=0, le=100, description="n: no n pieces in a row come twice in a translation; 0: any may"
    )
    sample: bool = Field(False, description="draw translations at random instead of searching for the best")
    temperature: float = Field(
        1.0, gt=0, le=100, description="of samples: below 1 the probable becomes more probable, above 1 less"
    )
    top_k: int = Field(0, ge=0, description="samples are drawn from that many most probable pieces; 0: from all")
    top_p: float = Field(
        1.0, gt=0, le=1, description="samples are drawn from the fewest pieces that have that probability together"
    )
    seed: int = Field(1, ge=0, description="seed of samples; a line's depend on it and on the line's number alone")
    batch_tokens: int = Field(4096, ge=1, description="source tokens in a batch, padding included, times the beam")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_ratio > self.max_ratio:
            raise ValueError(f"min_ratio ({self.min_ratio:g}) is larger than max_ratio ({self.max_ratio:g})")
        return self

    def most(self, source: int) -> int:
        """The most pieces, EOS counted, that a source of that many pieces may become."""
        return int(self.max_ratio * source) + 10

    def fewest(self, source: int) -> int:
        """The fewest pieces, EOS not counted, that a source of that many pieces may become."""
        return int(self.min_ratio * source)

    def in_words(self) -> str:
        """`beam 5, length penalty 1, patience 2`, and what else is not as it is by default."""
        more = {
            f"at least {self.min_ratio:g} of the source's length": self.min_ratio,
            f"no {self.no_repeat_ngram} pieces twice": self.no_repeat_ngram,
        }
        return ", ".join([self._strategy(), *(words for words, said in more.items() if said)])

    def _strategy(self) -> str:
        if self.sample:
            cut = f", top k {self.top_k}" * bool(self.top_k) + f", top p {self.top_p:g}" * (self.top_p < 1)
            return f"sampling at temperature {self.temperature:g}{cut}, seed {self.seed}"
        if self.beam == 1:
            return "greedy search"
        stopping = "exact stopping" if self.stopping == "exact" else f"patience {self.patience:g}"
        return f"beam {self.beam}, length penalty {self.length_penalty:g}, {stopping}"

    @property
    def awaited(self) -> int:
        """Finished hypotheses that end a search whose stopping is first."""
        return 1 if self.beam == 1 else int(self.beam * self.patience + 0.5)


class Recipe(Options):
    """Everything about one model."""

    schema_version: int = Field(SCHEMA, alias="schema", ge=1, description="number of the recipe's schema")
    name: Name = Field(description="name under which the model is published")
    description: str = Field("", description="what the recipe shows, in a line")
    data: DataOptions
    tokenizer: TokenizerOptions = TokenizerOptions()
    model: ModelOptions = ModelOptions()
    training: TrainingOptions = TrainingOptions()
    decoding: DecodingOptions = DecodingOptions()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.training.subword_sampling and self.tokenizer.algorithm != "unigram":
            raise ValueError(
                f"training.subword_sampling draws segmentations of a unigram model, "
                f"and tokenizer.algorithm is {self.tokenizer.algorithm}"
            )
        return self

    def as_dict(self) -> dict[str, object]:
        """The recipe with every default filled in, as JSON and TOML can hold it."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def is_name(text: str) -> bool:
    """Whether `text` may name a model."""
    return re.fullmatch(NAME_PATTERN, text) is not None
