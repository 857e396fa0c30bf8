"""Shadow mode: a candidate also translates real requests while the server is idle; nobody waits for it."""

import asyncio
import logging
import multiprocessing
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from s2s.decoding.config import TranslatorConfig
from s2s.decoding.scoring import ScoredLine, score_lines
from s2s.errors import ResourceError, S2SError, UsageError
from s2s.io.processes import die_with_parent
from s2s.registry.reference import Reference
from s2s.registry.store import Registry
from s2s.registry.version import Version, now
from s2s.serving.client import served_translator, server_status
from s2s.serving.comparison import SCHEMA, Comparison, Output, Side, read_comparisons
from s2s.serving.messages import Wanted, parse_result, parse_search
from s2s.serving.protocol import Message, receive_now
from s2s.serving.status import StoppingError
from s2s.text.tokenizer import UNK, Tokenizer

log = logging.getLogger(__name__)

MAX_WAITING = 2**20  # bytes of requests that wait to be compared
ALIAS_SECONDS = 2.0  # between two looks at what an alias stands for
BATCH = 16  # sentences that are asked for together: a request of others waits for no more
STOP_SECONDS = 10.0


@dataclass(slots=True)
class Shadow:
    """An alias, and the candidate that may be next."""

    name: str
    alias: str
    candidate: str  # reference of a version
    number: int  # version that the alias stands for
    looked: float = 0.0  # when that was looked up
    dropped: int = 0

    @classmethod
    def parse(cls, text: str) -> "Shadow":
        """Parse `NAME@ALIAS=NAME:7`. Raises UsageError if it is malformed, or the models cannot be compared."""
        left, equals, right = text.partition("=")
        if not equals or (wanted := Reference.parse(left)).alias is None:
            raise UsageError(f"--shadow {text}: should be NAME@ALIAS=NAME:VERSION", "NAME@ALIAS=NAME is the newest")
        registry = Registry.default()
        production, candidate = registry.resolve(left), registry.resolve(right)
        for version in (production, candidate):
            if version.card.of_images:
                raise UsageError(f"--shadow {text}: {version.reference} captions images", "shadow mode compares text")
        if production.name != candidate.name:
            raise UsageError(f"--shadow {text}: {left} cannot move to a version of {candidate.name}")
        if _languages(production) != _languages(candidate):
            raise UsageError(f"--shadow {text}: the models translate different languages")
        return cls(wanted.name, wanted.alias, candidate.reference, production.number)

    def production(self) -> str:
        """Return the version that the alias stands for, as of the last few seconds."""
        if time.monotonic() - self.looked > ALIAS_SECONDS:
            self.looked = time.monotonic()
            self.number = Registry.default().aliases(self.name).get(self.alias, self.number)
        return f"{self.name}:{self.number}"


class ShadowProcess:
    """The process that compares; the server offers it copies of answered requests."""

    def __init__(self, shadows: Sequence[Shadow]) -> None:
        self.shadows = shadows

    async def start(self) -> None:
        """Start the process, and prepare to offer requests."""
        ours, theirs = socket.socketpair()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_compare, args=(theirs, list(self.shadows)), name="shadow", daemon=True)
        self._process.start()
        theirs.close()
        _, self._writer = await asyncio.open_unix_connection(sock=ours)

    def offer(self, request: Message, answer: Message) -> None:
        """Hand on a copy of a request and its answer if it concerns a shadow; never wait."""
        wanted = Wanted.parse(request.values["wanted"])
        if wanted.idle or wanted.images or wanted.prefixes or wanted.options.sample:
            return
        size = len(request.payload) + len(answer.payload)
        for index, shadow in enumerate(self.shadows):
            production = shadow.production()
            if wanted.key.models != (production,) or production == shadow.candidate:  # the alias has moved to it
                continue
            if self._writer.is_closing() or self._writer.transport.get_write_buffer_size() + size > MAX_WAITING:
                shadow.dropped += wanted.count
                continue
            values = {"shadow": index, "production": production, "dropped": shadow.dropped}
            self._writer.write(Message(request.values | values, request.payload).encode())
            self._writer.write(Message(answer.values, answer.payload).encode())

    async def stop(self) -> None:
        """End the process, after the sentences that it is comparing."""
        self._writer.close()
        await asyncio.to_thread(self._process.join, STOP_SECONDS)
        self._process.kill()


