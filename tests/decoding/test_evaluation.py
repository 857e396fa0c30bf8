"""Evaluation gives the same scores in training and afterwards."""

import math

import pytest
import torch

from s2s.data.corpus import Corpus
from s2s.decoding.evaluation import evaluate
from s2s.decoding.forced import forced_score
from s2s.decoding.loading import reference_translator
from s2s.io.paths import home_dir
from s2s.metrics.scores import score_corpus
from s2s.registry.store import Registry


@pytest.mark.usefixtures("trained_home")
def test_scores_equal_those_on_the_card() -> None:
    version = Registry.default().resolve("numbers-attention")
    translator = reference_translator(version, torch.device("cpu"))
    test = Corpus.open(home_dir() / "corpora" / version.card.corpus[:16]).split("test")
    sources, references = test.texts(range(len(test)))
    found = evaluate(translator, sources, references)
    assert found.perplexity is not None
    card = {score.metric: score.value for score in version.card.scores}
    for name, score in found.scores.items():
        assert score.value == pytest.approx(card[name])
    assert found.perplexity == pytest.approx(card["perplexity"], rel=1e-4)
    bits = found.scores.pop("bits_per_byte")
    size = sum(len(reference.encode()) for reference in references)
    tokens = sum(len(encoded) + 1 for encoded in translator.encode(references))
    assert bits.value == pytest.approx(math.log2(found.perplexity) * tokens / size)
    assert found.scores == score_corpus(found.outputs, references)


@pytest.mark.usefixtures("trained_home")
def test_forced_score_is_independent_of_batching() -> None:
    translator = reference_translator(Registry.default().resolve("numbers-bottleneck"), torch.device("cpu"))
    sources, targets = translator.encode(["drei", "", "vierzig"]), translator.encode(["three", "x", "forty and more"])
    together = forced_score(translator.engine.model, sources, targets, torch.device("cpu"))
    alone = [
        forced_score(translator.engine.model, [s], [t], torch.device("cpu"))
        for s, t in zip(sources, targets, strict=True)
    ]
    assert together.tokens == sum(score.tokens for score in alone) == sum(len(target) + 1 for target in targets)
    assert math.isclose(together.nll, sum(score.nll for score in alone), rel_tol=1e-4)
    assert math.isclose(together.perplexity, math.exp(together.nll / together.tokens))
