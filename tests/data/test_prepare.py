import json
import os
import random
import resource
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from s2s.data import prepare
from s2s.data.corpus import SCHEMA, SPLITS, Corpus
from s2s.data.corpus_key import corpus_key
from s2s.data.directories import creation_lock
from s2s.data.lookup import find_pair
from s2s.data.preparation import assembly, blocks, plan, selecting
from s2s.data.readers import source_digests
from s2s.errors import ArtefactError, DataError, ResourceError, UsageError
from s2s.recipe.augmentation import AugmentationOptions
from s2s.recipe.data import DataOptions
from s2s.recipe.filters import PRESETS
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.text.lines import normalize
from s2s.text.tokenizer import Tokenizer
from s2s.text.tokenizer_training import train_tokenizer

data_options = TypeAdapter(DataOptions).validate_python

WORDS = ["ein", "zwei", "drei", "vier", "fünf", "one", "two", "three", "four", "five", "und", "and"]
TOKENIZER = TokenizerOptions(vocab_size=48, algorithm="bpe")


@pytest.fixture(scope="module")
def model() -> bytes:
    return train_tokenizer([text for pair in sentences(60, 7) for text in pair], TOKENIZER)


def sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """Different pairs of a few words."""
    chosen = random.Random(seed)
    return [(f"{' '.join(chosen.choices(WORDS, k=1 + row % 5))} {row}", f"and {row}") for row in range(count)]


def write(directory: Path, name: str, pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    directory.mkdir(exist_ok=True)
    for side, texts in zip(("source", "target"), zip(*pairs, strict=True), strict=True):
        (directory / f"{name}.{side}").write_text("".join(f"{text}\n" for text in texts))
    return {"source": [f"{name}.source"], "target": [f"{name}.target"]}


@pytest.fixture
def options(tmp_path: Path) -> Callable[..., DataOptions]:
    """Options of splits with these pairs, which are written."""

    def made(train: list[tuple[str, str]], **values: Any) -> DataOptions:
        given: dict[str, Any] = {"root": str(tmp_path / "data"), "train": write(tmp_path / "data", "train", train)}
        for seed, name in enumerate(("validation", "test"), 90):
            pairs = values.pop(name, None) or [
                (f"{source} x", target) for source, target in sentences(2 + seed % 2, seed)
            ]
            if f"hold_out_{name}" not in values:
                given[name] = write(tmp_path / "data", name, pairs)
        return data_options({**given, **values})

    return made


def longest(tokens: int) -> dict[str, Any]:
    return {"name": "length", "max": tokens}


def texts(corpus: Corpus, name: str) -> list[tuple[str, str]]:
    split = corpus.split(name)
    return list(zip(*split.texts(range(len(split))), strict=True))


def files_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if path.suffix != ".lock"}


def test_tokens_are_those_of_the_texts_in_their_order(options, model):
    train = sentences(23, 1)
    corpus = prepare.prepare_corpus(options(train), TOKENIZER, tokenizer_model=model)
    assert texts(corpus, "train") == train
    sources, targets = corpus.split("train").encoded(range(23))
    tokenizer = Tokenizer(model)
    assert [ids.tolist() for ids in sources] == tokenizer.encode([source for source, _ in train])
    assert [ids.tolist() for ids in targets] == tokenizer.encode([target for _, target in train])
    assert corpus.split("train").lines([0, 22]) == [1, 23]
    assert corpus.tokenizer == model
    assert (len(corpus.split("validation")), len(corpus.split("test"))) == (2, 3)


def test_a_file_system_without_links_takes_copies(options, model, monkeypatch):
    def refused(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(source), None, str(target))

    monkeypatch.setattr(os, "link", refused)
    corpus = prepare.prepare_corpus(options(sentences(7, 1)), TOKENIZER, tokenizer_model=model)
    assert texts(corpus, "train") == sentences(7, 1)
    corpus.verify(again=True)


def test_chunks_make_no_difference(options, model, monkeypatch):
    train = [("", "x"), *sentences(11, 1), ("five " * 30, "five " * 30), *sentences(13, 2), *sentences(3, 1)]
    data = options(train, filters=[longest(20)])
    whole = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)
    kept, ledger = texts(whole, "train"), whole.ledger
    shutil.rmtree(whole.path)
    for module in (plan, blocks, assembly, selecting):
        monkeypatch.setattr(module, "CHUNK", 4)
    again = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)
    assert texts(again, "train") == kept
    assert again.ledger == ledger


