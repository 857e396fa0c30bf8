import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import tomli_w

from s2s.recipe.load import load_recipe
from s2s.report.console import out
from s2s.training.runs.record import RunRecord, runs_directory

HEAVY = {"torch", "datasets", "sacrebleu", "sentencepiece", "matplotlib", "pyarrow"}
LOOK = """
import json, sys
from s2s.cli.app import main
for line in ("list", "show words-ab", "plot words-ab -o words.svg", "rm words-ab --force"):
    assert main(["runs", *line.split()]) == 0, line
print(json.dumps(list(sys.modules)))
"""
HOLD = """
import sys
from pathlib import Path
from s2s.io.locks import exclusive_lock
with exclusive_lock(Path(sys.argv[1]), "at work"):
    print("held", flush=True)
    sys.stdin.read()
"""
SIGNATURE = "BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"
LINES = [
    {"kind": "training", "update": 50, "epoch": 1, "done": 0.205, "loss": 4.25, "lr": 3e-3, "gradient_norm": 0.571,
     "tokens_per_second": 3062.5, "seconds": 61.2},
    {"kind": "validation", "update": 60, "better": True, "loss": 3.5, "bleu": 12.34, "signature": SIGNATURE},
    {"kind": "training", "update": 100, "epoch": 2, "done": 0.41, "loss": 3.125, "lr": 2.5e-3, "gradient_norm": 0.5,
     "tokens_per_second": 3100.0, "seconds": 125.0},
    {"kind": "validation", "update": 120, "better": False, "loss": 3.75, "bleu": 11.5, "signature": SIGNATURE},
]  # fmt: skip


