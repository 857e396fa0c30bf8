"""`s2s translate` as a user runs it."""

import codecs
import gzip
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from publishing import publish

from s2s.cli import line_progress
from s2s.decoding import streaming
from s2s.registry.card import Card
from s2s.registry.store import Registry

pytestmark = pytest.mark.usefixtures("trained_home")


def test_as_many_lines_out_as_in_and_the_same_from_files_pipes_and_gz(
    shell: Callable, in_directory: Path, run: Callable
) -> None:
    text = "einundzwanzig\n\n12. März 1999"
    piped = shell(f"printf '{text}' | s2s translate numbers-attention")
    assert piped.code == 0
    assert piped.out.count("\n") == 3
    assert piped.out.split("\n")[1] == ""
    (in_directory / "in.de").write_text(text)
    (in_directory / "in.de.gz").write_bytes(gzip.compress(text.encode()))
    done = run("translate", "numbers-attention", "in.de", "in.de.gz", "-o", "out.en")
    assert done.code == 0
    assert (in_directory / "out.en").read_text() == 2 * piped.out
    assert "wrote out.en: 6 lines" in done.err


def test_progress_is_a_line_now_and_then(in_directory: Path, run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    (in_directory / "in.de").write_text("drei\n" * 5)
    assert "lines/s" not in run("translate", "numbers-attention", "in.de").err
    monkeypatch.setattr(line_progress, "EVERY", 0.0)
    monkeypatch.setattr(streaming, "WINDOW", 2)
    said = run("translate", "numbers-attention", "in.de").err.splitlines()
    assert [line.partition(",")[0] for line in said if "lines/s" in line] == ["2 lines", "4 lines", "5 lines"]


def test_no_bytes_are_no_lines(shell: Callable) -> None:
    assert shell("s2s translate numbers-attention < /dev/null") == (0, "", "")


def test_an_output_that_exists_or_is_an_input_is_refused(in_directory: Path, run: Callable) -> None:
    (in_directory / "in.de").write_text("drei\n")
    (in_directory / "out.en").write_text("precious\n")
    refused = run("translate", "numbers-attention", "in.de", "-o", "out.en")
    assert refused.code == 2
    assert "--force" in refused.err
    same = run("translate", "numbers-attention", "in.de", "-o", "in.de", "--force")
    assert same.code == 2
    assert "both input and output" in same.err
    assert (in_directory / "out.en").read_text() == "precious\n"
    assert (in_directory / "in.de").read_text() == "drei\n"
    assert run("translate", "numbers-attention", "in.de", "-o", "out.en", "--force").code == 0
    assert (in_directory / "out.en").read_text() != "precious\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["numbers-atention", "in.de"], 2, "did you mean numbers-attention"),
        (["numbers-attention", "no.de"], 2, "no.de"),
        (["numbers-attention", "."], 2, "directory"),
        (["numbers-attention", "broken.gz"], 3, "broken.gz"),
        (["numbers-attention", "bad.de", "--strict"], 3, "bad.de:2"),
        (["numbers-bottleneck", "in.de", "--show-attention"], 2, "no attention"),
        (["numbers-attention", "in.de", "--device", "cuda:7"], 5, "cuda:7"),
        (["numbers-attention", "in.de", "--beam-size", "0"], 2, "--beam-size"),
        (["numbers-attention", "in.de", "--temperature", "2"], 2, "--sample"),
        (["numbers-attention", "in.de", "--sample", "--beam-size", "2"], 2, "only applies to beam search"),
        (["numbers-attention", "in.de", "--stopping", "exact", "--patience", "3"], 2, "--stopping first"),
        (["numbers-attention", "in.de", "--min-ratio", "4"], 2, "--min-ratio: min_ratio (4) is larger"),
        (["numbers-attention", "in.de", "--max-ratio", "1e300"], 2, "--max-ratio"),
        (["numbers-attention", "in.de", "--sample", "--top-p", "nan"], 2, "--top-p"),
        (["numbers-attention", "in.de", "--attention-weights"], 2, "--json"),
        (["numbers-attention", "in.de", "--attention", "./new.en"], 2, "cannot both go to ./new.en"),
        (["numbers-attention", "-", "-"], 2, "read once"),
        (["numbers-attention", "-", "--prefix", "-"], 2, "read once"),
        (["numbers-attention", "in.de", "--prefix", "bad.de"], 3, "bad.de:2"),
        (["numbers-attention", "in.de", "--ensemble", "nobody"], 2, "no such model"),
        (["numbers-attention", "in.de", "--precision", "int8"], 2, "--precision auto"),
    ],
)
def test_bad_input_is_one_clear_message(
    arguments: list[str], code: int, message: str, in_directory: Path, run: Callable
) -> None:
    (in_directory / "in.de").write_text("drei\nvier\n")
    (in_directory / "bad.de").write_bytes(b"drei\nvi\xffer\n")
    (in_directory / "broken.gz").write_bytes(gzip.compress(b"drei\n" * 9)[:-9])
    done = run("translate", *arguments, "-o", "new.en")
    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err
    assert not (in_directory / "new.en").exists()


