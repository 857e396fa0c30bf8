"""A server with the interface of `s2s serve`, its page, and answers that need no models.

It fails the test if the page asks what `s2s serve` would refuse, or if its own answers differ from those in form.
"""

import base64
import binascii
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

import s2s.serving
from s2s.serving.http.bodies import Models
from s2s.serving.http.guard import HEADERS
from s2s.serving.http.openapi import POSTS

PAGE = Path(s2s.serving.__path__[0]) / "page"
MEDIA = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
GERMAN = {
    "ein": "a", "einem": "a", "einer": "a", "mann": "man", "in": "in", "blauen": "blue", "hemd": "shirt",
    "steht": "stands", "auf": "on", "leiter": "ladder", "und": "and", "putzt": "cleans", "fenster": "window",
    "zwei": "two", "hunde": "dogs", "rennen": "run", "durch": "through", "den": "the", "schnee": "snow",
    "jahrhundert": "century",
}  # fmt: skip
CAPTION = ["▁a", "▁red", "▁circle", "▁left", "▁of", "▁a", "▁blue", "▁square", "</s>"]
GRID = 8


def model(name: str, architecture: str, **others: Any) -> dict[str, Any]:
    """Return a model of the list of models: without attention, German to English, not loaded."""
    return {
        "reference": f"{name}:1", "name": name, "version": 1, "aliases": [], "description": "", "task": "translate",
        "source_language": "de", "target_language": "en", "architecture": architecture, "attention": False,
        "parameters": 5_930_560, "resident": False,
    } | others  # fmt: skip


MODELS = [
    model("m30k-attention", "bidirectional GRU encoder; GRU decoder with additive attention", attention=True,
          resident=True, aliases=["production"]),
    model("m30k-bottleneck", "GRU encoder; GRU decoder with a fixed context (no attention)"),
    model("m30k-transformer", "3-layer Transformer encoder; 3-layer Transformer decoder", attention=True),
    model("copying", "GRU encoder; GRU decoder with a fixed context (no attention)"),
    model("too-large", "24-layer Transformer encoder; 24-layer Transformer decoder", attention=True),
    model("scenes-attention", "3-stage CNN encoder with a grid of 8 × 8; GRU decoder with scaled dot attention",
          task="caption", source_language=None, attention=True),
    model("scenes-bottleneck", "3-stage CNN encoder with a grid of 8 × 8; GRU decoder with a fixed context",
          task="caption", source_language=None),
]  # fmt: skip


