"""Sampling: tokens drawn at random from the model's distribution, which may be sharpened and cut off before.

B sentences still sampled, K samples of each, S source positions, V vocabulary, L tokens written so far.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from s2s.decoding.constraints import Constraints
from s2s.decoding.hypothesis import Hypothesis
from s2s.models.interface import BOS, EOS, Model, TokenInput
from s2s.recipe.decoding import DecodingOptions


def random_numbers(seed: int, sentences: Sequence[tuple[int, int]], samples: int, steps: int) -> Tensor:
    """Uniform numbers [B, K, steps] in [0, 1), of each sample its own, however sentences are put into batches."""
    drawn = [
        [np.random.default_rng((seed, *sentence, number)).random(steps) for number in range(samples)]
        for sentence in sentences
    ]
    return torch.from_numpy(np.array(drawn))


def sample(
    model: Model,
    source: TokenInput,
    options: DecodingOptions,
    constraints: Constraints,
    uniform: Tensor,
    *,
    need_attention: bool = False,
) -> list[list[Hypothesis]]:
    """K samples of each of B sentences, in the order they were drawn; `uniform` [B, K, steps] decides them.

    Their log-probabilities are those of the model, at temperature 1 and with nothing cut off.
    """
    device, (B, K, steps) = source.ids.device, uniform.shape
    uniform = uniform.to(device)
    found: dict[tuple[int, int], Hypothesis] = {}
    sentences = torch.arange(B, device=device)
    state = model.start(source, max_steps=steps).select(sentences, torch.zeros(B, K, dtype=torch.long, device=device))
    tokens = torch.full((B, K, 1), BOS, device=device)
    totals = torch.zeros(B, K, device=device)
    attention = torch.zeros(B, K, 0, source.ids.shape[1], device=device)
    while len(sentences):
        step, state = model.step(tokens[:, :, -1], state, need_attention=need_attention)
        constraints.mask(step.logits, sentences, tokens)
        log_probabilities = step.logits.log_softmax(2)
        chosen = drawn(sharpened(log_probabilities, options), uniform[sentences, :, tokens.shape[2] - 1])
        totals = totals + log_probabilities.gather(2, chosen.unsqueeze(2)).squeeze(2)
        tokens = torch.cat((tokens, chosen.unsqueeze(2)), dim=2)
        if step.attention is not None:
            attention = torch.cat((attention, step.attention.unsqueeze(2)), dim=2)
        at_limit = (constraints.max_length[sentences] < tokens.shape[2]).unsqueeze(1)
        for row, sample_number in ((chosen == EOS) | at_limit).nonzero().tolist():
            shown = attention[row, sample_number].cpu().numpy() if step.attention is not None else None
            written, total = tokens[row, sample_number, 1:].tolist(), float(totals[row, sample_number])
            place = (int(sentences[row]), sample_number)
            found.setdefault(place, Hypothesis.of(written, total, options.length_penalty, shown))
        going = [
            row for row, sentence in enumerate(sentences.tolist()) if any((sentence, k) not in found for k in range(K))
        ]
        rows = torch.tensor(going, dtype=torch.long, device=device)
        state = state.select(rows, torch.arange(K, device=device).expand(len(rows), K))
        sentences, tokens, totals, attention = sentences[rows], tokens[rows], totals[rows], attention[rows]
    return [[found[sentence, k] for k in range(K)] for sentence in range(B)]


def sharpened(log_probabilities: Tensor, options: DecodingOptions) -> Tensor:
    """Log-probabilities [..., V], not normalised, at a temperature and with what is improbable at −∞; in float64, so
    that the most probable token is left however small temperature and top_p are.

    top_k keeps the k most probable tokens (Fan et al. 2018, section 5.4), top_p the fewest that have at least that
    probability together (Holtzman et al. 2020, section 3.1).
    """
    scores = log_probabilities.double()
    scores = (scores - scores.amax(-1, keepdim=True)) / options.temperature
    if options.top_k:
        least = scores.topk(min(options.top_k, scores.shape[-1]), dim=-1).values[..., -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if options.top_p < 1:
        probabilities, order = scores.softmax(-1).sort(dim=-1, descending=True)
        before = probabilities.cumsum(-1) - probabilities
        beyond = torch.zeros_like(before, dtype=torch.bool).scatter(-1, order, before >= options.top_p)
        scores = scores.masked_fill(beyond, -torch.inf)
    return scores


def drawn(scores: Tensor, uniform: Tensor) -> Tensor:
    """Return the tokens [...] that uniform numbers [...] select by inverting the distribution of scores [..., V]."""
    below = scores.softmax(-1).cumsum(-1)
    chosen = torch.searchsorted(below, (uniform * below[..., -1]).unsqueeze(-1), right=True)
    return chosen.squeeze(-1).clamp(max=scores.shape[-1] - 1)
