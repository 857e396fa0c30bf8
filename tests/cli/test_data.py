import html
import json
from pathlib import Path

import pytest
from publishing import publish

from s2s.data.corpora import corpus_directories
from s2s.data.corpus import Corpus
from s2s.registry.store import Registry

RECIPE = """
name = "own"
[data]
train = { source = ["a.de"], target = ["a.en"] }
hold_out_validation = 7
hold_out_test = 5
[tokenizer]
vocab_size = 60
algorithm = "bpe"
"""


@pytest.fixture
def recipe(in_directory: Path, run) -> str:
    """A recipe of 40 made pairs, and one with an empty side."""
    pairs = run("data", "make", "numbers", "--count", 40, "--max-items", 2).out.splitlines()
    for column, language in enumerate(("de", "en")):
        texts = [pair.split("\t")[column] for pair in pairs] + ["", "odd"][column : column + 1]
        (in_directory / f"a.{language}").write_text("".join(f"{text}\n" for text in texts))
    (in_directory / "own.toml").write_text(RECIPE)
    return "own.toml"


def test_prepare_names_the_corpus_and_what_to_do_next(run, recipe: str, own_home: Path):
    done = run("data", "prepare", recipe, "--set", "data.filters=[{name='length', max=300}]")
    (directory,) = [path for path in (own_home / "corpora").iterdir() if path.is_dir()]
    assert (done.code, done.out) == (0, "")
    lines = done.err.splitlines()
    assert lines[-2] == f"corpus {directory}: train 28, validation 7, test 5 pairs"
    assert lines[-1].startswith(f"Next: s2s data inspect {recipe} --set 'data.filters=[{{name='")


def test_inspect_shows_what_was_dropped_where(run, recipe: str):
    done = run("data", "inspect", recipe)
    assert done.code == 0
    assert "train: 41 pairs read, 28 kept" in done.out
    assert "held out for validation: 7" in done.out
    assert "dropped, a side is empty: 1\n    a.de:41 " in done.out


def test_inspect_of_a_directory_and_of_its_recipe_are_the_same(run, recipe: str):
    first = json.loads(run("data", "inspect", recipe, "--json").out)
    assert first["splits"]["train"]["kept"] == 28
    again = run("data", "inspect", first["path"], "--json")
    assert (json.loads(again.out), again.err) == (first, "")


def test_inspect_finds_changed_bytes(run, recipe: str):
    directory = Path(json.loads(run("data", "inspect", recipe, "--json").out)["path"])
    content = bytearray((directory / "test.arrow").read_bytes())
    content[-100] ^= 1
    (directory / "test.arrow").write_bytes(content)
    done = run("data", "inspect", directory)
    assert (done.code, done.out) == (4, "")
    assert "test.arrow" in done.err


def test_a_directory_that_is_no_corpus_is_refused(run, in_directory: Path):
    done = run("data", "inspect", in_directory)
    assert done.code == 2
    assert "not the directory of a corpus" in done.err


def test_test_sentences_in_training_are_told_on_standard_error(run, recipe: str):
    done = run("data", "prepare", recipe, "--set", "data.hold_out_test=0", "--set", 'data.test.source=["a.de"]',
               "--set", 'data.test.target=["a.en"]')  # fmt: skip
    assert done.code == 0
    assert "33 of 41 test sources also occur in training, 33 of them with the same translation" in done.err


def test_invalid_utf8_is_refused_with_its_line_or_dropped(run, recipe: str, in_directory: Path):
    lines = (in_directory / "a.de").read_bytes().split(b"\n")
    (in_directory / "a.de").write_bytes(b"\n".join([*lines[:6], b"\xff", *lines[7:]]))
    refused = run("data", "prepare", recipe)
    assert refused.code == 3
    assert "a.de:7: invalid UTF-8" in refused.err
    assert run("data", "prepare", recipe, "--on-invalid", "drop").code == 0
    done = run("data", "inspect", recipe, "--set", "data.on_invalid=drop", "--json")
    assert json.loads(done.out)["splits"]["train"]["dropped"]["invalid"]["count"] == 1


