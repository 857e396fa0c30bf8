"""Comparisons with made-up figures."""

import pytest
from made_comparisons import made_comparison, made_heatmap


@pytest.fixture
def make_comparison():
    """(systems, source=…, outputs=…) -> a comparison of that many systems."""
    return made_comparison


@pytest.fixture
def comparison():
    return made_comparison(2)


@pytest.fixture
def heatmap():
    return made_heatmap()
