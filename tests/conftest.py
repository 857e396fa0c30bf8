"""Every test has a home of its own: nothing is read from, or left in, the user's."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh folder as the home of s2s, and an environment without the user's other choices."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("S2S_HOME", str(folder))
    monkeypatch.setenv("S2S_LEASES", str(folder / "leases"))
    monkeypatch.setenv("COLUMNS", "80")
    for variable in ("S2S_REGISTRY", "S2S_DEBUG", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    return folder
