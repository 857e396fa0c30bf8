"""`s2s serve`, and the commands that find it, as a user runs them."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from publishing import publish
from served import serving, set_home

from s2s.registry.store import Registry

LINES = "".join(f"{text}\n" for text in ("einundzwanzig", "", "12. März 1999", "vierzig ; 3. Mai 2020 ; drei", "x") * 9)
USING = "using the server of "
HEAVY = ("torch", "numpy", "starlette", "uvicorn", "asyncio", "s2s.registry.store", "s2s.recipe.recipe")
LOOK = """
import sys
from s2s.cli.app import main
assert main(sys.argv[1:]) == 0
print(sorted(set(sys.modules) & set(%r)), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def server(many_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with tiny models and a server."""
    home = tmp_path_factory.mktemp("served")
    shutil.copytree(many_models, home, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        set_home(patch, home)
        with serving(home):
            yield home


@pytest.fixture
def at_home(server: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch, in_directory: Path) -> Path:
    """The home with the server, and a file `in.de` in the current directory."""
    set_home(monkeypatch, server)
    (in_directory / "in.de").write_text(LINES)
    return server


@pytest.mark.parametrize(
    "options",
    [
        "numbers-attention",
        "numbers-attention --json --attention-weights",
        "numbers-attention --nbest 3 --beam-size 4",
        "numbers-attention --sample --seed 3 --temperature 2",
        "numbers-attention --prefix in.de",
        "numbers-attention --ensemble numbers-attention:1",
        "numbers-bottleneck --precision fp32 --max-ratio 0.5",
        "numbers-transformer",
        "numbers-transformer --engine pytorch --split on",
    ],
)
def test_translations_are_those_without_a_server(at_home, run, options):
    served = run("translate", *options.split(), "in.de")
    alone = run("translate", *options.split(), "in.de", "--no-server")
    assert (served.code, alone.code) == (0, 0)
    assert served.out == alone.out
    assert USING in served.err
    assert USING not in alone.err


def test_scores_and_captions_are_those_without_a_server(at_home, run):
    Path("out.en").write_text(
        LINES[::-1].strip("\n") + "\n" * (LINES.count("\n") - LINES[::-1].strip("\n").count("\n"))
    )
    run("data", "make", "scenes", "pictures", "--count", "5")
    for line in (
        "score numbers-attention in.de out.en --tokens",
        "score numbers-attention in.de out.en --alignments - -o /dev/null",
        "caption scenes-attention pictures --json",
        "caption scenes-attention pictures --nbest 2",
    ):
        served, alone = run(*line.split()), run(*line.split(), "--no-server")
        assert (served.code, served.out) == (0, alone.out)
        assert USING in served.err


def test_the_client_loads_nothing_heavy(at_home):
    for line in ("translate numbers-attention in.de", "translate numbers-transformer in.de --json"):
        done = subprocess.run(
            [sys.executable, "-c", LOOK % (HEAVY,), *line.split()], capture_output=True, text=True, check=True
        )
        assert done.stderr.splitlines()[-1] == "[]", done.stderr
        assert USING in done.stderr


def test_an_explicit_device_or_number_of_threads_is_the_users_own(at_home, run):
    for option in ("--device=cpu", "--threads=1"):
        assert USING not in run("translate", "numbers-attention", "in.de", option).err


def test_errors_are_those_without_a_server(at_home, run):
    for options in ("nothing", "numbers-attention --engine ctranslate2", "numbers-bottleneck --show-attention"):
        served, alone = run("translate", *options.split(), "in.de"), run("translate", *options.split(), "--no-server")
        assert (served.code, served.err) == (2, alone.err)


def test_models_are_loaded_listed_pinned_and_stopped(at_home, run):
    def resident() -> dict[str, dict]:
        models = json.loads(run("models", "ps", "--json").out)["server"]["models"]
        return {one["reference"]: one for one in models if one["reference"] == "numbers-bottleneck:1"}

    for one in list(resident()):
        run("models", "stop", one)
    loaded = run("models", "load", "numbers-bottleneck", "--keep-alive", "forever")
    assert (loaded.code, loaded.err.count("numbers-bottleneck:1: PyTorch, fp32")) == (0, 1)
    (found,) = resident().values()
    assert (found["expires"], found["state"], found["pinned"]) == (None, "ready", False)
    assert found["bytes"] > 10**7
    run("translate", "numbers-bottleneck", "in.de")
    assert resident()["numbers-bottleneck:1"]["sentences"] == 36
    shown = run("models", "show", "numbers-bottleneck").out
    assert "PyTorch, fp32 on cpu: " in next(line for line in shown.splitlines() if line.strip().startswith("loaded"))
    assert run("models", "pin", "numbers-bottleneck").code == 0
    assert resident()["numbers-bottleneck:1"]["pinned"]
    table = run("models", "ps").out
    assert "pinned" in next(line for line in table.splitlines() if line.startswith("numbers-bottleneck:1"))
    assert run("models", "stop", "numbers-bottleneck").code == 0
    assert resident() == {}
    again = run("models", "stop", "numbers-bottleneck")
    assert (again.code, "numbers-bottleneck:1 is not loaded" in again.err) == (2, True)


def test_a_moved_alias_is_followed(at_home, run):
    registry = Registry.default()
    version = registry.resolve("numbers-attention:1")
    files = {name: registry.resolve("numbers-bottleneck").read(name) for name in version.files}
    publish(registry, "moving", {name: version.read(name) for name in version.files}, version.card)
    publish(registry, "moving", files, registry.resolve("numbers-bottleneck").card)
    outputs = []
    for number in (1, 2, 1):
        run("models", "alias", f"moving:{number}", "production")
        outputs.append(run("translate", "moving@production", "in.de").out)
    assert outputs[0] == outputs[2] == run("translate", "numbers-attention", "in.de").out
    assert outputs[1] == run("translate", "numbers-bottleneck", "in.de").out != outputs[0]


def test_a_process_that_is_killed_loses_no_request(at_home, run):
    run("models", "load", "numbers-attention")
    server = json.loads(run("models", "ps", "--json").out)["server"]["pid"]
    processes = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    workers = [pid for pid in processes if parent_of(parent_of(pid)) == server]
    assert workers
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    assert (
        run("translate", "numbers-attention", "in.de").out
        == run("translate", "numbers-attention", "in.de", "--no-server").out
    )


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except FileNotFoundError:
        return 0


class TestAServerThatEnds:
    """What becomes of a client whose server ends while it translates."""

    @pytest.fixture
    def translating(self, trained_home: Path, in_directory: Path) -> Callable:
        """Start a server and a client that feeds it from a pipe, and do something to the server in the middle."""

        def translate(act: Callable[[subprocess.Popen[bytes]], object]) -> tuple[str, str]:
            with serving(trained_home) as server:
                command = [sys.executable, "-m", "s2s", "translate", "numbers-attention"]
                with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True) as client:
                    client.stdin.write("einundzwanzig\n")
                    client.stdin.flush()
                    first = client.stdout.readline()
                    act(server)
                    out, err = client.communicate("zwei\n" * 5, timeout=120)
                    assert client.returncode == 0, err
                return first + out, err

        return translate

    @pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
    def test_the_client_goes_on_without_it(self, translating, run, how):
        def end(server: subprocess.Popen[bytes]) -> None:
            server.send_signal(how)
            server.wait(60)

        out, err = translating(end)
        Path("in.de").write_text("einundzwanzig\n" + "zwei\n" * 5)
        assert out == run("translate", "numbers-attention", "in.de").out
        assert USING in err
        assert "going on without it" in err


class TestShadow:
    """A candidate that also translates what users send."""

    @pytest.fixture
    def two_versions(self, trained_home: Path, in_directory: Path) -> Path:
        """A home with `moving@production`, its first version, and a second one."""
        registry = Registry.default()
        for name in ("numbers-attention", "numbers-bottleneck"):
            version = registry.resolve(name)
            publish(registry, "moving", {file: version.read(file) for file in version.files}, version.card)
        registry.set_alias("moving:1", "production")
        Path("in.de").write_text(LINES)
        return trained_home

    def compared(self, run: Callable, sentences: int) -> dict:
        """Wait until the comparison has that many sentences."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = run("models", "shadow", "moving", "--json")
            if found.code == 0 and json.loads(found.out)[0]["sentences"] >= sentences:
                return json.loads(found.out)[0]
            time.sleep(0.1)
        raise AssertionError(found.err)

    def test_real_requests_are_compared(self, two_versions, run):
        lines = [line for line in LINES.splitlines() if line.strip()]
        texts = [line for line in lines if ";" not in line]  # which the tiny tokenizer does not know
        outputs = {}
        for number in (1, 2):
            outputs[number] = run("translate", f"moving:{number}", "in.de").out.splitlines()
        with serving(two_versions, "--shadow", "moving@production=moving:2"):
            answer = run("translate", "moving@production", "in.de")
            assert answer.out.splitlines() == outputs[1]
            found = self.compared(run, len(texts))
            assert found["unknown"] == len(lines) - len(texts)
            run("translate", "moving:2", "in.de")  # not what is in production
        assert found["sentences"] == found["scored"] == len(texts)
        pairs = zip(LINES.splitlines(), outputs[1], outputs[2], strict=True)
        assert found["identical"] == sum(one == other for line, one, other in pairs if line in texts)
        assert {one["source"] for one in found["disagreements"]} <= set(texts)
        assert found["production"]["model"] == "moving:1"
        assert found["candidate"]["own_score"] < 0
        stored = two_versions / "shadow" / "moving@production.json"
        assert stat.S_IMODE(stored.stat().st_mode) == 0o600
        shown = run("models", "shadow", "moving@production")
        assert "moving:2" in shown.out
        assert "s2s models alias moving:2 production" in shown.err

    def test_a_candidate_without_room_disturbs_nobody(self, two_versions, run):
        with serving(two_versions, "--memory", "150MB", "--shadow", "moving@production=moving:2"):
            run("models", "load", "moving@production")
            run("models", "pin", "moving@production")
            assert run("translate", "moving@production", "in.de").code == 0
            found = self.compared(run, 0)
            until = time.monotonic() + 30
            while not found["problem"] and time.monotonic() < until:
                found = self.compared(run, 0)
            models = json.loads(run("models", "ps", "--json").out)["server"]["models"]
        assert "no memory for moving:2" in found["problem"]
        assert [one["reference"] for one in models] == ["moving:1"]

    @pytest.mark.parametrize(
        ("shadow", "words"),
        [
            ("moving=moving:2", "should be NAME@ALIAS=NAME:VERSION"),
            ("moving@production", "should be NAME@ALIAS=NAME:VERSION"),
            ("moving@nothing=moving:2", "nothing"),
            ("moving@production=moving:9", "moving:9"),
            ("moving@production=numbers-attention:1", "cannot move to a version of numbers-attention"),
        ],
    )
    def test_what_cannot_be_compared_is_refused(self, two_versions, run, shadow, words):
        found = run("serve", "--shadow", shadow)
        assert found.code == 2
        assert words in found.err


def test_a_second_server_is_refused(at_home, run):
    found = run("serve")
    assert (found.code, "a server of yours already serves this registry" in found.err) == (5, True)


def test_without_a_server(run, trained_home, monkeypatch):
    assert run("models", "load", "numbers-attention").code == 5
    assert "s2s serve starts one" in run("models", "stop", "numbers-attention").err
    for size in ("much", "0GB"):
        assert run("serve", "--memory", size).code == 2
    assert "no such group" in run("serve", "--group", "no-such-group-here").err
    monkeypatch.setenv("S2S_REGISTRY", __file__)
    unreadable = run("serve")
    assert (unreadable.code, "S2S_REGISTRY sets" in unreadable.err) == (5, True)
