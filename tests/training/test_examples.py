"""Examples of an epoch: joined, changed and segmented anew, within the token budget, the same for a seed."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from s2s.data.corpus import Corpus
from s2s.data.prepare import prepare_corpus
from s2s.recipe.load import load_recipe
from s2s.recipe.recipe import Recipe
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.text.tokenizer import UNK, Tokenizer
from s2s.training.batches import TrainingBatches
from s2s.training.examples import Examples

SAMPLED, JOINED = "training.subword_regularization=0.1", "data.augmentation.merge=0.25"
CHANGED = "data.augmentation={upper_case=0.2, title_case=0.1, typos=0.3}"


@pytest.fixture
def corpus(trained_home: Path) -> Corpus:
    return Corpus.open(next(path for path in (trained_home / "corpora").iterdir() if path.is_dir()))


def batches_of(corpus: Corpus, tiny: list[str], *settings: str) -> TrainingBatches:
    recipe = load_recipe("numbers/attention", [*tiny, *settings])
    return TrainingBatches(corpus.split("train"), Tokenizer(corpus.tokenizer), recipe)


def examples_of(corpus: Corpus, tiny: list[str], *settings: str, epoch: int = 0) -> Examples:
    return batches_of(corpus, tiny, *settings).examples(epoch)


def texts_of(corpus: Corpus, examples: Examples) -> list[tuple[str, str]]:
    return list(zip(*map(Tokenizer(corpus.tokenizer).decode, everything(examples)), strict=True))


def pairs_of(corpus: Corpus) -> list[tuple[str, str]]:
    train = corpus.split("train")
    return list(zip(*train.texts(np.arange(len(train))), strict=True))


def everything(examples: Examples) -> list[list[list[int]]]:
    rows = np.arange(len(examples.source_lengths))
    return [[[*map(int, tokens)] for tokens in side] for side in examples.encoded(rows)]


@pytest.mark.parametrize("settings", [(SAMPLED,), (JOINED,), (CHANGED,), (SAMPLED, JOINED, CHANGED)])
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


@pytest.mark.parametrize("settings", [(SAMPLED,), (JOINED,), (CHANGED,), (SAMPLED, JOINED, CHANGED)])
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


@pytest.mark.parametrize("settings", [(), ("data.augmentation.merge_lines=2", "data.augmentation.merge_with=random")])
def test_pairs_are_joined(corpus: Corpus, tiny: list[str], settings: tuple[str, ...]) -> None:
    examples, pairs, train = examples_of(corpus, tiny, JOINED, *settings), pairs_of(corpus), corpus.split("train")
    tokenizer, texts = Tokenizer(corpus.tokenizer), texts_of(corpus, examples)
    joined = [pair for pair in texts if pair not in set(pairs)]
    assert len(joined) / len(texts) == pytest.approx(0.25, abs=0.01)
    assert Counter(" ".join(map(" ".join, texts)).split()) == Counter(" ".join(map(" ".join, pairs)).split())
    assert everything(examples) == [tokenizer.encode(side) for side in zip(*texts, strict=True)]
    place = dict(zip(pairs, train.places(np.arange(len(train))), strict=True))
    for row, pair in enumerate(texts):
        places = examples.places(np.array([row]))
        assert len(places) in ({1} if pair in place else {2} if settings else {2, 3, 4})
        if pair in place:
            assert places == [place[pair]]
    assert sorted(examples.places(np.arange(len(texts)))) == sorted(place.values())


def test_neighbours_are_joined_in_their_order(corpus: Corpus, tiny: list[str]) -> None:
    pairs = pairs_of(corpus)
    texts = texts_of(corpus, examples_of(corpus, tiny, JOINED))
    assert " ".join(source for source, _ in texts) == " ".join(source for source, _ in pairs)
    assert " ".join(target for _, target in texts) == " ".join(target for _, target in pairs)


def test_examples_stay_within_the_maximum_length(corpus: Corpus, tiny: list[str]) -> None:
    train = corpus.split("train")
    longest = max(train.source_lengths.max(), train.target_lengths.max())
    settings = f"data.filters=[{{name='length', max={longest + 5}}}]"
    examples = examples_of(corpus, tiny, "data.augmentation.merge=1", settings)
    assert max(examples.source_lengths.max(), examples.target_lengths.max()) <= longest + 5
    count = len(examples.source_lengths)
    assert len(train) / 3 < count < len(train)
    assert sorted(examples.places(np.arange(count))) == sorted(train.places(np.arange(len(train))))


def test_languages_without_spaces_are_joined_without_one(corpus: Corpus, tiny: list[str]) -> None:
    settings = "data.augmentation={merge=1, merge_lines=2, merge_with='random'}", "data.target_language=zh"
    texts = texts_of(corpus, examples_of(corpus, tiny, *settings))
    alone = {target for _, target in pairs_of(corpus)}
    for source, target in texts[:3]:
        assert any(target.startswith(text) and target.removeprefix(text) in alone for text in alone)
        assert " " in source


@pytest.fixture
def cased(corpus: Corpus, tmp_path: Path) -> Corpus:
    """A corpus of which each third pair is in upper case."""
    for side, texts in zip(("de", "en"), zip(*pairs_of(corpus), strict=True), strict=True):
        lines = [f"{text.upper() if row % 3 == 0 else text.lower()}.\n" for row, text in enumerate(texts)]
        (tmp_path / side).write_text("".join(lines))
    files = {"train": {"source": "de", "target": "en"}, "hold_out_validation": 3, "hold_out_test": 2}
    recipe = Recipe.model_validate({"name": "cased", "data": {"root": str(tmp_path), **files}})
    return prepare_corpus(recipe.data, TokenizerOptions(vocab_size=150))


def test_a_share_of_the_pairs_is_changed(cased: Corpus, tiny: list[str]) -> None:
    settings = "data.augmentation={upper_case=0.2, typos=0.3, no_final_punctuation=0.1}"
    both = zip(pairs_of(cased), texts_of(cased, examples_of(cased, tiny, settings)), strict=True)
    found = [(before, after) for before, after in both if before[0].islower()]
    changes = {
        "case": [after[1].isupper() for _, after in found],
        "punctuation": [not after[1].endswith(".") for _, after in found],
        "typos": [before[0].upper().strip(".") != after[0].upper().strip(".") for before, after in found],
        "none": [before == after for before, after in found],
    }
    shares = {name: float(np.mean(made)) for name, made in changes.items()}
    expected = {"case": 0.2, "punctuation": 0.1, "typos": 0.3, "none": 0.8 * 0.9 * 0.7}
    assert shares == pytest.approx(expected, abs=0.07)
    assert all(after[1].lower().strip(".") == before[1].strip(".") for before, after in found)


def test_changes_that_are_too_long_or_unknown_are_left_out(
    corpus: Corpus, cased: Corpus, tiny: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    def upper(corpus: Corpus, *settings: str, epoch: int = 0) -> float:
        examples = examples_of(corpus, tiny, "data.augmentation.upper_case=1", *settings, epoch=epoch)
        assert not any(UNK in tokens for side in everything(examples) for tokens in side)
        return float(np.mean([target.isupper() for _, target in texts_of(corpus, examples)]))

    assert upper(cased) == 1
    assert not caplog.messages
    assert upper(corpus) < 0.5
    assert "changes are left out, since the texts would be longer than 200 tokens" in caplog.messages[0]
    longest = cased.split("train").source_lengths.max() - 20
    assert 0.3 < upper(cased, f"data.filters=[{{name='length', max={longest}}}]", epoch=1) < 1
    assert len(caplog.messages) == 1
