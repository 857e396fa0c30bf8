"""What has changed since a run began: said in words, refused, or allowed by name and noted."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from s2s.data.corpus import Corpus
from s2s.errors import UsageError
from s2s.recipe.load import load_recipe
from s2s.registry.version import Version
from s2s.training.runs import reproducibility
from s2s.training.runs.lifecycle import resume
from s2s.training.runs.record import RunRecord
from s2s.training.runs.reproducibility import check_unchanged

QUIET = {"wait": 0}


def edit(directory: Path, old: str, new: str) -> None:
    """Change a line of the run's recipe."""
    path = directory / "recipe.toml"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def edit_record(directory: Path, **values: object) -> None:
    record = json.loads((directory / "run.json").read_text())
    (directory / "run.json").write_text(json.dumps(record | values))


@pytest.fixture
def changed_run(interrupted_run: Callable[..., Path], interrupted: Callable[[int], None]) -> Path:
    """The directory of a run whose learning rate was changed on the way, and which stopped again."""
    directory = interrupted_run("training.lr=0.01", after=5)
    edit(directory, "lr = 0.01", "lr = 0.02")
    interrupted(9)
    with pytest.raises(KeyboardInterrupt):
        resume(directory.name, **QUIET, allowed=["training.lr"])
    return directory


def corpus_of(directory: Path) -> Corpus:
    """The corpus that the run was begun with."""
    record = RunRecord.read(directory)
    paths = (path for path in (directory.parents[1] / "corpora").iterdir() if path.is_dir())
    return next(corpus for corpus in map(Corpus.open, paths) if corpus.digest == record.corpus)


def test_a_changed_key_is_refused_with_both_values(interrupted_run: Callable[..., Path]) -> None:
    directory = interrupted_run("training.lr=0.01")
    before = (directory / "run.json").read_bytes()
    edit(directory, "lr = 0.01", "lr = 0.02")
    with pytest.raises(UsageError, match=r"training\.lr: 0\.01 → 0\.02") as refused:
        resume(directory.name, **QUIET)
    assert "--allow training.lr" in (refused.value.hint or "")
    assert (directory / "run.json").read_bytes() == before
    edit(directory, "lr = 0.02", "lr = 0.01")
    assert resume(directory.name, **QUIET).card.training.changes == []


@pytest.mark.parametrize("allowed", ["training.lr", "training"])
def test_a_changed_key_is_allowed_by_its_name_or_its_table(
    allowed: str, interrupted_run: Callable[..., Path], said: list[str]
) -> None:
    directory = interrupted_run("training.lr=0.01")
    edit(directory, "lr = 0.01", "lr = 0.02")
    version = resume(directory.name, **QUIET, allowed=[allowed])
    assert version.card.training.changes == ["training.lr: 0.01 → 0.02"]
    assert any("training.lr: 0.01 → 0.02: the resumed run will not be bit-exact" in line for line in said)
    assert version.card.recipe["training"]["lr"] == 0.02


def test_a_model_that_was_changed_on_the_way_stands_for_neither_recipe(
    changed_run: Path, tiny_train: Callable[..., Version]
) -> None:
    first = tiny_train("training.lr=0.01")  # which is not the run that is still unfinished
    changed = resume(changed_run.name, **QUIET)
    second = tiny_train("training.lr=0.02")
    assert [first.number, changed.number, second.number] == [1, 2, 3]
    assert len({one.card.training.key for one in (first, changed, second)}) == 3


def test_a_change_stays_noted_when_the_run_stops_again(changed_run: Path, said: list[str]) -> None:
    version = resume(changed_run.name, **QUIET)  # what was allowed is the run's own now
    assert version.card.training.changes == ["training.lr: 0.01 → 0.02"]
    assert not [line for line in said if "warning" in line and "BLEU" not in line]


def test_all_that_is_not_allowed_is_told_at_once(interrupted_run: Callable[..., Path]) -> None:
    directory = interrupted_run("training.lr=0.01", "training.warmup=7", "decoding.beam_size=3")
    for old, new in [("lr = 0.01", "lr = 0.02"), ("warmup = 7", "warmup = 8"), ("beam_size = 3", "beam_size = 4")]:
        edit(directory, old, new)
    with pytest.raises(UsageError) as refused:
        resume(directory.name, **QUIET, allowed=["training.lr"])
    assert "training.warmup: 7 → 8; decoding.beam_size: 3 → 4" in refused.value.message
    assert "training.lr" not in refused.value.message
    assert "--allow training.warmup --allow decoding.beam_size" in (refused.value.hint or "")


