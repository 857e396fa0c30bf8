"""Data-parallel training with several processes: the role of this one, and how they agree on values.

torchrun starts the processes, or `launch`, which calls torchrun's own launcher. DistributedDataParallel exchanges the
gradients, or `sharding.py` shards the network; the collectives here use gloo, on the CPU.
"""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast
from uuid import uuid4

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from s2s.errors import S2SError, StoppedError
from s2s.io.processes import die_with_parent
from s2s.training.sharding import shard

T = TypeVar("T")
TIMEOUT = timedelta(days=1)  # the other processes wait while the main one prepares the data or tests the model
GRADIENT_TIMEOUT = timedelta(minutes=10)  # of the exchange of gradients, in which all processes take part at once


@dataclass(frozen=True, slots=True)
class DistributedContext:
    """The role of this process among those that train one model together."""

    rank: int = 0  # number of this process
    size: int = 1  # number of processes
    local_rank: int = 0  # number of this process on its host
    local_size: int = 1  # number of processes on its host
    launched: bool = False  # started by torchrun

    @classmethod
    def current(cls) -> "DistributedContext":
        """Return the context that torchrun set in the environment, or that of a single process."""
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return cls()
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        rank, size, local_rank, local_size = (int(os.environ[name]) for name in names)
        return cls(rank, size, local_rank, local_size, launched=True)

    @property
    def main(self) -> bool:
        """True in the process that logs and writes files."""
        return self.rank == 0

    def shard(self, count: int, rank: int | None = None) -> range:
        """Return which of `count` sentences this process (or process `rank`) computes: every `size`-th.

        Sentences are sorted by length, so that all processes compute about as much.
        """
        return range(self.rank if rank is None else rank, count, self.size)

    def broadcast_from_main(self, compute: Callable[[], T]) -> T:
        """Return in all processes what `compute` returns in the main one; the others wait for it."""
        if self.size == 1:
            return compute()
        values = [compute() if self.main else None]
        distributed.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return cast(T, values[0])

    def all_gather(self, value: T) -> list[T]:
        """Return the values of all processes, by rank."""
        values = [value] * self.size
        if self.size > 1:
            distributed.all_gather_object(values, value)
        return values

    def all_reduce_max(self, value: int) -> int:
        """Return the largest of all processes' values."""
        tensor = torch.tensor(value)
        self.reduce_max_(tensor)
        return int(tensor)

    def reduce_max_(self, tensor: Tensor) -> None:
        """Replace the elements of a tensor by the largest of all processes', on its device."""
        if self.size > 1:
            distributed.all_reduce(tensor, distributed.ReduceOp.MAX)

    def all_reduce_sums(self, *values: float) -> list[float]:
        """Return the sums of all processes' values."""
        tensor = torch.tensor(values, dtype=torch.float64)
        if self.size > 1:
            distributed.all_reduce(tensor)
        return tensor.tolist()


@contextlib.contextmanager
def process_group(context: DistributedContext) -> Iterator[None]:
    """Connect to the other processes inside the block; a single process needs no connection.

    A process that a launcher started ends with it: an orphan would go on holding its device.
    """
    if context.launched:
        die_with_parent()
    if context.size == 1:
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=TIMEOUT)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def parallel(
    network: nn.Module, device: torch.device, context: DistributedContext, *, sharded: bool = False
) -> nn.Module:
    """Move a network to the device, and have its backward pass average gradients over the processes.

    `sharded`: divide the network itself among several processes, so that only this one's part is moved.
    """
    if context.size == 1:
        return network.to(device)
    group = distributed.new_group(timeout=GRADIENT_TIMEOUT)
    if sharded:
        shard(network, device, group)
        return network
    network.to(device)
    return DistributedDataParallel(network, process_group=group, gradient_as_bucket_view=True)


def launch(processes: int) -> None:
    """Run this command in several processes on this host, with torchrun's launcher.

    Raises: S2SError with the exit code of the first process that failed; StoppedError after a signal. In both cases
    the processes have already reported the reason.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    try:
        with tempfile.TemporaryDirectory() as logs, _quiet_launcher():  # torch would leave a directory behind
            config = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=processes,
                run_id=uuid4().hex,
                rdzv_backend="c10d",
                rdzv_endpoint="localhost:0",
                max_restarts=0,
                monitor_interval=0.2,
                logs_specs=DefaultLogsSpecs(log_dir=logs),
            )
            elastic_launch(config, sys.executable)("-m", "s2s", *sys.argv[1:])
    except SignalException as stopped:
        raise StoppedError(stopped.sigval, reported=True) from stopped
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        code = failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
        if code > 128:
            raise StoppedError(code - 128, reported=True) from error
        failed = S2SError(f"process {failure.local_rank} of {processes} failed", "see its error message above")
        failed.exit_code = code
        raise failed from error


@contextlib.contextmanager
def _quiet_launcher() -> Iterator[None]:
    """Silence the launcher, whose loggers set their own levels: the processes themselves report what happens."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
