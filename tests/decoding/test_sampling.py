"""Sampling: token frequencies, top-k and top-p, and independence of the batch."""

import math

import pytest
import torch
from networks import B, constraints, network, source

from s2s.decoding.engine import Hypothesis
from s2s.decoding.sampling import filter_scores, random_numbers, sample, sample_tokens
from s2s.models.interface import BOS, EOS, TokenInput
from s2s.models.network import Network
from s2s.recipe.decoding import DecodingOptions

V = 7  # tokens 4, 5, 6 and EOS


def sampled(
    model: Network, batch: TokenInput, count: int, max_length: int, seed: int = 1, **options: object
) -> list[list[Hypothesis]]:
    rows = [(row, 0) for row in range(len(batch.ids))]
    settings = DecodingOptions(sample=True, seed=seed, **options)  # type: ignore[arg-type]
    uniform = random_numbers(settings.seed, rows, count, max_length)
    with torch.inference_mode():
        return sample(model, batch, settings, constraints([max_length] * len(batch.ids)), uniform, need_attention=True)


def chi_squared(counts: list[int], probabilities: list[float]) -> float:
    total = sum(counts)
    return sum((count - total * p) ** 2 / (total * p) for count, p in zip(counts, probabilities, strict=True))


@pytest.mark.parametrize("family", ["fixed", "transformer"])
def test_frequencies_match_probabilities(family: str) -> None:
    """χ² test over all translations of at most two tokens, at the 0.1 % level."""
    model, batch = network(family, V), source(V)
    found = sampled(model, batch, 4000, 2)
    outputs = [(EOS,), *[(token, last) for token in (4, 5, 6) for last in (EOS, 4, 5, 6)]]
    for row in range(B):
        one = TokenInput(batch.ids[row : row + 1], batch.lengths[row : row + 1])
        probabilities, counts = [], []
        for tokens in outputs:
            state, last, total = model.start(one, max_steps=3), BOS, 0.0
            for token in tokens:
                step, state = model.step(torch.tensor([[last]]), state)
                step.logits[..., :EOS] = -torch.inf
                total += step.logits[0, 0].log_softmax(0)[token].item()
                last = token
            probabilities.append(math.exp(total))
            counts.append(sum((*h.tokens, *([] if h.truncated else [EOS])) == tokens for h in found[row]))
            for hypothesis in found[row]:
                if (*hypothesis.tokens, *([] if hypothesis.truncated else [EOS])) == tokens:
                    assert math.isclose(hypothesis.log_probability, total, rel_tol=1e-3, abs_tol=1e-4)
        assert math.isclose(sum(probabilities), 1, rel_tol=1e-4)
        assert sum(counts) == 4000
        expected = [4000 * p for p in probabilities]
        many = [index for index, mean in enumerate(expected) if mean >= 5]
        rest = 1 - sum(probabilities[index] for index in many)
        pooled = [counts[index] for index in many], [probabilities[index] for index in many]
        if rest > 1e-6:
            pooled = [*pooled[0], 4000 - sum(pooled[0])], [*pooled[1], rest]
        assert chi_squared(*pooled) < 34.5  # of 13 kinds, so 12 degrees of freedom at most: 32.9 at 0.1 %


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, [0.5, 0.25, 0.125, 0.125]),
        ({"temperature": 0.5}, [0.25 / 0.34375, 0.0625 / 0.34375, 0.015625 / 0.34375, 0.015625 / 0.34375]),
        ({"top_k": 2}, [2 / 3, 1 / 3, 0, 0]),
        ({"top_k": 9}, [0.5, 0.25, 0.125, 0.125]),
        ({"top_p": 0.5}, [1, 0, 0, 0]),
        ({"top_p": 0.6}, [2 / 3, 1 / 3, 0, 0]),
        ({"top_p": 1e-300}, [1, 0, 0, 0]),
        ({"temperature": 1e-300}, [1, 0, 0, 0]),
        ({"top_k": 2, "top_p": 0.6}, [1, 0, 0, 0]),  # top_p applies to the 2 / 3 that top_k leaves
    ],
)
def test_temperature_top_k_and_top_p(options: dict[str, float], kept: list[float]) -> None:
    scores = torch.tensor([[0.125, 0.5, 0.25, 0.125]]).log()
    left = filter_scores(scores, DecodingOptions(**options)).softmax(-1)[0]  # type: ignore[arg-type]
    ranked = [left[1], left[2], *sorted((left[0], left[3]), reverse=True)]
    assert [float(p) for p in ranked] == pytest.approx(kept, abs=1e-6)


def test_uniform_number_selects_a_token() -> None:
    scores = torch.tensor([-torch.inf, 0.25, -torch.inf, 0.75, -torch.inf]).abs().log().expand(6, 5).clone()
    scores[:, [0, 2, 4]] = -torch.inf
    uniform = torch.tensor([0.0, 0.2499, 0.2501, 0.5, 0.9999, 1 - 2**-53], dtype=torch.float64)
    assert sample_tokens(scores, uniform).tolist() == [1, 1, 3, 3, 3, 3]


def test_samples_depend_on_the_seed_but_not_the_batch() -> None:
    model, batch = network("attention", 13), source(13)
    together = sampled(model, batch, 4, 6)
    for row, length in enumerate(batch.lengths.tolist()):
        one = TokenInput(batch.ids[row : row + 1, :length], batch.lengths[row : row + 1])
        uniform = random_numbers(1, [(row, 0)], 4, 6)
        with torch.inference_mode():
            (alone,) = sample(model, one, DecodingOptions(sample=True), constraints([6]), uniform)
        assert [h.tokens for h in alone] == [h.tokens for h in together[row]]
    longer = sampled(model, batch, 5, 9)  # as in a batch with a longer sentence, and one sample more
    for row in range(B):
        for one, extended in zip(together[row], longer[row], strict=False):
            assert extended.tokens[: len(one.tokens)] == one.tokens
    other = sampled(model, batch, 4, 6, seed=2)
    assert [[h.tokens for h in found] for found in other] != [[h.tokens for h in found] for found in together]
    assert len({tuple(h.tokens) for h in together[0]}) > 1


def test_attention_belongs_to_the_sampled_tokens() -> None:
    model, batch = network("attention", 13), source(13)
    for row, found in enumerate(sampled(model, batch, 3, 6)):
        for hypothesis in found:
            tokens = [*hypothesis.tokens, *([] if hypothesis.truncated else [EOS])]
            memory = model.encode(TokenInput(batch.ids[row : row + 1], batch.lengths[row : row + 1]))
            forced = model.decoder(memory, torch.tensor([[BOS, *tokens[:-1]]]), need_attention=True)
            assert hypothesis.attention is not None
            torch.testing.assert_close(torch.from_numpy(hypothesis.attention), forced.attention[0])