def as_csv(pairs: list[list[str]]) -> str:
    return "de,en\n" + "".join(f'"{source}","{target}"\n' for source, target in pairs)


def as_tmx(pairs: list[list[str]]) -> str:
    sides = "<tuv xml:lang='de'><seg>{}</seg></tuv><tuv xml:lang='en-US'><seg>{}</seg></tuv>"
    units = "".join(f"<tu>{sides.format(*map(html.escape, pair))}</tu>\n" for pair in pairs)
    return f"<tmx version='1.4'><header/><body>\n{units}</body></tmx>\n"


def as_po(pairs: list[list[str]]) -> str:
    return "".join(f'\nmsgid "{source}"\nmsgstr "{target}"\n' for source, target in pairs)


@pytest.mark.parametrize(
    ("kind", "written", "columns", "line"),
    [
        ("csv", as_csv, ["data.source_column=de", "data.target_column=en"], 42),
        ("tmx", as_tmx, ["data.source_language=de", "data.target_language=en"], 42),
        ("po", as_po, [], 122),
    ],
)
def test_tables_memories_and_catalogs_are_prepared(run, in_directory: Path, kind, written, columns, line):
    pairs = [line.split("\t") for line in run("data", "make", "numbers", "--count", 40).out.splitlines()]
    (in_directory / f"a.{kind}").write_text(written([*pairs, pairs[0]]))
    (in_directory / "own.toml").write_text(RECIPE)
    values = [
        part for value in (f"data.kind={kind}", f"data.train.files=a.{kind}", *columns) for part in ("--set", value)
    ]
    done = run("data", "inspect", "own.toml", *values)
    assert (done.code, done.err.count("warning")) == (0, 0)
    assert "train: 41 pairs read, 28 kept" in done.out
    assert f"dropped, duplicate: 1\n    a.{kind}:{line} " in done.out


def test_unequal_files_are_refused_with_both_counts(run, recipe: str, in_directory: Path):
    with (in_directory / "a.en").open("a") as file:
        file.write("one more\n")
    done = run("data", "prepare", recipe)
    assert done.code == 3
    assert "a.de has 41" in done.err
    assert "a.en has 42" in done.err


def test_made_numbers_are_the_same_for_a_seed(run):
    first = run("data", "make", "numbers", "--count", 7, "--seed", 3)
    assert (first.code, len(first.out.splitlines())) == (0, 7)
    assert all(len(line.split("\t")) == 2 for line in first.out.splitlines())
    assert run("data", "make", "numbers", "--count", 7, "--seed", 3).out == first.out
    assert run("data", "make", "numbers", "--count", 7, "--seed", 4).out != first.out


def test_made_numbers_have_as_many_items_as_asked_for(run):
    done = run("data", "make", "numbers", "--count", 5, "--min-items", 4, "--max-items", 4, "--source-only")
    assert [line.count(" ; ") for line in done.out.splitlines()] == [3] * 5
    assert "\t" not in done.out


def test_made_numbers_go_to_a_file_that_is_not_replaced(run, in_directory: Path):
    done = run("data", "make", "numbers", "--count", 3, "-o", "n.tsv")
    assert (done.code, done.out) == (0, "")
    assert "wrote n.tsv: 3 lines" in done.err
    content = (in_directory / "n.tsv").read_text()
    assert len(content.splitlines()) == 3
    assert run("data", "make", "numbers", "--count", 4, "-o", "n.tsv").code == 2
    assert (in_directory / "n.tsv").read_text() == content
    assert run("data", "make", "numbers", "--count", 4, "-o", "n.tsv", "--force").code == 0


def test_fewest_items_above_most_are_refused(run):
    done = run("data", "make", "numbers", "--min-items", 5, "--max-items", 4)
    assert (done.code, done.out) == (2, "")
    assert "--min-items 5 is larger than --max-items 4" in done.err


