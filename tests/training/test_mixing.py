"""Rows of the epochs of a mixture: exact shares, even use, and the same whatever was computed before."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from s2s.data.corpus import Corpus
from s2s.data.prepare import prepare_corpus
from s2s.errors import DataError
from s2s.recipe.augmentation import AugmentationOptions
from s2s.recipe.load import load_recipe, parse_recipe
from s2s.recipe.mixed import MixedDataOptions
from s2s.recipe.recipe import Recipe
from s2s.text.tokenizer import Tokenizer
from s2s.training.batches import TrainingBatches
from s2s.training.examples import Examples
from s2s.training.merging import merged_rows
from s2s.training.mixing import Mixture, counts_of_epoch
from s2s.training.runs.lifecycle import resume, run_key, train
from s2s.training.runs.record import runs_directory

WEIGHTS = st.lists(st.sampled_from([0.0, 0.3, 1.0, 2.5, 40.0]), min_size=3, max_size=3).filter(any)
QUIET: dict[str, Any] = {"wait": 0}


def options(*weights: float, temperature: float = 1.0, stages: list[dict[str, Any]] | None = None) -> MixedDataOptions:
    datasets = [
        {"name": f"d{number}", "weight": weight, "train": {"source": "a", "target": "b"}}
        for number, weight in enumerate(weights)
    ]
    held = {"hold_out_validation": 1, "hold_out_test": 1}
    values = {"kind": "mixed", "datasets": datasets, "temperature": temperature, "stages": stages or [], **held}
    return MixedDataOptions.model_validate(values)


def numbers_of(*sizes: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)


@limits(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=3, max_size=3),
    weights=WEIGHTS,
    others=WEIGHTS,
    temperature=st.sampled_from([1.0, 2.0, 100.0]),
    end=st.integers(1, 3),
)
def test_counts_are_exact_and_use_is_even(
    sizes: list[int], weights: list[float], others: list[float], temperature: float, end: int
) -> None:
    stages = [{"until": f"{end} epochs"}, {"weights": {f"d{number}": weight for number, weight in enumerate(others)}}]
    data, datasets = options(*(w or 1e-6 for w in weights), temperature=temperature, stages=stages), numbers_of(*sizes)
    drawn: Counter[int] = Counter()
    for epoch in range(end + 2):
        rows = Mixture(datasets, data, seed=3).rows(epoch)
        assert len(rows) == len(datasets)
        chosen = [one.weight for one in data.datasets] if epoch < end else others
        shares = np.array(chosen) * np.array(sizes) ** (1 / temperature)
        assert np.abs(np.bincount(datasets[rows], minlength=3) - shares / shares.sum() * sum(sizes)).max() < 1
        drawn.update(rows.tolist())
        for dataset in range(3):
            used = [drawn[row] for row in np.flatnonzero(datasets == dataset).tolist()]
            assert max(used) - min(used) <= 1


def test_epochs_without_weights_are_the_corpus_in_its_order() -> None:
    datasets = numbers_of(7, 2, 30)
    one = Mixture(numbers_of(5), parse_recipe({"name": "x", "data": {"kind": "generator"}}, "x").data, 1)
    for epoch in range(3):
        for weight in (0.1, 1.0, 7.0):
            assert Mixture(datasets, options(*[weight] * 3), 1).rows(epoch).tolist() == list(range(39))
        assert one.rows(epoch).tolist() == Mixture(numbers_of(5), options(3), 1).rows(epoch).tolist() == [*range(5)]
    assert one.describe(0) is None


def test_repeated_pairs_come_after_all_others_and_seeds_differ() -> None:
    datasets, data = numbers_of(9, 3), options(0, 1)
    assert Mixture(datasets, data, 1).rows(0).tolist() == [9, 10, 11] * 4
    rows = [Mixture(datasets, options(4, 1), seed).rows(epoch).tolist() for seed in (1, 2) for epoch in (0, 1)]
    assert len(set(map(tuple, rows))) == 4
    for one in rows:
        assert one[: len(set(one))] == sorted(set(one))


def test_a_temperature_brings_shares_nearer_to_each_other() -> None:
    sizes = np.array([100, 10000])
    shares = [counts_of_epoch(sizes, np.ones(2), temperature)[0] for temperature in (1, 2, 5, 1000)]
    assert shares == [100, 918, 2876, 5038]
    with pytest.raises(DataError, match="no training pairs are left"):
        counts_of_epoch(np.array([0, 5]), np.array([1.0, 0.0]), 2)


def test_a_stage_says_its_shares_when_it_begins() -> None:
    stages = [{"until": "2 epochs", "weights": {"d0": 0}}, {}]
    mixture = Mixture(numbers_of(30, 10), options(1, 3, stages=stages), 1)
    assert [mixture.describe(epoch) for epoch in range(4)] == [
        "stage 1 of 2, from epoch 1: d0 0.0% (0 times its pairs), d1 100.0% (4 times its pairs)",
        None,
        "stage 2 of 2, from epoch 3: d0 50.0% (0.667 times its pairs), d1 50.0% (2 times its pairs)",
        None,
    ]


@pytest.mark.parametrize("merge_with", ["next", "random"])
def test_only_drawn_neighbours_of_a_dataset_are_merged(merge_with: str) -> None:
    sizes = (400, 130, 70)
    datasets = numbers_of(*sizes)
    split: Any = SimpleNamespace(
        source_lengths=np.full(600, 3),
        target_lengths=np.full(600, 2),
        file_numbers=datasets // 2,  # the first two are of one file
        dataset_numbers=datasets,
    )
    rows = Mixture(datasets, options(1, 4, 2), 1).rows(1)
    chosen = AugmentationOptions.model_validate({"merge": 0.5, "merge_with": merge_with})
    merged, ends = merged_rows(split, rows, chosen, 100, np.random.default_rng(1))
    assert sorted(merged.tolist()) == sorted(rows.tolist())
    groups = [group.tolist() for group in np.split(merged, ends[:-1])]
    assert sum(len(group) > 1 for group in groups) > 60
    for group in groups:
        assert len({int(datasets[row]) for row in group}) == 1
        if merge_with == "next":
            assert group == list(range(group[0], group[0] + len(group)))


RECIPE = """
name = "two"
[data]
kind = "mixed"
augmentation = { merge = 0.3, merge_lines = 3 }
stages = [{ until = "1 epoch", weights = { up = 0 } }, {}]
[[data.datasets]]
name = "down"
tag = "<down>"
train = { source = "down.src", target = "down.tgt" }
[[data.datasets]]
name = "up"
kind = "tsv"
tag = "<up>"
weight = 3
train = { files = "up.tsv" }
[tokenizer]
vocab_size = 40
[model]
embedding_size = 8
dropout = 0.2
encoder.hidden_size = 7
decoder.hidden_size = 9
[training]
stop_after = "3 epochs"
batch_tokens = 60
validate_every = "5 updates"
validation_lines = 2
"""
WORDS = ["aa", "ba", "ca", "da", "ea", "fa", "ga"]


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """A mixture whose datasets have lower-case words as sources, and the same or upper-case ones as targets."""
    random = np.random.default_rng(4)
    texts = [" ".join(random.choice(WORDS, 4)) for _ in range(50)]
    (tmp_path / "down.src").write_text("".join(f"{text}\n" for text in texts[:37]))
    (tmp_path / "down.tgt").write_text("".join(f"{text}\n" for text in texts[:37]))
    (tmp_path / "up.tsv").write_text("".join(f"{text}\t{text.upper()}\n" for text in texts[20:]))
    (tmp_path / "two.toml").write_text(RECIPE)
    return load_recipe(str(tmp_path / "two.toml"), ["data.hold_out_validation=3", "data.hold_out_test=2"])


@pytest.fixture
def corpus(recipe: Recipe) -> Corpus:
    return prepare_corpus(recipe.data, recipe.tokenizer)


def test_a_run_is_another_with_other_shares(recipe: Recipe, corpus: Corpus) -> None:
    values = recipe.as_dict()
    stages = values["data"]["stages"]
    down, up = values["data"]["datasets"]
    changes = [{"temperature": 3}, {"stages": stages[1:]}, {"datasets": [down, up | {"weight": 2}]}]
    others = [parse_recipe(values | {"data": values["data"] | change}, "other") for change in changes]
    assert len({run_key(one, corpus) for one in [recipe, *others]}) == 4
    moved = parse_recipe(values | {"data": values["data"] | {"root": "/elsewhere"}}, "moved")
    assert run_key(moved, corpus) == run_key(recipe, corpus)


def test_a_merged_example_has_its_tag_once(recipe: Recipe, corpus: Corpus) -> None:
    tokenizer = Tokenizer(corpus.tokenizer)
    batches = TrainingBatches(corpus.split("train"), tokenizer, recipe)

    def sources(examples: Examples) -> list[str]:
        found, _ = examples.encoded(np.arange(len(examples.source_lengths)))
        return tokenizer.decode([list(map(int, tokens)) for tokens in found])  # type: ignore[arg-type]

    first, second = (sources(batches.examples(epoch)) for epoch in (0, 1))
    assert all(text.startswith("<down> ") for text in first)
    assert {text.split()[0] for text in second} == {"<down>", "<up>"}
    assert max(len(text.split()) for text in second) > 5
    assert all(text.count("<") == 1 for text in [*first, *second])


def test_a_mixture_resumes_exactly(
    recipe: Recipe, interrupted: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    whole = train(recipe, device="cpu", **QUIET)
    assert [text.partition(":")[0] for text in caplog.messages if text.startswith("stage")] == [
        "stage 1 of 2, from epoch 1", "stage 2 of 2, from epoch 2"
    ]  # fmt: skip
    interrupted(whole.card.training.updates - 2)  # in the second stage
    with pytest.raises(KeyboardInterrupt):
        train(recipe, device="cpu", fresh=True, **QUIET)
    (directory,) = runs_directory().glob("two-*-2")
    again = resume(directory.name, **QUIET)
    assert again.number == 2
    assert again.files["weights.safetensors"] == whole.files["weights.safetensors"]
