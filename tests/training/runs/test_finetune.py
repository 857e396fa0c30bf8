"""`--from`: training begins with a published model's tokenizer and weights, or is refused with the reason."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load as load_tensors

from s2s.cli.app import main
from s2s.errors import ArtefactError, UsageError
from s2s.recipe.load import parse_recipe
from s2s.registry.store import Registry
from s2s.registry.version import Version
from s2s.training.checkpoint import checkpoint_path, load_checkpoint
from s2s.training.runs.finetune import inherit_from
from s2s.training.runs.lifecycle import resume
from s2s.training.runs.record import read_run, runs_directory

OTHER_DATA = ["data.generator.seed=2", "data.generator.train=200"]
QUIET = {"wait": 0}


@pytest.fixture
def parent(trained_home: Path) -> Version:
    return Registry.default().resolve("numbers-attention")


def weights_of(version: Version) -> dict[str, torch.Tensor]:
    return load_tensors(version.read("weights.safetensors"))


def test_it_begins_with_the_parents_weights_and_tokenizer(parent: Version, tiny_train: Callable[..., Version]) -> None:
    version = tiny_train(*OTHER_DATA, "training.stop_after=1 updates", "training.lr=1e-12", parent=parent)
    assert version.read("tokenizer.model") == parent.read("tokenizer.model")
    for name, value in weights_of(version).items():
        torch.testing.assert_close(value, weights_of(parent)[name], atol=1e-9, rtol=0)
    assert version.card.parent == "numbers-attention:1"
    assert version.card.corpus != parent.card.corpus
    anew = tiny_train(*OTHER_DATA, "training.stop_after=1 updates", "training.lr=1e-12", name="anew")
    assert anew.card.parent is None
    assert anew.read("tokenizer.model") != parent.read("tokenizer.model")
    assert anew.card.training.key != version.card.training.key


def test_optimizer_and_schedule_begin_anew(parent: Version, tiny_train: Callable[..., Version]) -> None:
    settings = ["training.lr=0.01", "training.warmup=5", "training.log_every=1", "training.stop_after=4 updates"]
    version = tiny_train(*OTHER_DATA, *settings, parent=parent)
    (directory,) = runs_directory().glob("again-*")
    rates = [line["lr"] for line in read_run(directory).metrics.training]
    assert rates == pytest.approx([0.01 * (update + 1) / 5 for update in range(4)])
    state = load_checkpoint(checkpoint_path(directory / "checkpoints", 4)).optimizer
    assert {float(value) for name, value in state.items() if name.endswith(".step")} == {4.0}
    assert version.card.training.updates == 4
    assert any(not torch.equal(value, weights_of(parent)[name]) for name, value in weights_of(version).items())


def test_the_parents_encoder_may_stay_frozen(parent: Version, tiny_train: Callable[..., Version]) -> None:
    version = tiny_train(*OTHER_DATA, 'training.freeze=["encoder.*"]', parent=parent)
    same = {name for name, value in weights_of(version).items() if torch.equal(value, weights_of(parent)[name])}
    assert same == {name for name in weights_of(parent) if name.startswith("encoder.")}


def test_what_the_recipe_leaves_out_is_the_parents(parent: Version) -> None:
    recipe = parse_recipe({"name": "tuned", "data": {"kind": "generator", "normalization": "nfkc"}}, "tuned")
    found = inherit_from(recipe, parent)
    assert found.tokenizer.vocab_size == 120
    assert found.as_dict()["model"] == parent.card.recipe["model"]
    assert found.data.normalization == "nfc"
    assert found.training == recipe.training


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        (
            ["model.encoder.hidden_size=16"],
            r"not that of numbers-attention:1 \(bidirectional GRU encoder.* has shape",
            "[model]",
        ),
        (["model.encoder.cell=lstm"], "not that of numbers-attention:1", "[model]"),
        (["model.encoder.layers=2"], "missing weights: encoder.layers.1", "[model]"),
        (["tokenizer.vocab_size=110"], r"tokenizer\.vocab_size: 120 → 110", "[tokenizer]"),
        (["tokenizer.algorithm=bpe"], r"tokenizer\.algorithm: unigram → bpe", "[tokenizer]"),
    ],
)
def test_another_network_or_vocabulary_is_refused_with_the_reason(
    settings: list[str], message: str, hint: str, parent: Version, tiny_train: Callable[..., Version]
) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        tiny_train(*settings, parent=parent)
    assert hint in (refused.value.hint or "")
    assert not list(runs_directory().glob("again-*"))


@pytest.mark.parametrize("after", [2, 6])
def test_a_fine_tuning_is_resumed_exactly(
    after: int, parent: Version, tiny_train: Callable[..., Version], interrupted_run: Callable[..., Path]
) -> None:
    whole = tiny_train(*OTHER_DATA, parent=parent, name="whole")
    directory = interrupted_run(*OTHER_DATA, parent=parent, after=after)
    version = resume(directory.name, **QUIET)
    assert version.files["weights.safetensors"] == whole.files["weights.safetensors"]
    assert version.card.parent == whole.card.parent == "numbers-attention:1"


def test_a_parent_that_is_gone_is_told(parent: Version, interrupted_run: Callable[..., Path]) -> None:
    directory = interrupted_run(*OTHER_DATA, parent=parent)
    assert main(["models", "rm", "numbers-attention:1"]) == 0
    with pytest.raises(ArtefactError, match="the parent model of this run is missing"):
        resume(directory.name, **QUIET)


def test_the_command(parent: Version, tiny: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    settings = [part for setting in [*tiny, *OTHER_DATA] for part in ("--set", setting)]
    command = ["train", "numbers/attention", *settings, "--name", "tuned"]
    assert main([*command, "--from", "numbers-atention"]) == 2
    assert "did you mean numbers-attention" in capsys.readouterr().err
    assert main([*command, "--from", "numbers-attention"]) == 0
    assert "model tuned:1. Next: s2s translate tuned" in capsys.readouterr().err
    assert Registry.default().resolve("tuned").card.parent == "numbers-attention:1"
    assert main([*command, "--from", "numbers-attention"]) == 0
    assert "tuned:1 is this recipe" in capsys.readouterr().err
