import gzip
import os
from pathlib import Path

import pytest

from s2s.cli.commands.init import guess_languages, model_name
from s2s.recipe.load import load_recipe

LINES = 40


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
        ("left.txt", "right.tsv", ("", "")),
    ],
)
def test_languages_are_guessed_from_names(source, target, languages):
    assert guess_languages(source, target) == languages


@pytest.mark.parametrize(
    ("source", "target", "languages", "name"),
    [
        ("a.de", "a.en", ("de", "en"), "a-de-en"),
        ("News 2024.de", "News 2024.en", ("de", "en"), "my-model"),
        ("europarl-v7.de", "europarl-v7.en", ("de", "en"), "europarl-v7-de-en"),
        ("left", "right", ("", ""), "my-model"),
        ("x" * 99 + ".de", "x" * 99 + ".en", ("de", "en"), "x" * 64),
    ],
)
def test_models_are_named_after_their_files(source, target, languages, name):
    assert model_name(source, target, languages) == name