def _compare(stream: socket.socket, shadows: list[Shadow]) -> None:
    """Compare what arrives, until the server closes the stream."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    die_with_parent()
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    found: dict[int, Comparison] = {}
    while (request := receive_now(stream)) is not None and (answer := receive_now(stream)) is not None:
        index, production = request.values["shadow"], request.values["production"]
        comparison = found.get(index) or _begin(shadows[index], production)
        if comparison.production.model != production:
            comparison = _begin(shadows[index], production)
        comparison = comparison.model_copy(update={"dropped": request.values["dropped"], "updated": now()})
        try:
            comparison = _add(comparison, request, answer)
        except StoppingError:  # or it had no connection left
            continue
        except S2SError as error:
            comparison = comparison.model_copy(update={"problem": error.message})
        found[index] = comparison
        try:
            comparison.save()
        except (OSError, S2SError) as error:
            log.warning("shadow mode: %s", error)


def _begin(shadow: Shadow, production: str) -> Comparison:
    """Return the comparison to go on with: the stored one if it is of the same versions, else a new one."""
    alias = f"{shadow.name}@{shadow.alias}"
    try:
        (stored,) = read_comparisons(alias)
        if (stored.production.model, stored.candidate.model) == (production, shadow.candidate):
            return stored
    except S2SError as error:
        log.debug("%s: %s", alias, error)
    sides = Side(model=production), Side(model=shadow.candidate)
    return Comparison(alias=alias, since=now(), updated=now(), production=sides[0], candidate=sides[1], schema=SCHEMA)


def _add(comparison: Comparison, request: Message, answer: Message) -> Comparison:
    """Translate the sources of a request with the candidate, and add the pairs."""
    wanted = Wanted.parse(request.values["wanted"])
    version = Registry.default().resolve(comparison.production.model)
    tokenizer = Tokenizer(version.read("tokenizer.model"))
    inputs = [cast(list[int], one.source) for one in parse_search(request, wanted, tokenizer.size).inputs]
    results = parse_result(answer)
    # sources with unknown tokens cannot be decoded
    known = [row for row, source in enumerate(inputs) if UNK not in source and results[row]]
    comparison = comparison.model_copy(update={"unknown": comparison.unknown + len(inputs) - len(known)})
    sources = tokenizer.decode([inputs[row] for row in known])
    best = [results[row][0] for row in known]
    production = [
        Output(text, tuple(tokenizer.tokens(one.tokens)))
        for text, one in zip(tokenizer.decode([one.tokens for one in best]), best, strict=True)
    ]
    usual = version.recipe().decoding.model_dump()
    asked = {key: value for key, value in wanted.options.model_dump().items() if value != usual[key]}
    for start in range(0, len(sources), BATCH):
        batch = slice(start, start + BATCH)
        comparison = _add_batch(comparison, sources[batch], production[batch], asked)
    return _with_speed(comparison)


def _add_batch(
    comparison: Comparison, sources: list[str], production: list[Output], asked: dict[str, Any]
) -> Comparison:
    """Translate sources with the candidate and the decoding options `asked` for, and add the pairs."""
    from s2s.metrics.scores import sentence_chrf

    config = TranslatorConfig([comparison.candidate.model], "shadow", decoding=asked)
    with served_translator(config, idle=True) as translator:
        candidate = [Output(one.text, one.tokens) for one in translator.translate(sources)]
    production, candidate = _score(comparison, sources, production, candidate)
    chrf = sentence_chrf([one.text for one in candidate], [one.text for one in production])
    for each in zip(sources, production, candidate, chrf, strict=True):
        comparison = comparison.add(*each)
    return comparison


def _score(
    comparison: Comparison, sources: list[str], production: list[Output], candidate: list[Output]
) -> tuple[list[Output], list[Output]]:
    """Return the outputs with each model's score of its own and of the other's; without if there is no memory."""
    texts = [one.text for one in production], [one.text for one in candidate]
    try:
        by_production = [_scores(comparison.production.model, sources, each) for each in texts]
        by_candidate = [_scores(comparison.candidate.model, sources, each) for each in texts]
    except ResourceError as error:
        log.debug("not scored: %s", error)
        return production, candidate
    return (
        [
            replace(one, own_score=own, other_score=other)
            for one, own, other in zip(production, by_production[0], by_candidate[0], strict=True)
        ],
        [
            replace(one, own_score=own, other_score=other)
            for one, own, other in zip(candidate, by_candidate[1], by_production[1], strict=True)
        ],
    )


def _scores(model: str, sources: list[str], targets: list[str]) -> list[float]:
    config = TranslatorConfig([model], "shadow", "pytorch", "fp32")
    with served_translator(config, idle=True) as translator:
        return [_per_token(line) for line in score_lines(translator, sources, targets)]


def _per_token(line: ScoredLine) -> float:
    return line.log_probability / len(line.tokens)


def _with_speed(comparison: Comparison) -> Comparison:
    """Return the comparison with the seconds that the server's processes have computed so far."""
    sides = {}
    for name in ("production", "candidate"):
        side = getattr(comparison, name)
        models = [one for one in server_status().models if one.reference == side.model and one.sentences]
        if models:
            busiest = max(models, key=lambda one: one.sentences)
            sides[name] = side.model_copy(update={"seconds": busiest.busy_seconds, "computed": busiest.sentences})
    return comparison.model_copy(update=sides)


def _languages(version: Version) -> tuple[str, str]:
    return version.card.source_language, version.card.target_language
