"""A damaged checkpoint is reported and skipped; the previous one is used."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from trials import Trial, digest

from s2s.errors import ResourceError
from s2s.recipe.load import load_recipe
from s2s.training.checkpoint import MANIFEST
from s2s.training.runs import lifecycle
from s2s.training.runs.record import complete_checkpoints, read_run

FILES = ["model.safetensors", "optimizer.safetensors", "average.safetensors", "state.json", MANIFEST]


def flip(path: Path, position: int) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 4
    path.write_bytes(content)


@pytest.fixture(scope="module")
def settings(tiny: list[str]) -> tuple[str, ...]:
    return (*tiny, "training.ema=0.9", "training.stop_after=16 updates")


@pytest.fixture(scope="module")
def expected(settings: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the digest of the weights of an undisturbed training."""
    whole = Trial(tmp_path_factory.mktemp("whole"), settings)
    assert whole.exit_code() == 0, whole.said()
    return digest(whole.home)


@pytest.mark.parametrize("position", [0, 31, -1])
@pytest.mark.parametrize("name", FILES)
def test_flipped_bit(
    name: str, position: int, new_home: Callable[[], Path], settings: tuple[str, ...], expected: str
) -> None:
    home = new_home()
    stopped = Trial(home, settings, signals=(signal.SIGTERM,), during="validating", nth=3)
    assert stopped.exit_code() == 143, stopped.said()
    (directory,) = (home / "runs").glob("again-*")
    (last,) = complete_checkpoints(directory / "stopped")
    flip(last / name, position)
    trial = Trial(home, settings)
    assert trial.exit_code() == 0, trial.said()
    assert f"set aside as {last.name}.damaged" in trial.said()
    assert f"{last}: {name} is damaged" in trial.said() or name == MANIFEST  # a damaged manifest may blame another file
    assert digest(home) == expected


@pytest.mark.parametrize("name", FILES)
def test_truncated_or_missing_file(
    name: str, new_home: Callable[[], Path], settings: tuple[str, ...], expected: str
) -> None:
    home = new_home()
    assert Trial(home, settings, signals=(signal.SIGTERM,), during="validating", nth=3).exit_code() == 143
    (directory,) = (home / "runs").glob("again-*")
    (stopped,) = complete_checkpoints(directory / "stopped")
    (last, *_) = reversed(complete_checkpoints(directory / "checkpoints"))
    (stopped / name).write_bytes((stopped / name).read_bytes()[:100])
    (last / name).unlink()
    trial = Trial(home, settings)
    assert trial.exit_code() == 0, trial.said()
    assert digest(home) == expected


def test_all_checkpoints_damaged(new_home: Callable[[], Path], settings: tuple[str, ...]) -> None:
    home = new_home()
    assert Trial(home, settings, signals=(signal.SIGTERM,), during="validating", nth=3).exit_code() == 143
    (directory,) = (home / "runs").glob("again-*")
    paths = [*complete_checkpoints(directory / "checkpoints"), *complete_checkpoints(directory / "stopped")]
    for path in paths:
        flip(path / "model.safetensors", -1)
    for _ in range(2):
        trial = Trial(home, settings)
        assert trial.exit_code() == 4, trial.said()
        assert "all checkpoints of the run are damaged" in trial.said()
    for path in paths:
        path.with_name(f"{path.name}.damaged").rename(path)
        flip(path / "model.safetensors", -1)
    assert Trial(home, settings).exit_code() == 0


def test_a_damaged_best_checkpoint_is_not_published(trained_home: Path, tiny: list[str], said: list[str]) -> None:
    recipe = load_recipe("numbers/attention", [*tiny, "name=again", "training.best_metric=bleu"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lifecycle, "publish", fails)
        with pytest.raises(ResourceError) as failed:
            lifecycle.train(recipe, device="cpu", wait=0)
    (directory,) = (trained_home / "runs").glob("again-*")
    assert failed.value.hint == f"s2s resume {directory.name} publishes the model without training again"
    best = read_run(directory).metrics.best
    assert best
    flip(directory / "checkpoints" / f"{best['update']:08d}" / "model.safetensors", -1)
    version = lifecycle.resume(directory.name, wait=0)
    published = version.card.training.best_update
    assert published != best["update"]
    assert version.card.training.updates == 12
    assert f"warning: a checkpoint to publish is damaged; publishing that of update {published} instead" in said


def fails(*_: object) -> None:
    raise ResourceError("the disk is full")
