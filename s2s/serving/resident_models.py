"""The models that are kept loaded: within a budget of measured memory, the least recently used is unloaded first."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from s2s.decoding.loading import EngineSelection
from s2s.devices.memory import free_without_context
from s2s.errors import ResourceError
from s2s.registry.store import Registry
from s2s.registry.version import WEIGHTS
from s2s.report.format import format_size
from s2s.serving.messages import ModelKey
from s2s.serving.model_process import LoadError, ModelProcess
from s2s.serving.status import ResidentModel, StoppingError

log = logging.getLogger(__name__)

POLL_SECONDS = 0.05  # between two looks whether a model can be unloaded
RECOVERY_SECONDS = 5.0  # that a GPU's memory may take to be free after a process has ended
PROCESS_BYTES = {"cpu": 60 * 2**20, "cuda": 500 * 2**20}  # of a process beside its weights, until it is measured
WEIGHT_SHARE = {"int8": 0.25, "int8_bf16": 0.25, "int8_fp16": 0.25, "bf16": 0.5, "fp16": 0.5}  # CTranslate2's, of fp32
MIN_TURN_SECONDS = 5.0  # that a busy model stays loaded although others wait for its memory
MIN_TURN_LOADS = 3  # the same, as a multiple of the time it took to load


@dataclass(eq=False, slots=True)
class Resident:
    """A model that is loaded or being loaded, and who uses it."""

    process: ModelProcess
    keep_alive: float  # seconds that it stays after its last use; -1 for ever
    loading: "asyncio.Future[None]"
    makes_room: bool  # whether others are unloaded for it; if only idle work used it, it is unloaded for others first
    references: int = 0  # requests that use it; only a model without any is unloaded
    expected: int = 0  # bytes until they are measured; 0 until it may be loaded
    pinned: bool = False  # never unloaded to make room, or because nobody used it
    leaving: bool = False  # is unloaded as soon as nobody uses it; new requests wait, then load it again
    ending: bool = False  # is being unloaded
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    loaded: float = 0.0  # by `time.time`
    last_used: float = field(default_factory=time.time)

    @property
    def bytes(self) -> int:
        """Bytes that it takes, measured or, while it is being loaded, expected."""
        return self.process.bytes or self.expected

    @property
    def is_idle(self) -> bool:
        """Whether it can be unloaded now."""
        return self.references == 0 and self.loading.done()

    @property
    def is_dead(self) -> bool:
        """Whether its process has ended by itself."""
        return self.loading.done() and not self.process.is_alive

    @property
    def expires(self) -> float | None:
        """When it is unloaded unless somebody uses it; None for never."""
        return None if self.pinned or self.keep_alive < 0 else self.last_used + self.keep_alive

    @property
    def had_its_turn(self) -> bool:
        """Whether it was loaded long enough to be worth the time that loading took."""
        return time.time() - self.loaded >= max(MIN_TURN_SECONDS, MIN_TURN_LOADS * self.process.load_seconds)

    def status(self, device: str) -> ResidentModel:
        """Describe it."""
        process = self.process
        return ResidentModel(
            reference=process.key.name,
            engine=process.engine,
            device=device,
            bytes=process.bytes,
            state="ready" if process.engine else "loading",
            pinned=self.pinned,
            loaded=_local_time(self.loaded) if self.loaded else "",
            last_used=_local_time(self.last_used),
            expires=None if self.expires is None or self.references else _local_time(self.expires),
            running=min(process.running, process.outstanding),
            queued=max(0, process.outstanding - process.running),
            requests=process.counters.requests,
            sentences=process.counters.sentences,
            tokens=process.counters.tokens,
            busy_seconds=process.counters.busy_seconds,
            load_seconds=process.load_seconds,
        )


class ResidentModels:
    """The loaded models of a server."""

    def __init__(self, device: str, budget: int, keep_alive: float) -> None:
        self.device = device
        self.budget = budget  # bytes
        self.keep_alive = keep_alive  # seconds
        self.loads = 0
        self.evictions = 0
        self._residents: dict[ModelKey, Resident] = {}
        self._loaded: dict[ModelKey, int] = {}  # bytes of models when they were loaded, also of those unloaded since
        self._measured: dict[ModelKey, int] = {}  # the same when they were last used
        self._one_load = asyncio.Lock()  # one load at a time, in the order of the requests
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def used(self) -> int:
        """Bytes of all models, measured or, while one is being loaded, expected."""
        return sum(one.bytes for one in self._residents.values())

    def status(self) -> list[ResidentModel]:
        """Describe the models."""
        return [one.status(self.device) for one in self._residents.values()]

    def find(self, name: str) -> list[Resident]:
        """Return the loaded models of a reference `name:3`, in whatever engine and precision."""
        return [one for key, one in self._residents.items() if key.name == name]

    @asynccontextmanager
    async def use(
        self, key: ModelKey, selection: EngineSelection, keep_alive: float | None = None, *, make_room: bool = True
    ) -> AsyncIterator[Resident]:
        """Load a model unless it is loaded, and keep it while the block runs, then for `keep_alive` seconds.

        Without `make_room`, no other model is unloaded for it, it is the first to make room for others, and it does not
        count as used if others use it.

        Raises: ResourceError if there is no room for it, S2SError if it cannot be loaded.
        """
        resident = await self._hold(key, selection, make_room)
        try:
            yield resident
        finally:
            resident.references -= 1
            if make_room or not resident.makes_room:
                resident.last_used = time.time()
            if make_room and keep_alive is not None:
                resident.keep_alive = keep_alive

    async def unload(self, resident: Resident) -> None:
        """Unload a model as soon as nobody uses it."""
        resident.leaving = True
        await resident.gone.wait()

    async def unload_all(self) -> None:
        """Unload all models, whoever uses them, and load none any more."""
        self._closing = True
        while loading := [one.process for one in self._residents.values() if not one.loading.done()]:
            for process in loading:
                process.kill()
            await asyncio.sleep(POLL_SECONDS)
        await asyncio.gather(*(self._end(one) for one in list(self._residents.values())))

    async def run(self) -> None:
        """Unload what nobody needs any more, until cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            for one in list(self._residents.values()):
                expired = one.expires is not None and one.expires <= time.time()
                if one.is_idle and (one.leaving or one.is_dead or expired):
                    await self._end(one)
            await self._return_to_budget()

    async def _hold(self, key: ModelKey, selection: EngineSelection, make_room: bool) -> Resident:
        """Return a loaded model with a reference to it.

        If a load that may not make room fails, those who may make room try again.
        """
        while True:
            resident = await self._find_or_load(key, selection, make_room)
            resident.references += 1
            try:
                await asyncio.shield(resident.loading)
            except BaseException as error:
                resident.references -= 1
                if isinstance(error, ResourceError) and make_room and not resident.makes_room:
                    continue
                raise
            resident.makes_room |= make_room
            return resident

    async def _find_or_load(self, key: ModelKey, selection: EngineSelection, make_room: bool) -> Resident:
        while resident := self._residents.get(key):
            resident.leaving |= resident.is_dead
            if not resident.leaving:
                break
            await resident.gone.wait()
        else:
            process, loading = ModelProcess(key, selection, self.device), asyncio.get_running_loop().create_future()
            resident = self._residents[key] = Resident(process, self.keep_alive, loading, make_room)
            task = asyncio.create_task(self._load(resident))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return resident

    async def _load(self, resident: Resident) -> None:
        process, key = resident.process, resident.process.key
        try:
            async with self._one_load:
                weights = self._weights(key)
                self._refuse_larger(key, self._loaded.get(key) or weights)
                resident.expected = self._measured.get(key) or weights
                await self._make_room(resident)
                await self._start(resident)
                self._loaded[key] = process.bytes
                self._refuse_larger(key, process.bytes)
                await self._make_room(resident)  # it may be larger than expected
        except Exception as error:
            if process.bytes:
                await process.stop()
            self._forget(resident)
            resident.loading.set_exception(error.error if isinstance(error, LoadError) else error)
            resident.loading.exception()  # nobody may wait for it any more
            return
        self.loads += 1
        resident.loaded = resident.last_used = time.time()
        log.info(
            "loaded %s (%s, %s) in %.1f s", key.name, process.engine, format_size(process.bytes), process.load_seconds
        )
        resident.loading.set_result(None)

    async def _start(self, resident: Resident) -> None:
        """Start a process; if memory runs out, once more after all models that nobody uses were unloaded."""
        process = resident.process
        if self._closing:
            raise StoppingError("the server is stopping")
        try:
            await process.start()
        except LoadError as error:
            idle = [one for one in self._residents.values() if one.is_idle and not one.pinned]
            if self._closing or not (error.out_of_memory and idle and resident.makes_room):
                raise
            log.warning("%s: memory ran out; unloading what nobody uses, then trying again", process.key.name)
            for one in idle:
                await self._evict(one)
            await process.start()

    async def _make_room(self, newcomer: Resident) -> None:
        """Unload others, the least recently used first, until all fit the budget or only the newcomer is left.

        A model in use is unloaded after its turn, when its requests are answered; one in use by idle work has no turn.
        Raises: ResourceError if pinned models leave no room, or if there is none and making it is not allowed.
        """
        if self.used > self.budget and not newcomer.makes_room:
            raise ResourceError(f"there is no memory for {newcomer.process.key.name} beside the models in use")
        while self.used > self.budget:
            others = [one for one in self._residents.values() if one.bytes and one is not newcomer and not one.pinned]
            if not others and not any(one.pinned for one in self._residents.values() if one is not newcomer):
                return
            if not others:
                message = f"pinned models leave no room for {newcomer.process.key.name}"
                raise ResourceError(message, "s2s models stop NAME unloads one")
            oldest = min(others, key=lambda one: (one.makes_room, not one.is_idle, one.last_used))
            if not oldest.leaving and oldest.is_idle:
                await self._evict(oldest)
            elif not oldest.leaving and (not oldest.makes_room or oldest.had_its_turn):
                self.evictions += 1
                oldest.leaving = True
            else:
                await asyncio.sleep(POLL_SECONDS)

    async def _return_to_budget(self) -> None:
        """Unload what nobody uses while models that have grown take more than the budget; one may stay."""
        if self.used <= self.budget or len(self._residents) == 1:
            return
        for one in self._residents.values():
            one.leaving |= not one.makes_room and one.loading.done() and not one.pinned
        idle = [one for one in self._residents.values() if one.is_idle and not one.pinned and not one.leaving]
        if idle and not any(one.leaving for one in self._residents.values()):
            await self._evict(min(idle, key=lambda one: one.last_used))

    async def _evict(self, resident: Resident) -> None:
        log.info("unloading %s to make room", resident.process.key.name)
        self.evictions += 1
        await self._end(resident)

    async def _end(self, resident: Resident) -> None:
        """End the process of a model that is not being loaded, and wait until its memory is free."""
        if resident.ending or resident.gone.is_set():  # it may have gone because it could not be loaded
            await resident.gone.wait()
            return
        resident.leaving = resident.ending = True
        try:
            self._measured[resident.process.key] = resident.process.bytes  # it may have grown since it was loaded
            free = free_without_context(self.device)
            await resident.process.stop()
            if self.device != "cpu":
                await self._wait_for_memory(free + resident.process.bytes // 2)
        finally:
            self._forget(resident)

    async def _wait_for_memory(self, free: int) -> None:
        """Wait until that many bytes of the GPU are free; the driver frees them some time after a process has ended."""
        until = time.monotonic() + RECOVERY_SECONDS
        while free_without_context(self.device) < free and time.monotonic() < until:
            await asyncio.sleep(POLL_SECONDS)

    def _forget(self, resident: Resident) -> None:
        del self._residents[resident.process.key]
        resident.gone.set()

    def _refuse_larger(self, key: ModelKey, size: int) -> None:
        """Raise ResourceError if a model is larger than the budget. It may grow beyond it later, while it is used."""
        if size > self.budget:
            message = f"{key.name} takes {format_size(size)} of memory, and the server's models may take "
            raise ResourceError(message + format_size(self.budget), "s2s serve --memory sets the budget")

    def _weights(self, key: ModelKey) -> int:
        """Return the bytes that the process of a model takes at least."""
        registry = Registry.default()
        weights = sum(registry.resolve(reference).file(WEIGHTS).size for reference in key.models)
        share = WEIGHT_SHARE.get(key.precision, 1.0) if key.engine == "ctranslate2" else 1.0
        return PROCESS_BYTES[self.device.partition(":")[0]] + int(share * weights)


def _local_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