def test_the_tokenizer_is_trained_from_the_training_side_alone(options):
    train = [*sentences(60, 1), ("", "ħħħħ")]
    corpus = prepare.prepare_corpus(options(train, test=[("жжж жжж", "and")]), TOKENIZER)
    tokenizer = Tokenizer(corpus.tokenizer)
    assert tokenizer.size == 48 == corpus.ledger.as_dict()["tokenizer"]["tokens"]
    tokens = "".join(tokenizer.tokens(list(range(48))))
    assert "f" in tokens
    assert "ж" not in tokens
    assert "ħ" not in tokens


def test_every_filter_counts_and_shows_what_it_dropped(options, model):
    train = sentences(9, 1)
    train[2] = ("", "empty")
    train[4] = train[1]
    train[6] = ("two " * 40, "and " * 40)
    train[7] = ("two " * 30, "and")
    corpus = prepare.prepare_corpus(options(train, filters=[longest(60)]), TOKENIZER, tokenizer_model=model)
    ledger = corpus.ledger.as_dict()["splits"]["train"]
    dropped = {name: [example["line"] for example in tally["examples"]] for name, tally in ledger["dropped"].items()}
    assert dropped == {"invalid": [], "empty": ["train.source:3"], "held_out_source": []}
    filters = {one["drops"]: [example["line"] for example in one["dropped"]["examples"]] for one in ledger["filters"]}
    assert filters == {
        "duplicate": ["train.source:5"],
        "a side does not have 1 to 200 tokens": [],
        "a side has more than 9 times as many tokens as the other": ["train.source:8"],
        "a side does not have 1 to 60 tokens": ["train.source:7"],
    }
    assert [one["alone"] for one in ledger["filters"]] == [1, 0, 1, 1]
    assert (ledger["read"], ledger["kept"]) == (9, 5)
    assert ledger["filters"][2]["dropped"]["examples"][0]["target"] == "and"
    assert len(ledger["filters"][3]["dropped"]["examples"][0]["source"]) == 120
    assert corpus.split("train").lines(range(5)) == [1, 2, 4, 6, 9]


def test_only_a_few_examples_are_kept(options, model):
    corpus = prepare.prepare_corpus(options([*sentences(3, 1), *[("a", "")] * 8]), TOKENIZER, tokenizer_model=model)
    empty = corpus.ledger.as_dict()["splits"]["train"]["dropped"]["empty"]
    assert (empty["count"], len(empty["examples"])) == (8, 5)


def test_validation_and_test_keep_every_line(options, model, said: list[str]):
    odd = [("", "and"), ("two", ""), ("", ""), ("two", "two"), ("two", "two"), ("two " * 300, "and")]
    data = options(sentences(5, 1), validation=odd, test=odd)
    corpus = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)
    for name in ("validation", "test"):
        assert texts(corpus, name) == odd
        assert corpus.ledger.as_dict()["splits"][name]["empty"]["count"] == 3
        assert any(f"{name}: 3 pairs with an empty side" in message for message in said)
    assert corpus.split("test").source_lengths[:3].tolist() == [0, corpus.split("test").source_lengths[1], 0]


def test_texts_are_normalised_for_training_and_raw_for_scoring(options, model):
    decomposed = unicodedata.normalize("NFD", "fünf")
    data = options(
        [(f"{decomposed} {row}", f"{decomposed} {row}") for row in range(5)], test=[(decomposed, decomposed)]
    )
    corpus = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)
    assert texts(corpus, "train")[0] == ("fünf 0", "fünf 0")
    assert texts(corpus, "test") == [(decomposed, decomposed)]
    assert corpus.split("test").encoded([0])[0][0].tolist() == Tokenizer(model).encode(["fünf"])[0]


def test_invalid_pairs_are_counted_where_they_are_dropped(options, model, tmp_path):
    data = options(sentences(4, 1), on_invalid="drop")
    for name in ("train", "test"):
        path = tmp_path / "data" / f"{name}.target"
        path.write_bytes(path.read_bytes().replace(b"and 1\n", b"\xff\n"))
    corpus = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)
    for name, kept in (("train", 3), ("test", 2)):
        split = corpus.ledger.as_dict()["splits"][name]
        assert split["dropped"]["invalid"] == {"count": 1, "examples": [{"line": f"{name}.source:2"}]}
        assert (split["read"], split["kept"]) == (kept + 1, kept)


