"""An import, a pull or a push that is killed leaves the registry whole, and ends when it is repeated."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from trials import Trial, check_whole, in_parts

from s2s.registry.bundle import export_bundle
from s2s.registry.remote import Remote
from s2s.registry.store import Registry

PARTS = 8  # that the file operations are split into
COMMANDS = {
    "import": ("models", "import", "numbers.s2s", "--name", "theirs"),
    "pull": ("models", "pull", "team/numbers-attention", "--name", "theirs"),
    "push": ("models", "push", "numbers-attention", "there/registry"),
}


@pytest.fixture(scope="module")
def elsewhere(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a bundle and a remote."""
    directory = tmp_path_factory.mktemp("elsewhere")
    version = Registry(trained / "registry").resolve("numbers-attention")
    export_bundle(version, directory / "numbers.s2s")
    Remote.open(str(directory / "team")).push(version)
    return directory


@in_parts(PARTS)
@pytest.mark.parametrize("kind", COMMANDS)
def test_killed_at_each_file_operation(
    kind: str, part: int, elsewhere: Path, trained: Path, tmp_path: Path, count: Callable[[str], None]
) -> None:
    files = Registry(trained / "registry").resolve("numbers-attention").files
    number, code = part, -1
    while code < 0:
        home = tmp_path / f"home-{number}"
        shutil.copytree(trained / "registry", home / "registry")
        arguments = [str(elsewhere / word) if "." in word or "team" in word else word for word in COMMANDS[kind]]
        arguments = [str(home / word) if "there/" in word else word for word in arguments]
        changed, name = (home / "there", "numbers-attention") if kind == "push" else (home, "theirs")
        trial = Trial(home, arguments=tuple(arguments), kill_at=number)
        code = trial.exit_code()
        check_whole(changed)
        if code < 0:
            count("kills")
            trial = Trial(home, arguments=tuple(arguments))
            assert trial.exit_code() == 0, trial.said()
            count("resumes")
        registry = Registry(changed / "registry")
        assert [version.files for version in registry.versions(name)] == [files]
        registry.gc(grace_seconds=-10)
        assert not list(registry.root.rglob("*.tmp"))
        assert not list((home / "cache").rglob("sha256"))
        check_whole(changed)
        number += PARTS
    assert number > 2 * PARTS
