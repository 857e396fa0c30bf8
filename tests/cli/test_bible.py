"""The bible recipes, as their README sets them up: its lines make tables of SWORD modules, for the recipe."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from parallel_text import parallel_text

from s2s.recipe.load import builtin_directory

TINY = ("tokenizer.vocab_size=200", "data.root=.")
NOTE = '<note placement="foot"><reference>1:1 </reference>Or, <rdg>ow.</rdg></note>'


@pytest.fixture
def modules(in_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `mod2imp` that prints two modules: 75 chapters, each with a title, and 20 verses with markup."""
    english, spanish = parallel_text(1500)
    texts = {"engWEB2015eb": [], "spaRV1909eb": []}
    for row, sides in enumerate(zip(english, spanish, strict=True)):
        chapter, verse = row // 20 + 1, row % 20 + 1
        book = "Psalms" if chapter == 48 else "Genesis"
        for (module, text), title in zip(zip(texts, sides, strict=True), ("zen", "ow"), strict=True):
            if verse == 1:
                texts[module] += [f"$$${book} {chapter}:0", f'<title type="main">{title} {chapter}</title> ']
            first, *others = text.split(" ")
            marked = " ".join([f'{NOTE}<w lemma="H1">{first}</w>{NOTE}', *others]) + f" {NOTE} "
            texts[module] += [f"$$${book} {chapter}:{verse}", marked]
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


def test_lines_of_the_readme_make_tables_whose_faults_are_named(modules: Path, run: Callable) -> None:
    readme = (builtin_directory() / "bible" / "README.md").read_text()
    lines = readme.partition("```sh\n")[2].partition("```")[0].splitlines()
    assert len(lines) <= 13
    script = [line for line in lines if not line.startswith(("apt-get", "s2s"))]
    subprocess.run(["sh", "-ec", "\n".join(script)], check=True)
    header, *rows = [line.split("\t") for line in (modules / "bible.tsv").read_text().splitlines()]
    english, spanish = parallel_text(1500)
    assert header == ["verse", "en", "es"]
    assert [row[0] for row in rows[:3]] == ["Genesis 1:0", "Genesis 1:1", "Genesis 1:2"]
    verses = [row for row in rows if not row[0].endswith(":0")]
    assert [row[1:] for row in verses[:-1]] == [list(pair) for pair in zip(english, spanish, strict=True)][:-1]

    splits = {"train": set(range(1, 76)), "validation": {*range(7, 76, 10)}, "test": {*range(8, 76, 10)} - {48}}
    splits["train"] -= splits["validation"] | splits["test"]
    for split, chapters in splits.items():
        found = [line.split("\t") for line in (modules / f"{split}.tsv").read_text().splitlines()]
        assert found == [header, *(row for row in rows if int(row[0].split(" ")[1].partition(":")[0]) in chapters)]

    settings = [part for setting in TINY for part in ("--set", setting)]
    inspected = run("data", "inspect", "bible/attention", *settings)
    assert inspected.code == 0, inspected.err
    assert "headings: 62 of 1,302 pairs" in inspected.out
    assert "train.tsv:2  zen 1 → ow 1" in inspected.out
    assert "in train.tsv:1303" in inspected.out
