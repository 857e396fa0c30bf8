"""What requests of the HTTP interface may say, and what answers say."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    create_model,
    field_validator,
    model_validator,
)

from s2s.io.quantities import MAX_KEEP_ALIVE, parse_keep_alive
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.user_symbols import MAX_SYMBOL
from s2s.text.lines import single_line

MAX_LINES = 1000
MAX_CHARACTERS = 20_000  # of a line
MAX_IMAGES = 64
MAX_NBEST = 100
MAX_BEAM = 100
MAX_WEIGHTS = 2**24  # of attention in an answer, counted in characters instead of tokens

TAGS = {"line", "lines", "seconds", "duration"}  # what pydantic calls the types that a value may have
Line = Annotated[
    str, Field(max_length=MAX_CHARACTERS), AfterValidator(single_line)
]  # a line break is a space, as in the tables of training
Text = Annotated[
    Annotated[Line, Tag("line")] | Annotated[list[Line], Field(max_length=MAX_LINES), Tag("lines")],
    Discriminator(lambda value: "lines" if isinstance(value, list) else "line"),
]
Base64 = Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]
KeepAlive = Annotated[
    Annotated[float, Tag("seconds")] | Annotated[str, Tag("duration")],
    Discriminator(lambda value: "duration" if isinstance(value, str) else "seconds"),
]
Attention = Annotated[bool, Field(description="whether the answer has attention")]
SourceTag = Annotated[
    str, Field(max_length=MAX_SYMBOL, description="put before lines that begin with none of the model's tags")
]
NBest = Annotated[int | None, Field(ge=1, le=MAX_NBEST, description="number of translations; default: the best alone")]
SHARED = ("beam_size", "length_penalty", "no_repeat_ngram", "sample", "temperature", "top_k", "top_p", "seed")


class Body(BaseModel):
    """What the body of every request has."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    model: str = Field(max_length=200, description="NAME, NAME:VERSION or NAME@ALIAS", examples=["numbers-attention"])
    keep_alive: KeepAlive | None = Field(
        None, description="how long the model stays loaded afterwards: seconds, or 30s, 10m, 2h, forever; 0: not at all"
    )

    @field_validator("keep_alive")
    @classmethod
    def _seconds(cls, value: float | str | None) -> float | None:
        if isinstance(value, str):
            return parse_keep_alive(value)
        if value is not None and value != -1 and not 0 <= value <= MAX_KEEP_ALIVE:
            raise ValueError("should be seconds of at most a year, or -1 for ever")
        return value


def _check_weights(lengths: Iterable[tuple[int, int]]) -> None:
    """Raise ValueError if attention would need too much memory, given lengths of sources and targets."""
    if sum(source * target for source, target in lengths) > MAX_WEIGHTS:
        raise ValueError("attention: the lines are too long, or too many; send fewer at a time")


class DecodingBody(Body):
    """What requests for translations and captions have."""

    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16", "int8", "int8_bf16", "int8_fp16"] = "auto"
    nbest: NBest = None
    attention: Attention = False

    def decoding(self) -> dict[str, Any]:
        """Return the decoding options that were given."""
        return {name: getattr(self, name, None) for name in DecodingOptions.model_fields}


def _options(*names: str) -> dict[str, Any]:
    """Return optional fields for decoding options, as a recipe limits them."""
    found = {}
    for name in (*SHARED, *names):
        info = DecodingOptions.model_fields[name]
        limits = [*info.metadata, *([Field(le=MAX_BEAM)] if name == "beam_size" else [])]
        kind: Any = info.annotation
        for limit in limits:
            kind = Annotated[kind, limit]
        found[name] = (kind | None, Field(None, description=info.description))
    return found


class _Text(DecodingBody):
    text: Text = Field(description="a line, or several")
    tag: SourceTag = ""
    split: Literal["auto", "on", "off"] = Field("auto", description="translate the sentences of a line one by one")
    engine: Literal["auto", "pytorch", "ctranslate2"] = "auto"

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        lines = [self.text] if isinstance(self.text, str) else self.text
        if self.attention:
            _check_weights((len(line), (self.nbest or 1) * len(line)) for line in lines)
        return self


class _Images(DecodingBody):
    images: list[Base64] = Field(min_length=1, max_length=MAX_IMAGES, description="image files, each in base64")
    max_length: int | None = Field(None, ge=1, le=10_000, description="maximum length of a caption in tokens")


TranslateBody = create_model(
    "TranslateBody", __base__=_Text, **_options("stopping", "patience", "min_ratio", "max_ratio")
)
CaptionBody = create_model("CaptionBody", __base__=_Images, **_options())


class Pair(BaseModel):
    """A source line and its translation."""

    model_config = ConfigDict(extra="forbid", strict=True)

    source: Line
    target: Line


class ScoreBody(Body):
    """A request for scores."""

    pairs: list[Pair] = Field(max_length=MAX_LINES)
    tag: SourceTag = ""
    tokens: bool = Field(False, description="whether the answer has the log-probability of each token")
    attention: bool = Field(False, description="whether the answer has a word alignment from attention")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.attention:
            _check_weights((len(pair.source), len(pair.target)) for pair in self.pairs)
        return self


class Part(BaseModel):
    """A part of a line that was translated by itself."""

    start: int
    end: int
    text: str
    score: float
    log_probability: float
    tokens: list[str]
    source_tokens: list[str] | None = None
    attention: list[list[float]] | None = None


class Hypothesis(BaseModel):
    """One of several translations of a line."""

    text: str
    score: float
    log_probability: float
    tokens: list[str]


class Translated(Hypothesis):
    """The best translation of a line, or caption of an image."""

    diagnostics: list[str]
    parts: list[Part] | None = None
    nbest: list[Hypothesis] | None = None
    source_tokens: list[str] | None = None
    grid: list[int] | None = Field(None, description="height and width of the grid of an image's positions")
    attention: list[list[float]] | None = Field(None, description="a row for each token, a column for each position")


class Translations(BaseModel):
    """The answer to a request for translations."""

    model: str = Field(description="the version that translated: NAME:3")
    engine: str
    translations: list[Translated]


class Captions(BaseModel):
    """The answer to a request for captions."""

    model: str
    engine: str
    captions: list[Translated]


class TokenScore(BaseModel):
    """The log-probability of a token, in nats."""

    token: str
    log_probability: float


class Score(BaseModel):
    """The log-probability of a target line given its source line."""

    log_probability: float
    length: int
    target_bytes: int
    tokens: list[TokenScore] | None = None
    alignment: list[list[int]] | None = None


class Scores(BaseModel):
    """The answer to a request for scores."""

    model: str
    engine: str
    scores: list[Score]


class ListedModel(BaseModel):
    """A version of a model in the registry."""

    reference: str
    name: str
    version: int
    aliases: list[str]
    description: str
    task: Literal["translate", "caption"]
    source_language: str | None
    target_language: str | None
    architecture: str
    attention: bool
    parameters: int
    resident: bool = Field(description="whether it is loaded")


class Models(BaseModel):
    """The newest version of every model, and those that have an alias."""

    models: list[ListedModel]


class Health(BaseModel):
    """Whether the server accepts requests."""

    status: Literal["ok", "stopping"]


class Fault(BaseModel):
    """What is wrong, and what to do."""

    message: str
    hint: str | None


class ErrorAnswer(BaseModel):
    """The answer to a request that failed."""

    error: Fault