def made(name: str, lines=LINES, *, published: str | None = None, created: str = "2026-01-02T03:04:05+00:00") -> Path:
    """A run of `numbers/attention` under a name, with what it has recorded and a checkpoint."""
    directory = runs_directory() / name
    model = name.rpartition("-")[0]
    RunRecord("ab" * 32, model, "cd" * 32, "cpu", "bf16", 2, created, published).write(directory)
    recipe = load_recipe("numbers/attention", [f"name={model}"])
    (directory / "recipe.toml").write_bytes(tomli_w.dumps(recipe.as_dict()).encode())
    (directory / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    checkpoint = directory / "checkpoints" / "00000060"
    checkpoint.mkdir(parents=True)
    (checkpoint / "manifest.json").write_bytes(bytes(1_250_000))
    return directory


@pytest.fixture
def terminal(monkeypatch):
    """`terminal(80)`: standard output is a terminal of that width."""

    def of(width: int) -> None:
        monkeypatch.setattr(out, "_force_terminal", True)
        monkeypatch.setattr(out, "width", width)

    return of


@pytest.fixture
def moved(monkeypatch):
    """Local time is five hours ahead, so that it is told from that of the record."""
    import time

    monkeypatch.setenv("TZ", "XXX-5")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_checkpoint_saved_when_stopped_counts(run):
    checkpoint = made("words-ab") / "stopped" / "00000126"
    checkpoint.mkdir(parents=True)
    (checkpoint / "manifest.json").write_bytes(b"{}")
    assert json.loads(run("runs", "list", "--json").out)[0]["updates"] == 126
    assert " 126 " in run("runs", "list").out


def test_a_list_is_a_line_for_each_run_in_the_order_they_began(run, moved):
    made("words-ab", created="2026-01-03T23:04:05+00:00")
    made("first-cd", published="first:3")
    head, first, second = run("runs", "list").out.splitlines()
    assert head.split() == ["run", "model", "state", "updates", "best", "validation", "began", "size"]
    assert " ".join(first.split()) == (
        "first-cd first finished: first:3 120 loss 3.500, BLEU 12.3 2026-01-02 08:04 1.3 MB"
    )
    assert " ".join(second.split()) == (
        "words-ab words unfinished, 41 % 120 loss 3.500, BLEU 12.3 2026-01-04 04:04 1.3 MB"
    )


@pytest.mark.parametrize("width", [40, 80])
def test_names_stay_whole_in_a_narrow_terminal(run, terminal, width):
    terminal(width)
    made("multi30k-transformer-efdd6e46")
    made("multi30k-attention-1a2b3c4d", published="multi30k-attention:1")
    lines = run("runs", "list").out.splitlines()
    assert max(map(len, lines)) <= width + 10  # for what makes names bold
    text = " ".join(lines)
    for part in ("multi30k-transformer-efdd6e46", "unfinished, 41 %", "120", "loss 3.500, BLEU 12.3", "1.3 MB"):
        assert part in " ".join(text.split())


def test_a_wide_terminal_has_the_table(run, terminal):
    terminal(160)
    made("multi30k-transformer-efdd6e46")
    assert len(run("runs", "list").out.splitlines()) == 2


def test_a_list_as_json(run):
    directory = made("words-ab")
    (found,) = json.loads(run("runs", "list", "--json").out)
    best = found.pop("best")
    assert found.pop("bytes") > 1_250_000
    assert best == LINES[1]
    assert found == {
        "run": "words-ab",
        "model": "words",
        "state": "unfinished",
        "published": None,
        "process": None,
        "updates": 120,
        "done": 0.41,
        "began": "2026-01-02T03:04:05+00:00",
        "directory": str(directory),
    }


def test_an_empty_list_names_the_next_command(run):
    found = run("runs", "list")
    assert (found.code, found.out) == (0, "")
    assert "s2s train numbers/attention" in found.err
    assert json.loads(run("runs", "list", "--json").out) == []


def test_damaged_and_half_made_directories_hide_no_run(run):
    made("words-ab")
    (made("broken-cd") / "run.json").write_text("{")
    (runs_directory() / "half-ef").mkdir()
    newer = made("newer-01")
    record = json.loads((newer / "run.json").read_text())
    (newer / "run.json").write_text(json.dumps(record | {"schema": 99}))
    found = run("runs", "list")
    assert found.code == 4
    assert [line.split()[0] for line in found.out.splitlines()] == ["run", "words-ab"]
    warnings = [line for line in found.err.splitlines() if line.startswith("warning: ")]
    assert [name in line for name, line in zip(("broken-cd", "half-ef", "newer-01"), warnings, strict=True)] == [
        True
    ] * 3
    assert run("runs", "list", "--json").code == 4


def test_show_says_what_it_is_and_how_far_it_came(run, moved):
    directory = made("words-ab")
    found = run("runs", "show", "words-ab")
    name, *lines = found.out.splitlines()
    assert name == "words-ab"
    described = {line[:13].strip(): line[13:].strip() for line in lines}
    assert described == {
        "state": "unfinished, 41 %",
        "recipe": "words: German numbers and dates in words to English, with additive attention",
        "network": "bidirectional GRU encoder; GRU decoder with additive attention",
        "corpus": "cdcdcdcdcdcd",
        "computed": "on cpu in bf16, 2 threads",
        "began": "2026-01-02 08:04",
        "training": "update 100: loss 3.125, learning rate 2.5e-03, gradient norm 0.50, 3,100 tokens/s, "
        "after 2 min 05 s",
        "validation": "update 120: loss 3.750, BLEU 11.5",
        "best": "update 60: loss 3.500, BLEU 12.3; checkpoints/00000060",
        "signature": SIGNATURE,
        "checkpoints": "60",
        "files": f"{directory}: checkpoints, metrics.jsonl, recipe.toml, run.json (1.3 MB)",
    }
    assert found.err == "Next: s2s resume words-ab\n"


def test_show_of_a_run_that_was_trained(run, trained_home):
    (directory,) = (trained_home / "runs").glob("numbers-attention-*")
    found = run("runs", "show", directory.name)
    assert found.code == 0
    assert "  state       finished: numbers-attention:1\n" in found.out
    assert "  validation  update 12: loss " in found.out
    assert "log.txt" in found.out
    assert found.err == "Next: s2s translate numbers-attention:1\n"
    shown = json.loads(run("runs", "show", directory, "--json").out)
    assert (shown["state"], shown["published"], shown["updates"]) == ("finished", "numbers-attention:1", 12)
    assert shown["architecture"] == "bidirectional GRU encoder; GRU decoder with additive attention"
    assert shown["validation"]["update"] == 12
    assert shown["best"]["update"] in shown["checkpoints"]
    assert shown["training"] is None  # twelve updates are too few for a line


def test_show_of_a_run_without_figures(run):
    made("words-ab", [])
    found = run("runs", "show", "words-ab")
    assert "  state       unfinished\n" in found.out
    for label in ("training", "validation", "best", "signature"):
        assert f"  {label} " not in found.out
    assert run("runs", "list").out.splitlines()[1].split()[2:5] == ["unfinished", "60", "–"]


def test_unknown_and_damaged_runs(run):
    made("words-ab")
    (made("broken-cd") / "recipe.toml").write_text("[")
    for command in ("show", "plot", "rm"):
        found = run("runs", command, "words-ac")
        assert found.code == 2
        assert "did you mean words-ab?" in found.err
    found = run("runs", "show", "broken-cd")
    assert found.code == 4
    assert "run broken-cd is damaged" in found.err


def test_texts_of_others_cannot_drive_the_terminal(run):
    directory = made("words-ab", published="a\x1b[31mb:1\nc")
    recipe = (directory / "recipe.toml").read_text()
    (directory / "recipe.toml").write_text(recipe.replace("German numbers", "German \\u001b[31m[red]numbers"))
    (directory / "\x1b[31m").touch()
    for command in (("list",), ("show", "words-ab"), ("plot", "words-ab")):
        found = run("runs", *command)
        assert found.code == 0
        assert "\x1b" not in found.out + found.err


def test_a_plot_fits_the_width_it_is_given(shell):
    made("words-ab")
    for width in (40, 80):
        found = shell("s2s runs plot words-ab | cat", COLUMNS=str(width))
        lines = found.out.splitlines()
        assert found.code == 0
        assert max(map(len, lines)) == width
        assert "loss in nats per token" in lines
        assert "validation BLEU" in lines
        assert "validation chrF2" not in lines
        assert "\x1b" not in found.out
    assert lines[-1] == "a training  A validation  words-ab"


def test_a_plot_of_several_runs_and_as_svg(run, in_directory):
    made("words-ab")
    made("other-cd", [line | {"chrf": 40.0} for line in LINES])
    found = run("runs", "plot", "words-ab", "other-cd", "words-ab", "-o", "curves.svg")
    assert found.code == 0
    assert "validation chrF2" in found.out
    assert found.out.splitlines()[-2:] == ["a training  A validation  words-ab", "b training  B validation  other-cd"]
    assert found.err == "wrote curves.svg\n"
    svg = Path("curves.svg").read_text()
    assert ElementTree.fromstring(svg).get("aria-label") == "Learning curves: words-ab, other-cd"
    refused = run("runs", "plot", "words-ab", "-o", "curves.svg")
    assert (refused.code, refused.out) == (2, "")
    assert "--force" in refused.err
    assert run("runs", "plot", "words-ab", "-o", "curves.svg", "--force").code == 0
    assert "other-cd" not in Path("curves.svg").read_text()
    assert run("runs", "plot", "words-ab", "-o", "curves.png").code == 2


def test_a_run_without_figures_is_left_out_of_a_plot(run):
    made("words-ab")
    made("empty-cd", [])
    found = run("runs", "plot", "empty-cd", "words-ab")
    assert found.code == 0
    assert found.out.splitlines()[-1] == "a training  A validation  words-ab"
    assert "warning: run empty-cd has recorded no figures yet" in found.err
    alone = run("runs", "plot", "empty-cd")
    assert (alone.code, alone.out) == (2, "")
    assert "nothing to plot" in alone.err


def test_a_plot_of_a_run_that_was_killed_while_it_wrote(run):
    directory = made("words-ab")
    with (directory / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "training", "upd')
    assert run("runs", "plot", "words-ab").code == 0


def test_removing_names_what_it_frees(run):
    directory = made("words-ab", published="words:1")
    found = run("runs", "rm", "words-ab")
    assert (found.code, found.out) == (0, "")
    assert found.err == f"removed {directory}, freed 1.3 MB. Next: s2s runs list\n"
    assert not directory.exists()
    assert run("runs", "show", "words-ab").code == 2


def test_an_unfinished_run_is_removed_by_force_alone(run):
    directory = made("words-ab")
    refused = run("runs", "rm", "words-ab")
    assert refused.code == 2
    assert "120 updates of training and 1 checkpoint would be lost" in refused.err
    assert "--force" in refused.err
    assert directory.exists()
    assert run("runs", "rm", "words-ab", "--force").code == 0
    assert not directory.exists()


def test_a_half_made_run_is_removed_by_force_alone(run):
    (runs_directory() / "half-ef").mkdir(parents=True)
    assert run("runs", "rm", "half-ef").code == 2
    assert run("runs", "rm", "half-ef", "--force").code == 0
    assert run("runs", "list").code == 0


def test_a_run_that_is_being_trained_is_shown_and_stays(run):
    directory = made("words-ab")
    command = [sys.executable, "-c", HOLD, str(directory / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        assert "training, 41 %" in run("runs", "list").out
        shown = run("runs", "show", "words-ab")
        refused = run("runs", "rm", "words-ab", "--force")
        process.kill()
    assert f"training, 41 % (process {process.pid})" in shown.out
    assert shown.err == "Next: s2s runs plot words-ab\n"
    assert refused.code == 5
    assert f"process {process.pid} is training run words-ab" in refused.err
    assert "hint: stop it first" in refused.err
    assert (directory / "run.json").exists()
    assert run("runs", "rm", "words-ab", "--force").code == 0


def test_the_model_of_a_run_that_is_removed_stays(run, trained_home):
    (directory,) = (trained_home / "runs").glob("numbers-attention-*")
    assert run("runs", "rm", directory.name).code == 0
    found = run("models", "show", "numbers-attention:1", "--json")
    assert json.loads(found.out)["model"] == "numbers-attention"


def test_no_command_imports_what_is_slow(in_directory):
    made("words-ab")
    done = subprocess.run([sys.executable, "-c", LOOK], stdout=subprocess.PIPE, text=True, check=True)
    modules = json.loads(done.stdout.splitlines()[-1])
    assert "s2s.training.runs.removal" in modules
    assert HEAVY.isdisjoint(modules)


def test_a_model_stands_for_its_one_run(run):
    made("words-ab")
    assert run("runs", "show", "words").out.startswith("words-ab\n")
    made("words-cd")
    found = run("runs", "show", "words")
    assert found.code == 2
    assert "model words has 2 runs" in found.err
    described = "unfinished, began 2026-01-02"
    assert f"words-ab ({described}), words-cd ({described})" in found.err
    assert run("runs", "rm", "words", "--force").code == 2
