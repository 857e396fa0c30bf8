"""Attention against naive loops."""

import torch

from s2s.models.attention import AdditiveScore, attend

B, K, S, Q, D, A = 3, 2, 5, 4, 7, 6


def test_additive_score_is_the_equation() -> None:
    torch.manual_seed(1)
    score = AdditiveScore(Q, D, A)
    query, states = torch.randn(B, K, Q), torch.randn(B, S, D)
    scores = score(query, score.keys(states))
    W, b, U = score.of_query.weight, score.of_query.bias, score.of_memory.weight
    for i in range(B):
        for k in range(K):
            for s in range(S):
                expected = score.v @ torch.tanh(W @ query[i, k] + U @ states[i, s] + b)
                torch.testing.assert_close(scores[i, k, s], expected)


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
