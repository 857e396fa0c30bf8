"""Aliases that move: their history, moving back, and several who move one at once."""

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from publishing import publish

from s2s.errors import ArtefactError, UsageError
from s2s.registry.store import Registry

MOVES = 25  # of each process


@pytest.fixture
def versions(registry: Registry, card) -> Registry:
    """A registry with five versions of one model."""
    for _ in range(5):
        publish(registry, "numbers", {}, card)
    return registry


def moves(registry: Registry, alias: str = "best") -> list[tuple[int | None, int | None, str]]:
    return [(move.before, move.after, move.why) for move in registry.history(f"numbers@{alias}")[alias]]


def history_file(registry: Registry) -> Path:
    return registry.root / "models" / "numbers" / "history" / "best.jsonl"


def test_every_move_is_kept_with_who_and_why(versions, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ada")
    versions.set_alias("numbers:1", "best")
    versions.set_alias("numbers:3", "best", why="better on long lines")
    versions.remove("numbers:3", force=True)
    assert moves(versions) == [(None, 1, ""), (1, 3, "better on long lines"), (3, None, "version 3 removed")]
    found = versions.history("numbers")["best"]
    assert {move.user for move in found} == {"ada"}
    assert sorted(move.time for move in found) == [move.time for move in found]


def test_rolling_back_goes_back_move_by_move(versions):
    for number in (1, 2, 4):
        versions.set_alias(f"numbers:{number}", "best")
    assert versions.roll_back("numbers@best").number == 2
    assert versions.roll_back("numbers@best", why="slow").number == 1
    assert moves(versions)[-1] == (2, 1, "slow")
    versions.set_alias("numbers:5", "best")
    assert versions.roll_back("numbers@best").number == 1
    with pytest.raises(UsageError, match="numbers@best has pointed to no other version"):
        versions.roll_back("numbers@best")


def test_rolling_back_to_a_version_met_twice(versions):
    for number in (1, 2, 1, 3):
        versions.set_alias(f"numbers:{number}", "best")
    assert [versions.roll_back("numbers@best").number for _ in range(3)] == [1, 2, 1]


def test_rolling_back_passes_over_removed_versions(versions):
    for number in (1, 2, 3):
        versions.set_alias(f"numbers:{number}", "best")
    versions.remove("numbers:2")
    assert versions.roll_back("numbers@best").number == 1


def test_an_alias_without_history_begins_one(versions):
    versions.set_alias("numbers:2", "best")
    history_file(versions).unlink()  # set by an earlier version of s2s
    assert versions.history("numbers@best") == {"best": []}
    versions.set_alias("numbers:4", "best")
    assert versions.roll_back("numbers@best").number == 2


def test_a_line_cut_off_by_a_crash_is_passed_over(versions, caplog):
    versions.set_alias("numbers:1", "best")
    versions.set_alias("numbers:2", "best")
    content = history_file(versions).read_bytes()
    history_file(versions).write_bytes(content[:-9])
    versions.set_alias("numbers:3", "best")
    assert moves(versions) == [(None, 1, ""), (2, 3, "")]
    assert "history of numbers@best, line 2 is damaged" in caplog.text
    assert versions.roll_back("numbers@best").number == 2


@pytest.mark.parametrize("line", ["[]", '{"time": 3}', '{"time": "t", "user": "u", "after": 0}', "\x00"])
def test_damaged_lines_are_passed_over(versions, line, caplog):
    versions.set_alias("numbers:1", "best")
    with history_file(versions).open("a") as file:
        file.write(line + "\n")
    assert moves(versions) == [(None, 1, "")]
    assert "line 2 is damaged" in caplog.text


def test_a_history_is_not_written_through_links(versions, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("kept")
    history_file(versions).parent.mkdir()
    history_file(versions).symlink_to(precious)
    with pytest.raises(ArtefactError):
        versions.set_alias("numbers:1", "best")
    assert precious.read_text() == "kept"


def test_only_aliases_have_a_history(versions):
    versions.set_alias("numbers:1", "best")
    for reference, message in (
        ("numbers:1", "versions have no history"),
        ("numbers@bset", "has no alias bset"),
        ("letters", "no such model"),
    ):
        with pytest.raises(UsageError, match=message):
            versions.history(reference)
    with pytest.raises(UsageError, match="expected NAME@ALIAS"):
        versions.roll_back("numbers")


def move_often(root: Path, number: int) -> None:
    for _ in range(MOVES):
        Registry(root).set_alias(f"numbers:{number}", "best")


def test_moves_of_several_processes_form_one_chain(versions):
    with ProcessPoolExecutor(3) as pool:
        list(pool.map(move_often, [versions.root] * 3, (1, 2, 3)))
    found = moves(versions)
    assert len(found) == 3 * MOVES
    assert [before for before, _, _ in found[1:]] == [after for _, after, _ in found[:-1]]
    assert versions.aliases("numbers") == {"best": found[-1][1]}
    assert all(json.loads(line) for line in history_file(versions).read_text().splitlines())
