import json
import os
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace

import pytest

from s2s.cli.commands.doctor import NEEDED
from s2s.devices.runtime import package_versions, usable_threads


def test_a_working_machine(run, own_home):
    found = run("doctor")
    assert found.code == 0
    assert f"torch {package_versions()['torch']}" in found.out
    assert str(own_home) in found.out
    assert "no problems found" in found.out or "see the warnings" in found.out
    assert found.err == ""


def test_as_json(run, own_home):
    report = json.loads(run("doctor", "--json").out)
    assert report["problems"] == []
    assert report["directories"]["home"] | {"free_bytes": 0} == {
        "path": str(own_home),
        "exists": True,
        "writable": True,
        "bytes": 0,
        "free_bytes": 0,
    }
    assert report["directories"]["registry"]["path"] == str(own_home / "registry")
    assert report["directories"]["registry"]["exists"] is False
    cpu = report["devices"][-1]
    assert cpu["name"] == "cpu"
    assert cpu["precision"] in {"bf16", "fp32"}
    assert cpu["threads"] == usable_threads()
    assert 0 < report["memory"]["free_bytes"] < report["memory"]["total_bytes"]


def test_all_required_packages_are_looked_for():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    required = {re.split("[^a-z0-9-]", one)[0] for one in project["dependencies"] if "python_version" not in one}
    known = packages_distributions()
    checked = {package.lower().replace("_", "-") for name in NEEDED for package in known[name]}
    assert required - checked == {"platformdirs", "pydantic", "rich", "typer"}
    assert checked <= required


def test_threads_and_what_limits_them(run, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = run("doctor").out
    assert "threads   1 (limited by: OMP_NUM_THREADS)" in found
    assert "with 1 thread by default" in found


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--threads", 0], "'--threads': should be greater than or equal to 1"),
        (["--threads", "two"], "'--threads': should be a valid integer"),
        (["--stopping", "soon"], "'--stopping': 'soon' is not one of 'first', 'exact'"),
    ],
)
def test_bad_values_are_explained(run, options, expected):
    found = run("translate", "mine", *options)
    assert found.code == 2
    assert found.err.splitlines()[0] == f"s2s: error: invalid value for {expected}"


def test_it_makes_nothing(run, own_home):
    run("doctor")
    assert list(own_home.iterdir()) == []


def test_sizes_are_of_what_is_kept(run, own_home):
    (own_home / "corpora").mkdir()
    (own_home / "corpora" / "file").write_bytes(b"x" * 12_345)
    assert json.loads(run("doctor", "--json").out)["directories"]["home"]["bytes"] == 12_345


@pytest.mark.parametrize("variable", ["S2S_HOME", "S2S_REGISTRY", "S2S_LEASES", "S2S_SERVERS", "S2S_CACHE"])
def test_a_directory_that_cannot_be_written_is_a_problem(run, monkeypatch, variable):
    monkeypatch.setenv(variable, "/proc/here")
    found = run("doctor")
    assert found.code == 5
    assert "problem: /proc/here" in found.out
    assert variable in found.out.split("fix: ")[1]
    assert "no problems found" not in found.out


def test_torch_that_cannot_be_imported_is_a_problem(run, monkeypatch):
    def broken() -> list[str]:
        raise OSError("libtorch.so: cannot open shared object file")

    monkeypatch.setattr("s2s.devices.select.available_devices", broken)
    found = run("doctor", "--json")
    assert found.code == 5
    report = json.loads(found.out)
    assert "libtorch.so" in report["problems"][0]["what"]
    assert report["devices"] == []


def test_a_package_that_is_missing_is_a_problem(run, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "sacrebleu" else real(name))
    found = run("doctor")
    assert found.code == 5
    assert "not installed: sacrebleu" in found.out


def test_little_disk_is_warned_of(run, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1_500_000))
    found = run("doctor")
    assert found.code == 0
    assert "only 1.5 MB of disk free" in found.out
    assert "no problems found" not in found.out
