"""Measure scaling: train the ladder, fit the law, seal a prediction, and train the model that it is about."""

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from s2s.comparison.measured import training_of
from s2s.comparison.scaling.ladder import Ladder, LadderModel, grammar_of, sizes
from s2s.comparison.scaling.law import Interval, Law, Sample, bootstrap, fit_law
from s2s.comparison.scaling.seal import Prediction, read_prediction, seal
from s2s.data.generators.grammar import Grammar, grammar_pairs
from s2s.data.prepare import prepare_corpus
from s2s.errors import S2SError, UsageError, wrap_os_errors
from s2s.io.atomic import make_directory, write_json
from s2s.recipe.recipe import Recipe
from s2s.registry.version import Version, now
from s2s.training.runs.lifecycle import find_existing, run_key, train

log = logging.getLogger(__name__)

RUNS, PREDICTION = "runs.json", "prediction.json"
SCHEMA = 1  # of RUNS
LAW_PARAMETERS = ("pe", "pd", "floor")


@dataclass(frozen=True, slots=True)
class ScalingRun:
    """A trained model: its sizes, and what came of it."""

    model: str
    version: str
    width: int
    encoder_layers: int
    decoder_layers: int
    encoder: int  # parameters without embeddings
    decoder: int
    flops: float  # of training, per target token
    lr: float
    tokens: int  # target tokens trained on
    loss: float  # of the test set, in nats per target token
    seconds: float

    @property
    def parameters(self) -> int:
        """Parameters without embeddings."""
        return self.encoder + self.decoder

    @property
    def tokens_per_second(self) -> float:
        """Speed of training."""
        return self.tokens / max(self.seconds, 1e-9)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a measurement of scaling found."""

    runs: list[ScalingRun]  # that the law was fitted to
    decoder_only: list[tuple[ScalingRun, ScalingRun]]  # an encoder–decoder, and a decoder-only model of equal FLOPs
    lr_checks: list[list[ScalingRun]]  # of a size, by learning rate
    entropy: float  # of the task, in nats per target token
    test_entropy: float  # loss of the grammar itself on the test set
    law: Law
    intervals: dict[str, Interval]  # of the law's parameters
    prediction: Prediction
    digest: str  # of the prediction
    outcome: ScalingRun
    code: str  # version and commit that trained the large model
    machine: str  # that trained it

    @property
    def error(self) -> float:
        """By how much the loss of the large model is higher than predicted."""
        return self.outcome.loss - self.prediction.loss

    @property
    def as_predicted(self) -> bool:
        """Whether it is in the interval."""
        return self.prediction.low <= self.outcome.loss <= self.prediction.high


def measure(directory: Path, overrides: Sequence[str], *, device: str, wait: float, ladder: Ladder) -> Measurement:
    """Train what is missing of the ladder, predict the loss of the large model, and then train that.

    Finished runs are reused and unfinished ones resumed. `directory` gets the list of runs and the prediction.
    Raises: UsageError if overrides leave the task, or if the large model was trained before its loss was predicted;
    ResourceError if the directory cannot be made.
    """
    recipes = {model: model.recipe(overrides) for model in [*ladder.all(), ladder.large]}
    with wrap_os_errors(directory, "write to"):  # before an hour of training
        make_directory(directory)
    find_prediction(directory / PREDICTION, recipes[ladder.large])  # refuse another one now, not after an hour
    runs: dict[LadderModel, ScalingRun] = {}
    for number, model in enumerate(ladder.all(), 1):
        log.info(f"{model.name}: model {number} of {len(ladder.all())} before the prediction")
        version = train(recipes[model], device=device, wait=wait, resume_unfinished=True)
        runs[model] = _run(model, recipes[model], version)
        _write_runs(directory, runs.values())
    own = [runs[model] for model in ladder.models]
    law, intervals = predict(directory / PREDICTION, own, ladder.large, recipes[ladder.large])
    version = train_large(directory / PREDICTION, recipes[ladder.large], device=device, wait=wait)
    outcome = _run(ladder.large, recipes[ladder.large], version)
    _write_runs(directory, [*runs.values(), outcome])
    prediction, digest = read_prediction(directory / PREDICTION)
    trained = training_of(version, recipes[ladder.large])
    entropy, test_entropy = known_entropy(recipes[ladder.large])
    return Measurement(
        runs=own,
        decoder_only=[(runs[one], runs[other]) for one, other in ladder.decoder_only],
        lr_checks=_by_size([*own, *(runs[model] for model in ladder.lr_checks)]),
        entropy=entropy,
        test_entropy=test_entropy,
        law=law,
        intervals=intervals,
        prediction=prediction,
        digest=digest,
        outcome=outcome,
        code=trained.code,
        machine=trained.describe_machine(),
    )


def predict(
    path: Path, runs: Sequence[ScalingRun], large: LadderModel, recipe: Recipe
) -> tuple[Law, dict[str, Interval]]:
    """Fit the law to the runs and seal the loss that it predicts of the large model, unless that was done before.

    Raises: UsageError if the runs do not determine the law; see `find_prediction`.
    """
    samples = [Sample(run.encoder, run.decoder, run.loss) for run in runs]
    try:
        law, resampled = fit_law(samples), bootstrap(samples)
    except ValueError as error:
        raise UsageError(f"the law cannot be fitted: {error}") from error
    intervals = {name: resampled.interval(name) for name in LAW_PARAMETERS}
    if find_prediction(path, recipe):
        return law, intervals
    encoder, decoder, _ = sizes(recipe)
    low, high = resampled.prediction_interval(encoder, decoder)
    losses = {run.model: run.loss for run in runs}
    predicted = law.loss(encoder, decoder)
    seal(path, Prediction(large.name, _key(recipe), encoder, decoder, predicted, low, high, law, losses, now()))
    log.info(f"{large.name}: predicted a loss of {predicted:.4f} ({low:.4f} to {high:.4f}), sealed in {path}")
    return law, intervals


def train_large(path: Path, recipe: Recipe, *, device: str, wait: float) -> Version:
    """Train the large model. Raises UsageError if no prediction is sealed; see `find_prediction`."""
    sealed = find_prediction(path, recipe)
    if sealed is None:
        raise UsageError(f"{path}: no such prediction", "a model is trained only after its loss was predicted")
    log.info(f"{recipe.name}: training the model of the prediction with sha256 {sealed[1]}")
    return train(recipe, device=device, wait=wait, resume_unfinished=True)


def find_prediction(path: Path, recipe: Recipe) -> tuple[Prediction, str] | None:
    """Return the sealed prediction of the run of a recipe and its sha256, or None if there is neither one nor a run.

    Raises: UsageError if it is of another run, or if there is a run without one; ArtefactError if it was changed.
    """
    key = _key(recipe)
    if path.exists():
        prediction, digest = read_prediction(path)
        if prediction.key != key:
            raise UsageError(f"{path} predicts the loss of another run", "name another --out, or the same settings")
        return prediction, digest
    if find_existing(recipe.name, key, resume_unfinished=True):
        raise UsageError(
            f"{recipe.name} was trained before its loss was predicted",
            "--set training.seed=2 measures with another seed",
        )
    return None


def known_entropy(recipe: Recipe) -> tuple[float, float]:
    """Return the entropy of targets given their sources: of the task, and of the test set by the task's own model.

    In nats per target token, EOS included: what no model of the test set can be expected to fall below.
    """
    options = grammar_of(recipe)
    grammar = Grammar(options.seed)
    test = grammar_pairs(options.model_copy(update={"train": 1}))["test"]
    tokens = sum(len(target.split()) + 1 for _, target in test)
    nats = -sum(grammar.log_probability(source, target) for source, target in test)
    return grammar.entropy(options.min_items, options.max_items), nats / tokens


def _key(recipe: Recipe) -> str:
    return run_key(recipe, prepare_corpus(recipe.data, recipe.tokenizer))


def _run(model: LadderModel, recipe: Recipe, version: Version) -> ScalingRun:
    """Return what a version's card says of a run."""
    training = version.card.training
    if training.epochs >= 1:
        log.warning("%s: saw its sentences more than once; raise data.generator.train", version.reference)
    encoder, decoder, flops = sizes(recipe)
    perplexity = next(score.value for score in version.card.scores if score.metric == "perplexity")
    if not math.isfinite(perplexity):
        raise S2SError(f"{version.reference}: the loss is not finite", "lower training.lr")
    return ScalingRun(
        model=model.name,
        version=str(version.reference),
        width=model.width,
        encoder_layers=model.encoder_layers,
        decoder_layers=model.decoder_layers,
        encoder=encoder,
        decoder=decoder,
        flops=flops,
        lr=recipe.training.lr,
        tokens=round(training.tokens_per_second * training.seconds),
        loss=math.log(perplexity),
        seconds=training.seconds,
    )


def _by_size(runs: Sequence[ScalingRun]) -> list[list[ScalingRun]]:
    """Return the runs of each size that has several, by learning rate."""
    groups: dict[tuple[int, int, int], list[ScalingRun]] = {}
    for run in runs:
        groups.setdefault((run.width, run.encoder_layers, run.decoder_layers), []).append(run)
    return [sorted(group, key=lambda run: run.lr) for group in groups.values() if len(group) > 1]


def _write_runs(directory: Path, runs: Iterable[ScalingRun]) -> None:
    write_json(directory / RUNS, {"schema": SCHEMA, "runs": [asdict(run) for run in runs]})
