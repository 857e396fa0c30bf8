"""The HTTP interface of `s2s serve`."""

import asyncio
import base64
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from served import serving, set_home
from starlette.testclient import TestClient

from s2s.cli.app import main
from s2s.errors import UsageError
from s2s.serving.http import answers, app, guard
from s2s.serving.http.app import Application
from s2s.serving.http.process import HttpProcess
from s2s.serving.status import BusyError, StoppingError

LINES = ["einundzwanzig", "", "12. März 1999", "vierzig ; 3. Mai 2020 ; drei"]
HEADERS = {"content-security-policy", "x-content-type-options", "referrer-policy", "cache-control"}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def bomb() -> str:
    """Return the header of a PNG of 900 million pixels in base64."""
    size = struct.pack(">4sIIBBBBB", b"IHDR", 30_000, 30_000, 8, 2, 0, 0, 0)
    header = struct.pack(">I", len(size) - 4) + size + struct.pack(">I", zlib.crc32(size))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I4sI", 0, b"IDAT", 0)).decode()


class Http:
    """Asks a server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Return the status, the JSON and the headers of an answer."""
        content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, content, given)
        answer = connection.getresponse()
        found = answer.read()
        connection.close()
        is_json = answer.headers.get_content_type() == "application/json"
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return answer.status, json.loads(found) if is_json else found.decode(), headers

    def wait(self) -> None:
        """Wait until the server answers."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                self.ask("GET", "/health")
                return
            except OSError:
                time.sleep(0.05)

    def post(self, path: str, **body: Any) -> tuple[int, Any]:
        """Return the status and the JSON of an answer."""
        return self.ask("POST", path, body)[:2]


@pytest.fixture(scope="module")
def home(many_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with tiny models, and two pictures in `pictures/`."""
    directory = tmp_path_factory.mktemp("served")
    shutil.copytree(many_models, directory, dirs_exist_ok=True)
    main(["data", "make", "scenes", str(directory / "pictures"), "--count", "2"])
    return directory


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Http]:
    found = Http(free_port())
    with pytest.MonkeyPatch.context() as patch:
        set_home(patch, home)
        with serving(home, "--http", f"127.0.0.1:{found.port}"):
            found.wait()
            yield found


