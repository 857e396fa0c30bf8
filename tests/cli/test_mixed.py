"""A multilingual model as a user trains it: two datasets, a tag for each language, and translations by tag."""

import json
from pathlib import Path
from random import Random

import pytest

GERMAN = ["eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht"]
ENGLISH = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
FRENCH = ["un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit"]
RECIPE = """
name = "many"
[data]
kind = "mixed"
source_language = "de"
hold_out_validation = 12
hold_out_test = 16
[[data.datasets]]
name = "english"
train = { source = "en.src", target = "en.tgt" }
target_language = "en"
tag = "<2en>"
[[data.datasets]]
name = "french"
kind = "tsv"
train = { files = "fr.tsv" }
target_language = "fr"
tag = "<2fr>"
weight = 2
[[data.stages]]
until = "2 epochs"
weights = { english = 0 }
[[data.stages]]
[tokenizer]
vocab_size = 50
[model]
embedding_size = 40
dropout = 0
encoder.hidden_size = 40
decoder.hidden_size = 56
[training]
stop_after = "26 epochs"
batch_tokens = 400
validate_every = "13 epochs"
validation_lines = 3
lr = 0.01
warmup = 20
"""


@pytest.fixture
def recipe(in_directory: Path) -> Path:
    random = Random(1)
    numbers = [random.choices(range(8), k=random.randint(1, 4)) for _ in range(420)]
    german, english, french = (
        [" ".join(words[number] for number in line) for line in numbers] for words in (GERMAN, ENGLISH, FRENCH)
    )
    Path("en.src").write_text("".join(f"{line}\n" for line in german[:320]))
    Path("en.tgt").write_text("".join(f"{line}\n" for line in english[:320]))
    Path("fr.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in zip(german[200:], french[200:], strict=True)))
    Path("many.toml").write_text(RECIPE)
    return in_directory


def test_a_model_translates_by_tag(run, recipe: Path):
    done = run("train", "many.toml", "--device", "cpu")
    assert done.code == 0
    assert "stage 1 of 2, from epoch 1: english 0.0% (0 times its pairs), french 100.0%" in done.err
    assert "stage 2 of 2, from epoch 3: english " in done.err

    Path("in.de").write_text("zwei acht\n\neins\n")
    for tag, expected in (("<2en>", "two eight\n\none\n"), ("<2fr>", "deux huit\n\nun\n")):
        found = run("translate", "many", "in.de", "--tag", tag)
        assert (found.code, found.out) == (0, expected)
        assert "tag" not in found.err
    Path("own.de").write_text("<2fr> zwei acht\n<2en> zwei acht\nzwei acht\n")
    found = run("translate", "many", "own.de")
    assert found.out.splitlines()[:2] == ["deux huit", "two eight"]
    assert "1 of 3 lines: translation of a source that begins with none of the model's tags (--tag)" in found.err
    assert run("translate", "many", "own.de", "--strict").code == 3
    unknown = run("translate", "many", "in.de", "--tag", "<2it>")
    assert (unknown.code, "--tag <2it>: many has no such tag" in unknown.err) == (2, True)
    assert "<2en>" in unknown.err

    Path("in.fr").write_text("deux huit\n\nun\n")
    right, wrong = (run("score", "many", "in.de", "in.fr", "--tag", tag).out.split() for tag in ("<2fr>", "<2en>"))
    assert float(right[0]) > float(wrong[0]) + 3
    assert "2 of 3 lines: the source begins with none of the model's tags" in run("score", "many", "in.de", "in.fr").err
    scored = [run("evaluate", "many", "in.de", "in.fr", "--tag", tag, "--json").out for tag in ("<2fr>", "<2en>")]
    right, wrong = (json.loads(text) for text in scored)
    assert right["perplexity"] < wrong["perplexity"]
    assert run("evaluate", "many").code == 0


def test_inspect_shows_the_datasets(run, recipe: Path):
    shown = run("data", "inspect", "many.toml").out
    found = json.loads(run("data", "inspect", "many.toml", "--json").out)["splits"]["train"]
    assert [*found["datasets"]] == ["english", "french"]
    assert sum(found["datasets"].values()) == found["kept"]
    assert f"\n  english: {found['datasets']['english']:,} kept\n" in shown
    examples = run("data", "export", "many.toml", "--split", "validation").out.splitlines()
    assert {json.loads(line)["source"].split()[0] for line in examples} == {"<2en>", "<2fr>"}