def test_pipes_and_devices_are_written_to_and_never_replaced(
    in_directory: Path, run: Callable, shell: Callable
) -> None:
    (in_directory / "in.de").write_text("drei\n")
    os.mkfifo(in_directory / "pipe")
    done = shell("cat pipe & s2s translate numbers-attention in.de -o pipe --force && wait")
    assert (done.code, done.out.count("\n")) == (0, 1)
    assert (in_directory / "pipe").is_fifo()
    assert run("translate", "numbers-attention", "in.de", "-o", "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()
    full = run("translate", "numbers-attention", "in.de", "-o", "/dev/full")
    assert (full.code, "No space left" in full.err) == (5, True)


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_a_stream_that_is_closed_is_said_to_be(closed: str, shell: Callable) -> None:
    done = shell(f"echo drei | s2s translate numbers-attention {closed}")
    assert done.code == 5
    assert "it is closed" in done.err


def test_invalid_bytes_are_replaced_counted_and_named(in_directory: Path, run: Callable) -> None:
    (in_directory / "bad.de").write_bytes(b"drei\nvi\xffer\nf\xc3nf\n")
    done = run("translate", "numbers-attention", "bad.de")
    assert done.code == 0
    assert "2 of 3 lines: not valid UTF-8" in done.err
    assert "bad.de:2" in done.err


def test_attention_as_json_lines_picture_and_on_the_terminal(in_directory: Path, run: Callable) -> None:
    (in_directory / "in.de").write_text("drei\n\nvierzig\n")
    done = run(
        "translate", "numbers-attention", "in.de", "-o", "a.en", "--attention", "weights.jsonl", "--show-attention"
    )
    assert done.code == 0
    rows = [json.loads(line) for line in (in_directory / "weights.jsonl").read_text().splitlines()]
    assert [row["source"] for row in rows] == ["drei", "", "vierzig"]
    assert "attention" not in rows[1]
    assert all(sum(weights) == pytest.approx(1, abs=1e-3) for weights in rows[0]["attention"])
    assert "</s>" in done.err
    assert run("translate", "numbers-attention", "in.de", "-o", "b.en", "--attention", "first.svg").code == 0
    assert (in_directory / "first.svg").read_text().startswith("<svg")


def test_json_lines(in_directory: Path, run: Callable) -> None:
    (in_directory / "in.de").write_text("drei\n\n")
    done = run("translate", "numbers-attention", "in.de", "--json")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert len(rows) == 2
    assert rows[0]["log_probability"] <= rows[0]["score"] < 0
    assert rows[0]["tokens"]
    assert "attention" not in rows[0]
    assert rows[1] == {"text": "", "score": 0.0, "log_probability": 0.0, "tokens": [], "diagnostics": []}
    done = run("translate", "numbers-attention", "in.de", "--json", "--attention-weights", "--nbest", 2)
    row = json.loads(done.out.splitlines()[0])
    assert [len(weights) for weights in row["attention"]] == [len(row["source_tokens"])] * len(row["tokens"])
    assert row["nbest"][0]["text"] == row["text"]
    assert row["nbest"][0]["score"] > row["nbest"][1]["score"]


@pytest.fixture
def published(transformer: dict[str, bytes], card: Card) -> None:
    """`numbers-transformer`, which CTranslate2 translates with."""
    publish(Registry.default(), "numbers-transformer", transformer, card)


both_engines = pytest.mark.parametrize("model", ["numbers-attention", "numbers-transformer"])


@both_engines
@pytest.mark.usefixtures("published")
def test_output_is_flushed_when_the_input_pauses(model: str) -> None:
    command = [sys.executable, "-m", "s2s", "translate", model]
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


@both_engines
@pytest.mark.usefixtures("published")
def test_a_reader_that_goes_away_is_141(model: str, shell: Callable) -> None:
    done = shell(f"yes drei | head -20000 | s2s translate {model} --beam-size 1 --max-ratio 0.1 | head -1")
    assert done.code == 141
    assert done.err == ""


@both_engines
@pytest.mark.usefixtures("published")
def test_terminated_it_ends_soon_and_leaves_nothing(model: str, in_directory: Path) -> None:
    (in_directory / "in.de").write_text("drei vier fünf sechs\n" * 50_000)
    command = [sys.executable, "-m", "s2s", "translate", model, "in.de", "-o", "out.en"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not list(in_directory.glob(".out.en.*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    assert [path.name for path in in_directory.iterdir()] == ["in.de"]


def test_lost_placeholders_are_reported(in_directory: Path, run: Callable) -> None:
    (in_directory / "in.de").write_text("drei\n<b>drei</b>\n%s\n")
    done = run("translate", "numbers-attention", "in.de", "--json")
    assert "2 of 3 lines: translation without all placeholders and tags of its source" in done.err
    lost = ["lost_placeholders" in json.loads(line)["diagnostics"] for line in done.out.splitlines()]
    assert lost == [False, True, True]


@pytest.mark.usefixtures("published")
def test_windows_of_a_pipe_come_out_in_order(
    monkeypatch: pytest.MonkeyPatch, in_directory: Path, run: Callable
) -> None:
    monkeypatch.setattr(streaming, "WINDOW", 3)
    lines = [f"{'ab ' * (number % 5)}{chr(97 + number % 8)}" for number in range(20)]
    (in_directory / "in.de").write_text("".join(f"{line}\n" for line in lines))
    together = run("translate", "numbers-transformer", "in.de", "--precision", "fp32").out.splitlines()
    for line, text in zip(lines, together, strict=True):
        (in_directory / "one.de").write_text(f"{line}\n")
        assert run("translate", "numbers-transformer", "one.de", "--precision", "fp32").out == f"{text}\n"


def test_nbest_and_samples_are_numbered_lines(
    in_directory: Path, run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    (in_directory / "in.de").write_text("drei\n\nvierzig\n")
    done = run("translate", "numbers-attention", "in.de", "--nbest", 2)
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert [row[0] for row in rows] == ["1", "1", "2", "3", "3"]
    assert float(rows[0][1]) > float(rows[1][1])
    best = run("translate", "numbers-attention", "in.de").out.splitlines()
    assert [rows[0][2], rows[2][2], rows[3][2]] == best
    assert run("translate", "numbers-attention", "in.de", "--nbest", 3).code == 2
    drawn = [
        run("translate", "numbers-attention", "in.de", "--sample", "--nbest", 4, "--seed", seed) for seed in (1, 1, 2)
    ]
    assert [one.code for one in drawn] == [0, 0, 0]
    assert drawn[0].out == drawn[1].out != drawn[2].out
    assert len(drawn[0].out.splitlines()) == 4 + 1 + 4
    monkeypatch.setattr(streaming, "WINDOW", 2)
    assert run("translate", "numbers-attention", "in.de", "--sample", "--nbest", 4, "--seed", 1).out == drawn[0].out


def test_prefixes_line_by_line(in_directory: Path, run: Callable) -> None:
    (in_directory / "in.de").write_text("drei\nvierzig\nneun\n")
    (in_directory / "heads").write_text("seven\n\nforty\n")
    free, done = (
        run("translate", "numbers-attention", "in.de"),
        run("translate", "numbers-attention", "in.de", "--prefix", "heads"),
    )
    lines = done.out.splitlines()
    assert lines[0].startswith("seven")
    assert lines[1] == free.out.splitlines()[1]
    assert lines[2].startswith("forty")
    for text, said in (("seven\n", "fewer lines"), ("a\nb\nc\nd\n", "more lines")):
        (in_directory / "heads").write_text(text)
        wrong = run("translate", "numbers-attention", "in.de", "--prefix", "heads", "-o", "new.en")
        assert wrong.code == 3
        assert said in wrong.err
        assert not (in_directory / "new.en").exists()


def test_an_ensemble_of_a_model_with_itself_is_the_model(in_directory: Path, run: Callable) -> None:
    (in_directory / "in.de").write_text("drei\nvierzig\n12. Mai 2001\n")
    alone = run("translate", "numbers-attention", "in.de")
    both = run("translate", "numbers-attention", "in.de", "--ensemble", "numbers-attention:1", "-v")
    assert both.out == alone.out
    assert "2 models" in both.err
    assert run("translate", "numbers-attention", "in.de", "--ensemble", "numbers-bottleneck").code == 0


def test_odd_translations_are_counted_and_strict_makes_them_an_error(in_directory: Path, run: Callable) -> None:
    (in_directory / "in.de").write_text("drei\n" * 5)
    done = run("translate", "numbers-attention", "in.de", "--max-ratio", "0.1", "--no-repeat-ngram", 1)
    assert done.code == 0
    cut = run("translate", "numbers-attention", "in.de", "--min-ratio", 3, "--max-ratio", 3, "-o", "out.en", "--strict")
    assert "5 of 5 lines: translation truncated at the length limit" in cut.err
    assert cut.code == 3
    assert (in_directory / "out.en").read_text().count("\n") == 5  # written all the same


ANY_LINES = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.text(max_size=20).map(str.encode),
        st.sampled_from(
            [b"", b"  ", b"\xef\xbb\xbfdrei", b"drei\r", b"\0", "\u2028x\x85".encode(), b"\xff\xfe", b"</s>"]
        ),
    ),
    max_size=6,
)


@given(lines=ANY_LINES, ended=st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_as_many_lines_come_out_whatever_bytes_go_in(
    lines: list[bytes], ended: bool, in_directory: Path, run: Callable
) -> None:
    content = b"\n".join(lines) + b"\n" * ended
    (in_directory / "any").write_bytes(content)
    done = run("translate", "numbers-attention", "any", "-o", "out", "--force", "--beam-size", 1)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        assert (done.code, "any is UTF-16 text" in done.err) == (3, True)
        return
    assert done.code == 0
    written = (in_directory / "out").read_bytes()
    expected = content.count(b"\n") + (not content.endswith(b"\n") and content != b"")
    assert written.count(b"\n") == expected
    assert not written or written.endswith(b"\n")
    written.decode()
    for line, text in zip(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), written.split(b"\n"), strict=False):
        assert line.decode(errors="replace").strip() or not text


def test_a_line_of_very_many_words_is_one_line(in_directory: Path, run: Callable) -> None:
    (in_directory / "in.de").write_text("drei\n" + "drei " * 100_000 + "\nvier\n")
    done = run("translate", "numbers-attention", "in.de", "-o", "out.en", "--beam-size", 1, "--max-ratio", 0.01)
    assert done.code == 0
    assert (in_directory / "out.en").read_text().count("\n") == 3
    assert "longer than the model takes" in done.err


def test_a_conversation_at_a_terminal(own_home: Path) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-m", "s2s", "translate", "numbers-attention", "--show-attention"])
    seen = b""
    for said in (b"drei\n", b"\n", b"vierzig\n", b"\x04"):
        seen += read_until(terminal, b"de> ")
        os.write(terminal, said)
    seen += read_until(terminal, None)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    text = seen.decode()
    assert text.count("de> ") == 4
    assert "</s>" in text  # the heat-map
    assert "Traceback" not in text


def read_until(terminal: int, end: bytes | None) -> bytes:
    """What a terminal shows until `end`, or until it is closed."""
    seen = b""
    while end is None or not seen.rstrip(b" ").endswith(end.rstrip(b" ")):
        try:
            seen += os.read(terminal, 1024)
        except OSError:  # closed by the other side
            break
    return seen


def test_the_target_of_a_link_is_written(in_directory: Path, run: Callable) -> None:
    (in_directory / "in.de").write_text("drei\n")
    (in_directory / "elsewhere").mkdir()
    target = in_directory / "elsewhere" / "out.en"
    (in_directory / "out.en").symlink_to(target)
    assert run("translate", "numbers-attention", "in.de", "-o", "out.en").code == 0
    assert (in_directory / "out.en").is_symlink()
    assert target.read_text().count("\n") == 1
    target.unlink()
    target.write_text("kept\n")
    assert run("translate", "numbers-attention", "in.de", "-o", "out.en").code == 2
    assert target.read_text() == "kept\n"


class TestSplit:
    """`--split`: sentences of a line are translated one by one."""

    def test_parts_are_described(self, in_directory: Path, run: Callable) -> None:
        (in_directory / "in.de").write_text("drei. Vier\nvier\n")
        whole, single = map(json.loads, run("translate", "numbers-attention", "in.de", "--json").out.splitlines())
        assert "parts" not in whole | single
        done = run("translate", "numbers-attention", "in.de", "--json", "--split", "on")
        split, same = map(json.loads, done.out.splitlines())
        assert [(part["start"], part["end"]) for part in split["parts"]] == [(0, 5), (6, 10)]
        assert split["text"] == " ".join(part["text"] for part in split["parts"])
        assert same == single
        assert "1 of 2 lines hold several sentences, translated one by one (--split off: whole)" in done.err

    @pytest.mark.parametrize("option", [("--nbest", 2), ("--prefix", "in.de"), ("--attention", "a.json")])
    def test_what_belongs_to_whole_lines_is_refused(self, in_directory: Path, run: Callable, option: tuple) -> None:
        (in_directory / "in.de").write_text("drei. Vier\n")
        done = run("translate", "numbers-attention", "in.de", "--split", "on", *option)
        assert done.code == 2
        assert "--split on cannot be combined" in done.err
        assert run("translate", "numbers-attention", "in.de", "--split", "on", "--nbest", 1).code == 0
        assert run("translate", "numbers-attention", "in.de", *option).code == 0

    def test_a_long_sentence_is_a_problem_with_strict(self, in_directory: Path, run: Callable) -> None:
        (in_directory / "in.de").write_text("drei " * 40 + "\n")
        done = run("translate", "numbers-attention", "in.de", "--strict")
        assert done.code == 3
        assert "error: --strict: some translations have problems" in done.err
        assert "translation of a sentence longer than those of training" in done.err
        assert done.out.count("\n") == 1

    def test_attention_of_a_long_sentence_is_given_by_part(self, in_directory: Path, run: Callable) -> None:
        (in_directory / "in.de").write_text("drei, " * 300 + "\n")
        options = ("--beam-size", 1, "--max-ratio", 0.02)
        done = run("translate", "numbers-attention", "in.de", "--json", "--attention-weights", *options)
        line = json.loads(done.out)
        assert "attention" not in line
        assert [len(part["attention"]) for part in line["parts"]] == [len(part["tokens"]) for part in line["parts"]]
        assert line["diagnostics"].count("cut") == 1
        run("translate", "numbers-attention", "in.de", "-o", "out.en", "--attention", "a.json", *options)
        parts = json.loads((in_directory / "a.json").read_text())["parts"]
        assert [part["attention"] for part in parts] == [part["attention"] for part in line["parts"]]
        drawn = run("translate", "numbers-attention", "in.de", "-o", "o.en", "--attention", "a.svg", *options)
        assert f"a.svg shows the first of {len(parts)} parts" in drawn.err
