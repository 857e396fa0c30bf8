"""Batches of requests."""

from typing import Any

import pytest

from s2s.decoding.engine import DecodingInput, Request
from s2s.recipe.decoding import DecodingOptions


@pytest.mark.parametrize(
    ("options", "hypotheses"), [({"beam_size": 3}, 3), ({"beam_size": 3, "sample": True}, 2)], ids=["beam", "sample"]
)
def test_all_hypotheses_fit_the_token_budget(options: dict[str, Any], hypotheses: int) -> None:
    lengths = [1, 9, 4, 6, 2, 7, 3] * 5
    inputs = [DecodingInput([4] * length, max_length=11) for length in lengths]
    batches = list(Request(inputs, DecodingOptions(batch_tokens=120, **options), nbest=2).batches("cpu"))
    assert sorted(row for rows in batches for row in rows) == list(range(35))
    sizes = [len(rows) * (1 + max(lengths[row] for row in rows)) * hypotheses for rows in batches]
    assert 90 < max(sizes) <= 120
