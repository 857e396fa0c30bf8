"""The process that trains: its place among others, the device it leases, and the corpus they share."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from s2s.data.corpus import Corpus
from s2s.data.prepare import prepare_corpus
from s2s.devices.leases import lease, lease_several
from s2s.devices.select import available_devices, resolve_device
from s2s.recipe.recipe import Recipe
from s2s.training.distributed import DistributedContext
from s2s.training.training_log import board_writer


@dataclass(frozen=True, slots=True)
class RunContext:
    """Settings of this process, independent of the recipe."""

    distributed: DistributedContext
    wait: float  # seconds to wait for a busy device
    tensorboard: bool = False  # also write TensorBoard event files

    @classmethod
    def current(cls, wait: float, tensorboard: bool) -> "RunContext":
        """Return the context of this process; only the main process of several logs messages.

        Raises: ResourceError if TensorBoard is requested but not installed.
        """
        distributed = DistributedContext.current()
        if distributed.main:
            if tensorboard:
                board_writer()
            return cls(distributed, wait, tensorboard)
        logging.getLogger("s2s").setLevel(logging.ERROR)
        return cls(distributed, wait)

    def corpus(self, recipe: Recipe, tokenizer: bytes | None) -> Corpus:
        """Return the recipe's corpus, which the main process prepares if it is missing."""

        def prepare() -> Corpus:
            return prepare_corpus(recipe.data, recipe.tokenizer, tokenizer_model=tokenizer)

        if self.distributed.size > 1:
            self.distributed.broadcast_from_main(lambda: prepare().digest)
        return prepare()

    @contextlib.contextmanager
    def leased(self, device: str, command: str) -> Iterator[str]:
        """Lease this process's device: with several processes, a GPU each, or a share of the CPU.

        The first process of a host leases for all of them, so that two trainings never wait for each other's GPUs.
        Raises: UsageError if s2s does not support the device, ResourceError if it is not available; see `lease`.
        """
        if self.distributed.size == 1:
            with lease(device, wait=self.wait, command=command) as name:
                yield name
            return
        wanted = device.partition(":")[0]
        if wanted != "auto":
            resolve_device(wanted)
        on_gpus = wanted != "cpu" and available_devices() != ["cpu"]
        kind, count = ("auto", self.distributed.local_size) if on_gpus else ("cpu", 1)
        with contextlib.ExitStack() as stack:
            names: list[str] = []
            if self.distributed.local_rank == 0:
                names = stack.enter_context(lease_several(kind, count, wait=self.wait, command=command))
            own_host = self.distributed.all_gather(names)[self.distributed.rank - self.distributed.local_rank]
            yield own_host[self.distributed.local_rank % count]
