"""The bible recipes, as their README sets them up: its lines make a table of SWORD modules, and the recipe reads it."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from parallel_text import parallel_text

from s2s.recipe.load import builtin_directory

TINY = ("tokenizer.vocab_size=200", "data.hold_out_validation=5", "data.hold_out_test=5", "data.root=.")
NOTE = '<note placement="foot"><reference>1:1 </reference>Or, <rdg>ow.</rdg></note>'


@pytest.fixture
def modules(in_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `mod2imp` that prints two modules: 60 chapters, each with a title, and 20 verses with markup."""
    english, spanish = parallel_text(1200)
    texts = {"engWEB2015eb": [], "spaRV1909eb": []}
    for row, sides in enumerate(zip(english, spanish, strict=True)):
        chapter, verse = row // 20 + 1, row % 20 + 1
        for (module, text), title in zip(zip(texts, sides, strict=True), ("zen", "ow"), strict=True):
            if verse == 1:
                texts[module] += [f"$$$Genesis {chapter}:0", f'<title type="main">{title} {chapter}</title> ']
            first, *others = text.split(" ")
            marked = " ".join([f'{NOTE}<w lemma="H1">{first}</w>{NOTE}', *others]) + f" {NOTE} "
            texts[module] += [f"$$$Genesis {chapter}:{verse}", marked]
    texts["engWEB2015eb"] += ["$$$Tobit 1:1", "ow."]  # in one edition only
    texts["engWEB2015eb"][-3] += "ow " * 3000
    directory = in_directory / "bin"
    directory.mkdir()
    for module, lines in texts.items():
        (directory / module).write_text("\n".join(["$$$[ Module Heading ]", "", *lines, ""]) + "\n")
    (directory / "mod2imp").write_text(f'#!/bin/sh\ncat "{directory}/$1"\n')
    (directory / "mod2imp").chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    return in_directory


def test_lines_of_the_readme_make_a_table_whose_faults_are_named(modules: Path, run: Callable) -> None:
    readme = (builtin_directory() / "bible" / "README.md").read_text()
    lines = readme.partition("```sh\n")[2].partition("```")[0].splitlines()
    assert len(lines) <= 10
    script = [line for line in lines if not line.startswith(("apt-get", "s2s"))]
    subprocess.run(["sh", "-ec", "\n".join(script)], check=True)
    header, *rows = [line.split("\t") for line in (modules / "bible.tsv").read_text().splitlines()]
    english, spanish = parallel_text(1200)
    assert header == ["verse", "en", "es"]
    assert [row[0] for row in rows[:3]] == ["Genesis 1:0", "Genesis 1:1", "Genesis 1:2"]
    verses = [row for row in rows if not row[0].endswith(":0")]
    assert [row[1:] for row in verses[:-1]] == [list(pair) for pair in zip(english, spanish, strict=True)][:-1]

    settings = [part for setting in TINY for part in ("--set", setting)]
    inspected = run("data", "inspect", "bible/attention", *settings)
    assert inspected.code == 0, inspected.err
    assert "headings: 60 of 1,260 pairs" in inspected.out
    assert "bible.tsv:2  zen 1 → ow 1" in inspected.out
    assert "in bible.tsv:1261" in inspected.out
