"""Export small models of the recall task, which a page runs in the browser."""

import base64
from collections.abc import Sequence

from s2s.comparison.entries import Entry, Run
from s2s.comparison.test_set import TestSet
from s2s.data.generators.recall import KEYS, QUERIES, SEPARATOR, TEST_TOKENS, VALUES
from s2s.decoding.pytorch_engine import load_network
from s2s.metrics.alignment import SPACE
from s2s.recipe.recipe import Recipe
from s2s.recipe.sides import RnnDecoderOptions, RnnEncoderOptions
from s2s.report.recall_demo import DemoModel, RecallDemo
from s2s.text.tokenizer import Tokenizer

LARGEST = 500_000  # parameters: the weights of a model take up to 1.3 MB of the page


def recall_demo(entries: Sequence[Entry], test: TestSet) -> RecallDemo | None:
    """Return the models of the recall task that a page can run, of their first seeds; None if there are none.

    These are GRU networks with one layer on each side, and a fixed context or attention with the current query and the
    general score. Models with another tokenizer than the first are left out.
    """
    if test.task != "recall":
        return None
    runs = {entry.name: run for entry in entries if (run := entry.runs[0]).version and _can_run(run)}
    if not runs:
        return None
    tokenizer = _tokenizer(next(iter(runs.values())))
    models = [_exported(name, run) for name, run in runs.items() if _tokenizer(run).digest == tokenizer.digest]
    vocabulary = [token.removeprefix(SPACE) for token in tokenizer.tokens(range(tokenizer.size))]
    return RecallDemo(models, vocabulary, KEYS, VALUES, QUERIES, SEPARATOR, max(TEST_TOKENS))


def _can_run(run: Run) -> bool:
    assert run.version is not None
    return run.version.card.parameters <= LARGEST and runs_in_page(run.version.recipe())


def runs_in_page(recipe: Recipe) -> bool:
    """Return whether the page's script computes the network of a recipe."""
    model, encoder, decoder = recipe.model, recipe.model.encoder, recipe.model.decoder
    if not (isinstance(encoder, RnnEncoderOptions) and isinstance(decoder, RnnDecoderOptions)):
        return False
    plain = (encoder.cell, encoder.layers, encoder.bidirectional) == ("gru", 1, True)
    plain = plain and (decoder.cell, decoder.layers) == ("gru", 1) and recipe.tokenizer.algorithm == "word"
    attends = (decoder.context, decoder.query, decoder.score) == ("attention", "current", "general")
    one_table = model.tied_embeddings == "all" and model.output_bias
    return plain and one_table and (decoder.context == "fixed" or attends)


def _tokenizer(run: Run) -> Tokenizer:
    assert run.version is not None
    return Tokenizer(run.version.read("tokenizer.model"))


def _exported(name: str, run: Run) -> DemoModel:
    """Return a model with its weights rounded to half precision."""
    assert run.version is not None
    tensors = dict(load_network(run.version).named_parameters())  # the shared table of embeddings once, as `weight`
    halves = b"".join(tensor.detach().numpy().astype("<f2").tobytes() for tensor in tensors.values())
    shapes = [(key, list(tensor.shape)) for key, tensor in tensors.items()]
    return DemoModel(name, base64.b64encode(halves).decode(), shapes, run.version.recipe().decoding.max_ratio)
