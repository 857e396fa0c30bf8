"""Several processes that train one model: which of them this is, and what they agree on.

torchrun starts them, or `launch`, which calls torchrun's own launcher. Gradients are exchanged by
DistributedDataParallel; what is here goes over gloo, by the processors.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast
from uuid import uuid4

import torch
from torch import distributed

from s2s.errors import S2SError, StoppedError

T = TypeVar("T")
PATIENCE = timedelta(days=1)  # others wait while the first process validates, or prepares the data


@dataclass(frozen=True, slots=True)
class DistributedContext:
    """The processes of a training: the number of this one (rank) and how many there are, in all and on this host.

    `launched`: they were started by torchrun.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    launched: bool = False

    @classmethod
    def current(cls) -> "DistributedContext":
        """As torchrun says it in the environment."""
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return cls()
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        rank, size, local_rank, local_size = (int(os.environ[name]) for name in names)
        return cls(rank, size, local_rank, local_size, launched=True)

    @property
    def main(self) -> bool:
        """Whether this process is the one that speaks and writes."""
        return self.rank == 0

    def shard(self, count: int) -> range:
        """Which of `count` sentences this process computes: every size-th, as they are sorted by length."""
        return range(self.rank, count, self.size)

    def broadcast_from_main(self, make: Callable[[], T]) -> T:
        """What `make` gives in the first process, in all of them; the others wait for it."""
        if self.size == 1:
            return make()
        values = [make() if self.main else None]
        distributed.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return cast(T, values[0])

    def all_gather(self, value: T) -> list[T]:
        """The values of all processes, in their order; in all of them."""
        values = [value] * self.size
        if self.size > 1:
            distributed.all_gather_object(values, value)
        return values

    def all_reduce_max(self, value: int) -> int:
        """The largest of all processes' values."""
        return int(_reduced(value, distributed.ReduceOp.MAX)) if self.size > 1 else value

    def all_reduce_sum(self, value: float) -> float:
        """The sum of all processes' values."""
        return _reduced(value, distributed.ReduceOp.SUM) if self.size > 1 else value


def _reduced(value: float, how: "distributed.ReduceOp.RedOpType") -> float:
    tensor = torch.tensor(value, dtype=torch.float64)
    distributed.all_reduce(tensor, how)
    return tensor.item()


@contextlib.contextmanager
def joined(world: DistributedContext) -> Iterator[None]:
    """Be connected to the other processes while the block runs."""
    if world.size == 1:
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def launch(processes: int) -> None:
    """Run this very command in several processes of this host, by torchrun's launcher.

    Raises: S2SError with the first failed process's exit code; it has said why itself. StoppedError after a signal,
    which the processes have answered.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    before = logging.root.manager.disable
    logging.disable(logging.ERROR)  # of the launcher, whose loggers have levels of their own: the processes speak
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.2,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "s2s", *sys.argv[1:])
    except SignalException as stopped:
        raise StoppedError(stopped.sigval, told=True) from stopped
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        code = failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
        if code > 128:
            raise StoppedError(code - 128, told=True) from error
        failed = S2SError(f"process {failure.local_rank} of {processes} failed", "what it said stands above")
        failed.exit_code = code
        raise failed from error
    finally:
        logging.disable(before)
