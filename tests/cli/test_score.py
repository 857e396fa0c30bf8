"""`s2s score` as a user runs it."""

import gzip
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from publishing import publish
from safetensors.torch import load, save

from s2s.registry.store import Registry
from s2s.text.tokenizer import EOS, Tokenizer

pytestmark = pytest.mark.usefixtures("trained_home")

SOURCES = ["einundzwanzig", "12. März 1999", "", "vierzig ; 3. Mai 2020", "drei hundert"]
TARGETS = ["twenty-one", "12 March 1999", "é\u2028 forty", "forty ; 3 May 2020", ""]


@pytest.fixture
def pairs(in_directory: Path) -> Path:
    """A directory with `s.de` and `t.en`, five lines each."""
    (in_directory / "s.de").write_text("".join(f"{line}\n" for line in SOURCES))
    (in_directory / "t.en").write_text("".join(f"{line}\n" for line in TARGETS))
    return in_directory


def publish_a_lively_model() -> None:
    """`lively:1`, which writes words in one token, so that text gives its tokens again, and nothing that a search
    leaves out.
    """
    version = Registry.default().resolve("numbers-attention")
    files = {name: version.read(name) for name in version.files}
    tokenizer = Tokenizer(files["tokenizer.model"])
    weights = {name: 3 * value for name, value in load(files["weights.safetensors"]).items()}
    words = [len(token) > 1 and token[0] == "▁" for token in tokenizer.tokens(range(tokenizer.size))]
    words[EOS] = True
    weights["bias"][~torch.tensor(words)] = -40
    weights["bias"][EOS] += 1
    publish(Registry.default(), "lively", files | {"weights.safetensors": save(weights)}, version.card)


def test_a_translation_has_the_score_that_translate_gives(in_directory: Path, run: Callable) -> None:
    publish_a_lively_model()
    (in_directory / "s.de").write_text("".join(f"{a} {b}\n" for a in SOURCES for b in ["drei", "x", *SOURCES]))
    found = [json.loads(line) for line in run("translate", "lively", "s.de", "--json").out.splitlines()]
    (in_directory / "t.en").write_text("".join(f"{row['text']}\n" for row in found))
    scored = [json.loads(line) for line in run("score", "lively", "s.de", "t.en", "--json").out.splitlines()]
    ended = [
        (row["score"], line)
        for row, line in zip(found, scored, strict=True)
        if row["text"] and "truncated" not in row["diagnostics"]
    ]
    assert len({line["log_probability"] for _, line in ended}) > 5
    for score, line in ended:
        assert score * line["length"] == pytest.approx(line["log_probability"], abs=1e-4)


def test_a_line_for_each_pair_and_its_tokens_add_up_to_it(pairs: Path, run: Callable) -> None:
    done = run("score", "numbers-attention", "s.de", "t.en")
    assert done.code == 0
    totals = [float(line) for line in done.out.splitlines()]
    assert len(totals) == 5
    assert all(re.fullmatch(r"-\d+\.\d{4}", line) for line in done.out.splitlines())
    shown = run("score", "numbers-attention", "s.de", "t.en", "--tokens").out.removesuffix("\n").split("\n")
    for total, text, line in zip(totals, TARGETS, shown, strict=True):
        first, _, tokens = line.partition("\t")
        fields = tokens.split(" ")
        tokens, figures = fields[::2], [float(field) for field in fields[1::2]]
        assert float(first) == total == pytest.approx(sum(figures), abs=1e-4 * len(figures))
        assert tokens[-1] == "</s>"
        if "<unk>" not in tokens:
            assert "".join(tokens[:-1]).replace("▁", " ").strip() == text


def test_json_lines(pairs: Path, run: Callable) -> None:
    plain = [float(line) for line in run("score", "numbers-attention", "s.de", "t.en").out.splitlines()]
    done = run("score", "numbers-attention", "s.de", "t.en", "--json")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["log_probability"] for row in rows] == pytest.approx(plain, abs=1e-4)
    assert [row["target_bytes"] for row in rows] == [len(text.encode()) for text in TARGETS]
    assert all(row.keys() == {"log_probability", "length", "target_bytes"} for row in rows)
    assert "perplexity" in done.err
    for row in map(
        json.loads, run("score", "numbers-attention", "s.de", "t.en", "--json", "--tokens").out.splitlines()
    ):
        assert len(row["tokens"]) == row["length"]
        assert sum(token["log_probability"] for token in row["tokens"]) == pytest.approx(
            row["log_probability"], abs=1e-5 * row["length"]
        )


def test_the_summary_is_evaluates_perplexity_and_bits_per_byte(pairs: Path, run: Callable) -> None:
    done = run("score", "numbers-attention", "s.de", "t.en", "--json")
    scored = zip(SOURCES, TARGETS, map(json.loads, done.out.splitlines()), strict=True)
    rows = [row for source, target, row in scored if source.strip() and target.strip()]
    nats, tokens = -sum(row["log_probability"] for row in rows), sum(row["length"] for row in rows)
    size = sum(row["target_bytes"] for row in rows)
    expected = json.loads(run("evaluate", "numbers-attention", "s.de", "t.en", "--json").out)["perplexity"]
    found = re.fullmatch(
        r"5 lines, (\d+) tokens: log-probability (\S+), perplexity (\S+), (\S+) bits per byte\n", done.err
    )
    assert found
    assert int(found[1]) == tokens
    assert float(found[2]) == pytest.approx(-nats, abs=1e-3)
    assert float(found[3]) == pytest.approx(expected, abs=1e-3) == pytest.approx(math.exp(nats / tokens), abs=1e-3)
    assert float(found[4]) == pytest.approx(nats / math.log(2) / size, abs=1e-4)