def test_corpora_are_listed_with_their_models_and_removed(run, own_home: Path, card) -> None:
    empty = run("data", "list")
    assert (empty.code, empty.out) == (0, "")
    assert "Next: s2s data prepare numbers/attention" in empty.err
    for seed in ("1", "2"):
        sizes = [f"data.generator.{name}=20" for name in ("train", "validation", "test")]
        settings = [*sizes, f"data.generator.seed={seed}", "tokenizer.vocab_size=60"]
        run("data", "prepare", "numbers/attention", *(part for one in settings for part in ("--set", one)))
    one, other = json.loads(run("data", "list", "--json").out)
    digest = Corpus.open(own_home / "corpora" / one["corpus"]).digest
    publish(Registry.default(), "numbers", {}, card.model_copy(update={"corpus": digest}))
    head, first, second = run("data", "list").out.splitlines()
    assert head.split() == ["corpus", "kind", "train", "validation", "test", "tokens", "size", "models"]
    assert first.split()[:6] == [one["corpus"], "text", "20", "20", "20", "60"]
    assert first.endswith("numbers:1")
    assert not second.endswith("numbers:1")

    (own_home / "corpora" / other["corpus"] / "manifest.json").write_text("{")
    damaged = run("data", "list")
    assert (damaged.code, len(damaged.out.splitlines())) == (4, 2)
    assert f"warning: manifest.json of corpus {own_home / 'corpora' / other['corpus']} is damaged" in damaged.err
    assert run("data", "rm", "").code == run("data", "rm", "xyz").code == 2
    found = run("data", "rm", other["corpus"][:6])
    assert found.code == 0
    assert f"removed {own_home / 'corpora' / other['corpus']}: freed" in found.err
    assert [path.name for path in corpus_directories()] == [one["corpus"]]


def test_shards_and_merges_give_the_corpus_that_prepare_gives(run, recipe: str, own_home: Path):
    alone = json.loads(run("data", "inspect", recipe, "--json").out)
    assert run("data", "rm", Path(alone["path"]).name).code == 0
    for done, merged in (("read", "with every --shard again, then --merge"), ("encoded", f"s2s train {recipe}")):
        for shard in ("2/2", "1/2"):
            found = run("data", "prepare", recipe, "--shard", shard)
            assert (found.code, found.out) == (0, "")
            assert f"shard {shard[0]} of 2: {done}" in found.err
            assert f"s2s data prepare {recipe} --merge" in found.err
        found = run("data", "prepare", recipe, "--merge")
        assert found.code == 0
        assert merged in found.err
    again = json.loads(run("data", "inspect", recipe, "--json").out)
    assert again == alone
    assert "the corpus is prepared" in run("data", "prepare", recipe, "--shard", "1/2").err


def test_unfinished_corpora_are_listed_and_removed(run, recipe: str, own_home: Path):
    run("data", "prepare", recipe, "--shard", "1/1")
    (parts,) = (path for path in (own_home / "corpora").iterdir() if path.is_dir())
    name = parts.name.removeprefix(".").removesuffix(".parts")
    listed = run("data", "list")
    assert (listed.code, listed.out) == (0, "")
    assert f"{name} is not complete" in listed.err
    assert f"removed {own_home / 'corpora' / name}: freed" in run("data", "rm", name[:6]).err
    assert not parts.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shard", "3/2"], "expected I/N with I from 1 to N"),
        (["--shard", "0/2"], "expected I/N with I from 1 to N"),
        (["--shard", "half"], "expected I/N with I from 1 to N"),
        (["--shard", "1/2", "--merge"], "--shard and --merge exclude each other"),
        (
            ["--processes", "2", "--engine", "dask", "--address", "x"],
            "--processes and --engine dask exclude each other",
        ),
        (["--engine", "dask"], "--engine dask and --address need each other"),
        (["--address", "tcp://head:8786"], "--engine dask and --address need each other"),
        (["--merge"], "no shard has been read yet"),
    ],
    ids=" ".join,
)
def test_options_of_sharing_that_make_no_sense_are_refused(run, recipe: str, options: list[str], message: str):
    found = run("data", "prepare", recipe, *options)
    assert found.code == 2
    assert message in found.err


