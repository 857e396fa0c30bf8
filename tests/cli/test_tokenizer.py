from pathlib import Path

import pytest


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
