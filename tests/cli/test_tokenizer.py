import json
from pathlib import Path

import pytest

from s2s.text import tokenizer_training


@pytest.fixture
def model(in_directory: Path, run) -> str:
    """A tokenizer of numbers in words, and the text that it was trained from in `n.de`."""
    (in_directory / "n.de").write_text(run("data", "make", "numbers", "--count", 200, "--source-only").out)
    assert run("tokenizer", "train", "n.de", "--vocab-size", 90, "-o", "t.model").code == 0
    return "t.model"


def test_training_writes_a_file_and_does_not_replace_it(run, model: str, in_directory: Path):
    content = (in_directory / model).read_bytes()
    again = run("tokenizer", "train", "n.de", "--vocab-size", 95, "-o", model)
    assert again.code == 2
    assert "--force" in again.err
    assert (in_directory / model).read_bytes() == content
    forced = run("tokenizer", "train", "n.de", "--vocab-size", 95, "--algorithm", "bpe", "-o", model, "--force")
    assert (forced.code, forced.out) == (0, "")
    assert "wrote t.model: 95 tokens" in forced.err
    assert (in_directory / model).read_bytes() != content


def test_a_vocabulary_that_the_text_cannot_give_is_refused_with_the_flag_to_set(run, model: str):
    done = run("tokenizer", "train", "n.de", "--vocab-size", 1999, "-o", "large.model")
    assert done.code == 2
    assert "hint: --vocab-size " in done.err


@pytest.mark.parametrize("ids", [[], ["--ids"]])
def test_decoding_gives_back_what_was_encoded_line_by_line(run, model: str, in_directory: Path, ids: list[str]):
    lines = ["einundzwanzig", "", "12. März 2001 ; zwei"]
    (in_directory / "in").write_text("\n".join(lines))
    encoded = run("tokenizer", "encode", model, "in", *ids)
    assert encoded.code == 0
    shown = encoded.out.split("\n")
    assert (len(shown), shown[1]) == (4, "")
    assert all(token.isdecimal() for token in shown[2].split(" ")) == bool(ids)
    (in_directory / "tokens").write_text(encoded.out)
    assert run("tokenizer", "decode", model, "tokens", *ids).out == "\n".join([*lines, ""])


def test_text_is_normalised_before_it_is_encoded(run, model: str, in_directory: Path):
    (in_directory / "in").write_text("M\u00e4rz\nMa\u0308rz\n")
    first, second, _ = run("tokenizer", "encode", model, "in").out.split("\n")
    assert first == second


def test_tokens_can_be_piped(shell, model: str):
    done = shell(f"printf 'drei\\n\\nvier' | s2s tokenizer encode {model} | s2s tokenizer decode {model}")
    assert (done.code, done.out) == (0, "drei\n\nvier\n")


def test_what_is_not_a_token_is_refused_with_its_line(run, model: str, in_directory: Path):
    (in_directory / "in").write_text("\n4 5\n4 90\n")
    done = run("tokenizer", "decode", model, "in", "--ids")
    assert done.code == 3
    assert "in:3: 90 is not a token" in done.err


def test_invalid_utf8_is_refused_with_its_line(run, model: str, in_directory: Path):
    (in_directory / "in").write_bytes(b"drei\n\xff\n")
    for command in (["encode", model, "in"], ["train", "in", "--vocab-size", "9", "-o", "x.model"]):
        done = run("tokenizer", *command)
        assert done.code == 3
        assert "in:2: invalid UTF-8" in done.err
    assert not (in_directory / "x.model").exists()


def test_a_file_that_is_no_tokenizer_is_refused(run, in_directory: Path):
    (in_directory / "odd.model").write_bytes(b"something else")
    (in_directory / "in").write_text("drei\n")
    assert run("tokenizer", "encode", "odd.model", "in").code == 4
    assert run("tokenizer", "encode", "none.model", "in").code == 2


def test_inspect_shows_the_vocabulary_and_how_it_fits_a_text(run, model: str, in_directory: Path):
    (in_directory / "odd").write_text("drei Ж Ж\n\nvier Ü\n")
    done = run("tokenizer", "inspect", model)
    assert done.code == 0
    assert "90 tokens, algorithm unigram" in done.out
    assert "longest tokens: " in done.out
    assert "per word" not in done.out
    done = run("tokenizer", "inspect", model, "n.de", "odd")
    for part in ("tokens per word", "Cyrillic", "least used tokens: "):
        assert part in done.out
    shown = json.loads(run("tokenizer", "inspect", model, "odd", "--json").out)
    assert (shown["size"], shown["algorithm"], sum(shown["kinds"].values())) == (90, "unigram", 90)
    text = shown["text"]
    assert (text["texts"], text["words"], text["characters"]) == (2, 5, 11)
    assert text["scripts"]["Cyrillic"] == {"characters": 2, "covered": 0, "missing": ["Ж"]}
    assert text["tokens_per_word"] == text["tokens"] / 5
    assert json.loads(run("tokenizer", "inspect", model, "--json").out)["text"] is None


def test_inspect_reads_standard_input_and_refuses_no_text(shell, run, model: str, in_directory: Path):
    assert shell(f"printf 'drei\\n' | s2s tokenizer inspect {model} -").code == 0
    (in_directory / "blank").write_text("\n  \n")
    done = run("tokenizer", "inspect", model, "blank")
    assert done.code == 3
    assert "no text" in done.err


def test_compare_lists_models_and_sizes_trained_on_the_text(run, model: str):
    done = run("tokenizer", "compare", "n.de", "--models", model, "--vocab-sizes", "60,120")
    assert done.code == 0
    assert "training a tokenizer of 60 tokens" in done.err
    header, *rows = done.out.splitlines()
    assert header.split() == [
        "vocabulary",
        "algorithm",
        "tokens",
        "per",
        "word",
        "per",
        "character",
        "unknown",
        "unused",
    ]
    assert [row.split("  ")[0] for row in rows] == [model, "trained here: 60", "trained here: 120"]
    arguments = ("n.de", "--models", f"{model},{model}", "--vocab-sizes", "60,120", "--json")
    first, second, small, large = json.loads(run("tokenizer", "compare", *arguments).out)
    assert first == second
    assert (first["size"], small["size"], large["size"]) == (90, 60, 120)
    assert small["tokens_per_word"] > first["tokens_per_word"] > large["tokens_per_word"] > 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "--vocab-sizes N,N"),
        (["--vocab-sizes", "60,many"], 2, "expected numbers"),
        (["--vocab-sizes", "4"], 2, "8 to 1,000,000"),
        (["--vocab-sizes", "60,9000"], 2, "hint: --vocab-sizes 60,"),
        (["--models", "none.model"], 2, "none.model"),
    ],
)
def test_compare_refuses_what_it_cannot_compare(run, model: str, arguments: list[str], code: int, said: str):
    done = run("tokenizer", "compare", "n.de", *arguments)
    assert done.code == code
    assert said in done.err


def test_many_texts_are_sampled_and_the_sample_is_named(run, model: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tokenizer_training, "MAX_TEXTS", 150)
    done = run("tokenizer", "compare", "n.de", "--models", model, "--json")
    assert "figures from a sample of 150 of 200 texts" in done.err
    assert json.loads(done.out)[0]["texts"] == 150
    trained = run("tokenizer", "train", "n.de", "--vocab-size", 90, "-o", "other.model")
    assert "trained the tokenizer from a sample of 150 of 200 texts" in trained.err
