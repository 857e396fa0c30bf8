import gzip
import json
import os
from pathlib import Path

import pytest
from publishing import publish

from s2s.data.file_names import kind_of_file, language_of_file, languages_of_files, model_name
from s2s.data.readers import read_split
from s2s.recipe.load import load_recipe
from s2s.registry.card import Card
from s2s.registry.store import Registry
from s2s.training.runs.finetune import inherit_from

LINES = 40
PAIRS = [(f"Satz Nummer {n}", f"sentence number {n}") for n in range(LINES)]


@pytest.fixture
def files(in_directory: Path) -> Path:
    """`news.de` and `news.en` in the current directory."""
    (in_directory / "news.de").write_text("".join(f"Satz Nummer {n}\n" for n in range(LINES)))
    (in_directory / "news.en").write_text("".join(f"sentence number {n}\n" for n in range(LINES)))
    return in_directory


def test_a_recipe_for_two_files(run, files):
    found = run("init", "--source", "news.de", "--target", "news.en")
    assert found.code == 0
    assert found.out == ""
    assert "wrote news-de-en.toml" in found.err
    assert found.err.endswith("Next: s2s train news-de-en.toml\n")
    recipe = load_recipe("news-de-en.toml")
    assert recipe.name == "news-de-en"
    assert (recipe.data.source_language, recipe.data.target_language) == ("de", "en")
    assert (recipe.data.train.source, recipe.data.train.target) == (["news.de"], ["news.en"])
    assert recipe.data.root == str(files)
    assert recipe.data.hold_out_validation == recipe.data.hold_out_test == LINES // 10


def test_few_pairs_give_a_warning(run, files):
    assert f"warning: {LINES} different pairs" in run("init", "--source", "news.de", "--target", "news.en").err


def test_the_recipe_may_be_in_another_directory(run, files):
    assert run("init", "--source", "news.de", "--target", "news.en", "-o", "recipes/mine.toml").code == 0
    recipe = load_recipe("recipes/mine.toml")
    assert recipe.data.train.source == [str(files / "news.de")]


def test_files_below_the_recipe_stay_relative_so_that_both_can_move(run, files):
    (files / "data").mkdir()
    (files / "news.de").rename(files / "data" / "news.de")
    assert run("init", "--source", "data/news.de", "--target", "news.en", "-o", "mine.toml").code == 0
    assert load_recipe("mine.toml").data.train.source == ["data/news.de"]


def test_the_recipe_can_be_printed(run, files):
    printed = run("init", "--source", "news.de", "--target", "news.en", "-o", "-")
    run("init", "--source", "news.de", "--target", "news.en")
    assert printed.out == (files / "news-de-en.toml").read_text()


def test_gzip_files(run, files):
    with gzip.open("news.de.gz", "wb") as packed:
        packed.write((files / "news.de").read_bytes())
    found = run("init", "--source", "news.de.gz", "--target", "news.en")
    assert found.code == 0
    assert load_recipe("news-de-en.toml").data.train.source == ["news.de.gz"]


def test_names_that_need_quoting(run, files):
    odd = 'new "s\\.de'
    (files / "news.de").rename(files / odd)
    assert run("init", "--source", odd, "--target", "news.en", "--name", "quoted").code == 0
    assert load_recipe("quoted.toml").data.train.source == [odd]


def test_a_name_that_is_not_utf8(run, files):
    odd = os.fsdecode(b"\xff.de")
    (files / "news.de").rename(files / odd)
    found = run("init", "--source", odd, "--target", "news.en")
    assert found.code == 2
    assert "not UTF-8" in found.err


def test_unequal_files_are_refused_with_both_counts(run, files):
    with (files / "news.en").open("a") as file:
        file.write("one more\n")
    found = run("init", "--source", "news.de", "--target", "news.en")
    assert found.code == 3
    assert f"{LINES}" in found.err
    assert f"{LINES + 1}" in found.err
    assert not list(files.glob("*.toml"))


def test_invalid_utf8_is_refused_with_file_and_line_and_may_be_dropped(run, files):
    content = (files / "news.de").read_bytes().splitlines(keepends=True)
    content[6] = b"caf\xe9\n"
    (files / "news.de").write_bytes(b"".join(content))
    refused = run("init", "--source", "news.de", "--target", "news.en")
    assert refused.code == 3
    assert "news.de:7" in refused.err
    assert "--on-invalid drop" in refused.err
    assert run("init", "--source", "news.de", "--target", "news.en", "--on-invalid", "drop").code == 0
    assert load_recipe("news-de-en.toml").data.on_invalid == "drop"


@pytest.mark.parametrize("content", [b"", b"\n\n\n\n", b"twice\n" * LINES])
def test_too_few_pairs_to_hold_out_are_refused(run, files, content):
    (files / "news.de").write_bytes(content)
    (files / "news.en").write_bytes(content)
    found = run("init", "--source", "news.de", "--target", "news.en")
    assert found.code == 3
    assert "too few" in found.err
    assert not list(files.glob("*.toml"))


