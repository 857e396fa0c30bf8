"""Where a server listens, and which servers a client trusts."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from s2s.errors import ResourceError, UsageError
from s2s.serving.sockets import connect, group_number, listen, peer_of

CONNECT = """
import sys
from pathlib import Path
from s2s.serving.sockets import connect
print(connect(Path(sys.argv[1])) is not None)
"""
NOBODY, STRANGERS = 65_534, 65_533


@pytest.fixture
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A registry, and a directory of servers, that every user can reach."""
    directory = Path("/tmp") / f"s2s-test-{os.getpid()}"
    directory.mkdir(mode=0o755)
    (directory / "registry").mkdir(mode=0o755)
    yield directory / "registry"
    shutil.rmtree(directory)


@pytest.fixture(autouse=True)
def servers(registry: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("S2S_SERVERS", str(registry.parent / "servers"))
    return registry.parent / "servers"


def connects(registry: Path, user: int, group: int, *more: int) -> bool:
    """Whether a process of another user finds a server."""
    groups = [f"--groups={','.join(map(str, more))}"] if more else ["--clear-groups"]
    run = ["setpriv", f"--reuid={user}", f"--regid={group}", *groups, sys.executable, "-c", CONNECT, str(registry)]
    done = subprocess.run(run, capture_output=True, text=True, check=True, cwd="/")
    return done.stdout.strip() == "True"


as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs other users")


def test_only_the_user_can_enter(registry, servers):
    with listen(registry, None):
        (directory,) = servers.iterdir()
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE(servers.stat().st_mode) == 0o1777
        connection = connect(registry)
        assert connection is not None
        assert peer_of(connection).pid == os.getpid()
        connection.close()
    assert connect(registry) is None
    assert not (directory / "socket").exists()


def test_an_error_of_the_server_is_not_one_of_its_directory(registry):
    with pytest.raises(ConnectionResetError), listen(registry, None):
        raise ConnectionResetError


def test_a_registry_has_one_server_of_a_user(registry, tmp_path):
    with listen(registry, None):
        with pytest.raises(ResourceError, match="already serves this registry"), listen(registry, None):
            pass
        with listen(tmp_path, None):
            assert connect(tmp_path)
    with listen(registry, None):
        pass


def test_what_a_killed_server_left_is_replaced(registry, servers):
    with listen(registry, None):
        (directory,) = servers.iterdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(directory / "socket"))
    assert connect(registry) is None
    with listen(registry, None):
        assert connect(registry)


def test_another_users_directory_is_not_used(registry, servers):
    with listen(registry, None):
        (directory,) = servers.iterdir()
    (directory / "lock").unlink()
    directory.rmdir()
    directory.symlink_to(registry)
    with pytest.raises(ResourceError, match="is not a directory of yours"), listen(registry, None):
        pass


def test_long_paths_work(registry, monkeypatch):
    monkeypatch.setenv("S2S_SERVERS", str(registry.parent / ("long" * 40)))
    with listen(registry, None):
        assert connect(registry)


@as_root
@pytest.mark.parametrize(
    ("user", "groups", "found"),
    [(NOBODY, (STRANGERS,), False), (NOBODY, (NOBODY,), True), (NOBODY, (STRANGERS, NOBODY), True)],
    ids=["a stranger", "a member", "a member by a further group"],
)
def test_members_of_the_group_can_enter(registry, user, groups, found):
    with listen(registry, NOBODY):
        assert connects(registry, user, *groups) is found


@as_root
def test_a_server_of_someone_who_cannot_write_the_registry_is_not_trusted(registry, servers):
    with listen(registry, None):
        (own,) = servers.iterdir()
    digest = own.name.partition("-")[2]
    theirs = servers / f"{NOBODY}-{digest}"
    theirs.mkdir(mode=0o710)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(theirs / "socket"))
        listener.listen()
        (theirs / "socket").chmod(0o666)
        for path in (theirs / "socket", theirs):
            os.chown(path, NOBODY, NOBODY)
        assert connect(registry) is None
        os.chown(registry, 0, NOBODY)
        assert connect(registry) is None  # the group may not write
        registry.chmod(0o2775)
        # the directory is trusted now, but a process of ours listens there and not one of its owner
        assert connect(registry) is None


def test_groups_are_checked():
    with pytest.raises(UsageError, match="no such group"):
        group_number("no-such-group-here")
