"""Options of training."""

from typing import Annotated, Literal, Self, cast

from pydantic import Field, StringConstraints, model_validator

from s2s.recipe.options import Options

Limit = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]* (updates?|epochs?|tokens?|minutes?)$")]
Interval = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]* (updates?|epochs?)$")]
Averaging = Annotated[str, StringConstraints(pattern=r"^(none|(last|best):[1-9][0-9]*)$")]
Unit = Literal["updates", "epochs", "tokens", "minutes"]


def limit_parts(limit: str) -> tuple[int, Unit]:
    """`"12 epochs"` -> (12, "epochs")."""
    count, unit = limit.split()
    return int(count), cast(Unit, unit.rstrip("s") + "s")


class TrainingOptions(Options):
    """How the network is trained."""

    seed: int = Field(1, ge=0, description="seed of weights, order and dropout")
    stop_after: Limit = Field(
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
    lr_schedule: Literal["linear", "cosine", "inverse_sqrt", "plateau", "none"] = Field(
        "linear",
        description="how the learning rate falls after warm-up: linear or cosine (to 0 at the limit), inverse_sqrt "
        "(of the updates), plateau (halved where validation does not get better), none",
    )
    plateau_patience: int = Field(
        2,
        ge=1,
        description="lr_schedule plateau: validations without a better figure before the learning rate is halved",
    )
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.98), description="AdamW's decay of its two averages"
    )
    weight_decay: float = Field(0.0, ge=0, description="AdamW's weight decay")
    clip_norm: float = Field(1.0, ge=0, description="largest norm of the gradient; 0: not clipped")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="probability spread over the whole vocabulary")
    word_dropout: float = Field(
        0.0, ge=0, lt=1, description="share of the input tokens of both sides that the unknown token replaces"
    )
    subword_regularization: float = Field(
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
    best_metric: Literal["loss", "bleu", "chrf"] = Field(
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
        if self.best_metric != "loss" and self.validation_lines == 0:
            raise ValueError(f"best_metric is {self.best_metric}, but validation_lines is 0")
        return self
