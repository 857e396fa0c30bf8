import json
from pathlib import Path

import pytest

from s2s.registry.card import Card
from s2s.registry.store import Registry

FROZEN = Path(__file__).parent / "frozen" / "version-2.json"


@pytest.fixture
def frozen() -> dict:
    """A version's file as it was written when the number of its schema was 1."""
    return json.loads(FROZEN.read_text())


@pytest.fixture
def card(frozen) -> Card:
    return Card.model_validate(frozen["card"])


@pytest.fixture
def registry(tmp_path) -> Registry:
    """One whose directory is not there yet."""
    return Registry(tmp_path / "shared" / "registry")