@pytest.fixture(autouse=True)
def at_home(home: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_home(monkeypatch, home)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """Return the JSON lines that a command prints."""
    capsys.readouterr()
    assert main([*arguments, "--no-server"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({}, []),
        ({"attention": True}, ["--attention-weights"]),
        ({"nbest": 2, "beam_size": 3}, ["--nbest", "2", "--beam-size", "3"]),
        ({"sample": True, "seed": 4}, ["--sample", "--seed", "4"]),
        ({"split": "on", "max_ratio": 0.5}, ["--split", "on", "--max-ratio", "0.5"]),
    ],
)
def test_translations_are_those_of_the_command(server, tmp_path, capsys, options, flags):
    (tmp_path / "in.de").write_text("".join(f"{line}\n" for line in LINES))
    expected = printed(capsys, "translate", "numbers-attention", str(tmp_path / "in.de"), "--json", *flags)
    status, answer = server.post("/v1/translate", model="numbers-attention", text=LINES, **options)
    assert status == 200
    assert answer == {"model": "numbers-attention:1", "engine": "PyTorch, fp32", "translations": expected}
    assert server.post("/v1/translate", model="numbers-attention", text=LINES[0], **options)[0] == 200


def test_captions_are_those_of_the_command(server, home, capsys):
    expected = printed(capsys, "caption", "scenes-attention", str(home / "pictures"), "--json")
    images = [base64.b64encode((home / "pictures" / f"{number}.png").read_bytes()).decode() for number in (1, 2)]
    status, answer = server.post("/v1/caption", model="scenes-attention", images=images)
    assert status == 200
    assert answer["captions"] == [{key: one[key] for key in one if key != "image"} for one in expected]
    _, with_attention = server.post("/v1/caption", model="scenes-attention", images=images[:1], attention=True)
    assert with_attention["captions"][0]["grid"] == [4, 8]
    damaged = [images[0], base64.b64encode(b"no image at all").decode()]
    for wrong in (damaged, [images[0], "not base64!"]):
        status, answer = server.post("/v1/caption", model="scenes-attention", images=wrong)
        assert status == 400
        assert "images.1" in answer["error"]["message"]


def test_scores_are_those_of_the_command(server, tmp_path, capsys):
    targets = ["twenty-one", "", "March 12, 1999", "forty"]
    (tmp_path / "in.de").write_text("".join(f"{line}\n" for line in LINES))
    (tmp_path / "in.en").write_text("".join(f"{line}\n" for line in targets))
    files = [str(tmp_path / "in.de"), str(tmp_path / "in.en")]
    expected = printed(capsys, "score", "numbers-attention", *files, "--json", "--tokens")
    pairs = [{"source": one, "target": other} for one, other in zip(LINES, targets, strict=True)]
    status, answer = server.post("/v1/score", model="numbers-attention", pairs=pairs, tokens=True)
    assert (status, answer["scores"]) == (200, expected)


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v1/translate", {"model": "numbers-attention", "text": "x", "lines": []}, 400, "lines: unknown key"),
        ("/v1/translate", [], 400, "should be an object"),
        ("/v1/translate", {"model": "numbers-attention"}, 400, "text"),
        ("/v1/translate", {"model": "numbers-attention", "text": "x", "beam_size": 0}, 400, "beam_size"),
        ("/v1/translate", {"model": "numbers-attention", "text": "x", "beam_size": "3"}, 400, "beam_size"),
        ("/v1/translate", {"model": "numbers-attention", "text": "x", "keep_alive": "soon"}, 400, "keep_alive"),
        ("/v1/translate", {"model": "numbers-attention", "text": "x", "keep_alive": 1e300}, 400, "keep_alive"),
        ("/v1/translate", {"model": "numbers-attention", "text": "x", "keep_alive": "366d"}, 400, "keep_alive"),
        ("/v1/translate", {"model": "numbers-attention", "text": "x", "keep_alive": -0.5}, 400, "keep_alive"),
        ("/v1/translate", {"model": "numbers-attention", "text": "x", "keep_alive": True}, 400, "keep_alive"),
        ("/v1/translate", {"model": "numbers-attention", "text": ["x", 3]}, 400, "text.1: "),
        ("/v1/translate", {"model": "numbers-attention", "text": "x", "sample": True, "seed": 2**64}, 400, "seed"),
        ("/v1/translate", {"model": "numbers-attention", "text": "x", "nbest": 9, "beam_size": 2}, 400, "nbest 9"),
        ("/v1/translate", {"model": "numbers-attention", "text": "x", "nbest": 101}, 400, "nbest"),
        ("/v1/translate", {"model": "numbers-attention", "text": "x" * 20_001}, 400, "text"),
        ("/v1/translate", {"model": "numbers-attention", "text": ["x"] * 1001}, 400, "text"),
        ("/v1/translate", {"model": "numbers-attention", "text": "x", "seed": 3}, 400, "seed only applies with sample"),
        ("/v1/translate", {"model": "numbers-attention", "text": "x", "precision": "tf32"}, 400, "only GPUs"),
        ("/v1/translate", {"model": "numbers-bottleneck", "text": "x", "attention": True}, 400, "no attention"),
        ("/v1/translate", {"model": "scenes-attention", "text": "x"}, 400, "captions images"),
        ("/v1/caption", {"model": "numbers-attention", "images": ["eA=="]}, 400, "translates text"),
        ("/v1/translate", {"model": "numbers-attentoin", "text": "x"}, 404, "no such model"),
        ("/v1/score", {"model": "numbers-attention", "pairs": [{"source": "x"}]}, 400, "pairs.0.target"),
        ("/v1/score", {"model": "numbers-attention", "pairs": [{"source": "x", "target": ""}] * 1001}, 400, "pairs"),
        ("/v1/caption", {"model": "scenes-attention", "images": [""] * 65}, 400, "images"),
        ("/v1/caption", {"model": "scenes-attention", "images": [bomb()]}, 400, "images.0: the image has more than"),
        ("/v1/translate", {"model": "numbers-attention", "text": "x" * 5000, "attention": True}, 400, "attention"),
        (
            "/v1/score",
            {
                "model": "numbers-attention",
                "pairs": [{"source": "x" * 500, "target": "y" * 500}] * 99,
                "attention": True,
            },
            400,
            "attention",
        ),
        ("/v1/nothing", {}, 404, "no such path"),
        ("/health", {}, 405, "method not allowed"),
    ],
)
def test_what_is_wrong_is_named(server, path, body, status, words):
    found, answer, headers = server.ask("POST", path, body)
    assert found == status
    assert words in answer["error"]["message"]
    assert headers.keys() >= HEADERS


