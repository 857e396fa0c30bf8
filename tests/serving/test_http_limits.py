"""What the HTTP interface does about clients that are slow, hostile or too many. Nothing here needs a model."""

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import uvicorn
from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError
from starlette.testclient import TestClient

from s2s.cli.app import main
from s2s.decoding.diagnostics import DIAGNOSTICS
from s2s.serving.http import app, connections, guard, threads
from s2s.serving.http.app import Application
from s2s.serving.http.bodies import TranslateBody
from s2s.serving.http.faults import refusal
from s2s.serving.http.metrics import Metrics
from s2s.serving.http.openapi import description
from s2s.serving.http.process import configuration
from s2s.serving.status import ResidentModel, ServerStatus, StoppingError

TOKEN = "0123456789abcdef"
BODY = {"model": "any", "text": "x"}
HEAD = b"POST /v1/translate HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = HEAD + b"Content-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
STATUS = ServerStatus(
    1, "me", "registry", "cpu", 10, 5, stopping=False, connections=0, loads=0, evictions=0, refused=0, models=[]
)


def test_the_page_has_words_for_every_diagnostic():
    script = (app.PAGE / "results.js").read_text()
    (listed,) = re.findall(r"const DIAGNOSTICS = \{(.*?)\}", script, re.DOTALL)
    assert re.findall(r"^  (\w+): ", listed, re.MULTILINE) == list(DIAGNOSTICS)


@contextmanager
def listening(token: str | None = None) -> Iterator[tuple[uvicorn.Server, int]]:
    """Answer requests in a thread; yield the server of uvicorn and its port."""
    server = uvicorn.Server(configuration(token, loopback=True))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert eventually(lambda: server.started)
            yield server, listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def eventually(is_so: Callable[[], object]) -> bool:
    """Wait until something is so, for 5 s."""
    until = time.monotonic() + 5
    while not (found := is_so()) and time.monotonic() < until:
        time.sleep(0.02)
    return bool(found)