def test_a_missing_file_and_a_directory(run, files):
    found = run("init", "--source", "nwes.de", "--target", "news.en")
    assert found.code == 2
    assert "nwes.de" in found.err
    assert run("init", "--source", ".", "--target", "news.en").code == 2


def test_an_existing_recipe_is_kept(run, files):
    recipe = files / "news-de-en.toml"
    recipe.write_text("mine\n")
    found = run("init", "--source", "news.de", "--target", "news.en")
    assert found.code == 2
    assert "--force" in found.err
    assert recipe.read_text() == "mine\n"
    assert run("init", "--source", "news.de", "--target", "news.en", "--force").code == 0
    assert load_recipe(str(recipe)).name == "news-de-en"


def test_a_name_that_cannot_be_published(run, files):
    found = run("init", "--source", "news.de", "--target", "news.en", "--name", "My model")
    assert found.code == 2
    assert not list(files.glob("*.toml"))


def test_languages_can_be_given(run, files):
    command = ["init", "--source", "news.de", "--target", "news.en", "--source-language", "gsw", "-o", "x.toml"]
    assert run(*command).code == 0
    assert load_recipe("x.toml").data.source_language == "gsw"


@pytest.mark.parametrize(
    ("source", "target", "languages"),
    [
        ("a.de", "a.en", ("de", "en")),
        ("train.fr.gz", "train.cs.gz", ("fr", "cs")),
        ("de.txt", "en.txt", ("de", "en")),
        ("corpus_de_en.de", "corpus_de_en.en", ("de", "en")),
        ("a.src", "a.tgt", ("", "")),
        ("same.txt", "same.txt", ("", "")),
        ("train.pt_BR", "train.en", ("pt", "en")),
        ("train.zh-Hant-TW.gz", "train.en.xz", ("zh", "en")),
        ("x.DE", "y.EN", ("de", "en")),
        ("big.train.de", "train.en", ("de", "en")),
        ("europarl.deu", "europarl.eng", ("de", "en")),
        ("corpus.de-en.de", "corpus.de-en.en", ("de", "en")),
        ("left.txt", "right.tsv", ("", "")),
    ],
)
def test_languages_are_guessed_from_names(source, target, languages):
    assert languages_of_files(source, target) == languages


@pytest.mark.parametrize(
    ("name", "language"),
    [("test.zh", "zh"), ("a.b.pt_BR.gz", "pt_BR"), ("zh.txt", ""), ("test", ""), ("-", ""), ("a.src", "")],
)
def test_the_language_that_a_name_ends_with(name: str, language: str) -> None:
    assert language_of_file(name) == language


@pytest.mark.parametrize(
    ("source", "target", "languages", "name"),
    [
        ("a.de", "a.en", ("de", "en"), "a-de-en"),
        ("News 2024.de", "News 2024.en", ("de", "en"), "my-model"),
        ("europarl-v7.de", "europarl-v7.en", ("de", "en"), "europarl-v7-de-en"),
        ("left", "right", ("", ""), "my-model"),
        ("corpus.de-en.de", "corpus.de-en.en", ("de", "en"), "corpus-de-en"),
        ("x" * 99 + ".de", "x" * 99 + ".en", ("de", "en"), "x" * 64),
    ],
)
def test_models_are_named_after_their_files(source, target, languages, name):
    assert model_name(source, target, languages) == name


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.tsv", "tsv"), ("a.CSV.gz", "csv"), ("a.b.jsonl.zst", "jsonl"), ("a.txt", ""), ("csv", ""), ("a.po.xz", "po")],
)
def test_tables_are_known_by_their_names(name, kind):
    assert kind_of_file(name) == kind


def delimited(header: str, separator: str) -> str:
    return "".join(f"{line}\n" for line in [header, *(separator.join((two, "x", one)) for one, two in PAIRS)] if line)


def memory(source: str, target: str) -> str:
    unit = f"<tu><tuv xml:lang='{target}'><seg>{{1}}</seg></tuv><tuv xml:lang='{source}'><seg>{{0}}</seg></tuv></tu>"
    return f"<tmx version='1.4'><header/><body>{''.join(unit.format(*pair) for pair in PAIRS)}</body></tmx>"


def catalog() -> str:
    header = 'msgid ""\nmsgstr ""\n"Language: de_AT\\n"\n'
    return header + "".join(f'\nmsgid "{two}"\nmsgstr "{one}"\n' for one, two in PAIRS)


def objects() -> str:
    return "".join(json.dumps({"id": 1, "translation": {"en": two, "de": one}}) + "\n" for one, two in PAIRS)