def test_other_kinds_of_requests_are_refused(server):
    assert server.ask("POST", "/v1/translate", b"{}", Content_Type="text/plain")[0] == 415
    assert server.ask("POST", "/v1/translate", b"{")[0] == 400
    assert server.ask("POST", "/v1/translate", b"\xff\xfe")[0] == 400
    assert server.ask("GET", "/health", Host="attacker.example")[0] == 400
    assert server.ask("GET", "/health", Host=f"localhost:{server.port}")[0] == 200


def test_how_long_a_model_stays_is_the_requests_choice(server, capsys):
    for given, expires in ((-1, False), ("forever", False), ("30m", True), (60, True)):
        assert server.post("/v1/translate", model="numbers-bottleneck", text="x", keep_alive=given)[0] == 200
        main(["models", "ps", "--json"])
        models = json.loads(capsys.readouterr().out)["server"]["models"]
        assert [one["expires"] is not None for one in models if one["reference"] == "numbers-bottleneck:1"] == [expires]
    server.post("/v1/translate", model="numbers-bottleneck", text="x", keep_alive=0)
    for _ in range(100):
        listed = {one["reference"]: one["resident"] for one in server.ask("GET", "/v1/models")[1]["models"]}
        if not listed["numbers-bottleneck:1"]:
            break
        time.sleep(0.05)
    assert not listed["numbers-bottleneck:1"]


def test_models_are_listed(server):
    status, answer, headers = server.ask("GET", "/v1/models")
    assert (status, headers.keys() >= HEADERS) == (200, True)
    found = {one["name"]: one for one in answer["models"]}
    assert found["numbers-attention"]["task"] == "translate"
    assert found["scenes-attention"]["task"] == "caption"
    assert [found[name]["attention"] for name in ("numbers-attention", "numbers-bottleneck")] == [True, False]


def test_figures_count_requests(server):
    def figures() -> dict[str, float]:
        found: Counter[str] = Counter()
        for family in text_string_to_metric_families(server.ask("GET", "/metrics")[1]):
            for sample in family.samples:
                found[f"{sample.name} {sample.labels.get('path', sample.labels.get('model', ''))}"] += sample.value
        return found

    server.post("/v1/translate", model="numbers-attention", text="x")
    before = figures()
    server.post("/v1/translate", model="numbers-attention", text=["x", "drei"])
    after = figures()
    assert after["s2s_http_seconds_count /v1/translate"] - before["s2s_http_seconds_count /v1/translate"] == 1
    sentences = "s2s_model_sentences_total numbers-attention:1"
    assert after[sentences] - before[sentences] == 2
    assert after["s2s_memory_used "] > 10**7


