"""Batches: budget, order, padding."""

import numpy as np
import pytest
import torch

from s2s.data.batching import cut_batches, plan_batches
from s2s.data.collate import padded, pair_batch
from s2s.models.interface import BOS, EOS, PAD


def lengths(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 40, count).astype(np.int32)


def test_every_sentence_once_within_the_budget() -> None:
    source, target = lengths(500, 1), lengths(500, 2)
    batches = plan_batches(source, target, 200, seed=3, epoch=4)
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    for rows in batches:
        longest = max(source[rows].max(), target[rows].max()) + 1
        assert len(rows) * longest <= 200


def test_batches_hold_sentences_of_like_length() -> None:
    source = lengths(2000, 1)
    batches = plan_batches(source, source, 400, seed=1, epoch=0)
    padding = sum(len(rows) * (source[rows].max() + 1) for rows in batches) / (source + 1).sum()
    assert padding < 1.1
    longest = [source[rows].max() for rows in batches]
    assert longest != sorted(longest)


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    source, target = lengths(300, 1), lengths(300, 2)

    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(plan_batches(source, target, 100, seed, epoch)).tolist()

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_a_sentence_over_the_budget_is_a_batch_of_its_own() -> None:
    rows = cut_batches(np.array([2, 3, 50, 4]), np.array([7, 8, 9, 6]), 10)
    assert [part.tolist() for part in rows] == [[7, 8], [9], [6]]


def test_padded_tensors() -> None:
    batch = pair_batch([[5, 6, 7], [8]], [[9], [10, 11]], torch.device("cpu"))
    assert batch.source.ids.tolist() == [[5, 6, 7, EOS], [8, EOS, PAD, PAD]]
    assert batch.source.lengths.tolist() == [4, 2]
    assert batch.inputs.tolist() == [[BOS, 9, PAD], [BOS, 10, 11]]
    assert batch.labels.tolist() == [[9, EOS, PAD], [10, 11, EOS]]


@pytest.mark.parametrize(
    ("first", "last", "expected"), [(None, None, [[4, 5], [6, 0]]), (2, 3, [[2, 4, 5, 3], [2, 6, 3, 0]])]
)
def test_padded_puts_tokens_around(first: int | None, last: int | None, expected: list[list[int]]) -> None:
    assert padded([[4, 5], [6]], first=first, last=last).tolist() == expected
