"""The OpenAPI description of the interface, from the same models that check requests."""

import functools
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from s2s._version import __version__
from s2s.serving.http import bodies

POSTS: dict[str, tuple[type[BaseModel], type[BaseModel], str]] = {  # path: body, answer and summary
    "/v1/translate": (bodies.TranslateBody, bodies.Translations, "Translate lines of text"),
    "/v1/caption": (bodies.CaptionBody, bodies.Captions, "Describe images"),
    "/v1/score": (bodies.ScoreBody, bodies.Scores, "Score given translations"),
}
GETS: dict[str, tuple[type[BaseModel] | str, str]] = {  # path: answer, or its media type, and summary
    "/v1/models": (bodies.Models, "List the models"),
    "/health": (bodies.Health, "Tell whether requests are accepted"),
    "/metrics": ("text/plain", "Return figures in Prometheus' format"),
    "/openapi.json": ("application/json", "Return this description"),
}
ERRORS = {
    "400": "a value is wrong",
    "401": "the token is missing or wrong",
    "404": "the model is unknown",
    "408": "the request took too long to arrive",
    "413": "the request is too long",
    "415": "the request is not JSON",
    "429": "the server has too much to do",
    "503": "the server is stopping, or the model cannot be loaded",
    "504": "the answer took too long",
}
RETRY = {"Retry-After": {"description": "seconds after which to try again", "schema": {"type": "integer"}}}
HEADERS: dict[str, Any] = {  # of errors
    "401": {"WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}}},
    "429": RETRY,
    "503": RETRY,
}
OF_GETS = ("400", "401", "429", "503", "504")


@functools.cache
def description() -> dict[str, Any]:
    """Return the description as JSON values."""
    inputs: list[Any] = [(body, "validation") for body, _, _ in POSTS.values()]
    of_posts = [answer for _, answer, _ in POSTS.values()]
    of_gets = [answer for answer, _ in GETS.values() if not isinstance(answer, str)]
    outputs: list[Any] = [(answer, "serialization") for answer in (*of_posts, *of_gets, bodies.ErrorAnswer)]
    found: Any
    found, schemas = models_json_schema([*inputs, *outputs], ref_template="#/components/schemas/{model}")
    paths: dict[str, Any] = {}
    for path, (body, answer, summary) in POSTS.items():
        request = {"required": True, "content": {"application/json": {"schema": found[(body, "validation")]}}}
        good = _json(found[(answer, "serialization")], "the answer")
        paths[path] = {
            "post": {"summary": summary, "requestBody": request, "responses": {"200": good} | _errors(ERRORS)}
        }
    for path, (kind, summary) in GETS.items():
        good = (
            {"description": "the answer", "content": {kind: {}}}
            if isinstance(kind, str)
            else _json(found[(kind, "serialization")], "the answer")
        )
        responses = {"200": good} | _errors(OF_GETS)
        paths[path] = {"get": {"summary": summary, "responses": responses}}
        if path == "/health":
            responses["503"] = good
            paths[path]["get"]["security"] = []
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "s2s",
            "version": __version__,
            "summary": "Translate, caption and score with resident models",
        },
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def _errors(codes: Any) -> dict[str, Any]:
    answer = {"$ref": "#/components/schemas/ErrorAnswer"}
    return {
        code: _json(answer, ERRORS[code]) | ({"headers": HEADERS[code]} if code in HEADERS else {}) for code in codes
    }


def _json(schema: Any, text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}