def test_held_out_pairs_leave_training(options, model):
    train = sentences(30, 1)
    train[20] = (train[3][0], "another translation")
    data = options(train, hold_out_validation=12, hold_out_test=7)
    corpus = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)
    splits = {name: texts(corpus, name) for name in ("train", "validation", "test")}
    assert {name: len(pairs) for name, pairs in splits.items() if name != "train"} == {"validation": 12, "test": 7}
    sources = [{source for source, _ in pairs} for pairs in splits.values()]
    assert sum(map(len, sources)) == len(set.union(*sources)) == 29
    ledger = corpus.ledger.as_dict()["splits"]
    assert ledger["train"]["held_out"] == {"validation": 12, "test": 7}
    dropped = sum(tally["count"] for tally in ledger["train"]["dropped"].values())
    assert ledger["train"]["kept"] + dropped + 19 == 30
    assert ledger["test"]["overlap"]["source"]["count"] == 0
    lines = corpus.split("validation").lines(range(12))
    assert [train[line - 1] for line in lines] == splits["validation"]


def test_test_sentences_that_stand_in_training_are_counted_and_told(options, model, said: list[str]):
    train = sentences(9, 1)
    data = options(train, test=[train[2], (train[4][0], "other"), ("four", "four"), ("", "")])
    for _ in ("new", "used again"):
        corpus = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)
        overlap = corpus.ledger.as_dict()["splits"]["test"]["overlap"]
        assert (overlap["source"]["count"], overlap["pair"]["count"]) == (2, 1)
        assert overlap["source"]["examples"][1]["line"] == "test.source:2"
        assert "2 of 4 test sources also occur in training, 1 of them with the same translation" in said[-1]


def test_lengths_are_counted_in_tokens_and_characters(options, model):
    train = [("one two", "one"), ("three", "ein zwei drei"), ("five", "four")]
    corpus = prepare.prepare_corpus(options(train), TOKENIZER, tokenizer_model=model)
    lengths = corpus.ledger.as_dict()["splits"]["train"]["lengths"]
    characters = lengths["target"]["characters"]
    assert (characters["min"], characters["median"], characters["max"], characters["mean"]) == (3, 4, 13, 6.67)
    assert lengths["source"]["tokens"]["max"] == corpus.split("train").source_lengths.max()


def test_a_prepared_corpus_is_used_again(options, model, monkeypatch):
    data = options(sentences(5, 1))
    first = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)
    monkeypatch.setattr(prepare, "_prepare", None)
    again = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)
    assert (again.path, again.digest) == (first.path, first.digest)
    assert first.path.name == first.digest[:16]


def test_the_key_is_of_contents_and_options_and_not_of_names(options, model, tmp_path):
    data = options(sentences(5, 1))

    def key(data: DataOptions, tokenizer: TokenizerOptions = TOKENIZER, given: bytes | None = None) -> str:
        inputs = {name: source_digests(data, name) for name in SPLITS}
        return corpus_key(data, tokenizer, inputs, given)

    moved = data.model_dump() | {"root": str(tmp_path / "moved"), "hold_out_validation": 0}
    shutil.copytree(tmp_path / "data", tmp_path / "moved")
    (tmp_path / "moved" / "train.source").rename(tmp_path / "moved" / "other.source")
    moved["train"]["source"] = ["other.source"]
    same = data_options(moved)
    assert key(same) == key(data)
    assert key(data.model_copy(update={"augmentation": AugmentationOptions(typos=0.5)})) == key(data)

    swapped = data.model_dump()
    swapped["train"] = {"source": ["train.target"], "target": ["train.source"]}
    (tmp_path / "moved" / "test.target").write_text("something else\n" * 3)
    keys = [
        key(data),
        key(same),
        key(data_options(swapped)),
        key(data_options(data.model_dump() | {"filters": [longest(150)]})),
        key(data.model_copy(update={"normalization": "nfkc"})),
        key(data.model_copy(update={"target_language": "de"})),  # the diagnosis looks at it
        key(data, TokenizerOptions(vocab_size=49)),
        key(data, TOKENIZER, model),
        key(data, TOKENIZER, model + b"x"),
    ]
    assert len(set(keys)) == len(keys)


