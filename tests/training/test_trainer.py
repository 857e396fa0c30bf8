"""The training loop: when it ends, what it trains on, which checkpoint is best, what it logs."""

import itertools
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from s2s.cli.app import main
from s2s.data.batching import plan_batches
from s2s.data.corpus import Corpus
from s2s.recipe.load import load_recipe
from s2s.registry.version import Version
from s2s.text.tokenizer import Tokenizer
from s2s.training import trainer
from s2s.training.batches import TrainingBatches
from s2s.training.runs.lifecycle import resume
from s2s.training.runs.record import read_run, runs_directory
from s2s.training.step import StepResult, train_step_within_memory
from s2s.training.training_log import ProgressReport

QUIET = {"wait": 0}


def corpus_of(home: Path) -> Corpus:
    return Corpus.open(next(path for path in (home / "corpora").iterdir() if path.is_dir()))


def run_of(name: str) -> Path:
    (directory,) = runs_directory().glob(f"{name}-*")
    return directory


def batches(home: Path, tiny: list[str], epoch: int) -> list[int]:
    """Target tokens, ends counted, of each batch of an epoch."""
    recipe, train = load_recipe("numbers/attention", tiny), corpus_of(home).split("train")
    planned = plan_batches(
        train.source_lengths, train.target_lengths, recipe.training.batch_tokens, recipe.training.seed, epoch
    )
    return [int(train.target_lengths[rows].sum()) + len(rows) for rows in planned]


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("limit", ["7 updates", "2 epochs", "3000 tokens", "1 update"])
def test_training_ends_at_its_limit(
    limit: str,
    resumed: bool,
    tiny_train: Callable[..., Version],
    interrupted_run: Callable[..., Path],
    trained_home: Path,
    tiny: list[str],
) -> None:
    sizes = [batches(trained_home, tiny, epoch) for epoch in (0, 1, 2)]
    tokens, wanted = 0, 0
    for size in itertools.chain(*sizes):
        if tokens >= 3000:
            break
        tokens, wanted = tokens + size, wanted + 1
    expected = {"7 updates": 7, "2 epochs": len(sizes[0]) + len(sizes[1]), "3000 tokens": wanted, "1 update": 1}
    settings = [f"training.stop_after={limit}", "training.validate_every=1 epoch"]
    if resumed and limit != "1 update":
        version = resume(interrupted_run(*settings, after=5).name, **QUIET)
    else:
        version = tiny_train(*settings)
    assert version.card.training.updates == expected[limit]
    assert version.card.training.epochs == (2 if limit == "2 epochs" else 0)
    last = read_run(run_of("again")).metrics.validation[-1]
    assert last["update"] == expected[limit]  # the last update is always validated


def test_figures_are_read_one_update_late(tiny_train: Callable[..., Version], monkeypatch: pytest.MonkeyPatch) -> None:
    taken, reads = [0], []

    class Figures:
        def __init__(self, tensor: torch.Tensor, number: int) -> None:
            self.tensor, self.number = tensor, number

        def tolist(self) -> list[float]:
            reads.append((self.number, taken[0]))
            return self.tensor.tolist()

    def noted(*arguments: Any, **values: Any) -> StepResult:
        taken[0] += 1
        result = train_step_within_memory(*arguments, **values)
        return replace(result, figures=Figures(result.figures, taken[0]))

    monkeypatch.setattr(trainer, "train_step_within_memory", noted)
    monkeypatch.setattr(trainer, "SHOW_SECONDS", 0.0)
    tiny_train("training.stop_after=7 updates", "training.log_every=4", "training.validate_every=7 updates")
    # all are known when they are logged, after update 4, and validated, after update 7
    assert reads == [(1, 2), (2, 3), (3, 4), (4, 4), (5, 6), (6, 7), (7, 7)]