def test_words_and_places_may_change(interrupted_run: Callable[..., Path]) -> None:
    directory = interrupted_run("description=first words")
    edit(directory, "first words", "other words")
    assert resume(directory.name, **QUIET).card.training.changes == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("training.warm_up", "did you mean training.warmup"),
        ("processs", "did you mean processes?"),
        ("training.l", "training.lr"),
        ("lr", None),
        ("", None),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(
    name: str, hint: str | None, interrupted_run: Callable[..., Path]
) -> None:
    directory = interrupted_run()
    with pytest.raises(UsageError, match=r"--allow .*: unknown name") as refused:
        resume(directory.name, **QUIET, allowed=[name])
    assert hint in (refused.value.hint or "") if hint else refused.value.hint is None


def test_another_corpus_is_refused_or_noted(interrupted_run: Callable[..., Path]) -> None:
    directory = interrupted_run()
    edit(directory, "train = 300", "train = 299")
    with pytest.raises(UsageError, match="corpus: ") as refused:
        resume(directory.name, **QUIET, allowed=["data"])
    assert "data.generator.train" not in refused.value.message
    assert "--allow corpus" in (refused.value.hint or "")
    version = resume(directory.name, **QUIET, allowed=["data", "corpus", "tokenizer"])
    changes = version.card.training.changes
    assert changes[0] == "data.generator.train: 300 → 299"
    assert changes[1].startswith("corpus: ")
    assert version.card.pairs["train"] == 299
    assert version.card.corpus == RunRecord.read(directory).corpus


def test_another_number_of_processes_is_refused_or_noted(interrupted_run: Callable[..., Path]) -> None:
    directory = interrupted_run()
    record, recipe = RunRecord.read(directory), load_recipe(str(directory / "recipe.toml"))
    with pytest.raises(UsageError, match="processes: 1 → 2"):
        check_unchanged(record, recipe, corpus_of(directory), 2, [])
    checked = check_unchanged(record, recipe, corpus_of(directory), 2, ["processes"])
    assert (checked.processes, checked.changes) == (2, ["processes: 1 → 2"])
    shared = check_unchanged(replace(record, threads=7, processes=3), recipe, corpus_of(directory), 4, ["processes"])
    assert (shared.processes, shared.threads) == (4, 5)


def test_a_run_of_two_processes_goes_on_with_one_where_that_is_allowed(interrupted_run: Callable[..., Path]) -> None:
    directory = interrupted_run()
    edit_record(directory, processes=2)
    with pytest.raises(UsageError, match="processes: 2 → 1"):
        resume(directory.name, **QUIET)
    card = resume(directory.name, **QUIET, allowed=["processes"]).card
    assert (card.training.processes, card.training.changes) == (1, ["processes: 2 → 1"])


def test_other_code_and_libraries_are_a_warning_and_a_label(
    interrupted_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    directory = interrupted_run()
    versions = json.loads((directory / "run.json").read_text())["versions"]
    edit_record(directory, code=1, versions=versions | {"torch": "2.0.0", "sacrebleu": "1.0"}, features=["mmx"])
    monkeypatch.setattr(reproducibility, "CODE", 2)
    monkeypatch.setattr(reproducibility, "cpu_features", lambda: ["sse", "avx"])
    version = resume(directory.name, **QUIET)
    assert version.card.training.changes == [
        "version of the training code: 1 → 2",
        f"torch: 2.0.0 → {versions['torch']}",  # and sacrebleu, which trains nothing, is passed over
        "processor: mmx → sse, avx",
    ]
    assert sum("warning: " in line and "BLEU" not in line for line in said) == 3
    record = RunRecord.read(directory)
    assert (record.code, record.versions["torch"], record.features) == (2, versions["torch"], ["sse", "avx"])


def test_an_older_record_without_these_is_no_change(interrupted_run: Callable[..., Path]) -> None:
    directory = interrupted_run()
    record = json.loads((directory / "run.json").read_text())
    for name in ("recipe", "tokenizer", "processes", "code", "versions", "features", "changes", "parent"):
        del record[name]
    (directory / "run.json").write_text(json.dumps(record))
    version = resume(directory.name, **QUIET)
    assert version.card.training.changes == []


def test_a_key_that_came_later_has_its_default(interrupted_run: Callable[..., Path]) -> None:
    directory = interrupted_run()
    recipe = json.loads((directory / "run.json").read_text())["recipe"]
    del recipe["training"]["ema"]
    edit_record(directory, recipe=recipe)
    edit(directory, "ema = 0.0\n", "")
    assert resume(directory.name, **QUIET).card.training.changes == []
