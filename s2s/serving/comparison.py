"""The paired comparison that shadow mode keeps: a model in production and a candidate, on the same requests."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from s2s.errors import UsageError
from s2s.io.atomic import make_directory, write_json
from s2s.io.json_values import read_json, validate
from s2s.io.paths import home_dir
from s2s.io.schema import check_schema
from s2s.metrics.output_faults import loops
from s2s.recipe.options import Options
from s2s.registry.reference import Reference

SCHEMA = 1
KEPT = 20  # largest disagreements


@dataclass(frozen=True, slots=True)
class Output:
    """What a model made of a source."""

    text: str
    tokens: tuple[str, ...]
    own_score: float | None = None  # log-probability per token that the model itself gives it
    other_score: float | None = None  # the same of the other model


class Side(Options):
    """Sums over the outputs of one model."""

    model: str = Field(description="reference of the version")
    tokens: int = 0
    empty: int = 0
    loops: int = Field(0, description="outputs that repeat themselves")
    own_score: float = Field(0.0, description="log-probability per token that the model gives its own outputs")
    other_score: float = Field(0.0, description="the same of the other model's outputs")
    seconds: float = Field(0.0, description="seconds of computing, as far as they are known")
    computed: int = Field(0, description="sentences that these seconds computed")

    def add(self, own: Output, other: Output) -> "Side":
        """Return the sums with one more pair: this model's output and the other's."""
        return self.model_copy(
            update={
                "tokens": self.tokens + len(own.tokens),
                "empty": self.empty + (not own.text.strip()),
                "loops": self.loops + loops(own.tokens),
                "own_score": self.own_score + (own.own_score or 0.0),
                "other_score": self.other_score + (other.other_score or 0.0),
            }
        )


class Disagreement(Options):
    """A source that the models translate differently."""

    chrf: float = Field(description="chrF between the two outputs")
    source: str
    production: str
    candidate: str


class Comparison(Options):
    """The comparison of an alias's version with a candidate."""

    schema_version: int = Field(SCHEMA, alias="schema")
    alias: str = Field(description="NAME@ALIAS")
    since: str = Field(description="when the first pair was compared, ISO 8601")
    updated: str
    sentences: int = 0
    scored: int = Field(0, description="sentences that both models scored")
    identical: int = 0
    dropped: int = Field(0, description="sentences left out because too many waited")
    unknown: int = Field(0, description="sentences left out because of characters that the tokenizer does not know")
    chrf: float = Field(0.0, description="sum of the chrF between outputs, sentence by sentence")
    problem: str | None = Field(None, description="why the last sentences could not be compared")
    production: Side
    candidate: Side
    disagreements: list[Disagreement] = Field([], description="the largest, lowest chrF first")

    def add(self, source: str, production: Output, candidate: Output, chrf: float) -> "Comparison":
        """Return the comparison with one more sentence."""
        same = production.text == candidate.text
        found = [*self.disagreements]
        if not same:
            found.append(Disagreement(chrf=chrf, source=source, production=production.text, candidate=candidate.text))
            found = sorted(found, key=lambda one: one.chrf)[:KEPT]
        return self.model_copy(
            update={
                "sentences": self.sentences + 1,
                "scored": self.scored + (production.own_score is not None),
                "identical": self.identical + same,
                "chrf": self.chrf + chrf,
                "production": self.production.add(production, candidate),
                "candidate": self.candidate.add(candidate, production),
                "disagreements": found,
            }
        )

    def save(self) -> None:
        """Write the comparison to its file, which only its user can read: it holds what users sent."""
        path = comparison_file(self.alias)
        make_directory(path.parent)
        path.parent.chmod(0o700)
        write_json(path, self.model_dump(mode="json", by_alias=True), mode=0o600)


def comparison_file(alias: str) -> Path:
    """Return the file of the comparison for `NAME@ALIAS`."""
    return home_dir() / "shadow" / f"{alias}.json"


def read_comparisons(name: str) -> list[Comparison]:
    """Return the comparisons for all aliases of a model, or for `NAME@ALIAS`.

    Raises: UsageError if there is none, ArtefactError if one is damaged.
    """
    wanted = Reference.parse(name)
    pattern = f"{wanted.name}@{wanted.alias or '*'}.json"
    paths = sorted((home_dir() / "shadow").glob(pattern))
    if not paths:
        raise UsageError(
            f"{name}: no comparison in shadow mode", f"s2s serve --shadow {wanted.name}@ALIAS={wanted.name}:N makes one"
        )
    found = []
    for path in paths:
        values = read_json(path)
        check_schema(values, SCHEMA, str(path), "remove it")
        found.append(validate(Comparison, values, str(path)))
    return found
