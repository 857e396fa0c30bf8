import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

from s2s.cli import app as cli
from s2s.errors import ArtefactError, DataError, ResourceError, S2SError, UsageError

HEAVY = {"torch", "datasets", "sacrebleu", "sentencepiece", "matplotlib", "numpy", "pydantic", "rich"}
LOOK = """
import json, sys
from s2s.cli.app import main
print(json.dumps([main(sys.argv[1:]), list(sys.modules)]))
"""


@pytest.fixture
def failing(monkeypatch):
    """`failing(error)` makes a command `fail` that raises the error."""

    def command(error: BaseException) -> None:
        def fail() -> None:
            raise error

        monkeypatch.setitem(sys.modules, "failing_command", types.SimpleNamespace(fail=fail))
        monkeypatch.setitem(cli.COMMANDS, "fail", ("failing_command", "Fails."))

    return command


def imported_by(*arguments: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", LOOK, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0
    return {name.partition(".")[0] if not name.startswith("s2s") else name for name in modules}


def test_help_names_every_command_and_imports_none(run):
    found = run("--help")
    assert found.code == 0
    for name, (_, line) in cli.COMMANDS.items():
        assert f"  {name} " in found.out
        assert line in found.out


def test_help_is_light():
    modules = imported_by("--help")
    assert not modules & HEAVY
    own = {name for name in modules if name.startswith("s2s")}
    devices = {"s2s.devices", "s2s.devices.cgroups", "s2s.devices.runtime"}
    assert own <= devices | {"s2s", "s2s._version", "s2s.cli", "s2s.cli.app", "s2s.errors"}


def test_no_command_at_all_prints_the_help(run):
    assert run() == run("--help")


def test_version(run):
    assert run("--version").out == f"s2s {cli.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["trian"], "no such command: trian", "did you mean train?"),
        (["xyzzy"], "no such command: xyzzy", "s2s --help"),
        (["recipes", "cpoy"], "no such command 'cpoy'", "list, show, copy"),
        (["models"], "missing command", "list, show, diff"),
        (["explain", "--jsno"], "no such option: --jsno", "did you mean --json?"),
        (["recipes", "show"], "missing argument 'RECIPE'", "s2s recipes show --help"),
        (["recipes", "list", "too", "many"], "got unexpected extra argument", "s2s recipes list --help"),
        (["init", "--source"], "'--source' requires an argument", "s2s --help"),
    ],
)
def test_a_wrong_command_line_is_refused_in_two_lines(run, arguments, message, hint):
    found = run(*arguments)
    assert found.code == 2
    assert found.out == ""
    error, advice = found.err.splitlines()
    assert error.startswith("s2s: error: ")
    assert message in error
    assert advice.startswith("hint: ")
    assert hint in advice


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (S2SError("it failed", "try"), 1),
        (UsageError("it failed", "try"), 2),
        (DataError("it failed", "try"), 3),
        (ArtefactError("it failed", "try"), 4),
        (ResourceError("it failed", "try"), 5),
    ],
)
def test_an_error_of_ours_gives_message_hint_and_code(run, failing, error, code):
    failing(error)
    assert run("fail") == (code, "", "s2s: error: it failed\nhint: try\n")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (OSError(28, "No space left on device", "/full/disk"), 5, "/full/disk: no space left on device"),
        (PermissionError(13, "Permission denied", "/locked"), 5, "/locked: permission denied"),
        (MemoryError(), 5, "out of memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"), 5, "out of memory"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), 5, "out of memory"),
        (ZeroDivisionError("by zero"), 1, "ZeroDivisionError: by zero"),
        (FileNotFoundError(2, "No such file", "/gone"), 1, "/gone"),
        (ConnectionResetError(104, "Connection reset by peer"), 1, "Connection reset by peer"),
    ],
)
def test_other_errors_give_one_message_without_a_traceback(run, failing, error, code, message):
    failing(error)
    found = run("fail")
    assert found.code == code
    assert message in found.err.splitlines()[0]
    assert "Traceback" not in found.err


@pytest.mark.parametrize("where", ["before", "after", "environment"])
def test_debug_shows_the_traceback(run, failing, monkeypatch, where):
    failing(ZeroDivisionError("by zero"))
    if where == "environment":
        monkeypatch.setenv("S2S_DEBUG", "1")
    found = run(*(["--debug", "fail"] if where == "before" else ["fail", "--debug"] if where == "after" else ["fail"]))
    assert found.code == 1
    assert "Traceback" in found.err
    assert found.err.count("s2s: error: ZeroDivisionError") == 1


def test_an_unexpected_error_names_debug(run, failing):
    failing(ZeroDivisionError("by zero"))
    assert "--debug" in run("fail").err


def test_an_interruption_ends_with_130(run, failing):
    failing(KeyboardInterrupt())
    assert run("fail") == (130, "", "s2s: interrupted\n")


def test_a_message_cannot_drive_the_terminal(run, failing):
    failing(UsageError("a file named \x1b[31m[red]\x07", None))
    found = run("fail")
    assert "\x1b" not in found.err
    assert "\\x1b[31m[red]\\x07" in found.err


def test_no_color_is_respected(shell):
    assert "\x1b[1;31m" in shell("s2s nothing", FORCE_COLOR="1").err
    assert "31m" not in shell("s2s nothing", FORCE_COLOR="1", NO_COLOR="1").err


@pytest.mark.parametrize(
    "arguments", [["--help"], ["recipes", "show", "numbers/attention"], ["recipes", "list"], ["explain"]]
)
def test_a_reader_that_goes_away_is_141_and_quiet(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "s2s", *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert done.returncode == 141
    assert done.stderr == ""


def test_a_reader_that_stops_early(shell):
    found = shell("s2s explain --json | head -c 1")
    assert found.out == "["
    assert found.err == ""


@pytest.mark.parametrize("arguments", ["--help", "explain", "recipes show numbers/attention"])
def test_a_full_disk_behind_standard_output(shell, arguments):
    found = shell(f"s2s {arguments} > /dev/full")
    assert found.code == 5
    assert "no space left on device" in found.err.splitlines()[0]
    assert "Traceback" not in found.err
    assert "Exception ignored" not in found.err


def test_closed_standard_output_is_no_crash(shell):
    assert shell("s2s --version >&-") == (0, "", "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals(tmp_path, number, code):
    (tmp_path / "waiting_command.py").write_text(
        "import sys, time\n\ndef wait():\n    print('waiting', flush=True)\n    time.sleep(60)\n"
    )
    start = (
        "import sys; from s2s.cli import app; "
        "app.COMMANDS['wait'] = ('waiting_command', 'Waits.'); sys.exit(app.main(['wait']))"
    )
    path = f"{tmp_path}:{Path(cli.__file__).parents[2]}"
    child = subprocess.Popen(
        [sys.executable, "-c", start],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "waiting\n"
    child.send_signal(number)
    _, err = child.communicate(timeout=60)
    assert child.returncode == code
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "found"), [("s2s tra", ["train", "translate"]), ("s2s train --fr", ["--from", "--fresh"])]
)
def test_shell_completion(shell, words, found):
    done = shell("s2s", _S2S_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(words.count(" ")))
    assert done.out.split() == found
