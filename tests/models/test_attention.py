"""Attention against naive loops."""

import torch

from s2s.models.attention import AdditiveScore, DotScore, GeneralScore, ScaledDotScore, Score, attend

B, K, S, Q, D, A = 3, 2, 5, 4, 7, 6


def test_additive_score_is_the_equation() -> None:
    torch.manual_seed(1)
    score = AdditiveScore(Q, D, A)
    query, states = torch.randn(B, K, Q), torch.randn(B, S, D)
    scores = score(query, score.keys(states))
    W, b, U = score.query_proj.weight, score.query_proj.bias, score.key_proj.weight
    for i in range(B):
        for k in range(K):
            for s in range(S):
                expected = score.v @ torch.tanh(W @ query[i, k] + U @ states[i, s] + b)
                torch.testing.assert_close(scores[i, k, s], expected)


def scored(score: Score, query: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    return score(query, score.keys(states))


def test_dot_score_is_the_equation() -> None:
    torch.manual_seed(3)
    query, states = torch.randn(B, K, D), torch.randn(B, S, D)
    expected = [[[sum(query[i, k] * states[i, s]) for s in range(S)] for k in range(K)] for i in range(B)]
    torch.testing.assert_close(scored(DotScore(), query, states), torch.tensor(expected))


def test_general_score_is_the_equation() -> None:
    torch.manual_seed(4)
    score = GeneralScore(Q, D)
    query, states = torch.randn(B, K, Q), torch.randn(B, S, D)
    W = score.key_proj.weight
    expected = [[[(query[i, k] @ (W @ states[i, s])).item() for s in range(S)] for k in range(K)] for i in range(B)]
    torch.testing.assert_close(scored(score, query, states), torch.tensor(expected))


def test_scaled_dot_score_is_the_equation() -> None:
    torch.manual_seed(5)
    score = ScaledDotScore(Q, D, A)
    query, states = torch.randn(B, K, Q), torch.randn(B, S, D)
    asked, keys = query @ score.query_proj.weight.t(), states @ score.key_proj.weight.t()
    expected = [[[(asked[i, k] @ keys[i, s]).item() / A**0.5 for s in range(S)] for k in range(K)] for i in range(B)]
    torch.testing.assert_close(scored(score, query, states), torch.tensor(expected))


def test_attend_weighs_real_positions_alone() -> None:
    torch.manual_seed(2)
    scores, states = torch.randn(B, K, S), torch.randn(B, S, D)
    mask = torch.arange(S) < torch.tensor([5, 3, 1]).unsqueeze(1)
    context, weights = attend(scores, mask, states)
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, K))
    assert weights[1, :, 3:].eq(0).all()
    assert weights[2, :, 1:].eq(0).all()
    expected = sum(weights[1, 1, s] * states[1, s] for s in range(3))
    torch.testing.assert_close(context[1, 1], expected)