def ask(port: int, method: str = "POST", path: str = "/v1/translate", body: Any = None) -> tuple[int, Any]:
    """Return the status and the JSON of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, json.dumps(body or BODY), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = json.load(answer)
    connection.close()
    return answer.status, content


@pytest.fixture
def status_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[ServerStatus | Exception], None]:
    """Have the server tell a status, or fail."""

    def tell(found: ServerStatus | Exception) -> None:
        def status(_: float) -> ServerStatus:
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(app, "server_status", status)

    return tell


class TestConnections:
    """A client has a limited time to ask, and to take its answer."""

    @pytest.fixture
    def port(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
        monkeypatch.setattr(connections, "SECONDS", 0.3)
        with listening() as (_, port):
            yield port

    @pytest.mark.parametrize(
        ("first", "drop", "answer"),
        [
            (b"", b"", b""),
            (HEAD, b"", b""),
            (HEAD + b"X: ", b"x", b""),
            (CHUNKED % b"text/plain", b"1\r\nx\r\n", b" 415 "),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"", b" 200 "),
        ],
        ids=["silent", "half a head", "a head in drops", "a refused body in drops", "silent after an answer"],
    )
    def test_a_client_that_does_not_go_on_is_dropped(self, port, first, drop, answer):
        received, ended = b"", time.monotonic() + 5
        with socket.create_connection(("127.0.0.1", port), timeout=0.05) as client:
            client.sendall(first)
            with suppress(ConnectionError):
                while time.monotonic() < ended:
                    with suppress(TimeoutError):
                        if not (part := client.recv(2**16)):
                            break
                        received += part
                    client.sendall(drop)
        assert time.monotonic() < ended
        assert answer in received

    def test_a_client_that_does_not_read_its_answers_is_dropped(self, monkeypatch):
        monkeypatch.setattr(connections, "SECONDS", 0.3)
        with listening() as (server, port), socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(0.1)
            client.connect(("127.0.0.1", port))
            with suppress(TimeoutError, ConnectionError):
                client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500)
            assert eventually(lambda: server.server_state.connections)
            assert eventually(lambda: not server.server_state.connections)

    def test_an_answer_that_takes_longer_is_waited_for(self, port, monkeypatch):
        monkeypatch.setitem(app.ANSWERS, "/v1/translate", lambda _: time.sleep(0.7) or {"done": True})
        assert ask(port) == (200, {"done": True})

    @pytest.mark.parametrize("chunked", [False, True])
    def test_a_body_that_is_too_long_is_refused(self, port, monkeypatch, chunked):
        monkeypatch.setattr(guard, "MAX_BODY", 2**20)
        content = b'"' + b"x" * 2**20 + b'"'
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/translate", iter([content]) if chunked else content, headers)
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)["error"]["message"]) == (413, "the request is longer than 1 MiB")
        connection.close()

    def test_a_client_that_leaves_in_the_middle_of_its_body_harms_nobody(self, port, monkeypatch):
        monkeypatch.setitem(app.ANSWERS, "/v1/translate", lambda _: {"done": True})
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(CHUNKED % b"application/json" + b"1\r\n{\r\n")
        assert ask(port)[0] == 200


def test_many_requests_wait_and_more_are_refused_but_the_status_is_told(monkeypatch, status_of):
    go_on, begun = threading.Event(), threading.Semaphore(0)
    answered: list[int] = []
    monkeypatch.setattr(app, "AT_ONCE", 2)
    monkeypatch.setattr(threads, "WAITING", 1)
    monkeypatch.setitem(app.ANSWERS, "/v1/translate", lambda _: begun.release() or {"done": go_on.wait(20)})
    status_of(STATUS)
    with listening() as (_, port):
        clients = [threading.Thread(target=lambda: answered.append(ask(port)[0])) for _ in range(4)]
        for client in clients:
            client.start()
        assert begun.acquire(timeout=20)
        assert begun.acquire(timeout=20)
        assert eventually(lambda: answered == [429])
        assert ask(port, "GET", "/health") == (200, {"status": "ok"})
        go_on.set()
        for client in clients:
            client.join(20)
    assert answered == [429, 200, 200, 200]


class TestWaiting:
    """One request is answered at a time; others wait."""

    @pytest.fixture
    def go_on(self) -> threading.Event:
        return threading.Event()

    @pytest.fixture
    def seen(self, monkeypatch: pytest.MonkeyPatch, go_on: threading.Event) -> list[str]:
        """The lines of requests that were answered, each after `go_on`."""
        found: list[str] = []
        monkeypatch.setattr(app, "AT_ONCE", 1)
        monkeypatch.setitem(
            app.ANSWERS, "/v1/translate", lambda body: found.append(body.text) or {"done": go_on.wait(20)}
        )
        return found

    @staticmethod
    def start(port: int, text: str) -> threading.Thread:
        client = threading.Thread(target=ask, args=(port,), kwargs={"body": BODY | {"text": text}})
        client.start()
        return client

    def test_who_left_is_not_answered(self, go_on, seen):
        with listening() as (_, port):
            first = self.start(port, "first")
            assert eventually(lambda: seen)
            content = json.dumps(BODY | {"text": "second"}).encode()
            with socket.create_connection(("127.0.0.1", port)) as left:
                head = HEAD + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)
                left.sendall(head + content)
            third = self.start(port, "third")
            time.sleep(0.2)
            go_on.set()
            first.join(20)
            third.join(20)
        assert seen == ["first", "third"]

    def test_who_waits_too_long_is_told_to_come_back(self, monkeypatch, go_on, seen):
        monkeypatch.setattr(threads, "WAIT_SECONDS", 0.1)
        with listening() as (_, port):
            first = self.start(port, "first")
            assert eventually(lambda: seen)
            status, answer = ask(port)
            assert (status, "no capacity became free" in answer["error"]["message"]) == (429, True)
            go_on.set()
            first.join(20)
            assert ask(port)[0] == 200

    def test_long_requests_are_bounded_together(self, monkeypatch, go_on, seen):
        monkeypatch.setattr(guard, "MAX_BODIES", 1000)
        with listening() as (_, port):
            first = self.start(port, "x" * 700)
            assert eventually(lambda: seen)
            status, answer = ask(port, body=BODY | {"text": "y" * 700})
            assert (status, answer["error"]["message"]) == (429, "too many long requests at once")
            go_on.set()
            first.join(20)
            assert ask(port, body=BODY | {"text": "y" * 700})[0] == 200


def test_figures_of_a_model_that_is_loaded_twice_are_added():
    model = ResidentModel(
        "a:1", "PyTorch, fp32", "cpu", 7, "ready", False, "", "", None, 0, 0, 3, 5, 8, 0.5, 1.5
    )  # once as auto, once as pytorch
    text = Metrics().text(replace(STATUS, models=[model, model])).decode()
    samples = [
        sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "s2s_model_bytes"
    ]
    assert [sample.value for sample in samples] == [14]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("num_beams", "beam_size"), ("beam_sise", "beam_size"), ("qqq", "openapi")],
)
def test_an_unknown_key_may_be_another(name, meant):
    with pytest.raises(ValidationError) as error:
        TranslateBody.model_validate(BODY | {name: 3})
    found = refusal(error.value, TranslateBody)
    assert found.message == f"{name}: unknown key"
    assert meant in str(found.hint)


def test_a_line_break_is_a_space():
    assert TranslateBody.model_validate(BODY | {"text": ["drei\r\nvier\n", "x"]}).text == ["drei vier ", "x"]


class TestAnswers:
    """Answers of the application itself, whose requests others may see."""

    @pytest.fixture
    def client(self) -> TestClient:
        return client_of(None, loopback=True)

    @pytest.mark.parametrize(
        ("status", "method", "path", "given"),
        [
            (200, "GET", "/", {}),
            (200, "HEAD", "/page.css", {}),
            (200, "GET", "/openapi.json", {}),
            (400, "POST", "/v1/score", {"json": {}}),
            (400, "GET", "/", {"headers": {"Host": "attacker.example"}}),
            (401, "GET", "/v1/models", {}),
            (404, "GET", "/v1/models/", {}),
            (404, "GET", "/../app.py", {}),
            (405, "DELETE", "/v1/translate", {}),
            (413, "POST", "/v1/translate", {"content": "x" * 99, "headers": {"Content-Type": "application/json"}}),
            (415, "POST", "/v1/translate", {"content": "{}"}),
            (503, "GET", "/metrics", {}),
            (503, "GET", "/health", {}),
        ],
    )
    def test_every_answer_has_the_headers_of_safety(self, monkeypatch, status_of, status, method, path, given):
        monkeypatch.setattr(guard, "MAX_BODY", 98)
        status_of(StoppingError("the server has ended"))
        client = client_of(TOKEN if status == 401 else None, loopback=True)
        answer = client.request(method, path, follow_redirects=False, **given)
        assert answer.status_code == status
        assert {name: answer.headers.get(name) for name in guard.HEADERS} == guard.HEADERS
        if status >= 400 and path != "/health":
            assert answer.json()["error"].keys() == {"message", "hint"}
        assert (answer.headers.get("www-authenticate") == "Bearer") == (status == 401)

    def test_figures_are_of_the_format_that_prometheus_expects(self, client, status_of):
        status_of(STATUS)
        assert client.get("/metrics").headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:1", "127.0.0.2", "[::1]:8000"])
    def test_this_machine_has_several_names(self, client, host):
        assert client.get("/", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host", ["", "attacker.example", "localhost.attacker.example", "10.0.0.1", "[::", "127.0.0.1.nip.io"]
    )
    def test_other_hosts_are_refused(self, client, host):
        assert client.get("/", headers={"Host": host}).status_code == 400

    def test_a_server_with_a_name_is_asked_under_it(self):
        assert client_of(TOKEN, loopback=False).get("/", headers={"Host": "gpu.example"}).status_code == 200

    @pytest.mark.parametrize(
        "given", [TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}0", f"Bearer {TOKEN[:-1]}", "Bearer \xe9"]
    )
    def test_other_tokens_are_refused(self, given, status_of):
        status_of(STATUS)
        get = partial(client_of(TOKEN, loopback=False).get, "/metrics")
        assert get(headers={"Authorization": given.encode("latin-1")}).status_code == 401
        assert get(headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200

    @pytest.mark.parametrize(
        ("found", "status", "says"),
        [
            (STATUS, 200, {"status": "ok"}),
            (StoppingError("the server has ended"), 503, {"status": "stopping"}),
            (TimeoutError(), 504, {"error": {"message": "the answer took too long", "hint": None}}),
        ],
    )
    def test_health(self, client, status_of, found, status, says):
        status_of(found)
        answer = client.get("/health")
        assert (answer.status_code, answer.json()) == (status, says)


def client_of(token: str | None, *, loopback: bool) -> TestClient:
    return TestClient(Application(token, loopback=loopback).routes(), "http://localhost", raise_server_exceptions=False)


def test_the_description_is_one_of_openapi():
    validate(description())
    assert description()["openapi"].startswith("3.1.")


def test_the_description_says_when_to_try_again():
    answers = description()["paths"]["/v1/caption"]["post"]["responses"]
    assert [code for code, answer in answers.items() if "Retry-After" in answer.get("headers", {})] == ["429", "503"]


def test_an_address_of_others_needs_a_token(capsys):
    assert main(["serve", "--http", "0.0.0.0:0"]) == 2
    assert "--token-file FILE sets a token" in capsys.readouterr().err
