"""Train, compare and use sequence-to-sequence models.

The names below are imported when they are first used, so that `import s2s` stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from s2s._version import __version__
from s2s.devices.runtime import set_library_defaults

if TYPE_CHECKING:
    from s2s.api import Model, load, train
    from s2s.recipe.recipe import Recipe
    from s2s.registry.store import Registry

__all__ = ["Model", "Recipe", "Registry", "__version__", "load", "train"]

_MODULES = {
    "Model": "s2s.api",
    "Recipe": "s2s.recipe.recipe",
    "Registry": "s2s.registry.store",
    "load": "s2s.api",
    "train": "s2s.api",
}


set_library_defaults()


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 's2s' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
