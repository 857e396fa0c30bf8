"""Where the shards of a preparation are computed: in this process, in several ones, or on a Dask cluster."""

import logging
import logging.handlers
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Protocol

from s2s.data.preparation.plan import Plan
from s2s.errors import ResourceError, UsageError
from s2s.io.processes import die_with_parent

log = logging.getLogger(__name__)

TIMEOUT = 10  # seconds to reach the scheduler
Task = Callable[[Plan, int, int], None]  # given the number of a shard and of all shards


class Engine(Protocol):
    """Something that computes all shards of a step."""

    def run(self, task: Task, plan: Plan) -> None:
        """Compute all shards. Raises what a task raises."""


class InProcess:
    """Computes everything in this process."""

    def run(self, task: Task, plan: Plan) -> None:
        """Compute one shard, which is all."""
        task(plan, 0, 1)


class Processes:
    """Computes each shard in a process of its own."""

    def __init__(self, count: int) -> None:
        self._count = count

    def run(self, task: Task, plan: Plan) -> None:
        """Compute the shards; the first one's messages are shown. Raises ResourceError if a process is killed."""
        context = multiprocessing.get_context("spawn")
        messages = context.Queue()
        with _shown(messages), ProcessPoolExecutor(self._count, context, _start, (messages,)) as pool:
            try:
                with _interrupts_blocked():  # also in the processes, until they are ready for one
                    shards = [pool.submit(_compute, task, plan, shard, self._count) for shard in range(self._count)]
                for shard in as_completed(shards):
                    shard.result()
            except BaseException as error:
                for child in multiprocessing.active_children():
                    child.terminate()
                if isinstance(error, BrokenProcessPool):
                    raise ResourceError(
                        "a process that prepared a part of the data was killed",
                        "memory may have run out; the same command continues, --processes sets the number of processes",
                    ) from error
                raise


class Dask:
    """Computes the shards on a running Dask cluster, whose workers see the same files."""

    def __init__(self, address: str) -> None:
        self._address = address

    def run(self, task: Task, plan: Plan) -> None:
        """Compute a shard for each thread of the cluster.

        Raises: UsageError if the address is malformed, ResourceError if the cluster cannot be reached.
        """
        try:
            from distributed import Client, wait
        except ImportError as error:
            raise ResourceError(
                "--engine dask needs the library distributed", "install it with pip install 's2s-toolkit[cluster]'"
            ) from error
        try:
            client = Client(self._address, timeout=TIMEOUT)
        except ValueError as error:
            raise UsageError(f"--address {self._address}: not the address of a scheduler ({error})") from error
        except OSError as error:
            raise ResourceError(f"--address {self._address}: cannot reach the scheduler ({error})") from error
        with client:
            shards = sum(client.nthreads().values())
            if not shards:
                raise ResourceError(f"the cluster at {self._address} has no workers", "start some with dask worker")
            log.info(f"{task.__name__.replace('_', ' ')}: {shards} on the cluster at {self._address}")
            tasks = client.map(task, [plan] * shards, range(shards), [shards] * shards, pure=False)
            wait(tasks)  # also if one fails: the others write files
            client.gather(tasks)


def _start(messages: Any) -> None:
    """Prepare a process of `Processes`: it ends with its parent, and at once when it is interrupted."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    die_with_parent()
    parent = multiprocessing.parent_process()
    if parent and os.getppid() != parent.pid:  # it has ended already
        os._exit(1)
    logging.getLogger("s2s").addHandler(logging.handlers.QueueHandler(messages))


def _compute(task: Task, plan: Plan, shard: int, shards: int) -> None:
    """Compute a shard in a process of `Processes`. All of them read the same data, so one reports."""
    logging.getLogger("s2s").setLevel(logging.CRITICAL if shard else logging.INFO)
    task(plan, shard, shards)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Hold SIGINT back while the block runs; processes that are started meanwhile hold it back, too."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _shown(messages: Any) -> Iterator[None]:
    """Hand the log records in a queue to the loggers of this process."""
    listener = logging.handlers.QueueListener(messages, _Forwarder())
    listener.start()
    try:
        yield
    finally:
        listener.stop()


class _Forwarder(logging.Handler):
    """Hands a record to the logger that it names."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)