class StandIn(ThreadingHTTPServer):
    """The server; tests change what it answers through its attributes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.models = list(MODELS)
        self.token: str | None = None
        self.answering = threading.Event()  # requests wait until it is set
        self.answering.set()
        self.bodies: list[dict[str, Any]] = []  # of the requests to translate and to caption
        self.wrong: list[str] = []  # what would not be asked or answered by `s2s serve`

    @property
    def url(self) -> str:
        """Return the address of the page."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: StandIn

    def do_GET(self) -> None:
        name = "index.html" if self.path == "/" else self.path[1:]
        file = PAGE / name
        if file.parent == PAGE and file.suffix in MEDIA and file.exists():
            return self._send(200, MEDIA[file.suffix], file.read_bytes())
        if not self._allowed():
            return self._fail(401, "the token is missing or wrong", "Authorization: Bearer TOKEN")
        if self.path == "/v1/models":
            return self._answer({"models": self.server.models}, Models)
        return self._fail(404, "no such path", None)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._allowed():
            return self._fail(401, "the token is missing or wrong", "Authorization: Bearer TOKEN")
        self.server.bodies.append(body)
        asked, answered, _ = POSTS[self.path]
        self._check(body, asked)
        self.server.answering.wait(20)
        if body["model"] == "too-large:1":
            return self._fail(503, "too-large:1 needs 31.0 GiB, 7.2 GiB are free", "s2s serve --memory 32GiB")
        answer = {"model": body["model"], "engine": "PyTorch, bf16"}
        if self.path == "/v1/translate":
            return self._answer(answer | {"translations": [translation(line, body) for line in body["text"]]}, answered)
        try:
            base64.b64decode(body["images"][0], validate=True).index(b"PNG")
        except (binascii.Error, ValueError):
            return self._fail(400, "images.0: text instead of an image", None)
        return self._answer(answer | {"captions": [captioned(body)]}, answered)

    def _allowed(self) -> bool:
        return self.server.token is None or self.headers["Authorization"] == f"Bearer {self.server.token}"

    def _check(self, values: dict[str, Any], form: type[BaseModel]) -> None:
        class Exact(form):  # type: ignore[misc, valid-type]
            model_config = ConfigDict(extra="forbid")

        try:
            Exact.model_validate(values)
        except ValidationError as error:
            self.server.wrong.append(str(error))

    def _answer(self, values: dict[str, Any], form: type[BaseModel]) -> None:
        self._check(values, form)
        self._send(200, "application/json", json.dumps(values).encode())

    def _fail(self, status: int, message: str, hint: str | None) -> None:
        self._send(status, "application/json", json.dumps({"error": {"message": message, "hint": hint}}).encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
        except ConnectionError:
            pass  # the page cancelled the request

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


def translation(line: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return what a model makes of a line: a copy, the beginning over and over, or a translation word by word."""
    words = line.split()
    if body["model"] == "copying:1":
        return _line(line, ["▁" + word for word in words] + ["</s>"], -0.9, ["copy"], body)
    if body["model"] == "m30k-bottleneck:1":
        text = ("a man in a " + "blue " * 9).strip()
        return _line(text, ["▁" + word for word in text.split()], -1.61, ["truncated", "loop"], body)
    english = [GERMAN.get(word.lower(), word) for word in words]
    outputs, sources = ([*map(_tokens, side), ["</s>"]] for side in (english, words))
    values = _line(" ".join(english), [*chain(*outputs)], -0.21, [], body)
    if body.get("attention"):
        values["source_tokens"] = [*chain(*sources)]
        values["attention"] = [_row(place, sources) for place, tokens in enumerate(outputs) for _ in tokens]
    return values


def _tokens(word: str) -> list[str]:
    """Split a word as tokenizers write common, rare and Chinese ones."""
    if word == "hemd" or word > "\u4e00":
        return ["▁", *([word] if word.isascii() else word)]
    return ["▁" + word] if len(word) < 7 else ["▁" + word[:4], word[4:]]


def captioned(body: dict[str, Any]) -> dict[str, Any]:
    """Return a caption whose tokens look at the places of a picture one after the other."""
    values = _line("a red circle left of a blue square", CAPTION, -0.05, [], body)
    if body.get("attention"):
        values["grid"] = [GRID, GRID]
        values["attention"] = [_spot(place) for place in range(len(CAPTION))]
    return values


def _line(text: str, tokens: list[str], average: float, found: list[str], body: dict[str, Any]) -> dict[str, Any]:
    one = {"text": text, "score": average, "log_probability": average * len(tokens), "tokens": tokens}
    values: dict[str, Any] = one | {"diagnostics": found}
    if "nbest" in body:
        others = [
            one | {"text": f"{text} ({rank})", "log_probability": (average - rank / 4) * len(tokens)}
            for rank in range(1, body["nbest"])
        ]
        values["nbest"] = [one, *others]
    return values


def _row(place: int, words: list[list[str]]) -> list[float]:
    """Look at the word at a place most, and at all tokens of a word alike."""
    weights = [0.3 ** abs(place - other) for other in range(len(words))]
    return [weight / sum(weights) / len(tokens) for weight, tokens in zip(weights, words, strict=True) for _ in tokens]


def _spot(place: int) -> list[float]:
    x, y = (1.25, 2.25) if place < 4 else (5.25, 4.75)
    weights = [
        0.55 ** ((column - x) ** 2 + (row - y) ** 2) + 0.002 * place for row in range(GRID) for column in range(GRID)
    ]
    return [weight / sum(weights) for weight in weights]