@pytest.mark.parametrize(
    "options",
    [
        ["--phases", "fuzzing", "--max-examples", "6"],
        pytest.param(["--max-examples", "100"], marks=pytest.mark.faults),
    ],
    ids=["some", "many"],
)
def test_requests_made_of_the_description_are_answered_as_it_says(server, tmp_path, options):
    """No server error, and every answer conforms; combinations of options that contradict each other may be refused."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{server.port}/openapi.json"]
    fixed = ["--seed", "1", "--exclude-checks", "positive_data_acceptance", "--no-color"]
    done = subprocess.run(
        [*command, *fixed, *options], capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_page_and_its_policy(server):
    status, page, headers = server.ask("GET", "/")
    assert (status, "<main>" in page) == (200, True)
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    for name in ("page.js", "page.css", "api.js"):
        assert server.ask("GET", f"/{name}")[0] == 200


def test_a_half_open_connection_harms_nobody(server):
    head = (
        b"POST /v1/translate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    )
    lazy = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(80)]
    for one in lazy:
        one.sendall(head)
    assert server.post("/v1/translate", model="numbers-attention", text="x")[0] == 200
    for one in lazy:
        one.close()


def test_what_was_accepted_is_answered_before_the_server_ends(home, tmp_path, monkeypatch):
    shutil.copytree(home / "registry", tmp_path / "registry")
    set_home(monkeypatch, tmp_path)
    found = Http(free_port())
    answered: list[int] = []

    def ask() -> None:
        answered.append(found.post("/v1/translate", model="numbers-attention", text=["drei vier"] * 900)[0])

    with serving(tmp_path, "--http", f"127.0.0.1:{found.port}") as process:
        found.wait()
        thread = threading.Thread(target=ask)
        thread.start()
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        thread.join(60)
        assert process.wait(60) == 0
    assert answered == [200]


class TestInThisProcess:
    """What a real server does not do on demand."""

    @pytest.fixture
    def client(self, server: Http) -> TestClient:
        return TestClient(Application("secret-secret-secret", loopback=False).routes(), raise_server_exceptions=False)

    def ask(self, client: TestClient, token: str = "secret-secret-secret") -> Any:
        body = {"model": "numbers-attention", "text": "drei"}
        return client.post("/v1/translate", json=body, headers={"Authorization": f"Bearer {token}"})

    def test_a_token(self, client):
        assert self.ask(client).status_code == 200
        assert self.ask(client, "other").status_code == 401
        assert client.get("/v1/models").status_code == 401
        assert client.get("/metrics").status_code == 401
        assert [client.get(path).status_code for path in ("/", "/page.js", "/health")] == [200, 200, 200]

    @pytest.mark.parametrize(
        ("error", "status", "retry"),
        [
            (BusyError("full", 1.5), 429, "2"),
            (StoppingError("ends"), 503, "5"),
            (TimeoutError(), 504, None),
            (ValueError("a bug"), 500, None),
        ],
    )
    def test_statuses(self, client, monkeypatch, error, status, retry):
        def fail(_: Any) -> Any:
            raise error

        monkeypatch.setitem(app.ANSWERS, "/v1/translate", fail)
        answer = self.ask(client)
        assert (answer.status_code, answer.headers.get("retry-after")) == (status, retry)
        assert "Traceback" not in answer.text
        assert "a bug" not in answer.text

    def test_a_slow_body_is_cut_off(self, server, monkeypatch):
        monkeypatch.setattr(guard, "BODY_SECONDS", 0.05)
        sent: list[Any] = []

        async def receive() -> Any:
            await asyncio.sleep(60)

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/v1/translate", "headers": headers, "query_string": b""}
        asyncio.run(Application(None, loopback=True).routes()(scope, receive, send))
        assert sent[0]["status"] == 408

    def test_an_answer_may_take_too_long(self, client, monkeypatch):
        monkeypatch.setattr(answers, "SECONDS", 0.0)
        assert self.ask(client).status_code == 504


@pytest.mark.parametrize(
    ("address", "token", "words"),
    [
        ("0.0.0.0:0", None, "others can reach this address"),
        ("127.0.0.1", None, "should be ADDRESS:PORT"),
        ("127.0.0.1:99999", None, "should be ADDRESS:PORT"),
        ("0.0.0.0:0", "short", "at least 16"),
    ],
)
def test_unsafe_addresses_are_refused(tmp_path, address, token, words):
    if token:
        (tmp_path / "token").write_text(token)
    with pytest.raises(UsageError, match=words):
        HttpProcess(address, tmp_path / "token" if token else None)


def test_a_port_that_is_taken(server, capsys):
    assert os.environ["S2S_HOME"]
    assert main(["serve", "--http", f"127.0.0.1:{server.port}"]) == 5
    assert "cannot use 127.0.0.1" in capsys.readouterr().err
