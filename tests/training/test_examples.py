"""Examples of an epoch: sampled segmentations and joined pairs, within the token budget, the same for a seed."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from s2s.data.corpus import Corpus
from s2s.recipe.load import load_recipe
from s2s.text.tokenizer import Tokenizer
from s2s.training.batches import TrainingBatches
from s2s.training.examples import Examples

SAMPLED, JOINED = "training.subword_regularization=0.1", "data.concatenate=0.25"


@pytest.fixture
def corpus(trained_home: Path) -> Corpus:
    return Corpus.open(next(path for path in (trained_home / "corpora").iterdir() if path.is_dir()))


def batches_of(corpus: Corpus, tiny: list[str], *settings: str) -> TrainingBatches:
    recipe = load_recipe("numbers/attention", [*tiny, *settings])
    return TrainingBatches(corpus.split("train"), Tokenizer(corpus.tokenizer), recipe)


def examples_of(corpus: Corpus, tiny: list[str], *settings: str, epoch: int = 0) -> Examples:
    return batches_of(corpus, tiny, *settings).examples(epoch)


def everything(examples: Examples) -> list[list[list[int]]]:
    rows = np.arange(len(examples.source_lengths))
    return [[[*map(int, tokens)] for tokens in side] for side in examples.encoded(rows)]


@pytest.mark.parametrize("settings", [(SAMPLED,), (JOINED,), (SAMPLED, JOINED)])
def test_batches_fit_the_token_budget(corpus: Corpus, tiny: list[str], settings: tuple[str, ...]) -> None:
    batches = batches_of(corpus, tiny, *settings)
    for epoch in (0, 1):
        sizes = []
        for index in range(len(batches.of_epoch(epoch))):
            sources, targets = batches.pairs(epoch, index)
            longest = max(map(len, [*sources, *targets])) + 1
            sizes.append(longest * len(sources))
            assert sizes[-1] <= 400 or len(sources) == 1
        assert np.median(sizes) > 200


@pytest.mark.parametrize("settings", [(SAMPLED,), (JOINED,), (SAMPLED, JOINED)])
def test_epochs_differ_and_repeat(corpus: Corpus, tiny: list[str], settings: tuple[str, ...]) -> None:
    first, again, second = (
        everything(examples_of(corpus, tiny, *settings, epoch=epoch)) for epoch in (0, 0, 1)
    )  # fmt: skip
    assert first == again
    assert first != second
    assert first != everything(examples_of(corpus, tiny, *settings, "training.seed=2"))


def test_the_corpus_alone_is_read_as_it_is(corpus: Corpus, tiny: list[str]) -> None:
    rows = np.arange(len(corpus.split("train")))
    expected = [[[*map(int, tokens)] for tokens in side] for side in corpus.split("train").encoded(rows)]
    assert everything(examples_of(corpus, tiny)) == expected


def test_pairs_are_joined_two_by_two(corpus: Corpus, tiny: list[str]) -> None:
    examples, train = examples_of(corpus, tiny, JOINED), corpus.split("train")
    tokenizer, count = Tokenizer(corpus.tokenizer), len(train)
    rows = np.arange(len(examples.source_lengths))
    sources, targets = examples.texts(rows)
    pairs = Counter(zip(*train.texts(np.arange(count)), strict=True))
    joined = [pair for pair in zip(sources, targets, strict=True) if pair not in pairs]
    assert len(joined) / len(sources) == pytest.approx(0.25, abs=0.01)
    assert len(sources) == count - len(joined)
    assert sorted(" ".join(sources).split()) == sorted(" ".join(source for source, _ in pairs.elements()).split())
    assert everything(examples) == [tokenizer.encode(sources), tokenizer.encode(targets)]
    places = examples.places(rows)
    assert sorted(places) == sorted(train.places(np.arange(count)))


def test_joined_pairs_stay_within_the_maximum_length(corpus: Corpus, tiny: list[str]) -> None:
    longest = max(corpus.split("train").source_lengths.max(), corpus.split("train").target_lengths.max())
    examples = examples_of(corpus, tiny, "data.concatenate=1", f"data.filters=[{{name='length', max={longest + 5}}}]")
    assert max(examples.source_lengths.max(), examples.target_lengths.max()) <= longest + 5
    count, train = len(examples.source_lengths), corpus.split("train")
    assert len(train) / 2 < count < len(train)
    assert sorted(examples.places(np.arange(count))) == sorted(train.places(np.arange(len(train))))


def test_languages_without_spaces_are_joined_without_one(corpus: Corpus, tiny: list[str]) -> None:
    examples = examples_of(corpus, tiny, "data.concatenate=1", "data.target_language=zh")
    sources, targets = examples.texts(np.arange(3))
    alone = set(corpus.split("train").texts(np.arange(len(corpus.split("train"))))[1])
    for target in targets:
        assert any(target.startswith(text) and target.removeprefix(text) in alone for text in alone)
    assert all(" " in source for source in sources)
