"""`s2s translate` as a user runs it."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("trained_home")


def test_as_many_lines_out_as_in_and_the_same_from_files_pipes_and_gz(
    shell: Callable, in_folder: Path, run: Callable
) -> None:
    text = "einundzwanzig\n\n12. März 1999"
    piped = shell(f"printf '{text}' | s2s translate numbers-attention")
    assert piped.code == 0
    assert piped.out.count("\n") == 3
    assert piped.out.split("\n")[1] == ""
    (in_folder / "in.de").write_text(text)
    (in_folder / "in.de.gz").write_bytes(gzip.compress(text.encode()))
    done = run("translate", "numbers-attention", "in.de", "in.de.gz", "-o", "out.en")
    assert done.code == 0
    assert (in_folder / "out.en").read_text() == 2 * piped.out
    assert "wrote out.en: 6 lines" in done.err


def test_no_bytes_are_no_lines(shell: Callable) -> None:
    assert shell("s2s translate numbers-attention < /dev/null") == (0, "", "")


def test_an_output_that_exists_or_is_an_input_is_refused(in_folder: Path, run: Callable) -> None:
    (in_folder / "in.de").write_text("drei\n")
    (in_folder / "out.en").write_text("precious\n")
    refused = run("translate", "numbers-attention", "in.de", "-o", "out.en")
    assert refused.code == 2
    assert "--force" in refused.err
    same = run("translate", "numbers-attention", "in.de", "-o", "in.de", "--force")
    assert same.code == 2
    assert "input as well" in same.err
    assert (in_folder / "out.en").read_text() == "precious\n"
    assert (in_folder / "in.de").read_text() == "drei\n"
    assert run("translate", "numbers-attention", "in.de", "-o", "out.en", "--force").code == 0
    assert (in_folder / "out.en").read_text() != "precious\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["numbers-atention", "in.de"], 2, "did you mean numbers-attention"),
        (["numbers-attention", "no.de"], 2, "no.de"),
        (["numbers-attention", "."], 2, "folder"),
        (["numbers-attention", "broken.gz"], 3, "broken.gz"),
        (["numbers-attention", "bad.de", "--strict"], 3, "bad.de:2"),
        (["numbers-bottleneck", "in.de", "--show-attention"], 2, "no attention"),
        (["numbers-attention", "in.de", "--device", "cuda:7"], 5, "cuda:7"),
        (["numbers-attention", "in.de", "--beam", "0"], 2, "--beam"),
    ],
)
def test_bad_input_is_one_clear_message(
    arguments: list[str], code: int, message: str, in_folder: Path, run: Callable
) -> None:
    (in_folder / "in.de").write_text("drei\n")
    (in_folder / "bad.de").write_bytes(b"drei\nvi\xffer\n")
    (in_folder / "broken.gz").write_bytes(gzip.compress(b"drei\n" * 9)[:-9])
    done = run("translate", *arguments, "-o", "new.en")
    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err
    assert not (in_folder / "new.en").exists()


def test_invalid_bytes_are_replaced_counted_and_named(in_folder: Path, run: Callable) -> None:
    (in_folder / "bad.de").write_bytes(b"drei\nvi\xffer\nf\xc3nf\n")
    done = run("translate", "numbers-attention", "bad.de")
    assert done.code == 0
    assert "2 lines were not valid UTF-8" in done.err
    assert "bad.de:2" in done.err


def test_attention_as_json_lines_picture_and_on_the_terminal(in_folder: Path, run: Callable) -> None:
    (in_folder / "in.de").write_text("drei\n\nvierzig\n")
    done = run(
        "translate", "numbers-attention", "in.de", "-o", "a.en", "--attention", "weights.jsonl", "--show-attention"
    )
    assert done.code == 0
    rows = [json.loads(line) for line in (in_folder / "weights.jsonl").read_text().splitlines()]
    assert [row["source_text"] for row in rows] == ["drei", "", "vierzig"]
    assert "weights" not in rows[1]
    assert all(sum(weights) == pytest.approx(1, abs=1e-3) for weights in rows[0]["weights"])
    assert "</s>" in done.err
    assert run("translate", "numbers-attention", "in.de", "-o", "b.en", "--attention", "first.svg").code == 0
    assert (in_folder / "first.svg").read_text().startswith("<svg")


def test_json_lines(in_folder: Path, run: Callable) -> None:
    (in_folder / "in.de").write_text("drei\n\n")
    done = run("translate", "numbers-attention", "in.de", "--json")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert len(rows) == 2
    assert rows[0]["score"] < 0
    assert rows[0]["tokens"]
    assert "weights" not in rows[0]
    assert rows[1] == {"text": "", "score": 0.0, "tokens": [], "warnings": []}
    done = run("translate", "numbers-attention", "in.de", "--json", "--weights", "--nbest", 2)
    row = json.loads(done.out.splitlines()[0])
    assert [len(weights) for weights in row["weights"]] == [len(row["source_tokens"])] * len(row["tokens"])
    assert row["nbest"][0]["text"] == row["text"]
    assert row["nbest"][0]["score"] > row["nbest"][1]["score"]


def test_output_is_flushed_when_the_input_pauses() -> None:
    command = [sys.executable, "-m", "s2s", "translate", "numbers-attention"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in ("drei", "vier"):
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            assert process.stdout.readline().endswith("\n")  # while the input is still open
        process.stdin.close()
        assert process.stdout.read() == ""
    assert process.returncode == 0


def test_a_reader_that_goes_away_is_141(shell: Callable) -> None:
    done = shell("yes drei | head -20000 | s2s translate numbers-attention --beam 1 | head -1")
    assert done.code == 141
    assert done.err == ""