def test_a_damaged_corpus_is_made_anew(options, model, said: list[str]):
    data = options(sentences(5, 1))
    corpus = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)
    for name in ("train-00000.arrow", "manifest.json"):
        (corpus.path / name).unlink()
        again = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)
        assert len(again.split("train")) == 5
        assert any(text.endswith("it is prepared anew") for text in said)
        said.clear()


@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_an_empty_split_is_bad_data_and_leaves_nothing(options, model, tmp_path, own_home, name):
    data = options(sentences(5, 1))
    for side in ("source", "target"):
        (tmp_path / "data" / f"{name}.{side}").write_text("")
    with pytest.raises(DataError, match=rf"empty: {name} has no pairs in {name}\.source, {name}\.target"):
        prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)
    assert files_in(own_home / "corpora") == set()


def test_nothing_left_after_filtering_says_what_dropped_it(options, model):
    data = options([("", "x"), ("two " * 20, "two " * 20)], filters=[longest(3)])
    with pytest.raises(DataError, match="1: a side is empty; 1: length: a side does not have 1 to 3 tokens"):
        prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)


def test_a_vocabulary_that_the_text_cannot_give_is_refused_and_leaves_nothing(options, own_home):
    with pytest.raises(UsageError):
        prepare.prepare_corpus(options(sentences(9, 1)), TokenizerOptions(vocab_size=5000))
    assert files_in(own_home / "corpora") == set()


def test_a_tokenizer_that_is_none_is_refused(options):
    with pytest.raises(ArtefactError):
        prepare.prepare_corpus(options(sentences(9, 1)), TOKENIZER, tokenizer_model=b"nonsense")


def test_files_that_change_while_they_are_read_are_refused(options, model, tmp_path, monkeypatch, own_home):
    data = options(sentences(9, 1))
    real = selecting.classify

    def then_changed(*given: Any) -> Any:
        write(tmp_path / "data", "train", sentences(8, 1))
        return real(*given)

    monkeypatch.setattr(selecting, "classify", then_changed)
    with pytest.raises(DataError, match="changed while it was read"):
        prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)
    assert files_in(own_home / "corpora") == set()


def test_a_full_disk_is_a_missing_resource_and_leaves_what_can_be_continued(options, model, own_home):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    data = options(sentences(400, 1))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, before[1]))
        with pytest.raises(ResourceError, match="corpora"):
            prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    corpus = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)
    assert (files_in(own_home / "corpora"), len(corpus.split("train"))) == ({corpus.path.name}, 400)


def test_what_dead_processes_left_is_removed_and_what_others_work_on_stays(options, model, own_home):
    dead, alive = own_home / "corpora" / ".dead.tmp", own_home / "corpora" / ".alive.tmp"
    for directory in (dead, alive):
        directory.mkdir(parents=True)
        (directory / "train-00000.arrow").touch()
    with creation_lock(own_home / "corpora" / "alive"):
        alive.mkdir(exist_ok=True)
        corpus = prepare.prepare_corpus(options(sentences(9, 1)), TOKENIZER, tokenizer_model=model)
        assert files_in(own_home / "corpora") == {corpus.path.name, ".alive.tmp"}


def test_two_processes_prepare_one_corpus_once(options, own_home):
    data = options(sentences(400, 1))
    code = (
        "import json, sys\n"
        "from s2s.data.prepare import prepare_corpus\n"
        "import logging\n"
        "from pydantic import TypeAdapter\n"
        "from s2s.recipe.data import DataOptions\n"
        "data_options = TypeAdapter(DataOptions).validate_python\n"
        "from s2s.recipe.tokenizer import TokenizerOptions\n"
        "logging.basicConfig(stream=sys.stdout, level=logging.INFO, format='%(message)s')\n"
        "data = data_options(json.loads(sys.argv[1]))\n"
        "corpus = prepare_corpus(data, TokenizerOptions(vocab_size=48))\n"
        "print(len(corpus.split('train')), 'torch' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code, data.model_dump_json()]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert all(output.endswith("400 False\n") for output in outputs)
    assert sum("training a tokenizer" in output for output in outputs) == 1
    assert len(files_in(own_home / "corpora")) == 1


def test_the_second_waits_and_is_told_for_whom(tmp_path):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "import logging\n"
        "from s2s.data.directories import creation_lock\n"
        "logging.basicConfig(stream=sys.stdout, level=logging.INFO, format='%(message)s')\n"
        "with creation_lock(Path(sys.argv[1])):\n"
        "    print('mine', flush=True)\n"
    )
    with creation_lock(tmp_path / "made"):
        command = [sys.executable, "-c", code, str(tmp_path / "made")]
        other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert f"process {os.getpid()} is creating" in other.stdout.readline()
    assert other.communicate(timeout=60)[0] == "mine\n"


