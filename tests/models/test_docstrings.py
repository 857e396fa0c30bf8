"""Documentation of tensor shapes."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import s2s.models


def methods() -> Iterator[tuple[str, str | None]]:
    for info in pkgutil.iter_modules(s2s.models.__path__, "s2s.models."):
        module = importlib.import_module(info.name)
        for kind in vars(module).values():
            if not inspect.isclass(kind) or kind.__module__ != info.name or kind.__name__.startswith("_"):
                continue
            for name in ("forward", "step"):
                if name in vars(kind):
                    yield f"{kind.__qualname__}.{name}", inspect.unwrap(getattr(kind, name)).__doc__


@pytest.mark.parametrize(("name", "doc"), list(methods()))
def test_docstrings_state_shapes(name: str, doc: str | None) -> None:
    assert doc is not None
    assert "[" in doc, f"{name} states no shape"
