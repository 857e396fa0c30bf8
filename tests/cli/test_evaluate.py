"""`s2s evaluate` as a user runs it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from publishing import publish

from s2s.registry.card import Card
from s2s.registry.store import Registry


@pytest.fixture
def pair(in_directory: Path) -> Path:
    (in_directory / "test.de").write_text("drei\nvierzig\n12. Mai 2001\n")
    (in_directory / "test.en").write_text("three\nforty\nMay 12, 2001\n")
    return in_directory


@pytest.mark.usefixtures("trained_home", "pair")
def test_scores_come_with_how_they_were_got(run: Callable) -> None:
    plain = run("evaluate", "numbers-attention", "test.de", "test.en", "-o", "out.en")
    assert plain.code == 0
    assert [line.split()[0] for line in plain.out.splitlines()] == ["bleu", "chrf", "ter", "exact", "perplexity"]
    assert "beam 2, length penalty 1, patience 2; PyTorch, fp32" in plain.err
    found = json.loads(run("evaluate", "numbers-attention", "test.de", "test.en", "--beam-size", 1, "--json").out)
    assert found["decoding"] == "greedy search; PyTorch, fp32"
    assert found["scores"]["bleu"]["signature"].startswith("BLEU|")
    assert found["perplexity"] > 1
    translated = run("translate", "numbers-attention", "test.de", "--precision", "fp32").out
    assert Path("out.en").read_text() == translated


@pytest.mark.usefixtures("pair")
def test_engines_beside_each_other(run: Callable, transformer: dict[str, bytes], card: Card) -> None:
    publish(Registry.default(), "numbers-transformer", transformer, card)
    arguments = ("evaluate", "numbers-transformer", "test.de", "test.en", "--json")
    reference = json.loads(run(*arguments).out)
    other = json.loads(run(*arguments, "--engine", "ctranslate2").out)
    assert other["decoding"].endswith("CTranslate2, fp32")
    assert other["scores"] == reference["scores"]
    assert other["perplexity"] is None


@pytest.mark.usefixtures("trained_home", "pair")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["numbers-attention", "test.de", "no.en"], 2, "no.en"),
        (["numbers-attention", "test.de", "short.en"], 3, "test.de has 3, short.en has 1"),
        (["numbers-attention", "none.en", "none.en"], 3, "has no lines"),
        (["numbers-attention", "test.de", "test.en", "--engine", "ctranslate2"], 2, "does not support RNN encoders"),
        (["numbers-attention", "test.de", "test.en", "-o", "test.en", "--force"], 2, "both input and output"),
        (["numbers-attention", "test.de", "test.en", "-o", "-"], 2, "standard output"),
        (["numbers-attention", "-", "-"], 2, "read once"),
        (["nobody", "test.de", "test.en"], 2, "no such model"),
    ],
)
def test_bad_input_is_one_clear_message(arguments: list[str], code: int, message: str, run: Callable) -> None:
    Path("short.en").write_text("three\n")
    Path("none.en").write_text("")
    done = run("evaluate", *arguments)
    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err
