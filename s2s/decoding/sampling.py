"""Sampling from a model's distribution, with temperature, top-k and top-p.

B sentences of the batch, K samples per sentence, V vocabulary size.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from s2s.decoding.active import ActiveHypotheses, read_figures, read_hypotheses
from s2s.decoding.constraints import Constraints
from s2s.decoding.engine import Hypothesis
from s2s.models.interface import EOS, Model, Source
from s2s.recipe.decoding import DecodingOptions


def random_numbers(seed: int, sample_keys: Sequence[tuple[int, int]], samples: int, steps: int) -> Tensor:
    """Return uniform numbers [B, K, steps] in [0, 1); each sample's depend on seed, key and its number."""
    numbers = [
        [np.random.default_rng((seed, *key, sample_number)).random(steps) for sample_number in range(samples)]
        for key in sample_keys
    ]
    return torch.from_numpy(np.array(numbers))


def sample(
    model: Model,
    source: Source,
    options: DecodingOptions,
    constraints: Constraints,
    uniform: Tensor,
    *,
    need_attention: bool = False,
) -> list[list[Hypothesis]]:
    """Return K samples of each of B sentences, which the numbers `uniform` [B, K, steps] determine.

    Their log-probabilities are the model's own, without temperature, top-k and top-p.
    """
    device, (B, K, steps) = constraints.max_length.device, uniform.shape
    uniform = uniform.to(device)
    finished: list[dict[int, Hypothesis]] = [{} for _ in range(B)]
    active = ActiveHypotheses.initial(B, K, device, need_attention)
    first = torch.zeros(B, K, dtype=torch.long, device=device)
    state = model.start(source, max_steps=steps).select(None, first)
    sentences = list(range(B))  # those still decoded, on the host
    while sentences:
        step, state = model.step(active.tokens[:, :, -1], state, need_attention=need_attention)
        constraints.mask(step.logits, active.sentences, active.tokens)
        log_probabilities = step.logits.log_softmax(2)
        tokens = sample_tokens(filter_scores(log_probabilities, options), uniform[active.sentences, :, active.length])
        active.scores = active.scores + log_probabilities.gather(2, tokens.unsqueeze(2)).squeeze(2)
        active.append(tokens, step.attention)
        at_limit = (constraints.max_length[active.sentences] <= active.length).unsqueeze(1)
        ended = [active.ended((tokens == EOS) | at_limit, active.scores.amax(1))]
        figures = read_figures(ended)
        chosen = [(0, row, column) for row, columns in enumerate(figures[0].columns) for column in columns]
        hypotheses = read_hypotheses(ended, chosen, figures, options.length_penalty)
        for (_, row, column), hypothesis in zip(chosen, hypotheses, strict=True):
            finished[sentences[row]].setdefault(column, hypothesis)
        unfinished = [row for row, sentence in enumerate(sentences) if len(finished[sentence]) < K]
        if len(unfinished) < len(sentences):
            sentences = [sentences[row] for row in unfinished]
            rows = torch.tensor(unfinished, dtype=torch.long, device=device)
            same = torch.arange(K, device=device).expand(len(rows), K)
            active.select(rows, same)
            state = state.select(rows, same)
    return [[samples[column] for column in range(K)] for samples in finished]


def filter_scores(log_probabilities: Tensor, options: DecodingOptions) -> Tensor:
    """Apply temperature, top-k and top-p: return unnormalized log-probabilities [..., V] with −∞ at excluded tokens.

    top_k keeps the k most probable tokens (Fan et al. 2018, section 5.4), top_p the fewest with at least that total
    probability (Holtzman et al. 2020, section 3.1). Computed in float64, so that the most probable token always
    remains, however small temperature and top_p are.
    """
    scores = log_probabilities.double()
    scores = (scores - scores.amax(-1, keepdim=True)) / options.temperature
    if options.top_k:
        threshold = scores.topk(min(options.top_k, scores.shape[-1]), dim=-1).values[..., -1:]
        scores = scores.masked_fill(scores < threshold, -torch.inf)
    if options.top_p < 1:
        probabilities, order = scores.softmax(-1).sort(dim=-1, descending=True)
        preceding = probabilities.cumsum(-1) - probabilities
        excluded = torch.zeros_like(preceding, dtype=torch.bool).scatter(-1, order, preceding >= options.top_p)
        scores = scores.masked_fill(excluded, -torch.inf)
    return scores


def sample_tokens(scores: Tensor, uniform: Tensor) -> Tensor:
    """Return the tokens [...] that uniform numbers [...] select from scores [..., V], by inverse transform sampling."""
    cumulative = scores.softmax(-1).cumsum(-1)
    tokens = torch.searchsorted(cumulative, (uniform * cumulative[..., -1]).unsqueeze(-1), right=True)
    return tokens.squeeze(-1).clamp(max=scores.shape[-1] - 1)