def test_the_ledger_is_json_with_digests_of_the_inputs(options, model):
    data = options(sentences(5, 1))
    corpus = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)
    ledger = json.loads((corpus.path / "ledger.json").read_text())
    assert ledger == corpus.ledger.as_dict()
    assert ledger["schema"] == SCHEMA
    assert ledger["inputs"]["train"] == source_digests(data, "train")
    assert list(ledger["inputs"]["train"]) == ["train.source", "train.target"]
    assert ledger["tokenizer"] == {"tokens": 48, "digest": Tokenizer(model).digest, "given": True}
    assert np.all(corpus.split("train").source_lengths > 0)


def test_pairs_that_are_left_out_are_spoken_of_each_time(
    options: Callable[..., DataOptions], model: bytes, own_home: Path, said: list[str]
) -> None:
    pairs = sentences(20, 1)
    ratio = {"filter_preset": "none", "filters": [{"name": "duplicates"}, {"name": "ratio", "max": 12}]}
    twice = [*pairs, pairs[3], ("", "and"), ("eins " * 30, "and")]
    for _ in range(2):
        prepare.prepare_corpus(options(twice, **ratio), TOKENIZER, tokenizer_model=model)
        (line,) = [text for text in said if "dropped" in text]
        said.clear()
        assert line == (
            "dropped 3 of 23 training pairs (1: a side is empty; 1: duplicate; "
            "1: a side has more than 12 times as many tokens as the other); see s2s data inspect"
        )
    said.clear()
    prepare.prepare_corpus(options(pairs, **ratio), TOKENIZER, tokenizer_model=model)
    assert not [text for text in said if "dropped" in text]


def test_long_lines_stay_out_of_the_tokenizer(options, said: list[str]):
    encoded = "".join(random.Random(1).choices("QZXJ0123456789+/", k=80_000))
    corpus = prepare.prepare_corpus(options([*sentences(60, 1), (f"x {encoded}", "junk")]), TOKENIZER)
    assert "warning: texts longer than 5,000 bytes, left out of tokenizer training: 1 (first: train.source:61)" in said
    assert "Q" not in "".join(Tokenizer(corpus.tokenizer).tokens(range(TOKENIZER.vocab_size)))


@pytest.mark.parametrize("position", [0.01, 0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("name", ["train-00000.arrow", "validation.arrow", "test.arrow", "tokenizer.model"])
def test_a_flipped_bit_is_noticed(options, model, said: list[str], name, position):
    data = options(sentences(5, 1))
    path = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model).path
    content = bytearray((path / name).read_bytes())
    damaged = content.copy()
    damaged[int(len(content) * position)] ^= 1
    (path / name).write_bytes(damaged)
    prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)
    assert (path / name).read_bytes() == content
    assert f"warning: corpus {path} is damaged: {name}: its content has changed; it is prepared anew" in said


def test_an_edit_that_keeps_the_line_count_is_noticed(options, model, tmp_path, monkeypatch, own_home):
    data = options(sentences(9, 1))
    real = selecting.classify

    def then_changed(*given: Any) -> Any:
        write(tmp_path / "data", "train", sentences(9, 2))
        return real(*given)

    monkeypatch.setattr(selecting, "classify", then_changed)
    with pytest.raises(DataError, match=r"train\.source changed while it was read"):
        prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)
    assert files_in(own_home / "corpora") == set()


def test_a_pipe_is_refused(options, model, tmp_path):
    data = options(sentences(5, 1))
    (tmp_path / "data" / "train.source").unlink()
    os.mkfifo(tmp_path / "data" / "train.source")
    with pytest.raises(UsageError, match="is a pipe or a device: the data are read several times"):
        prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=model)


