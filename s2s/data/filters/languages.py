"""Identify the language of a text, with the library py3langid of the extra `language`."""

import functools
from typing import Any

from s2s.errors import ResourceError
from s2s.recipe.languages import primary_language


def is_other_language(text: str, declared: str, min_confidence: float) -> bool:
    """Return whether a text is in another language than declared, with at least this probability.

    Raises: ResourceError if py3langid is not installed.
    """
    language, confidence = _identifier().classify(text)
    return bool(confidence >= min_confidence and primary_language(language) != primary_language(declared))


@functools.cache
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise ResourceError(
            "the filter language needs the library py3langid", "install it with pip install 's2s-toolkit[language]'"
        ) from error
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
