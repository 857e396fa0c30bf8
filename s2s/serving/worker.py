"""The process that holds a model: it computes the requests of all clients in common batches."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any, NoReturn, cast

from s2s.decoding.engine import Engine, Hypothesis, Request, ScoringEngine
from s2s.decoding.loading import EngineSelection, load_engine
from s2s.devices.memory import MemoryMeter, is_out_of_memory
from s2s.devices.runtime import tuning, usable_threads
from s2s.errors import ResourceError, S2SError, UsageError
from s2s.io.processes import die_with_parent
from s2s.registry.store import Registry
from s2s.serving.batching import Item, Job, Scheduler
from s2s.serving.messages import (
    ModelKey,
    Wanted,
    error_message,
    parse_force,
    parse_search,
    result_message,
    scores_message,
)
from s2s.serving.protocol import MAX_PAYLOAD, Message, receive_now
from s2s.text.tokenizer import Tokenizer

REPORT_SECONDS = 0.25  # between two reports of the load and the memory


def run_worker(connection: socket.socket, key: ModelKey, selection: EngineSelection, device: str) -> None:
    """Load models, then answer the messages of a connection until it is closed.

    The first message says `ready`, or is the error that prevented it. Signals are ignored, see `fork_server`.
    """
    die_with_parent()
    meter = MemoryMeter(device)
    try:
        versions = [Registry.default().resolve(reference) for reference in key.models]
        tokenizer = Tokenizer(versions[0].read("tokenizer.model"))
        engine = load_engine(selection, versions, tokenizer, device)
    except Exception as error:
        answer = error_message(_described(error), 0)
        connection.sendall(Message(answer.values | {"out_of_memory": is_out_of_memory(error)}).encode())
        return
    Worker(connection, engine, tokenizer.size, device.partition(":")[0], meter).run()


class Worker:
    """A loaded model and the requests for it."""

    def __init__(
        self, connection: socket.socket, engine: Engine, vocab_size: int, kind: str, meter: MemoryMeter
    ) -> None:
        self.connection = connection
        self.engine = engine
        self.vocab_size = vocab_size
        self.kind = kind  # of device, cpu or cuda
        self.meter = meter
        self.scheduler = Scheduler()
        self.busy_seconds = 0.0
        self._sending = threading.Lock()
        self._reported = 0.0

    def run(self) -> NoReturn:
        """Announce the model and answer messages; the process ends when the connection is closed."""
        self._send(Message({"type": "ready", "engine": self.engine.describe(), "bytes": self.meter.measure()}))
        asynchronous = self.engine.describe().startswith("CTranslate2")  # in threads of its own, which never wait:
        count = 2 * (usable_threads() if self.kind == "cpu" else 1) if asynchronous else 1  # a batch is always ready
        threading.Thread(target=self._read, daemon=True).start()
        for _ in range(count - 1):
            threading.Thread(target=self._compute, daemon=True).start()
        self._compute()  # here and not in a thread: only the main thread's heap keeps freed memory, see `prepare`

    def _read(self) -> None:
        """Accept requests until the connection is closed; then end, without waiting for what nobody wants any more."""
        try:
            while (message := receive_now(self.connection)) is not None:
                if message.type == "cancel":
                    self.scheduler.cancel(message.values["client"])
                    continue
                try:
                    self.scheduler.add(self._job(message))
                except Exception as error:
                    self._send(error_message(_described(error), message.values["id"]))
        finally:  # also after an error: a process that no longer listens would leave every request without an answer
            os._exit(0)

    def _job(self, message: Message) -> Job:
        """Return what a message asks for. Raises UsageError if it is malformed."""
        wanted = Wanted.parse(message.values["wanted"])
        number, client = message.values["id"], message.values["client"]
        contents: Sequence[Any]
        if message.type == "force":
            pairs = parse_force(message, wanted, self.vocab_size)
            contents = list(zip(pairs.sources, pairs.targets, strict=True))
            lengths, hypotheses = [max(map(len, pair)) + 1 for pair in contents], 1
        else:
            contents = parse_search(message, wanted, self.vocab_size).inputs
            lengths = [len(one.source) + 1 for one in contents]
            hypotheses = wanted.nbest if wanted.options.sample else wanted.options.beam_size
        return Job(
            client=client,
            group=(message.type, wanted.options, wanted.nbest, wanted.need_attention, wanted.images, wanted.idle),
            contents=contents,
            lengths=lengths,
            budget=max(1, tuning(self.kind).decoding_tokens // hypotheses),
            done=lambda results: self._send(_answer(message.type, results, number)),
            failed=lambda error: self._send(error_message(_described(error), number)),
            idle=wanted.idle,
        )

    def _compute(self) -> NoReturn:
        """Compute batches as long as the process lives."""
        while True:
            batch = self.scheduler.next_batch()
            self._report()
            started = time.monotonic()
            self._run(batch)
            self.busy_seconds += time.monotonic() - started
            self._report()

    def _run(self, batch: list[Item]) -> None:
        """Compute a batch; in halves if memory runs out."""
        try:
            results = self._results(batch)
        except Exception as error:
            if not (is_out_of_memory(error) and len(batch) > 1):
                self.scheduler.fail(batch, error)
                return
            half = len(batch) // 2
            self._run(batch[:half])
            self._run(batch[half:])
        else:
            self.scheduler.complete(batch, results)

    def _results(self, batch: list[Item]) -> Sequence[Any]:
        kind, options, nbest, need_attention, *_ = cast(tuple[Any, ...], batch[0].job.group)
        contents = [item.content for item in batch]
        if kind == "search":
            return self.engine.start(Request(contents, options, nbest, need_attention)).result()
        sources, targets = zip(*contents, strict=True)
        scores = cast(ScoringEngine, self.engine).force(sources, targets, need_attention=need_attention)
        return [score for _, score in sorted(scores, key=lambda one: one[0])]

    def _report(self) -> None:
        """Tell the server the load and the memory, unless it has just been told."""
        if time.monotonic() - self._reported < REPORT_SECONDS:
            return
        self._reported = time.monotonic()
        values = {"running": self.scheduler.running, "busy_seconds": self.busy_seconds, "bytes": self.meter.measure()}
        self._send(Message({"type": "report"} | values))

    def _send(self, message: Message) -> None:
        if len(message.payload) > MAX_PAYLOAD:
            error = UsageError("the answer is too large for a message", "ask for fewer lines, or without attention")
            message = error_message(error, message.values["id"])
        with self._sending, contextlib.suppress(OSError):  # the server has ended, and so will this process
            self.connection.sendall(message.encode())


def _answer(kind: str, results: list[Any], number: int) -> Message:
    if kind == "force":
        return scores_message(results, number)
    hypotheses = cast(list[list[Hypothesis]], results)
    answer = result_message(hypotheses, number)
    tokens = sum(len(nbest[0].tokens) for nbest in hypotheses if nbest)
    return Message(answer.values | {"tokens": tokens}, answer.payload)


def _described(error: Exception) -> Exception:
    """Return an error that a user can act on."""
    if is_out_of_memory(error) and not isinstance(error, S2SError):
        return ResourceError("out of memory", "keep fewer hypotheses (--beam-size, --nbest), or stop other models")
    return error
