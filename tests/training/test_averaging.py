"""Weight averaging: the equations, and that the average is published."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors

from s2s.models.build import build_model
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.recipe.model import ModelOptions
from s2s.recipe.sides import RnnDecoderOptions, RnnEncoderOptions
from s2s.registry.version import Version
from s2s.training.averaging import MovingAverage, mean
from s2s.training.checkpoint import checkpoint_path, load_checkpoint
from s2s.training.runs.record import read_run, runs_directory

EIGHT = ["training.stop_after=8 updates", "training.validate_every=2 updates", "training.keep_checkpoints=9"]


def network() -> EncoderDecoder:
    torch.manual_seed(1)
    return build_model(
        ModelOptions(
            embedding_size=6,
            encoder=RnnEncoderOptions(hidden_size=4),
            decoder=RnnDecoderOptions(hidden_size=9, attention_size=5),
        ),
        19,
    )


def run_of(version: Version) -> Path:
    (directory,) = runs_directory().glob(f"{version.name}-*")
    return directory


def weights_of(version: Version) -> dict[str, torch.Tensor]:
    return load_tensors(version.read("weights.safetensors"))


@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_moving_average_follows_its_equation(decay: float) -> None:
    trained = network()
    average = MovingAverage(trained, decay)
    expected = {name: value.numpy().astype(np.float64) for name, value in trained.weights().items()}
    for update in range(1, 8):
        for name, value in trained.weights().items():
            value.add_(torch.randn_like(value))
            d = min(decay, (1 + update) / (10 + update))
            expected[name] = d * expected[name] + (1 - d) * value.numpy()
        average.update(update)
    for name, value in average.weights.items():
        np.testing.assert_allclose(value.numpy(), expected[name], atol=1e-5)


def test_swapped_in_average_restores_the_weights_afterwards() -> None:
    trained = network()
    average = MovingAverage(trained, 0.9)
    trained.bias.data.add_(1.0)  # type: ignore[union-attr]
    average.update(1)
    own = {name: value.clone() for name, value in trained.weights().items()}

    def use() -> None:
        with average.swapped_in():
            for name, value in trained.weights().items():
                assert torch.equal(value, average.weights[name])
            assert not torch.equal(trained.weights()["bias"], own["bias"])
            raise InterruptedError

    with pytest.raises(InterruptedError):
        use()
    for name, value in trained.weights().items():
        assert torch.equal(value, own[name])


def test_mean_is_summed_in_double_precision() -> None:
    several = [torch.randn(3, 5) * 10**scale for scale in range(-2, 3)]
    found = mean(several)
    expected = np.mean([one.numpy().astype(np.float64) for one in several], axis=0).astype(np.float32)
    assert found.dtype == torch.float32
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize(("which", "count"), [("best", 2), ("last", 3)])
@pytest.mark.parametrize("metric", ["loss", "chrf"])
def test_mean_of_checkpoints_is_published(
    which: str, count: int, metric: str, tiny_train: Callable[..., Version]
) -> None:
    version = tiny_train(*EIGHT, f"training.averaging={which}:{count}", f"training.best_metric={metric}")
    directory = run_of(version)
    figures = [
        (-line["loss"] if metric == "loss" else line["chrf"], line["update"])
        for line in read_run(directory).metrics.validation
    ]
    assert [update for _, update in figures] == [2, 4, 6, 8]
    chosen = figures[-count:] if which == "last" else sorted(figures, key=lambda one: one[0])[-count:]
    averaged = sorted(update for _, update in chosen)
    assert version.card.training.averaged == averaged
    several = [load_checkpoint(checkpoint_path(directory / "checkpoints", update)).model for update in averaged]
    for name, value in weights_of(version).items():
        expected = np.mean([one[name].numpy().astype(np.float64) for one in several], axis=0).astype(np.float32)
        np.testing.assert_array_equal(value.numpy(), expected)


def test_averaged_checkpoints_are_kept(tiny_train: Callable[..., Version]) -> None:
    version = tiny_train(*EIGHT, "training.keep_checkpoints=1", "training.averaging=last:3")
    assert set(read_run(run_of(version)).checkpoints) >= {4, 6, 8}


def test_moving_average_is_validated_and_published(tiny_train: Callable[..., Version]) -> None:
    plain = tiny_train(*EIGHT, name="plain")
    version = tiny_train(*EIGHT, "training.ema=0.9", name="averaged")
    assert version.card.training.averaged == []
    best = load_checkpoint(checkpoint_path(run_of(version) / "checkpoints", version.card.training.best_update))
    assert best.average is not None
    for name, value in weights_of(version).items():
        assert torch.equal(value, best.average[name])
    last, plain_last = (load_checkpoint(checkpoint_path(run_of(one) / "checkpoints", 8)) for one in (version, plain))
    for name, value in last.model.items():
        assert torch.equal(value, plain_last.model[name])  # training itself resumes from its own weights
    losses = [[line["loss"] for line in read_run(run_of(one)).metrics.validation] for one in (version, plain)]
    assert all(one != other for one, other in zip(*losses, strict=True))
