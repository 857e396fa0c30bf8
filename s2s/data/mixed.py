"""Datasets of a mixture: tags before their sources, and the numbers and names by which a corpus tells them apart."""

from collections.abc import Iterable, Sequence

from s2s.errors import UsageError
from s2s.recipe.data import DataOptions
from s2s.recipe.mixed import MixedDataOptions
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.text.tokenizer import Tokenizer


def dataset_names(data: DataOptions) -> list[str]:
    """Return the names of the datasets of a mixture, by their numbers; none for other data."""
    return [one.name for one in data.datasets] if isinstance(data, MixedDataOptions) else []


def tagged(sources: list[str], datasets: Iterable[int], tags: Sequence[str]) -> list[str]:
    """Return sources with the tags of their datasets before those that are not blank; the same list without tags."""
    if not any(tags):
        return sources
    found = zip(sources, datasets, strict=True)
    return [f"{tags[number]} {source}" if tags[number] and source.strip() else source for source, number in found]


def with_tags(options: TokenizerOptions, data: DataOptions) -> TokenizerOptions:
    """Return the options of a tokenizer that has the tags as user symbols."""
    new = [tag for tag in dict.fromkeys(data.tags) if tag and tag not in options.user_symbols]
    return options.model_copy(update={"user_symbols": [*options.user_symbols, *new]})


def require_tags(tokenizer: Tokenizer, data: DataOptions) -> None:
    """Raise UsageError if a tokenizer that was not trained on the data lacks one of their tags."""
    known = {*tokenizer.tokens(sorted(tokenizer.user_tokens))}
    for tag in data.tags:
        if tag and tag not in known:
            raise UsageError(
                f"data.datasets.tag: the tokenizer of the model has no token {tag}",
                "train without --from, or train the parent with the tag in tokenizer.user_symbols",
            )
