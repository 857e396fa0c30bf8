"""A captioner trains, resumes, averages and publishes like a translator, with BatchNorm's statistics."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as PillowImage
from tiny_scenes import RECURRENT, TINY_SCENES
from torch import nn

import s2s
from s2s.comparison.compare import compare
from s2s.comparison.entries import Request
from s2s.data.corpus import Corpus
from s2s.data.generators.scenes import draw_scene
from s2s.decoding.forced import forced_sentences
from s2s.decoding.loading import reference_translator
from s2s.errors import UsageError
from s2s.models.build import build_model
from s2s.models.interface import ImageInput
from s2s.recipe.load import load_recipe
from s2s.recipe.model import ModelOptions
from s2s.registry.store import Registry
from s2s.registry.version import Version
from s2s.training.averaging import MovingAverage, recompute_batch_norm
from s2s.training.runs.lifecycle import resume, train
from s2s.training.runs.record import runs_directory


def captioner(*settings: str, name: str = "captioner", recipe: str = "scenes/attention") -> Version:
    given = [
        *TINY_SCENES,
        *(RECURRENT if recipe != "scenes/transformer" else ["model.decoder.heads=2"]),
        f"name={name}",
    ]
    return train(load_recipe(recipe, [*given, *settings]), device="cpu", wait=0)


def weights(version: Version) -> str:
    return version.file("weights.safetensors").digest


@pytest.mark.parametrize(
    "settings",
    [
        ("training.ema=0.8", "training.micro_batch_tokens=200", "training.image_shift=0.1", "training.image_color=0.2"),
        ("training.averaging=last:2", "training.word_dropout=0.1", "training.r_drop=1", "model.dropout=0.2"),
    ],
    ids=["ema", "averaging"],
)
def test_resumed_is_uninterrupted(settings: tuple[str, ...], interrupted: Callable[[int], None]):
    whole = captioner(*settings)
    interrupted(5)
    with pytest.raises(KeyboardInterrupt):
        captioner(*settings, name="again")
    (run,) = runs_directory().glob("again-*")
    again = resume(run.name, wait=0)
    assert weights(again) == weights(whole)
    assert whole.card.task == "captioning"


@pytest.mark.slow
def test_two_processes_are_killed_and_resumed_exactly():
    """Two processes validate with the statistics of the main one, and the run resumes exactly."""
    settings = [*TINY_SCENES, *RECURRENT, "training.stop_after=30 updates"]
    given = [part for one in settings for part in ("--set", one)]
    command = [sys.executable, "-m", "s2s"]
    training = [*command, "train", "scenes/attention", *given, "--processes", "2", "--name"]
    environment = os.environ | {"PYTHONPATH": str(Path(s2s.__file__).parents[1])}
    subprocess.run([*training, "whole"], env=environment, check=True, timeout=100)
    with subprocess.Popen([*training, "again"], env=environment) as process:
        while not list(runs_directory().glob("again-*/checkpoints/*/manifest.json")):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    (run,) = runs_directory().glob("again-*")
    subprocess.run([*command, "resume", run.name], env=environment, check=True, timeout=100)
    whole, again = (Registry.default().resolve(name) for name in ("whole", "again"))
    assert weights(again) == weights(whole)
    assert again.card.training.processes == 2


def test_averaged_weights_have_statistics_of_their_own():
    torch.manual_seed(1)
    encoder: dict[str, Any] = {"family": "cnn", "channels": [6], "blocks": [0], "hidden_size": 5, "grid": (3, 5)}
    network = build_model(ModelOptions(encoder=encoder), 20).train()
    pixels = [torch.randint(256, (4, 3, 6, 10), dtype=torch.uint8) for _ in range(3)]
    average = MovingAverage(network, 0.5)
    for number in range(1, 4):
        network.encoder(ImageInput(pixels[0]))
        average.update(number)
    counters = [name for name, value in average.weights.items() if not value.is_floating_point()]
    assert [int(average.weights[name]) for name in counters] == [3]
    with average.swapped_in():
        network.eval()
        recompute_batch_norm(network, map(ImageInput, pixels))
        convolution, norm = network.encoder.stages[0][0]
        assert isinstance(norm, nn.BatchNorm2d)
        features = [convolution(one / 127.5 - 1) for one in pixels]
        torch.testing.assert_close(norm.running_mean, torch.stack([one.mean((0, 2, 3)) for one in features]).mean(0))
        torch.testing.assert_close(norm.running_var, torch.stack([one.var((0, 2, 3)) for one in features]).mean(0))
        assert (norm.momentum, norm.training) == (0.1, False)


def test_maps_of_a_beam_are_those_of_forced_decoding():
    version = captioner()
    translator = reference_translator(version, torch.device("cpu"))
    (path,) = (one for one in (runs_directory().parent / "corpora").iterdir() if one.is_dir())
    images = Corpus.open(path).split("test").sources(range(5))
    found = translator.start(images, need_attention=True).search.result()
    forced = dict(
        forced_sentences(
            translator.engine.model,
            images,
            [nbest[0].tokens for nbest in found],
            torch.device("cpu"),
            need_attention=True,
        )
    )
    for row, (caption, *_) in enumerate(found):
        assert caption.attention is not None
        assert caption.attention.shape[1] == 32
        steps = len(caption.attention)
        torch.testing.assert_close(caption.attention, forced[row].attention[:steps], atol=1e-5, rtol=1e-4)


def test_the_api_captions_files(tmp_path: Path):
    captioner()
    files = [tmp_path / f"{number}.png" for number in range(2)]
    for file in files:
        PillowImage.fromarray(draw_scene("small red circle 5 3 14 12")).save(file)
    with s2s.load("captioner") as model:
        one, other = model.caption(files, attention=True)
        assert one.text == other.text
        assert (one.grid, len(one.attention[0])) == ((4, 8), 32)
        with pytest.raises(UsageError, match="captioner captions images"):
            model.translate(["drei"])


def test_captioners_are_compared(tmp_path: Path):
    for kind in ("attention", "bottleneck", "transformer"):
        captioner(name=kind, recipe=f"scenes/{kind}")
    [compared] = compare(Request(["attention", "bottleneck", "transformer"]), device="cpu", wait=0)
    comparison = compared.comparison
    assert [bool(system.first.pointing) for system in compared.systems] == [True, False, True]
    assert "test: 10 images" in comparison.task
    assert [figure.metric for figure in comparison.breakdowns] == ["% of captions exact", "F1 of objects"]
    assert [bucket.label for bucket in comparison.breakdowns[0].buckets] == ["1", "2"]
    assert comparison.examples[0].image is not None
    pointing = ["pointing_near" in system.scores for system in comparison.systems]
    assert pointing == [True, False, True]
    assert sum("with a colour of a shape that training never had" in note for note in comparison.notes) == 3
    assert comparison.commands[0].startswith("s2s caption ")
    [looking] = compare(Request(["attention", "transformer"]), device="cpu", wait=0)
    near = looking.comparison.breakdowns[2]
    assert near.metric == "% of attention near the object"
    assert [len(bucket.values) for bucket in near.buckets] == [2, 2]