TABLES = {
    "csv": (delimited("English,note,German", ","), [], ("English", "German"), ("en", "de")),
    "csv, reversed": (delimited("en,note,de", ","), ["--columns", "de,en"], ("de", "en"), ("de", "en")),
    "csv, one language": (delimited("en;note;de", ";"), ["--source-language", "de"], ("de", "en"), ("de", "en")),
    "csv, in German": (
        delimited("Englisch,note,Deutsch", ","),
        ["--source-language", "de"],
        ("Deutsch", "Englisch"),
        ("de", "en"),
    ),
    "csv, ids": (delimited("en,id,de", ","), ["--source-language", "de"], ("de", "en"), ("de", "en")),
    "csv, words": (delimited("Target,note,Source", ","), [], ("Source", "Target"), ("", "")),
    "tsv": (delimited("", "\t"), ["--columns", "3,1"], (3, 1), ("", "")),
    "tsv, two": ("".join(f"{one}\t{two}\n" for one, two in PAIRS), [], (1, 2), ("", "")),
    "jsonl": (objects(), ["--target-language", "en"], ("translation.de", "translation.en"), ("de", "en")),
    "tmx": (memory("de-DE", "en-US"), ["--source-language", "de"], ("de", "en"), ("de", "en")),
    "tmx, columns": (memory("pt-BR", "en"), ["--columns", "pt-BR,en"], ("pt-BR", "en"), ("pt", "en")),
    "po": (catalog(), [], "msgid", ("en", "de")),
    "po, reversed": (catalog(), ["--columns", "msgstr,msgid"], "msgstr", ("de", "en")),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_recipe_for_a_table(run, in_directory, kind):
    content, flags, columns, languages = TABLES[kind]
    suffix = kind.partition(",")[0]
    (in_directory / f"pairs.{suffix}").write_text(content)
    found = run("init", f"pairs.{suffix}", *flags, "-o", "mine.toml")
    assert (found.code, found.out) == (0, "")
    assert found.err.endswith("Next: s2s train mine.toml\n")
    data = load_recipe("mine.toml").data
    assert (data.kind, data.train.files, data.root) == (suffix, [f"pairs.{suffix}"], str(in_directory))
    assert (data.source_column if suffix == "po" else (data.source_column, data.target_column)) == columns
    assert (data.source_language, data.target_language) == languages
    first = next(read_split(data, "train"))
    assert {first.source, first.target} == set(PAIRS[0])
    assert first.source.startswith("sentence") == (languages[0] == "en")


def test_a_parquet_table(run, in_directory):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"de": one, "en": two} for one, two in PAIRS]
    pq.write_table(pa.table({"id": [*range(LINES)], "translation": rows}), "pairs.parquet")
    assert run("init", "pairs.parquet").code == 0
    data = load_recipe("pairs-de-en.toml").data
    assert (data.source_column, data.target_column) == ("translation.de", "translation.en")


@pytest.mark.parametrize(
    ("name", "content", "flags", "problem"),
    [
        ("a.csv", delimited("id,note,text", ","), [], "cannot tell which columns"),
        ("a.csv", delimited("de,en,fr", ","), [], "among de, en, fr"),
        ("a.csv", delimited("id,note,en", ","), [], "cannot tell which columns"),
        ("a.csv", delimited("de,note,en", ","), ["--columns", "de,fr"], "no column fr"),
        ("a.csv", delimited("de,note,en", ","), ["--columns", "de"], "--columns SOURCE,TARGET"),
        ("a.csv", delimited("de,note,en", ","), ["--columns", "de,de"], "--columns SOURCE,TARGET"),
        ("a.csv", delimited("de,note,en", ","), ["--columns", "0,1"], "a column's number, from 1"),
        ("a.csv", delimited("de,note,en", ","), ["--test", "a.csv"], "both the train and the test pairs"),
        ("a.csv", delimited("de,note,en", ","), ["--test", "b.tsv"], "expected one .csv file"),
        ("a.csv", delimited("de,note,en", ","), ["--test", "b.csv"], "b.csv"),
        ("a.csv", delimited("de,note,en", ","), ["--source", "a.csv"], "both sides"),
        ("a.txt", "a\n", [], "--source FILE --target FILE"),
        ("a.po", catalog(), ["--columns", "de,en"], "msgid and msgstr"),
        ("a.tmx", memory("de", "de"), ["--columns", "de,en"], "no unit has both de and en"),
    ],
)
def test_a_table_that_cannot_be_read(run, in_directory, name, content, flags, problem):
    (in_directory / name).write_text(content)
    found = run("init", name, *flags)
    assert found.code == 2
    assert problem in found.err
    assert "data.source_column" not in found.err
    assert not list(in_directory.glob("*.toml"))


