"""A preparation that was killed or lost power continues, and gives the same corpus byte for byte."""

import contextlib
import hashlib
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from disk import Disk, write_to
from trials import Trial, in_parts

from s2s.data.corpus import VERIFIED, Corpus
from s2s.io.paths import remove_tree

BLOCK = 40  # pairs
KILLS = 10  # of the file operations, these are tried
FAILURES = 8  # of power, tried
PARTS = 5
SIZES = ["generator.train=100", "generator.validation=7", "generator.test=5", "generator.max_items=1"]
PREPARE = ["data", "prepare", "numbers/attention", "--set", "tokenizer.vocab_size=60"]
PREPARE += [part for size in SIZES for part in ("--set", f"data.{size}")]
Count = Callable[[str], None]


def contents(home: Path) -> dict[str, str]:
    """Verify the only corpus of a home, of whose preparation nothing is left; return digests of its files."""
    (directory,) = (path for path in (home / "corpora").iterdir() if path.is_dir())
    Corpus.open(directory).verify(again=True)
    files = [path for path in directory.iterdir() if path.name != VERIFIED]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def preparation(home: Path, **faults: object) -> Trial:
    home.mkdir(exist_ok=True)
    return Trial(home, arguments=tuple(PREPARE), block=BLOCK, **faults)  # type: ignore[arg-type]


def check_continued(home: Path, expected: dict[str, str], count: Count) -> None:
    """Check that whatever has its final name is complete, and that the preparation continues to the same corpus."""
    for directory in (home / "corpora").glob("[!.]*"):
        Corpus.open(directory).verify(again=True)
    trial = preparation(home)
    assert trial.exit_code() == 0, trial.said()
    assert "starts again" not in trial.said()
    count("resumes")
    if contents(home) != expected:
        count("mismatches")
    assert contents(home) == expected


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], Path]:
    """The files of an uninterrupted preparation, and all file operations of it."""
    home = tmp_path_factory.mktemp("whole")
    record = home / "operations"
    assert preparation(home, record=record).exit_code() == 0
    return contents(home), record


@in_parts(PARTS)
def test_preparation_killed_at_file_operations(
    part: int, recorded: tuple[dict[str, str], Path], tmp_path: Path, count: Count
) -> None:
    expected, record = recorded
    operations = len(pickle.loads(record.read_bytes()))
    assert operations > 150
    numbers = [operations - 1 - number * operations // KILLS for number in range(KILLS)]  # the last one is a removal
    for number in numbers[part::PARTS]:
        home = tmp_path / f"killed-{number}"
        assert preparation(home, kill_at=number).exit_code() == -signal.SIGKILL
        count("kills")
        check_continued(home, expected, count)


@pytest.mark.faults
@pytest.mark.parametrize("names", [False, True], ids=["nothing unsynced", "unsynced names"])
def test_preparation_after_power_failures(
    names: bool, recorded: tuple[dict[str, str], Path], tmp_path: Path, count: Count
) -> None:
    expected, record = recorded
    operations = pickle.loads(record.read_bytes())
    (tmp_path / "empty").mkdir()
    disk = Disk(tmp_path / "empty")
    disk.root = record.parent
    failures = [number * len(operations) // (FAILURES // 2) for number in range(1, FAILURES // 2 + 1)]
    for number, operation in enumerate(operations, 1):
        disk.apply(operation)
        if number in failures:
            home = tmp_path / f"after-{number}"
            write_to(disk.left(names=names), home)
            count("power failures")
            check_continued(home, expected, count)


def start(home: Path) -> subprocess.Popen[bytes]:
    """Start the command with two more processes, all in a group of their own."""
    code = f"import sys; from s2s.data.preparation import plan; plan.BLOCK = {BLOCK}; from s2s.cli.app import main; "
    command = [sys.executable, "-c", f"{code}sys.exit(main({[*PREPARE, '--processes', '2']}))"]
    environment = os.environ | {"S2S_HOME": str(home)}
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, start_new_session=True)


def running(group: int) -> dict[int, int]:
    """Return the running processes of a group, and the parent of each."""
    found = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent, of_group = file.read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == group and state != "Z":
                found[int(file.parent.name)] = int(parent)
    return found


def ended(process: subprocess.Popen[bytes]) -> str:
    """Wait until all processes of the command have ended, and return what they wrote."""
    _, said = process.communicate(timeout=60)
    for _ in range(100):
        if not running(process.pid):
            return said.decode()
        time.sleep(0.05)
    raise AssertionError(f"still running: {running(process.pid)}")


@pytest.mark.faults
def test_preparation_interrupted_while_processes_start(tmp_path: Path) -> None:
    for more in range(3):  # the first process that is started keeps track of semaphores
        process = start(tmp_path)
        while len(running(process.pid)) < 3:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.15 * more)
        os.killpg(process.pid, signal.SIGINT)
        said = ended(process)
        assert process.returncode == 130, said
        assert "Traceback" not in said
        assert said.count("interrupted") == 1


@pytest.mark.faults
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM, None], ids=str)
def test_preparation_with_processes_killed_at_random_moments(
    blow: signal.Signals | None, recorded: tuple[dict[str, str], Path], tmp_path: Path, count: Count
) -> None:
    """Without a signal, one of the other processes is killed."""
    draw, left = random.Random(blow), 2
    while True:
        process = start(tmp_path)
        while len(running(process.pid)) < 3 and process.poll() is None:
            time.sleep(0.01)
        if left:
            left -= 1
            count("kills")
            time.sleep(draw.uniform(0, 2))
            others = [number for number in running(process.pid) if number != process.pid]
            if blow is None and others:
                os.kill(max(others), signal.SIGKILL)
            elif blow:
                process.send_signal(blow)
        said = ended(process)
        if process.returncode == 0 and not left:
            break
        expected = {None: 5, signal.SIGKILL: -9, signal.SIGTERM: 143}[blow]
        assert process.returncode in {0, expected}, said
        assert "Traceback" not in said
        if process.returncode == 0:
            remove_tree(tmp_path / "corpora")
    count("resumes")
    assert contents(tmp_path) == recorded[0]
