"""What must be unchanged for a run to resume exactly, and a description of what has changed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from s2s.data.corpus import Corpus
from s2s.devices.runtime import cpu_features, package_versions
from s2s.errors import UsageError, did_you_mean
from s2s.recipe.flat import flattened
from s2s.recipe.load import parse_recipe
from s2s.recipe.recipe import Recipe
from s2s.training.runs.record import RunRecord

CODE = 2  # version of the training code: raised when the same recipe would be trained to other weights
IGNORED = {"description", "data.root"}  # where the data lie; their contents are the corpus's digest


def check_unchanged(
    record: RunRecord, recipe: Recipe, corpus: Corpus, processes: int, allowed: Sequence[str]
) -> RunRecord:
    """Return the record updated to the present situation, with the changes noted.

    `allowed`: names of what may have changed: keys of the recipe, tables of keys, corpus, tokenizer, processes.
    Raises: UsageError with the differences in words where something else has changed.
    """
    begun = parse_recipe(record.recipe, f"recipe of run {record.name}") if record.recipe else recipe
    given = _said(begun.as_dict(), record.corpus, record.tokenizer or _digest(corpus), record.processes)
    found = _said(recipe.as_dict(), corpus.digest, _digest(corpus), processes)
    changed = {name: f"{name}: {given.get(name, '–')} → {found.get(name, '–')}" for name in _differing(given, found)}
    _check_names(allowed, {*given, *found})
    refused = [name for name in changed if not any(f"{name}.".startswith(f"{one}.") for one in allowed)]
    if refused:
        raise UsageError(
            f"not what the run began with: {'; '.join(changed[name] for name in refused)}",
            f"change it back, or accept it with {' '.join(f'--allow {name}' for name in refused)}",
        )
    return replace(
        record,
        code=CODE,
        versions=package_versions(),
        features=cpu_features(),
        recipe=recipe.as_dict(),
        corpus=corpus.digest,
        tokenizer=_digest(corpus),
        processes=processes,
        changes=[*record.changes, *changed.values(), *_otherwise(record)],
    )


def _otherwise(record: RunRecord) -> list[str]:
    """List changes that may alter rounding: code, libraries, CPU."""
    told = []
    if record.code not in {0, CODE}:
        told.append(f"version of the training code: {record.code} → {CODE}")
    for name, version in package_versions().items():
        if name in {"s2s", "torch", "numpy", "sentencepiece"} and record.versions.get(name, version) != version:
            told.append(f"{name}: {record.versions[name]} → {version}")
    if record.features and record.features != cpu_features():
        told.append(f"processor: {', '.join(record.features)} → {', '.join(cpu_features())}")
    return told


def _said(recipe: Mapping[str, object], corpus: str, tokenizer: str, processes: int) -> dict[str, object]:
    rest = {"corpus": corpus[:12], "tokenizer": tokenizer[:12], "processes": processes}
    return {key: value for key, value in flattened(recipe).items() if key not in IGNORED} | rest


def _digest(corpus: Corpus) -> str:
    return corpus.ledger["tokenizer"]["digest"]


def _differing(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]


def _check_names(allowed: Sequence[str], known: set[str]) -> None:
    for name in allowed:
        if not any(f"{one}.".startswith(f"{name}.") for one in known):
            raise UsageError(f"--allow {name}: nothing of that name can change", did_you_mean(name, sorted(known)))
