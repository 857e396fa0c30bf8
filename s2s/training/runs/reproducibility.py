"""Check that nothing has changed that would keep a resumed run from being exact, and describe what has."""

from collections.abc import Sequence
from dataclasses import replace

from s2s.data.corpus import Corpus
from s2s.devices.runtime import cpu_features, package_versions
from s2s.errors import UsageError, did_you_mean
from s2s.recipe.flat import flattened
from s2s.recipe.load import parse_stored_recipe
from s2s.recipe.recipe import Recipe
from s2s.training.runs.record import RunRecord

CODE = 4  # version of the training code: raised when the same recipe would be trained to other weights
IGNORED = {"description", "data.root", "training.recompute"}  # keys without effect; the corpus digest covers the data
LIBRARIES = {"s2s", "torch", "numpy", "sentencepiece"}  # those that affect results


def check_unchanged(
    record: RunRecord, recipe: Recipe, corpus: Corpus, processes: int, allowed: Sequence[str]
) -> RunRecord:
    """Return the record updated to the present settings, with the changes appended.

    `allowed`: names that may have changed: keys and tables of the recipe, `corpus`, `tokenizer`, `processes`.
    Raises: UsageError that lists the differences if anything else has changed.
    """
    tokenizer = corpus.ledger.tokenizer.digest
    original = parse_stored_recipe(record.recipe, f"recipe of run {record.name}") if record.recipe else recipe
    before = _settings(original, record.corpus, record.tokenizer or tokenizer, record.processes)
    now = _settings(recipe, corpus.digest, tokenizer, processes)
    changed = {
        name: f"{name}: {before.get(name, '–')} → {now.get(name, '–')}"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    }
    _check_names(allowed, {*before, *now})
    refused = [name for name in changed if not any(f"{name}.".startswith(f"{one}.") for one in allowed)]
    if refused:
        raise UsageError(
            f"settings of the run have changed: {'; '.join(changed[name] for name in refused)}",
            f"change them back, or accept them with {' '.join(f'--allow {name}' for name in refused)}",
        )
    return replace(
        record,
        code=CODE,
        versions=package_versions(),
        features=cpu_features(),
        recipe=recipe.as_dict(),
        corpus=corpus.digest,
        tokenizer=tokenizer,
        processes=processes,
        threads=max(1, record.threads * record.processes // processes),
        changes=[*record.changes, *changed.values(), *_environment_changes(record)],
    )


def _environment_changes(record: RunRecord) -> list[str]:
    """List changes that may alter rounding: code, libraries, CPU."""
    changes = []
    if record.code not in {0, CODE}:
        changes.append(f"version of the training code: {record.code} → {CODE}")
    for name, version in package_versions().items():
        if name in LIBRARIES and record.versions.get(name, version) != version:
            changes.append(f"{name}: {record.versions[name]} → {version}")
    if record.features and record.features != cpu_features():
        changes.append(f"processor: {', '.join(record.features)} → {', '.join(cpu_features())}")
    return changes


def _settings(recipe: Recipe, corpus: str, tokenizer: str, processes: int) -> dict[str, object]:
    """Return everything that must stay the same, by the names that `--allow` takes."""
    keys = {key: value for key, value in flattened(recipe.as_dict()).items() if key not in IGNORED}
    return {**keys, "corpus": corpus[:12], "tokenizer": tokenizer[:12], "processes": processes}


def _check_names(allowed: Sequence[str], known: set[str]) -> None:
    for name in allowed:
        if not any(f"{one}.".startswith(f"{name}.") for one in known):
            raise UsageError(f"--allow {name}: unknown name", did_you_mean(name, sorted(known)))
