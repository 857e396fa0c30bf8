"""Corpora of several datasets: filtered by the languages of each, with tags before sources and numbers of datasets."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2s.data.corpus import Corpus
from s2s.data.diagnosis import DatasetDiagnosis
from s2s.data.prepare import prepare_corpus
from s2s.data.readers import Pair, read_split, source_digests
from s2s.errors import UsageError
from s2s.recipe.mixed import MixedDataOptions
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.text.tokenizer import Tokenizer
from s2s.text.tokenizer_training import VocabularySizeError

GREEK = ["ένα", "δύο", "τρία", "ένα δύο", "δύο τρία", "τρία ένα"]
ENGLISH = ["one", "two", "three", "one two", "two three", "three one"]
FRENCH = ["un", "deux", "trois", "un deux", "deux trois", "trois un"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "en-el.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in zip(ENGLISH, GREEK, strict=True)))
    rows = [*zip(ENGLISH, FRENCH, strict=True), ("one", "un"), ("two", "τρία"), ("two", "")]
    (tmp_path / "fr.src").write_text("".join(f"{a}\n" for a, _ in rows))
    (tmp_path / "fr.tgt").write_text("".join(f"{b}\n" for _, b in rows))
    (tmp_path / "held.src").write_text("three two\n\ntwo\n")
    (tmp_path / "held.tgt").write_text("trois deux\nrien\ndeux\n")
    return tmp_path


def mixed(root: Path, *, greek: dict[str, Any] | None = None, **data: Any) -> MixedDataOptions:
    held = {"source": "held.src", "target": "held.tgt"}
    train = {"source": "fr.src", "target": "fr.tgt"}
    datasets = [
        {"name": "greek", "kind": "tsv", "train": {"files": "en-el.tsv"}, "target_language": "el", "tag": "<el>"},
        {"name": "french", "train": train, "validation": held, "test": held, "target_language": "fr", "tag": "<fr>"},
    ]
    datasets[0] |= greek or {}
    values = {"kind": "mixed", "root": str(root), "source_language": "en", "datasets": datasets, **data}
    return MixedDataOptions.model_validate(values)


def prepared(data: MixedDataOptions) -> Corpus:
    """Prepare data with as large a vocabulary as they give."""
    try:
        return prepare_corpus(data, TokenizerOptions(vocab_size=100))
    except VocabularySizeError as error:
        return prepare_corpus(data, TokenizerOptions(vocab_size=error.accepted))


def test_pairs_carry_the_number_of_their_dataset(root: Path) -> None:
    pairs = list(read_split(mixed(root), "train"))
    assert pairs[0] == Pair("one", "ένα", 1, "en-el.tsv", 0)
    assert pairs[6] == Pair("one", "un", 1, "fr.src", 1)
    assert {pair.dataset for pair in read_split(mixed(root), "validation")} == {1}


def test_tags_stand_before_sources_and_are_one_token(root: Path) -> None:
    corpus = prepared(mixed(root, filter_preset="none"))
    train, test, tokenizer = corpus.split("train"), corpus.split("test"), Tokenizer(corpus.tokenizer)
    assert train.dataset_numbers.tolist() == [0] * 6 + [1] * 8
    assert train.texts([3, 6]) == (["<el> one two", "<fr> one"], ["ένα δύο", "un"])
    assert tokenizer.tokens(train.encoded([6])[0][0].tolist())[:2] == ["▁", "<fr>"]  # type: ignore[union-attr]
    assert test.sources([0, 1, 2]) == ["<fr> three two", "", "<fr> two"]
    kept = [corpus.ledger.splits[name].datasets for name in ("train", "test")]
    assert kept == [{"greek": 6, "french": 8}, {"greek": 0, "french": 3}]
    assert Corpus.open(corpus.path).ledger == corpus.ledger


def test_filters_see_each_pair_without_its_tag_in_its_own_languages(root: Path) -> None:
    ledger = prepared(mixed(root, filters=[{"name": "script"}])).ledger
    dropped = {one.name: [example.line for example in one.dropped.examples] for one in ledger.splits["train"].filters}
    assert dropped["script"] == ["fr.src:8"]  # Greek is a script of the other dataset alone
    assert dropped["duplicates"] == ["fr.src:7"]
    overlap = ledger.splits["test"].overlap
    assert overlap is not None
    assert (overlap.source.count, overlap.pair.count) == (1, 1)


def test_tokens_are_counted_without_tags(root: Path) -> None:
    everything = prepared(mixed(root, filter_preset="none")).split("train")
    lengths = np.maximum(everything.source_lengths - 2, everything.target_lengths)
    lengths = lengths[everything.target_lengths > 0]
    for limit in (int(lengths.max()), int(lengths.max()) - 1):
        filters = [{"name": "length", "max": limit}]
        kept = prepared(mixed(root, filter_preset="none", filters=filters)).split("train")
        assert len(kept) == np.count_nonzero(lengths <= limit)


def test_equal_pairs_are_duplicates_only_with_the_same_tag_and_languages(root: Path) -> None:
    twice = {"kind": "tsv", "train": {"files": "en-el.tsv"}, "target_language": "el"}

    def kept(first: str, second: str, **data: Any) -> list[int]:
        datasets = [twice | {"name": "a", "tag": first}, twice | {"name": "b", "tag": second}]
        values = {"kind": "mixed", "root": str(root), "source_language": "en", "datasets": datasets, **data}
        held = {"hold_out_validation": 1, "hold_out_test": 1}
        train = prepared(MixedDataOptions.model_validate(values | held)).split("train")
        return np.bincount(train.dataset_numbers, minlength=2).tolist()

    by_source = {"filter_preset": "none", "filters": [{"name": "duplicates", "by": "source"}]}
    assert kept("<a>", "<a>") == [4, 0]
    assert kept("<a>", "<b>") == kept("<a>", "<b>", **by_source) == [4, 4]
    assert kept("<a>", "<a>", **by_source) == [4, 0]


def test_weights_stages_and_temperature_leave_the_corpus_as_it_is(root: Path) -> None:
    corpus = prepared(mixed(root))
    stages = [{"until": "1 epoch", "weights": {"greek": 0}}, {}]
    assert prepared(mixed(root, greek={"weight": 5}, stages=stages, temperature=3)).digest == corpus.digest
    for changes in ({"tag": "<gr>"}, {"target_language": "en"}, {"name": "hellenic"}, {"target_column": 1}):
        assert prepared(mixed(root, greek=changes)).digest != corpus.digest


def test_a_dataset_of_which_nothing_is_kept_is_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    corpus = prepared(mixed(root, filters=[{"name": "script"}], greek={"target_language": "ru"}))
    assert corpus.ledger.splits["train"].datasets["greek"] == 0
    assert "no training pairs of dataset greek are kept" in caplog.messages


def test_a_tokenizer_without_a_tag_is_refused(root: Path) -> None:
    other = Tokenizer(prepared(mixed(root, greek={"tag": "<gr>"})).tokenizer)
    with pytest.raises(UsageError, match="the tokenizer of the model has no token <el>"):
        prepare_corpus(mixed(root), TokenizerOptions(), tokenizer_model=other.model)


def test_generators_of_one_kind_are_told_apart() -> None:
    made = [
        {"name": name, "kind": "generator", "generator": {"seed": seed, "train": 30, "validation": 5, "test": 7}}
        for seed, name in enumerate("ab", 1)
    ]
    data = MixedDataOptions.model_validate({"kind": "mixed", "datasets": made})
    first, *_, last = read_split(data, "test")
    assert (first.file, first.dataset, last.file, last.dataset) == ("a", 0, "b", 1)
    assert len([*read_split(data, "test")]) == 14
    assert [*source_digests(data, "test")] == ["a: generator numbers", "b: generator numbers"]


def test_findings_name_the_dataset(root: Path) -> None:
    sources = [f"sentence number {number} of a text in English" for number in range(300)]
    targets = [f"phrase numéro {number} d'un texte en français" for number in range(300)]
    diagnosis = DatasetDiagnosis(mixed(root))
    rows = [(sources, sources, 0), (sources, targets, 1)]
    for *sides, number in rows:
        for texts in zip(*sides, strict=True):
            diagnosis.add([Pair(*texts, 1, "a", number)])
    found = diagnosis.findings()
    assert "copies" in {finding.kind for finding in found}
    assert all(finding.message.startswith("greek: ") for finding in found)
