"""README's command lines are run as they stand, in their order; its figures are those of the recipes' results."""

import json
import re
import socket
from contextlib import ExitStack
from pathlib import Path
from statistics import mean

from workshop import Workshop, make_files

from s2s.recipe.load import builtin_directory

README = Path(__file__).parents[2] / "README.md"
RESUMED = "mine-3f2a91c0"


def command_lines() -> list[str]:
    """Return the commands of README's console blocks that use s2s or its server, without comments, each once."""
    lines = [line[2:].partition(" #")[0].strip() for line in README.read_text().splitlines() if line.startswith("$ ")]
    return [line for line in dict.fromkeys(lines) if "s2s " in line or line.startswith("curl")]


def stop_a_run(directory: Path) -> None:
    """Make of the finished run of `mine` the unfinished one that README names."""
    run = next((directory / "home" / "runs").glob("mine-*")).rename(directory / "home" / "runs" / RESUMED)
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"published": None}))


def free_port() -> str:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def test_readme(tmp_path: Path, tiny: list[str]) -> None:
    any_encoder = [setting for setting in tiny if not setting.startswith("model.encoder")]
    workshop, work = Workshop(tmp_path, any_encoder), tmp_path / "work"
    work.mkdir()
    make_files(work)
    lines = command_lines()
    assert len(lines) > 12
    port = free_port()
    with ExitStack() as servers:
        for line in lines:
            if RESUMED in line:
                stop_a_run(tmp_path)
            if line.startswith("s2s serve"):
                servers.enter_context(workshop.server(line.removesuffix(" &").replace("8000", port)))
                continue
            done = workshop.run(line.replace("8000", port))
            assert done.returncode == 0, f"{line}\n{done.stderr}"
            assert "Traceback" not in done.stderr
            assert '"error"' not in done.stdout
            if line.startswith("s2s init"):
                recipe = (work / "mine.toml").read_text()
                (work / "new.toml").write_text(recipe.replace('name = "mine"', 'name = "new"'))
    assert len((work / "output.en").read_text().splitlines()) == len((work / "input.de").read_text().splitlines())


def mean_bleu(task: str, recipe: str) -> float:
    """Return a recipe's BLEU as the mean over the seeds of its stored results."""
    stored = [json.loads(path.read_text()) for path in (builtin_directory() / task / "results").glob("*.json")]
    return mean(one["scores"]["bleu"]["value"] for one in stored if one["name"] == f"{task}-{recipe}")


def test_figures_are_those_of_the_results() -> None:
    heads, _, *rows = re.findall(r"^\| (.+) \|$", README.read_text().partition("## Your own files")[0], re.MULTILINE)
    assert heads == "recipe | parameters | BLEU, numbers | BLEU, Multi30k de–en"
    assert len(rows) == 3
    for row in rows:
        name, _, *figures = row.split(" | ")
        recipe = re.match(r"`([\w-]+)`", name)
        assert recipe
        found = [mean_bleu(task, recipe[1]) for task in ("numbers", "multi30k")]
        assert figures == [f"{value:.1f}" for value in found], name
