"""Options of training."""

from typing import Annotated, Literal, Self, cast

from pydantic import Field, StringConstraints, WithJsonSchema, model_validator

from s2s.recipe.options import Options, Texts

Limit = Annotated[
    str,
    StringConstraints(pattern=r"^[1-9][0-9]{0,14} (updates?|epochs?|tokens?|minutes?)$"),
    WithJsonSchema({"type": "string", "form": "N updates | N epochs | N tokens | N minutes"}),
]
Interval = Annotated[
    str,
    StringConstraints(pattern=r"^[1-9][0-9]{0,14} (updates?|epochs?)$"),
    WithJsonSchema({"type": "string", "form": "N updates | N epochs"}),
]
Averaging = Annotated[
    str,
    StringConstraints(pattern=r"^(none|(last|best):[1-9][0-9]{0,5})$"),
    WithJsonSchema({"type": "string", "form": "none | best:N | last:N"}),
]
Unit = Literal["updates", "epochs", "tokens", "minutes"]


def limit_parts(limit: str) -> tuple[int, Unit]:
    """Parse a limit: `"12 epochs"` -> (12, "epochs")."""
    count, unit = limit.split()
    return int(count), cast(Unit, unit.rstrip("s") + "s")


class TrainingOptions(Options):
    """How the model is trained."""

    seed: int = Field(1, ge=0, description="random seed of initial weights, data order and dropout")
    stop_after: Limit = Field(
        "10 epochs",
        description='when training stops: "12 epochs", "3000 updates", "5000000 tokens" (target side) or "90 minutes" '
        "(wall-clock, so a resumed run may end at another update)",
    )
    batch_tokens: int = Field(
        4096,
        ge=1,
        description="tokens in a batch: sentences × longest side, padding included; the same on every machine",
    )
    micro_batch_tokens: Annotated[int, Field(ge=0)] | Literal["auto"] = Field(
        0,
        description="tokens per forward pass; gradients accumulate up to batch_tokens; 0: the whole batch; "
        "auto: the largest that fits the device",
    )
    lr: float = Field(2e-3, gt=0, le=10, description="peak learning rate of AdamW, reached at the end of warm-up")
    warmup: int = Field(100, ge=0, description="updates of linear warm-up")
    lr_schedule: Literal["linear", "cosine", "inverse_sqrt", "plateau", "none"] = Field(
        "linear",
        description="learning rate after warm-up: linear or cosine (from lr to 0 at the end), inverse_sqrt "
        "(of the update), plateau (halved when validation stops improving) or none (constant)",
    )
    plateau_patience: int = Field(
        2,
        ge=1,
        description="with lr_schedule plateau: validations without improvement before the learning rate is halved",
    )
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.98), description="AdamW's β₁ and β₂"
    )
    weight_decay: float = Field(0.0, ge=0, description="AdamW's weight decay")
    clip_norm: float = Field(1.0, ge=0, description="maximum gradient norm; 0 disables clipping")
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="label smoothing ε: probability spread over the vocabulary, in the training loss alone",
    )
    r_drop: float = Field(
        0.0,
        ge=0,
        le=100,
        description="R-Drop α: weight of the divergence between two passes of a batch with different dropout masks "
        "(Liang et al. 2021), which doubles the time of an update; 0 disables it",
    )
    attention_coverage: float = Field(
        0.0,
        ge=0,
        le=100,
        description="weight λ of the penalty for positions of the source that get more or less than their share of the "
        "attention, in the training loss alone (Xu et al. 2015, equation 14); 0 disables it",
    )
    word_dropout: float = Field(
        0.0, ge=0, lt=1, description="probability of replacing an input token by the unknown token, on both sides"
    )
    subword_regularization: float = Field(
        0.0,
        ge=0,
        le=1,
        description="subword regularization alpha (unigram tokenizers; Kudo 2018); "
        "smaller values vary more, 0 disables it",
    )
    bpe_dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="probability of leaving out a merge (bpe tokenizers; Provilkov et al. 2020); 0 disables it",
    )
    image_shift: float = Field(
        0.0, ge=0, le=0.5, description="largest random shift of a training image, as a share of its height and width"
    )
    image_color: float = Field(
        0.0, ge=0, lt=1, description="largest random change of the red, green and blue of a training image, as a share"
    )
    image_flip: bool = Field(
        False, description="mirror half of the training images; not for captions that say left and right"
    )
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of an exponential moving average of the weights, validated and published; 0 disables it",
    )
    averaging: Averaging = Field(
        "none", description='checkpoint averaging before publication: "best:5", "last:5" or none'
    )
    freeze: Texts = Field([], description='name patterns of parameters to freeze: "encoder.*"')
    precision: Literal["auto", "fp32", "tf32", "bf16"] = Field(
        "auto",
        description="compute precision; auto: bf16 from a million parameters if the device supports it, else fp32 (on "
        "GPUs tf32, if supported)",
    )
    parallel: Literal["ddp", "fsdp"] = Field(
        "ddp",
        description="how several processes share the training: ddp (each has the whole model) or fsdp (each has a part "
        "of weights, gradients and optimizer state); both compute the same",
    )
    recompute: bool = Field(
        False,
        description="compute each Transformer block again in the backward pass instead of storing its activations: "
        "less memory, about a third more time, the same result",
    )
    validate_every: Interval = Field(
        "1 epoch", description='how often to validate and save: "1 epoch" or "500 updates"'
    )
    validation_lines: int = Field(
        200,
        ge=0,
        description="validation pairs to translate at each validation: the first ones, greedily; 0: the loss alone",
    )
    best_metric: Literal["loss", "bleu", "chrf"] = Field(
        "loss", description="validation metric that selects the published checkpoint"
    )
    bleu_tokenizer: Literal["auto", "13a", "zh", "char", "ja-mecab", "ko-mecab", "flores200"] = Field(
        "auto",
        description="how BLEU splits text into words; auto: zh for Chinese, char for Japanese, Korean, Thai, Lao, "
        "Khmer and Burmese, else 13a",
    )
    patience: int = Field(
        0, ge=0, description="validations without improvement before training stops early; 0 disables it"
    )
    keep_checkpoints: int = Field(
        2, ge=1, description="newest checkpoints to keep, in addition to the best and those to be averaged"
    )
    log_every: int = Field(50, ge=1, description="updates between records in metrics.jsonl")

    @property
    def augments_images(self) -> bool:
        """Whether training changes images at random."""
        return bool(self.image_shift or self.image_color or self.image_flip)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.best_metric != "loss" and self.validation_lines == 0:
            raise ValueError(f"best_metric is {self.best_metric}, but validation_lines is 0")
        return self
