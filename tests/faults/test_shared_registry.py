"""A registry that many processes and several users change at once: nothing is lost, doubled or seen damaged."""

import contextlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from publishing import publish

from s2s.errors import UsageError
from s2s.registry.card import Card
from s2s.registry.store import Registry
from s2s.registry.verification import verify

PUBLISHERS = 8
GROUP, USERS = 2000, (2001, 2002)
GRACE = 1.0  # seconds that `gc` spares files: longer than a publication takes here
context = multiprocessing.get_context("fork")  # children keep what is imported, which another user may not read


def publish_many(root: Path, card: Card, worker: int, count: int) -> None:
    for turn in range(count):
        files = {"same": b"the same", "own": f"{worker} {turn}".encode()}
        version = publish(Registry(root), "shared", files, card)
        assert version.read("own") == files["own"]
        if turn % 3 == 2:  # its file is garbage once the grace is over
            publish(Registry(root), "passing", {"own": f"passing {worker} {turn}".encode()}, card)


def collect(root: Path) -> None:
    Registry(root).gc(GRACE)


def read_shared(root: Path) -> None:
    for version in Registry(root).versions("shared"):
        for file in version.files:
            version.read(file)


def move_alias(root: Path) -> None:
    registry = Registry(root)
    for number in registry.numbers("shared")[-2:]:
        registry.set_alias(f"shared:{number}", "best")
        assert registry.resolve("shared@best")
    for number in registry.numbers("passing")[:-1]:
        with contextlib.suppress(UsageError):  # the other one was first
            registry.remove(f"passing:{number}")


def until_told(stop: "multiprocessing.synchronize.Event", task: Callable[[Path], None], root: Path) -> None:
    while not stop.is_set():
        task(root)


@pytest.mark.parametrize("count", [6, pytest.param(50, marks=pytest.mark.faults)])
def test_publishers_collectors_readers_and_movers(tmp_path: Path, card: Card, count: int) -> None:
    root, stop = tmp_path / "registry", context.Event()
    for name in ("shared", "passing"):
        publish(Registry(root), name, {"own": name.encode()}, card)
    tasks = [collect, collect, move_alias, move_alias, read_shared, read_shared]
    others = [context.Process(target=until_told, args=(stop, task, root)) for task in tasks]
    publishers = [context.Process(target=publish_many, args=(root, card, n, count)) for n in range(PUBLISHERS)]
    for process in (*others, *publishers):
        process.start()
    for process in publishers:
        process.join()
    stop.set()
    for process in others:
        process.join()
    assert [process.exitcode for process in (*publishers, *others)] == [0] * (PUBLISHERS + len(others))

    registry = Registry(root)
    assert registry.numbers("shared") == list(range(1, PUBLISHERS * count + 2))
    contents = [version.read("own") for version in registry.versions("shared")]
    assert len(set(contents)) == PUBLISHERS * count + 1
    assert [one for one in verify(registry, registry.names()) if one.problem] == []
    moves = registry.history("shared@best")["best"]
    assert [move.before for move in moves[1:]] == [move.after for move in moves[:-1]]
    time.sleep(GRACE)
    registry.gc(GRACE)
    used = {file.digest for name in registry.names() for one in registry.versions(name) for file in one.files.values()}
    assert {path.name for path in (root / "blobs").rglob("*") if path.is_file()} == used


@pytest.fixture
def team() -> Iterator[Path]:
    """A directory of a group of two users."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        shared = Path(directory) / "team"
        shared.mkdir()
        os.chown(shared, -1, GROUP)
        shared.chmod(0o2775)
        yield shared


def as_user(user: int, task: Callable[..., None], *arguments: object) -> None:
    os.setgroups([])
    os.setgid(GROUP)
    os.setuid(user)
    os.umask(0o002)
    task(*arguments)


def work(root: Path, card: Card, worker: int) -> None:
    registry = Registry(root)
    for turn in range(5):
        publish(registry, "shared", {"same": b"the same", "own": f"{worker} {turn}".encode()}, card)
        for number in registry.numbers("shared")[-2:]:
            registry.set_alias(f"shared:{number}", "best", why=f"worker {worker}")
        registry.gc(GRACE)
        read_shared(root)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
def test_two_users_share_a_directory(team: Path, card: Card) -> None:
    root = team / "registry"
    processes = [
        context.Process(target=as_user, args=(user, work, root, card, worker)) for worker, user in enumerate(USERS)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    registry = Registry(root)
    assert registry.numbers("shared") == list(range(1, 11))
    moves = registry.history("shared@best")["best"]
    assert 18 <= len(moves) <= 20  # at first there is one version to move to
    assert {move.why for move in moves} == {"worker 0", "worker 1"}
    assert {path.stat().st_gid for path in root.rglob("*")} == {GROUP}
    assert {path.stat().st_uid for path in root.rglob("*") if path.is_file()} == set(USERS)
    assert [one for one in verify(registry, ["shared"]) if one.problem] == []
