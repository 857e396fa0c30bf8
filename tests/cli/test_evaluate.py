"""`s2s evaluate` as a user runs it."""

import gzip
import json
import subprocess
import sys
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
    assert [line.split()[0] for line in plain.out.splitlines()] == [
        "bleu",
        "chrf",
        "ter",
        "exact",
        "bits_per_byte",
        "perplexity",
    ]
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
    assert reference["scores"].pop("bits_per_byte")["value"] > 0
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


def scores(run: Callable, *arguments: object) -> dict[str, dict]:
    done = run("evaluate", *arguments, "--json")
    assert done.code == 0, done.err
    found: dict[str, dict] = json.loads(done.out)["scores"]
    return found


@pytest.mark.usefixtures("trained_home", "pair")
def test_an_output_has_the_scores_of_the_model_that_wrote_it(run: Callable) -> None:
    expected = scores(run, "numbers-attention", "test.de", "test.en", "-o", "out.en")
    del expected["bits_per_byte"]
    assert scores(run, "--hyp", "out.en", "test.de", "test.en") == expected
    assert scores(run, "--hyp", "out.en", "--ref", "test.en") == expected
    assert scores(run, "numbers-attention", "test.de", "test.en", "--hyp", "out.en") == expected
    own = scores(run, "numbers-attention", "-o", "own.en")
    del own["bits_per_byte"]
    assert scores(run, "numbers-attention", "--hyp", "own.en") == own != expected
    plain = run("evaluate", "--hyp", "out.en", "test.de", "test.en")
    assert [line.split()[0] for line in plain.out.splitlines()] == ["bleu", "chrf", "ter", "exact"]
    assert "scored 3 lines of out.en" in plain.err