def test_why_says_what_became_of_a_line(run, recipe: str, in_directory: Path):
    with (in_directory / "a.de").open("ab") as source, (in_directory / "a.en").open("ab") as target:
        source.write(b"eins\n\xff\n" + (in_directory / "a.de").read_bytes().splitlines(keepends=True)[0])
        target.write(b"one " * 300 + b"\nx\n" + (in_directory / "a.en").read_bytes().splitlines(keepends=True)[0])
    values = "--set", "data.on_invalid=drop"
    corpus = str(Corpus.open(run_prepare(run, recipe, *values)).path)
    texts = list(zip(*((in_directory / f"a.{side}").read_bytes().splitlines() for side in ("de", "en")), strict=True))
    found = [json.loads(run("data", "why", corpus, f"a.de:{line}", "--json").out) for line in range(1, 45)]
    dropped = {one["line"]: one["dropped"] for one in found if one["dropped"]}
    assert dropped[41] == "a side is empty"
    assert dropped[42] == "a side does not have 1 to 200 tokens"
    assert dropped[43].startswith("invalid UTF-8")
    assert dropped[44] in {"duplicate", "the source also occurs in a held-out pair"}
    kept = [one for one in found if not one["dropped"]]
    assert {one["split"] for one in kept} == {"train", "validation", "test"}
    assert all(one["source"].encode() == texts[one["line"] - 1][0] for one in kept)
    assert all(one["target"].encode() == texts[one["line"] - 1][1] for one in kept)
    train = [one for one in kept if one["split"] == "train"]  # the others may have unknown characters
    assert all("".join(one["target_tokens"]).replace("▁", " ").strip() == one["target"] for one in train)
    shown = run("data", "why", recipe, "a.de:1", *values)
    assert (shown.code, shown.out.splitlines()[1]) == (0, f"  source: {texts[0][0].decode()}")
    for place, message in (("a.de:45", "no pair was read at a.de:45"), ("a.fr:1", "no file"), ("a.de", "FILE:LINE")):
        refused = run("data", "why", corpus, place)
        assert (refused.code, message in refused.err) == (2, True)


def run_prepare(run, recipe: str, *values: str) -> Path:
    """Prepare a corpus and return its directory."""
    line = next(line for line in run("data", "prepare", recipe, *values).err.splitlines() if line.startswith("corpus"))
    return Path(line.split()[1].removesuffix(":"))


def test_export_writes_every_pair_of_a_split(run, recipe: str, in_directory: Path):
    corpus = run_prepare(run, recipe)
    rows = [json.loads(line) for line in run("data", "export", str(corpus), "--split", "train").out.splitlines()]
    test = Corpus.open(corpus).split("test")
    assert len(rows) == len(Corpus.open(corpus).split("train"))
    sides = ("--source", "test.de", "--target", "test.en")
    done = run("data", "export", recipe, "--split", "test", *sides)
    assert "wrote test.de and test.en: 5 pairs" in done.err
    written = [(in_directory / name).read_text().splitlines() for name in ("test.de", "test.en")]
    assert written == [*test.texts(range(5))]
    assert run("data", "export", recipe, "--split", "test", *sides).code == 2
    assert run("data", "export", recipe, "--split", "test", "--source", "other.de").code == 2
    assert run("data", "export", recipe, "--split", "test", "--source", "same", "--target", "./same").code == 2
    assert not Path("same").exists()
    source, place = rows[0]["source"], rows[0]["place"]
    assert json.loads(run("data", "why", recipe, place, "--json").out)["source"] == source