def test_files_pipes_and_gz_give_the_same(pairs: Path, run: Callable, shell: Callable) -> None:
    (pairs / "s.de.gz").write_bytes(gzip.compress((pairs / "s.de").read_bytes()))
    (pairs / "crlf.en").write_bytes(b"\xef\xbb\xbf" + (pairs / "t.en").read_bytes().replace(b"\n", b"\r\n")[:-1])
    (pairs / "-").write_text("a file that nobody means\n")
    expected = run("score", "numbers-attention", "s.de", "t.en").out
    assert run("score", "numbers-attention", "s.de.gz", "crlf.en").out == expected
    for line in (
        "cat s.de | s2s score numbers-attention - t.en",
        "s2s score numbers-attention s.de - < t.en",
        "s2s score numbers-attention <(cat s.de) <(cat t.en)",
    ):
        done = shell(line)
        assert done.code == 0
        assert done.out == expected
    assert run("score", "numbers-attention", "s.de", "t.en", "-o", "scores").out == ""
    assert (pairs / "scores").read_text() == expected


def test_no_bytes_are_no_lines(shell: Callable) -> None:
    assert shell("s2s score numbers-attention /dev/null - < /dev/null") == (0, "", "0 lines\n")


def test_alignments_join_words(pairs: Path, run: Callable) -> None:
    done = run("score", "numbers-attention", "s.de", "t.en", "--alignments", "links", "-o", "scores")
    assert done.code == 0
    assert "wrote links" in done.err
    lines = (pairs / "links").read_text().split("\n")
    assert lines.pop() == ""
    for source, target, line in zip(SOURCES, TARGETS, lines, strict=True):
        links = [tuple(map(int, link.split("-"))) for link in line.split()]
        assert [word for _, word in links] == (list(range(len(target.split(" ")))) if source and target else [])
        assert all(0 <= word < len(source.split(" ")) for word, _ in links)
    assert (
        run("score", "numbers-attention", "s.de", "t.en", "--alignments", "-", "-o", "again").out
        == (pairs / "links").read_text()
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["numbers-atention", "s.de", "t.en"], 2, "did you mean numbers-attention"),
        (["numbers-attention", "no.de", "t.en"], 2, "no.de"),
        (["numbers-attention", "s.de", "no.en"], 2, "no.en"),
        (["numbers-attention", "s.de"], 2, "TGT"),
        (["numbers-attention", "s.de", "."], 2, "directory"),
        (["numbers-attention", "-", "-"], 2, "standard input"),
        (["numbers-attention", "s.de", "short.en"], 3, "line counts differ: s.de has 5, short.en has 4"),
        (["numbers-attention", "short.en", "t.en"], 3, "line counts differ: short.en has 4, t.en has 5"),
        (["numbers-attention", "s.de", "bad.en"], 3, "bad.en:2: invalid UTF-8"),
        (["numbers-attention", "bad.en", "t.en"], 3, "bad.en:2: invalid UTF-8"),
        (["numbers-attention", "broken.gz", "t.en"], 3, "broken.gz"),
        (["numbers-bottleneck", "s.de", "t.en", "--alignments", "links"], 2, "no attention"),
        (["numbers-attention", "s.de", "t.en", "--alignments", "new"], 2, "cannot both go to new"),
        (["numbers-attention", "s.de", "t.en", "--alignments", "t.en", "--force"], 2, "both input and output"),
        (["numbers-attention", "s.de", "t.en", "--device", "cuda:7"], 5, "cuda:7"),
    ],
)
def test_bad_input_is_one_clear_message_and_writes_nothing(
    arguments: list[str], code: int, message: str, pairs: Path, run: Callable
) -> None:
    (pairs / "short.en").write_text("one\n" * 4)
    (pairs / "bad.en").write_bytes(b"one\ntw\xffo\n3\n4\n5\n")
    (pairs / "broken.gz").write_bytes(gzip.compress(b"drei\n" * 5)[:-9])
    before = {path.name: path.read_bytes() for path in pairs.iterdir()}
    done = run("score", *arguments, "-o", "new")
    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err
    assert {path.name: path.read_bytes() for path in pairs.iterdir()} == before


@pytest.mark.parametrize("option", ["--output", "--alignments"])
def test_an_output_that_exists_is_replaced_by_force_alone(option: str, pairs: Path, run: Callable) -> None:
    (pairs / "out").write_text("precious\n")
    arguments = ("score", "numbers-attention", "s.de", "t.en", option, "out")
    refused = run(*arguments)
    assert refused.code == 2
    assert "--force" in refused.err
    assert (pairs / "out").read_text() == "precious\n"
    assert run(*arguments, "--force").code == 0
    assert len((pairs / "out").read_text().split("\n")) == 6


def test_what_comes_through_a_pipe_in_part_leaves_no_file(pairs: Path, shell: Callable) -> None:
    before = sorted(path.name for path in pairs.iterdir())
    done = shell("(head -3 s.de; sleep 0.3; echo drei) | s2s score numbers-attention - t.en -o out --alignments links")
    assert done.code == 3
    assert "line counts differ: standard input has 4, t.en has 5" in done.err
    assert sorted(path.name for path in pairs.iterdir()) == before


def test_output_is_flushed_when_the_input_pauses(pairs: Path) -> None:
    command = [sys.executable, "-m", "s2s", "score", "numbers-attention", "s.de", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in TARGETS:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            assert float(process.stdout.readline()) < 0  # while the input is still open
        process.stdin.close()
        assert process.stdout.read() == ""
    assert process.returncode == 0


def test_a_reader_that_goes_away_is_141(shell: Callable) -> None:
    done = shell("yes drei | head -20000 | s2s score numbers-attention <(yes three | head -20000) - | head -1")
    assert done.code == 141
    assert done.err == ""