@pytest.mark.usefixtures("pair")
def test_an_output_is_read_as_lines_and_without_torch() -> None:
    Path("test.en.gz").write_bytes(gzip.compress(b"\xef\xbb\xbfthree\r\nforty\nMay 12, 2001"))
    arguments = ["evaluate", "--hyp", "-", "test.de", "test.en.gz"]
    program = f"import sys; from s2s.cli.app import main; sys.exit(main({arguments}) or 'torch' in sys.modules)"
    output = "three\nfour\u2028ty\nMay 12, 2001\n".encode()
    done = subprocess.run([sys.executable, "-c", program], input=output, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"exact        66.7" in done.stdout
    assert done.stderr == b"scored 3 lines of standard input\n"


@pytest.mark.usefixtures("pair")
def test_what_looks_wrong_with_an_output_is_said(run: Callable) -> None:
    Path("link.en").symlink_to("test.en")
    for name in ("link.en", "test.en"):
        done = run("evaluate", "--hyp", name, "test.de", "test.en")
        assert f"warning: {name}: all 3 lines equal their references: is it a copy of them?" in done.err
    Path("out.en").write_text("three\nfor@@ ty\nMay 12, 2001 &amp; so on\n")
    found = run("evaluate", "--hyp", "out.en", "test.de", "test.en", "--json")
    assert [warning["kind"] for warning in json.loads(found.out)["warnings"]] == ["subwords", "entities"]
    assert "warning: out.en: 1 of 3 lines have HTML entities (&amp;)" in found.err
    copied = run("evaluate", "--hyp", "test.de", "test.de", "test.en")
    assert "warning: test.de: 3 of 3 lines repeat their source" in copied.err


@pytest.mark.usefixtures("pair")
def test_the_language_of_references_decides_the_tokenizer(run: Callable) -> None:
    for name in ("out.txt", "test.zh", "test.zh.txt"):
        Path(name).write_text("他买了一本新书。\n你好\n")
    assert "tok:zh" in scores(run, "--hyp", "out.txt", "--ref", "test.zh")["bleu"]["signature"]
    assert "tok:13a" in scores(run, "--hyp", "out.txt", "--ref", "test.zh.txt")["bleu"]["signature"]
    named = scores(run, "--hyp", "out.txt", "--ref", "test.zh.txt", "--language", "ja")
    assert "tok:char" in named["bleu"]["signature"]


@pytest.mark.usefixtures("pair")
def test_a_line_may_have_several_references(run: Callable) -> None:
    Path("out.en").write_text("three\nfourty\n12 May 2001\n")
    Path("other.en").write_text("tree\nforty\n12 May 2001\n")
    found = scores(run, "--hyp", "out.en", "--ref", "test.en", "--ref", "other.en")
    assert found["exact"]["value"] == pytest.approx(100 * 2 / 3)
    assert "nrefs:2" in found["bleu"]["signature"]


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--hyp", "out.en"], 2, "--ref REF"),
        (["--hyp", "out.en", "test.en"], 2, "s2s evaluate --hyp out.en --ref test.en"),
        (
            ["--hyp", "out.en", "test.de", "test.en", "--ref", "test.en"],
            2,
            "--ref cannot be combined with test.de test.en",
        ),
        (["--hyp", "out.en", "nobody", "test.de", "test.en"], 2, "no such model"),
        (["--hyp", "out.en", "nobody", "--ref", "test.en"], 2, "--ref cannot be combined with the model nobody"),
        (["--hyp", "out.en", "nobody", "--language", "en"], 2, "--language cannot be combined with the model nobody"),
        (["--hyp", "out.en", "--ref", "test.en", "--language", "english"], 2, "such as de, pt_BR or zh"),
        (["--hyp", "out.en", "test.de", "test.en", "--beam-size", "4"], 2, "--beam-size cannot be combined with --hyp"),
        (["--hyp", "out.en", "test.de", "test.en", "-o", "x"], 2, "--output cannot be combined with --hyp"),
        (["--hyp", "out.en", "test.de", "test.en", "--device", "auto"], 2, "--device cannot be combined with --hyp"),
        (["numbers-attention", "--ref", "test.en"], 2, "--ref only applies with --hyp"),
        (["numbers-attention", "--language", "en"], 2, "--language only applies with --hyp"),
        ([], 2, "no model is named"),
        (["--hyp", "no.en", "test.de", "test.en"], 2, "no.en"),
        (["--hyp", ".", "test.de", "test.en"], 2, "cannot read .: it is a directory"),
        (["--hyp", "-", "-", "test.en"], 2, "read once"),
        (["--hyp", "short.en", "test.de", "test.en"], 3, "short.en has 1, test.en has 3"),
        (["--hyp", "out.en", "short.en", "test.en"], 3, "out.en has 3, short.en has 1"),
        (["--hyp", "none.en", "none.en", "none.en"], 3, "none.en has no lines"),
        (["--hyp", "none.en", "test.de", "test.en"], 3, "none.en has 0, test.en has 3"),
        (["--hyp", "latin.en", "test.de", "test.en"], 3, "latin.en:2: invalid UTF-8"),
    ],
)
def test_output_that_cannot_be_scored(arguments: list[str], code: int, message: str, run: Callable) -> None:
    for name, content in {"out": b"a\nb\nc\n", "short": b"a\n", "none": b"", "latin": b"a\n\xe9t\xe9\nc"}.items():
        Path(f"{name}.en").write_bytes(content)
    done = run("evaluate", *arguments)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert "Traceback" not in done.err


@pytest.mark.usefixtures("trained_home", "pair")
def test_an_output_of_another_length_than_the_model_s_test_split(run: Callable) -> None:
    done = run("evaluate", "numbers-attention", "--hyp", "test.en")
    assert done.code == 3
    assert "line counts differ: test.en has 3, the test split of numbers-attention:1 has 30" in done.err
    assert run("evaluate", "numbers-attention", "--hyp", "no.en").code == 2
    assert "read once" in run("evaluate", "numbers-attention", "-", "test.en", "--hyp", "-").err
