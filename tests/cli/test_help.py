"""Every command's help ends with examples, one a line, and is quick to come by."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from s2s.cli.app import COMMANDS, examples_of, load_command, root

HEAVY = {"torch", "datasets", "sacrebleu", "sentencepiece", "matplotlib", "pyarrow", "transformers"}
LOOK = """
import json, sys
from s2s.cli.app import main
for path in json.loads(sys.argv[1]):
    assert main([*path, "--help"]) == 0
print(json.dumps(sorted(sys.modules)))
"""


def walk(command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, (*path, name))


EVERY = {path: command for name in COMMANDS for path, command in walk(load_command(name), (name,))} | {(): root()}
NAMED = pytest.mark.parametrize("path", list(EVERY), ids=lambda path: " ".join(path) or "s2s")


@NAMED
def test_help_ends_with_examples_of_this_command(run, path):
    examples = examples_of(EVERY[path])
    assert examples, f"the docstring of `s2s {' '.join(path)}` ends with no `Examples:`"
    for example in examples:
        assert f"s2s {' '.join(path)}".strip() in example
    found = run(*path, "--help")
    assert found.code == 0
    assert found.out.endswith("Examples:\n" + "".join(f"  {example}\n" for example in examples))


@NAMED
def test_help_fits_80_columns_but_for_long_examples(run, path):
    text = run(*path, "--help").out.partition("\nExamples:\n")[0]
    assert [line for line in text.splitlines() if len(line) > 80] == []


@NAMED
def test_every_option_and_argument_is_explained(path):
    assert [parameter.name for parameter in EVERY[path].params if not getattr(parameter, "help", None)] == []


def test_help_of_no_command_imports_what_is_slow():
    paths = json.dumps(list(EVERY))
    done = subprocess.run([sys.executable, "-c", LOOK, paths], stdout=subprocess.PIPE, text=True, check=True)
    modules = json.loads(done.stdout.splitlines()[-1])
    assert HEAVY & set(modules) == set()


def test_the_table_and_the_modules_agree():
    for name, (module, line) in COMMANDS.items():
        assert module == f"s2s.cli.commands.{name}"
        assert line[:1].isupper()
        assert len(line) <= 66
