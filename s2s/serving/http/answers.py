"""Answer requests: each function takes a body and returns the values of its answer. They block."""

import base64
import binascii
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from s2s.data.images import decode_image
from s2s.data.sources import Image
from s2s.decoding.config import TranslatorConfig
from s2s.decoding.json_values import line_values
from s2s.decoding.scoring import score_lines
from s2s.decoding.streaming import StreamOptions, TranslatedLine
from s2s.decoding.translator import Translator
from s2s.errors import DataError, UsageError
from s2s.io.json_values import format_json
from s2s.registry.store import Registry
from s2s.registry.version import Version
from s2s.serving.client import ServedEngine, served_translator
from s2s.serving.http.bodies import Body, DecodingBody, ScoreBody
from s2s.serving.http.guard import HttpError
from s2s.serving.status import ServerStatus

SECONDS = 300.0  # that an answer may take
DECODING = threading.Semaphore(4)  # images at once: each may take 300 MB until it is scaled down


def encode(answer: dict[str, Any]) -> bytes:
    """Return an answer as JSON; each line of it by itself, so that other threads run in between."""
    members = []
    for key, value in answer.items():
        text = f"[{', '.join(map(format_json, value))}]" if isinstance(value, list) else format_json(value)
        members.append(f"{format_json(key)}: {text}")
    return f"{{{', '.join(members)}}}".encode()


def translate(body: Any) -> dict[str, Any]:
    """Translate the lines of a `TranslateBody`."""
    lines = [body.text] if isinstance(body.text, str) else body.text
    config = replace(_config(body, body.engine, body.decoding()), tag=body.tag)
    stream = StreamOptions(body.nbest or 1, body.attention, split=body.split)
    with _translator(config, body) as (reference, translator):
        pending = translator.start(
            lines, nbest=stream.nbest, need_attention=body.attention, split=stream.splits(translator)
        )
        found = [TranslatedLine(line, nbest) for line, nbest in zip(lines, pending.result(), strict=True)]
        return {"model": reference, "engine": translator.engine.describe(), "translations": _values(found, body)}


def caption(body: Any) -> dict[str, Any]:
    """Caption the images of a `CaptionBody`. Raises DataError if one is not an image."""
    config = _config(body, "pytorch", body.decoding() | {"max_caption_length": body.max_length}, images=True)
    with _translator(config, body) as (reference, translator):
        images = _decode_images(body.images, translator)
        pending = translator.start(images, nbest=body.nbest or 1, need_attention=body.attention)
        found = [
            TranslatedLine(f"image {number}", nbest, image)
            for number, (image, nbest) in enumerate(zip(images, pending.result(), strict=True))
        ]
        return {"model": reference, "engine": translator.engine.describe(), "captions": _values(found, body)}


def score(body: ScoreBody) -> dict[str, Any]:
    """Score the pairs of lines of a body."""
    config = TranslatorConfig([body.model], "", "pytorch", "fp32", need_attention=body.attention, tag=body.tag)
    sources, targets = [pair.source for pair in body.pairs], [pair.target for pair in body.pairs]
    with _translator(config, body) as (reference, translator):
        scored = score_lines(translator, sources, targets, need_attention=body.attention)
        values = [
            line.as_json(body.tokens) | ({"alignment": line.alignment} if body.attention else {}) for line in scored
        ]
        return {"model": reference, "engine": translator.engine.describe(), "scores": values}


def list_models(status: ServerStatus) -> dict[str, Any]:
    """List the newest version of every model, and those that have an alias."""
    registry = Registry.default()
    resident = {one.reference for one in status.models}
    models = []
    for name in registry.names():
        aliases = registry.aliases(name)
        versions = registry.readable_versions(name)
        newest = max((version.number for version in versions), default=0)
        models += [
            _listed(version, sorted(alias for alias, number in aliases.items() if number == version.number), resident)
            for version in versions
            if version.number == newest or version.number in aliases.values()
        ]
    return {"models": models}


def _listed(version: Version, aliases: list[str], resident: set[str]) -> dict[str, Any]:
    card = version.card
    return {
        "reference": version.reference,
        "name": version.name,
        "version": version.number,
        "aliases": aliases,
        "description": card.description,
        "task": "caption" if card.of_images else "translate",
        "source_language": card.source_language or None,
        "target_language": card.target_language or None,
        "architecture": card.architecture,
        "attention": card.attention,
        "parameters": card.parameters,
        "resident": version.reference in resident,
    }


def _config(body: DecodingBody, engine: Any, decoding: dict[str, Any], *, images: bool = False) -> TranslatorConfig:
    return TranslatorConfig(
        [body.model],
        "",
        engine,
        body.precision,
        decoding=decoding,
        nbest=body.nbest or 1,
        need_attention=body.attention,
        images=images,
    )


@contextmanager
def _translator(config: TranslatorConfig, body: Body) -> Iterator[tuple[str, Translator[ServedEngine]]]:
    """Yield the version that a reference stands for now, and its translator."""
    keep_alive: Any = body.keep_alive
    try:
        reference = Registry.default().resolve(body.model).reference
    except UsageError as error:
        raise HttpError(404, error.message, error.hint) from error
    with served_translator(replace(config, models=[reference]), keep_alive, timeout=SECONDS) as translator:
        yield reference, translator


def _decode_images(images: list[str], translator: Translator[ServedEngine]) -> list[Image]:
    size = translator.settings.image_size
    assert size is not None
    if size.features:
        raise UsageError(f"{translator.settings.name} reads features, which HTTP requests cannot send")
    decoded = []
    for number, text in enumerate(images):
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise DataError(f"images.{number}: should be the content of an image file in base64") from error
        with DECODING:
            decoded.append(Image(decode_image(content, (size.height, size.width), f"images.{number}")))
    return decoded


def _values(lines: list[TranslatedLine], body: DecodingBody) -> list[dict[str, Any]]:
    return [line_values(line, nbest=body.nbest is not None, attention=body.attention) for line in lines]