LINE = st.text(st.characters(exclude_characters="\0\n\r\ufeff", exclude_categories=["Cs"]), max_size=12)
FILTERS = [
    {"name": "copies"},
    {"name": "letters"},
    {"name": "length", "max": 9, "unit": "characters"},
    {"name": "length", "max": 7},
    {"name": "duplicates", "by": "letters"},
    {"name": "duplicates", "by": "target"},
    {"name": "html"},
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(LINE, LINE) | st.sampled_from(sentences(4, 1)), min_size=1, max_size=12),
    st.sampled_from([*PRESETS]),
    st.lists(st.sampled_from(FILTERS), max_size=4),
    st.booleans(),
)
def test_every_pair_is_kept_unchanged_or_counted_once(
    options: Callable[..., DataOptions],
    model: bytes,
    train: list[tuple[str, str]],
    preset: str,
    filters: list[dict[str, Any]],
    held: bool,
) -> None:
    values = {"filter_preset": preset, "filters": filters, "source_language": "de", "target_language": "en"}
    given = {"hold_out_validation": 1, "hold_out_test": 1} if held else {}
    try:
        corpus = prepare.prepare_corpus(options(train, **values, **given), TOKENIZER, tokenizer_model=model)
    except DataError as refused:
        if "all training pairs were dropped" in refused.message or (held and "too few to hold out" in refused.message):
            return
        raise
    ledger = corpus.ledger.splits["train"]
    tallies = [*ledger.dropped.values(), *(one.dropped for one in ledger.filters)]
    assert ledger.read == len(train)
    assert ledger.kept + sum((ledger.held_out or {}).values()) + sum(tally.count for tally in tallies) == len(train)
    assert all(one.alone >= one.dropped.count for one in ledger.filters)
    rows = range(ledger.kept)
    split = corpus.split("train")
    normalized = [tuple(normalize(side, "nfc") for side in train[line - 1]) for line in split.lines(rows)]
    assert list(zip(*split.texts(rows), strict=True)) == normalized
    assert split.lines(rows) == sorted(set(split.lines(rows)))


def test_the_ledger_says_what_came_in_and_how_the_tokenizer_fits(options, model):
    train = [*sentences(9, 1), ("", "x"), ("zwei жж", "two"), ("drei ж", "three ж")]
    about = {"license": "CC BY 4.0", "citation": "Someone (2020)"}
    ledger = prepare.prepare_corpus(options(train, **about), TOKENIZER, tokenizer_model=model).ledger
    assert {"license": ledger.license, "citation": ledger.citation} == about
    split = ledger.splits["train"]
    assert (split.readable, ledger.splits["test"].readable) == ({"train.source": 12}, {"test.source": 3})
    kept = [source for source, _ in train if source]
    source, target = split.fertility["source"], split.fertility["target"]
    assert (source.texts, source.words) == (11, sum(len(text.split()) for text in kept))
    assert source.tokens == sum(map(len, Tokenizer(model).encode(kept)))
    missing = source.scripts["Cyrillic"]
    assert (missing.characters, missing.covered, missing.missing) == (3, 0, ["ж"])
    assert target.unknown > 0


def test_a_line_is_found_by_the_name_of_its_file_without_the_directory(options, model, tmp_path):
    data = options([*sentences(5, 1), ("", "x")])
    (tmp_path / "data" / "in").mkdir()
    for side in ("source", "target"):
        (tmp_path / "data" / f"train.{side}").rename(tmp_path / "data" / "in" / f"train.{side}")
    train = {"source": ["in/train.source"], "target": ["in/train.target"]}
    corpus = prepare.prepare_corpus(
        data_options(data.model_dump() | {"train": train}), TOKENIZER, tokenizer_model=model
    )
    kept, dropped = find_pair(corpus, "train.source:2"), find_pair(corpus, "in/train.source:6")
    assert (kept.file, kept.split, kept.row) == ("in/train.source", "train", 1)
    assert dropped.dropped == "a side is empty"
    for number in ("9" * 19, "9" * 5000, "٣"):
        with pytest.raises(UsageError, match="expected FILE:LINE"):
            find_pair(corpus, f"train.source:{number}")