def test_time_left_follows_the_speed_of_the_resumed_run(
    interrupted_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, duration, left = [0.0], [10], {}

    def timed(*arguments: Any, **values: Any) -> StepResult:
        now[0] += duration[0]
        return train_step_within_memory(*arguments, **values)

    def noted(**values: Any) -> ProgressReport:
        left[values["update"]] = values["seconds_left"]
        return ProgressReport(**values)

    monkeypatch.setattr(trainer, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(trainer, "train_step_within_memory", timed)
    monkeypatch.setattr(trainer, "ProgressReport", noted)
    settings = ["training.stop_after=12 updates", "training.validate_every=3 updates", "training.log_every=1"]
    run = interrupted_run(*settings, after=6)
    assert left[5] == pytest.approx(7 * 10)
    duration[0] = 2  # as if on a faster machine
    resume(run.name, **QUIET)
    assert left[8] == pytest.approx(4 * 2)


def test_limit_in_minutes_follows_the_clock(
    tiny_train: Callable[..., Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def ten_seconds(*arguments: Any, **values: Any) -> StepResult:
        now[0] += 10
        return train_step_within_memory(*arguments, **values)

    monkeypatch.setattr(trainer, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(trainer, "train_step_within_memory", ten_seconds)
    card = tiny_train(
        "training.stop_after=1 minute", "training.log_every=1", "training.warmup=0", "training.lr=0.06"
    ).card
    assert card.training.updates == 6
    assert card.training.seconds == 60
    rates = [line["lr"] for line in read_run(run_of("again")).metrics.training]
    assert rates == pytest.approx([0.06, 0.05, 0.04, 0.03, 0.02, 0.01])  # the schedule follows the clock, too


def test_resuming_a_run_limited_in_minutes_warns(
    interrupted_run: Callable[..., Path], interrupted: Callable[[int], None], said: list[str]
) -> None:
    directory = interrupted_run("training.stop_after=1 minute", after=3)
    interrupted(5)
    with pytest.raises(KeyboardInterrupt):
        resume(directory.name, **QUIET)
    assert sum("stop_after is in minutes" in text for text in said) == 1


def test_patience_ends_training_without_improvement(tiny_train: Callable[..., Version]) -> None:
    card = tiny_train("training.lr=1e-12", "training.validate_every=2 updates", "training.patience=3").card
    assert (card.training.best_update, card.training.updates) == (2, 8)


@pytest.mark.parametrize("by", ["loss", "chrf", "bleu"])
def test_best_checkpoint_follows_best_metric(by: str, tiny_train: Callable[..., Version]) -> None:
    rough = ["training.validate_every=1 update", "training.lr=0.1", "training.warmup=2"]  # figures go up and down
    version = tiny_train(f"training.best_metric={by}", *rough)
    lines = read_run(run_of("again")).metrics.validation
    figures = [-line["loss"] if by == "loss" else line[by] for line in lines]
    best = lines[figures.index(max(figures))]["update"]
    assert version.card.training.best_update == best
    assert [line["better"] for line in lines] == [
        figure > max(figures[:index], default=-float("inf")) for index, figure in enumerate(figures)
    ]


def test_subword_regularization_samples_each_epoch_reproducibly(
    tiny_train: Callable[..., Version],
    interrupted_run: Callable[..., Path],
) -> None:
    drawn: list[tuple[int, dict[str, list[int]]]] = []
    pairs = TrainingBatches.pairs

    def recorded(self: TrainingBatches, epoch: int, index: int) -> object:
        sources, targets = pairs(self, epoch, index)
        texts = self.split.texts(self.of_epoch(epoch)[index])
        drawn.append((epoch, dict(zip(texts[0], map(list, sources), strict=True))))
        assert self.tokenizer.decode([list(source) for source in sources]) == texts[0]
        assert self.tokenizer.decode([list(target) for target in targets]) == texts[1]
        return sources, targets

    plain = ["data.generator.train=120", "training.stop_after=2 epochs"]
    settings = [*plain, "training.subword_regularization=0.2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingBatches, "pairs", recorded)
        whole = tiny_train(*settings)
    first, second = ({text: ids for e, batch in drawn if e == epoch for text, ids in batch.items()} for epoch in (0, 1))
    assert first.keys() == second.keys()
    best = dict(zip(first, Tokenizer(whole.read("tokenizer.model")).encode(list(first)), strict=True))
    assert sum(first[text] != second[text] for text in first) > len(first) / 4
    assert sum(first[text] != best[text] for text in first) > len(first) / 4
    weights = whole.files["weights.safetensors"]
    assert tiny_train(*settings, fresh=True).files["weights.safetensors"] == weights
    directory = interrupted_run(*settings, name="stopped", after=7)
    assert resume(directory.name, **QUIET).files["weights.safetensors"] == weights
    assert tiny_train(*plain, name="plain").files["weights.safetensors"] != weights


@pytest.mark.parametrize("lr", [1e-12, 0.01])
def test_zero_bleu_warns_once_in_the_second_half(lr: float, tiny_train: Callable[..., Version]) -> None:
    tiny_train(f"training.lr={lr}", "training.validate_every=1 update", "training.stop_after=10 updates")
    directory = run_of("again")
    nothing = [line["update"] for line in read_run(directory).metrics.validation if line["bleu"] == 0]
    log = (directory / "log.txt").read_text().splitlines()
    warned = [number for number, line in enumerate(log) if "warning: BLEU is exactly 0" in line]
    late = [update for update in nothing if update > 5]
    assert late or lr > 1e-6  # an untrained network has no word right
    assert len(warned) == bool(late)
    if late:
        assert f"validation  update {late[0]} " in log[warned[0] - 1]


def test_metrics_go_to_tensorboard(tiny_train: Callable[..., Version]) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tiny_train("training.log_every=1", tensorboard=True)
    directory = run_of("again")
    events = event_accumulator.EventAccumulator(str(directory / "tensorboard"))
    events.Reload()
    metrics = read_run(directory).metrics
    for kind, lines in (("training", metrics.training), ("validation", metrics.validation)):
        found = [(event.step, event.value) for event in events.Scalars(f"{kind}/loss")]
        assert found == [(line["update"], pytest.approx(line["loss"], rel=1e-6)) for line in lines]


def test_missing_tensorboard_is_refused_before_the_run(
    trained_home: Path, tiny: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    settings = [part for setting in tiny for part in ("--set", setting)]
    assert main(["train", "numbers/attention", *settings, "--name", "board", "--tensorboard"]) == 5
    said = capsys.readouterr().err
    assert "tensorboard is not installed" in said
    assert "pip install 's2s-toolkit[tensorboard]'" in said
    assert not list(runs_directory().glob("board-*"))
