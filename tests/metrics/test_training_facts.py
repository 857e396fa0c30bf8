"""Facts about training pairs are those of looking everything up in all pairs at once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2s.metrics.scores import Scoring
from s2s.metrics.training_facts import FREQUENCIES, TrainingFacts

TEXT = st.lists(st.sampled_from("abc"), max_size=7).map(" ".join)


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), max_size=9), st.lists(TEXT, max_size=5), st.lists(TEXT, max_size=4))
def test_facts_are_those_of_a_search_through_all_pairs(
    pairs: list[tuple[str, str]], sources: list[str], targets: list[str]
) -> None:
    found = TrainingFacts.of(iter(pairs), iter(sources), iter(targets), str.split)

    def has(source: str, ngram: tuple[str, ...]) -> bool:
        return f" {' '.join(ngram)} " in f" {source} "

    training = [source for source, _ in pairs]
    words = " ".join(targets).split()
    assert found.counts == {word: sum(target.split().count(word) for _, target in pairs) for word in words}
    assert found.sources == {tuple(source.split()) for source in sources if source and source in training}
    tested = [source.split() for source in sources]
    ngrams = [tuple(line[start : start + 4]) for line in tested for start in range(len(line) - 3)]
    assert found.ngrams == {ngram for ngram in ngrams if any(has(source, ngram) for source in training)}
    assert found.longest_source == max(map(len, training), default=0)


def test_words_are_those_of_the_scores() -> None:
    split = Scoring.of("en").word_splitter()
    pairs = [("Ein  Hund, der bellt.", "A dog, a barking DOG.")]
    found = TrainingFacts.of(pairs, ["ein hund , der Bellt."], ["The dog."], split)
    assert found.counts == {"the": 0, "dog": 2, ".": 1}
    assert len(found.sources) == 1
    assert found.longest_source == 21


@pytest.mark.parametrize(("lowest", "label"), [(count, label) for label, count in FREQUENCIES.items()])
def test_frequencies_begin_at_their_minimum(lowest: int, label: str) -> None:
    counts = {"rare": lowest, "rarer": max(0, lowest - 1), "common": 10**6}
    facts = TrainingFacts(str.split, counts, set(), set(), 0)
    assert facts.frequency(["common", "rare"]) == label
    assert (facts.frequency(["rare", "rarer"]) == label) is (lowest == 0)


def test_words_that_were_not_counted_are_refused() -> None:
    facts = TrainingFacts.of([("a", "b c")], ["a"], ["b"], str.split)
    with pytest.raises(KeyError):
        facts.frequency(["c"])
