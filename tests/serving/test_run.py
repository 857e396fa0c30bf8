"""Options of a server that contradict each other."""

from pathlib import Path

import pytest

from s2s.errors import UsageError
from s2s.serving.run import ServeOptions, run_server
from s2s.serving.shadow import Shadow


def options(*shadows: str, token_file: Path | None = None) -> ServeOptions:
    return ServeOptions(None, 0.0, None, None, token_file, list(shadows), "auto", 0.0)


def test_two_candidates_for_an_alias_are_refused(monkeypatch):
    monkeypatch.setattr(Shadow, "parse", lambda text: Shadow("a", "best", text, 1))
    with pytest.raises(UsageError, match="name the same alias"):
        run_server(options("a:2", "a:3"))


def test_a_token_without_http_is_refused():
    with pytest.raises(UsageError, match="--token-file only applies with --http"):
        run_server(options(token_file=Path("token")))
