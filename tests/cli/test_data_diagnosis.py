"""What commands say about data that looks wrong."""

import json
from pathlib import Path

import pytest
from parallel_text import LINES, parallel_text

MOVED = "parallel until line 1,000; from there to line 1,201, each target belongs to the source 2 lines later"


@pytest.fixture
def files(in_directory: Path) -> tuple[str, str]:
    """Two files, of which lines 1001 to 1200 are shifted by two."""
    sources, targets = parallel_text()
    write(in_directory, sources, targets[:1000] + targets[1002:1200] + targets[1000:1002] + targets[1200:])
    return "--source", "a.de", "--target", "a.en"


def write(directory: Path, sources: list[str], targets: list[str]) -> None:
    for name, lines in (("a.de", sources), ("a.en", targets)):
        (directory / name).write_text("".join(f"{line}\n" for line in lines))


def test_init_and_prepare_warn_and_inspect_shows(run, files, in_directory: Path):
    done = run("init", *files)
    assert done.code == 0
    shown = [line for line in done.err.splitlines() if "a.de: parallel until line" in line]
    assert len(shown) == 1
    assert "each target belongs to the source 2 lines later" in shown[0]
    assert f"\n  {in_directory}/a.de:1001  " in done.err
    (recipe,) = in_directory.glob("*.toml")
    prepared = run("data", "prepare", recipe, "--set", "tokenizer.vocab_size=200")
    assert (prepared.code, prepared.err.count("warning: a.de: parallel until line 1,000")) == (0, 1)
    inspected = run("data", "inspect", recipe, "--set", "tokenizer.vocab_size=200")
    assert "  misaligned: a.de: parallel until line 1,000" in inspected.out
    assert "    a.de: lines 1,001 to 1,200, shifted by 2" in inspected.out.replace("1,198", "1,200")
    values = json.loads(run("data", "inspect", recipe, "--set", "tokenizer.vocab_size=200", "--json").out)
    (finding,) = values["splits"]["train"]["findings"]
    assert (finding["kind"], len(finding["examples"]), finding["extents"][0]["shift"]) == ("misaligned", 5, 2)


def test_unequal_files_are_located(run, in_directory: Path):
    sources, targets = parallel_text()
    write(in_directory, sources, targets[:700] + targets[703:])
    done = run("init", "--source", "a.de", "--target", "a.en")
    assert done.code == 3
    assert f"has {LINES:,}" in done.err
    assert any(f"parallel until about line {line}" in done.err for line in range(695, 706))


def test_clean_text_gives_no_warning(run, in_directory: Path):
    write(in_directory, *parallel_text())
    done = run("init", "--source", "a.de", "--target", "a.en")
    assert done.code == 0
    assert "warning" not in done.err


@pytest.mark.parametrize("recipe", ["numbers/attention", "recall/attention"])
def test_built_in_data_give_no_warning(run, recipe: str):
    sizes = ("train=1200", "validation=20", "test=20")
    done = run("data", "prepare", recipe, *(part for size in sizes for part in ("--set", f"data.generator.{size}")))
    assert done.code == 0
    assert "look" not in done.err
    assert "parallel" not in done.err