def test_files_must_be_named(run, files):
    for flags in ([], ["--source", "news.de"], ["--target", "news.en"]):
        assert "--source FILE --target FILE" in run("init", *flags).err
    assert run("init", "--source", "news.de", "--target", "news.en", "--columns", "1,2").code == 2


def test_the_same_file_for_both_sides_is_refused(run, files):
    (files / "other.de").symlink_to("news.de")
    for target in ("news.de", "./news.de", "other.de"):
        found = run("init", "--source", "news.de", "--target", target)
        assert found.code == 2
        assert "both sides of train are the file" in found.err
    found = run("init", "--source", "news.de", "--target", "news.en", "--test", "news.de")
    assert (found.code, "both sides of test" in found.err) == (2, True)


def test_validation_and_test_files(run, files):
    for name in ("val", "test"):
        (files / f"{name}.de").write_text("eins\nzwei\n")
        (files / f"{name}.en").write_text("one\ntwo\n")
    command = ["init", "--source", "news.de", "--target", "news.en", "--test", "test.de", "test.en"]
    assert run(*command, "-o", "one.toml").code == 0
    data = load_recipe("one.toml").data
    assert (data.test.source, data.test.target) == (["test.de"], ["test.en"])
    assert (data.hold_out_validation, data.hold_out_test) == (LINES // 10, 0)
    assert run(*command, "--validation", "val.de", "val.en", "-o", "both.toml").code == 0
    assert load_recipe("both.toml").data.validation.target == ["val.en"]
    (files / "test.en").write_text("one\n")
    unequal = run(*command, "-o", "unequal.toml")
    assert (unequal.code, "test.de has 2" in unequal.err) == (3, True)


def test_validation_and_test_tables(run, in_directory):
    for name in ("a", "b", "c"):
        (in_directory / f"{name}.csv").write_text(delimited("de,note,en", ","))
    assert run("init", "a.csv", "--validation", "b.csv", "--test", "c.csv", "-o", "m.toml").code == 0
    assert run("init", "--test", "c.csv", "--validation", "b.csv", "-o", "n.toml", "a.csv").code == 0
    assert run("init", "a.csv", "--test=c.csv", "--validation=b.csv", "-o", "n.toml", "--force").code == 0
    assert load_recipe("n.toml").data == load_recipe("m.toml").data
    assert "hint: name the table first: s2s init a.csv --test c.csv" in run("init", "--test", "c.csv", "a.csv").err
    data = load_recipe("m.toml").data
    assert (data.validation.files, data.test.files, data.hold_out_test) == (["b.csv"], ["c.csv"], 0)
    assert load_recipe("n.toml").data == data


def test_family_and_size(run, files):
    command = ["init", "--source", "news.de", "--target", "news.en", "--family", "transformer", "-o"]
    assert run(*command, "a.toml").code == run(*command, "b.toml", "--size", "base").code == 0
    small, base = (load_recipe(f"{name}.toml").model for name in "ab")
    assert (small.encoder.family, small.decoder.family, small.embedding_size) == ("transformer", "transformer", 64)
    assert (base.encoder.layers, base.decoder.heads, base.embedding_size) == (6, 8, 512)


def test_a_text_of_few_words_gets_a_vocabulary_that_can_be_trained(run, in_directory):
    for language, words in (("de", ("ein", "zwei", "drei")), ("en", ("one", "two", "three"))):
        lines = (" ".join(words[(n // 3**k) % 3] for k in range(1 + n % 5)) for n in range(300))
        (in_directory / f"n.{language}").write_text("".join(f"{line}\n" for line in lines))
    assert run("init", "--source", "n.de", "--target", "n.en", "-o", "n.toml").code == 0
    assert run("data", "prepare", "n.toml").code == 0


@pytest.fixture
def parent(transformer: dict[str, bytes], card: Card, own_home: Path) -> str:
    """A published model."""
    return publish(Registry.default(), "parent", transformer, card).name


def test_a_recipe_to_fine_tune_a_model(run, files, parent):
    found = run("init", "--source", "news.de", "--target", "news.en", "--from", parent, "--name", "tuned")
    assert found.code == 0
    assert found.err.endswith(f"Next: s2s train tuned.toml --from {parent}\n")
    recipe, own = load_recipe("tuned.toml"), Registry.default().resolve(parent).recipe()
    assert (recipe.tokenizer, recipe.model) == (own.tokenizer, own.model.model_copy(update={"size": None}))
    assert recipe.training.lr == own.training.lr / 4
    assert inherit_from(recipe, Registry.default().resolve(parent)) == recipe
    assert f"`s2s train --from {parent}`" in (files / "tuned.toml").read_text()


def test_a_network_cannot_be_chosen_for_fine_tuning(run, files, parent):
    command = ["init", "--source", "news.de", "--target", "news.en", "--from"]
    assert "leave out --family and --size" in run(*command, parent, "--size", "base").err
    assert "did you mean parent" in run(*command, "parnt").err
