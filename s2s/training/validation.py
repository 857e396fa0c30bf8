"""Validation: the loss on all validation pairs, and BLEU of some translations, with the code of the final test."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch

from s2s.data.batching import cut_batches
from s2s.data.collate import pair_batch
from s2s.data.sources import select_sources
from s2s.data.split import Split
from s2s.decoding.engine import ForcedScore
from s2s.decoding.evaluation import TestLines, scoring_of
from s2s.decoding.forced import forced_score, without_empty
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translator import Translator
from s2s.devices.runtime import tuning
from s2s.metrics.scores import Headline, first_references, score_corpus
from s2s.models.network import Network
from s2s.recipe.recipe import Recipe
from s2s.training.distributed import DistributedContext


@dataclass(frozen=True, slots=True)
class Validation:
    """The result of a validation."""

    loss: float  # nats per token, without label smoothing
    bleu: float | None = None  # None if nothing was translated
    chrf: float | None = None  # None if nothing was translated
    signature: str = ""  # of BLEU
    sample: tuple[str, str, str] | None = None  # source, translation, reference
    headline: Headline = "bleu"  # chrF if most references are too short for BLEU

    def metric(self, name: str) -> float:
        """Return the metric that selects the best checkpoint (loss, bleu or chrf); larger is better."""
        return -self.loss if name == "loss" else {"bleu": self.bleu, "chrf": self.chrf}[name] or 0.0

    def deciding(self, best_metric: str) -> str:
        """Return the metric to select by: `best_metric`, but chrF instead of BLEU if references are too short."""
        return self.headline if best_metric == "bleu" else best_metric


@dataclass(frozen=True, slots=True)
class Share:
    """What one of several processes computes of a validation: every n-th pair, and translations of every n-th line."""

    nll: float  # nats
    tokens: int  # target tokens
    outputs: list[str]  # none if the loss is not finite


def compute_share(translator: Translator[PyTorchEngine], split: Split, lines: int, own: slice) -> Share:
    """Compute the loss of this process's pairs of `split`, and greedily translate its share of the first `lines`."""
    sources, targets = split.encoded(range(len(split))[own])
    forced = forced_score(translator.engine.model, *without_empty(sources, targets), translator.engine.device)
    return translate_share(translator, split, lines, own, forced)


def translate_share(
    translator: Translator[PyTorchEngine], split: Split, lines: int, own: slice, loss: ForcedScore
) -> Share:
    """Translate the `own` ones of the first `lines` of `split` greedily, unless the loss is not finite."""
    if not isfinite(loss.nll):
        return Share(loss.nll, loss.tokens, [])
    greedy = translator.settings.decoding.model_copy(update={"beam_size": 1})
    raw = split.sources([rows[0] for rows in split.test_rows()[:lines][own]])
    return Share(loss.nll, loss.tokens, [translation.text for translation in translator.translate(raw, greedy)])


@torch.no_grad()
def sharded_loss(network: Network, split: Split, device: torch.device, distributed: DistributedContext) -> ForcedScore:
    """Compute this process's share of the loss with a sharded network, which all processes use at once.

    Each computes its rows of every batch, so that all make as many passes.
    """
    sources, targets = without_empty(*split.encoded(range(len(split))))
    lengths = np.array([max(len(source), len(target)) + 1 for source, target in zip(sources, targets, strict=True)])
    order = lengths.argsort(kind="stable")
    nll, tokens = 0.0, 0
    for rows in cut_batches(lengths[order], order, tuning(device.type).decoding_tokens * distributed.size):
        own = rows[list(distributed.shard(len(rows)))]
        some = own if len(own) else rows[:1]
        sums = network(pair_batch(select_sources(sources, some), [targets[row] for row in some], device))
        if len(own):
            nll, tokens = nll + float(sums.nll), tokens + sums.tokens
    network.reshard()  # type: ignore[operator]  # the root, which a forward pass leaves gathered
    return ForcedScore(nll, tokens)


def combine_shares(shares: Sequence[Share], split: Split, lines: int, sample_index: int, recipe: Recipe) -> Validation:
    """Score the shares of all processes, by rank; `sample_index` selects the sample, cyclically."""
    loss = sum(share.nll for share in shares) / max(sum(share.tokens for share in shares), 1)
    if not lines or not isfinite(loss):
        return Validation(loss)
    test = TestLines.of(split, lines)
    texts, references = test.names, test.references
    outputs = [shares[index % len(shares)].outputs[index // len(shares)] for index in range(len(texts))]
    scoring = scoring_of(recipe)
    scores = score_corpus(outputs, references, ("bleu", "chrf"), scoring)
    index = sample_index % len(texts)
    sample = (texts[index], outputs[index], first_references(references)[index])
    bleu, chrf = scores["bleu"], scores["chrf"]
    return Validation(loss, bleu.value, chrf.value, bleu.signature, sample, scoring.headline(references))
