"""Measure the overhead of the training loop: logging, checkpoints and progress on, validation off.

    python tests/bench/loop_overhead.py

Both sides train `numbers/attention` for the same updates, alternating; the bare loop has only batches, forward,
backward, clipping and the optimizer step.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from unittest import mock

import torch

from s2s.data.batching import plan_batches
from s2s.data.collate import pair_batch
from s2s.data.corpus import Corpus
from s2s.data.prepare import prepare_corpus
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translator import RecipeTranslator
from s2s.devices.runtime import prepare
from s2s.models.build import build_model
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.recipe.load import load_recipe
from s2s.recipe.recipe import Recipe
from s2s.text.tokenizer import Tokenizer
from s2s.training import trainer as trainer_module
from s2s.training.optimizer import build_optimizer
from s2s.training.signals import StopSignals
from s2s.training.trainer import Trainer
from s2s.training.training_log import TrainingLog
from s2s.training.validation import Share, Validation

SAVED_EVERY = 100  # updates


def prepared(updates: int) -> tuple[Recipe, Corpus]:
    """Return the recipe for this many updates, and its corpus."""
    limits = [f"training.stop_after={updates} updates", f"training.validate_every={SAVED_EVERY} updates"]
    recipe = load_recipe("numbers/attention", limits)
    return recipe, prepare_corpus(recipe.data, recipe.tokenizer)


def network_of(recipe: Recipe, corpus: Corpus) -> EncoderDecoder:
    """Return the untrained network, the same each time."""
    torch.manual_seed(recipe.training.seed)
    return build_model(recipe.model, Tokenizer(corpus.tokenizer).size)


def bare_seconds(recipe: Recipe, corpus: Corpus, updates: int) -> float:
    """Return the seconds of a loop that only trains."""
    network, options, train = network_of(recipe, corpus).train(), recipe.training, corpus.split("train")
    optimizer, device = build_optimizer(network, options), torch.device("cpu")
    started, done, epoch = time.perf_counter(), 0, 0
    while done < updates:
        for rows in plan_batches(train.source_lengths, train.target_lengths, options.batch_tokens, options.seed, epoch)[
            : updates - done
        ]:
            sums = network(pair_batch(*train.encoded(rows), device))
            optimizer.zero_grad(set_to_none=True)
            (sums.loss / sums.tokens).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), options.clip_norm, foreach=True)
            optimizer.step()
            done += 1
        epoch += 1
    return time.perf_counter() - started


def whole_seconds(recipe: Recipe, corpus: Corpus) -> float:
    """Return the seconds of s2s's own loop in a run directory, with a validation that takes no time."""
    network, device = network_of(recipe, corpus), torch.device("cpu")
    translator = RecipeTranslator(PyTorchEngine(network, device), Tokenizer(corpus.tokenizer), recipe)
    with (
        tempfile.TemporaryDirectory() as directory,
        TrainingLog(recipe.name, Path(directory)) as log,
        StopSignals() as stop,
        mock.patch.object(trainer_module, "compute_share", return_value=Share(0.0, 1, [])),
        mock.patch.object(trainer_module, "combine_shares", return_value=Validation(0.0)),
    ):
        trainer = Trainer(corpus, translator, network, "fp32", Path(directory), log, stop=stop)
        started = time.perf_counter()
        trainer.run()
        return time.perf_counter() - started


def main() -> None:
    """Print the seconds of both sides per repetition, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--updates", type=int, default=200)
    options = parser.parse_args()
    prepare(torch.device("cpu"), 1)
    recipe, corpus = prepared(options.updates)
    bare_seconds(recipe, corpus, 20)  # warm
    ratios = []
    for _ in range(options.repetitions):
        bare, whole = bare_seconds(recipe, corpus, options.updates), whole_seconds(recipe, corpus)
        ratios.append(whole / bare)
        print(f"bare {bare:.2f} s, whole {whole:.2f} s: {ratios[-1] - 1:+.1%}")
    print(f"overhead {statistics.median(ratios) - 1:+.1%} (median of {options.repetitions})")


if __name__ == "__main__":
    main()
