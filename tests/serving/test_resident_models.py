"""Which models stay loaded, with processes that only pretend to hold one."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import ClassVar

import pytest

from s2s.decoding.loading import EngineSelection
from s2s.errors import ResourceError
from s2s.serving import resident_models
from s2s.serving.messages import ModelKey
from s2s.serving.model_process import Counters, LoadError
from s2s.serving.resident_models import ResidentModels
from s2s.serving.status import StoppingError

SELECTION = EngineSelection("pytorch", "fp32", "")
SIZES = {"a": 40, "b": 50, "c": 30, "huge": 200}


class FakeProcess:
    """A process that takes the memory in SIZES."""

    alive: ClassVar[list[str]] = []
    seconds: ClassVar[float] = 0.0  # that loading takes
    fail: ClassVar[list[str]] = []  # models whose next load runs out of memory

    def __init__(self, key: ModelKey, selection: EngineSelection, device: str) -> None:
        self.key = key
        self.engine, self.bytes, self.load_seconds, self.running, self.outstanding = "", 0, 0.0, 0, 0
        self.counters = Counters()
        self.is_alive = False
        self.killed = asyncio.Event()

    async def start(self) -> None:
        if self.key.name in self.fail:
            self.fail.remove(self.key.name)
            raise LoadError(ResourceError("out of memory"), out_of_memory=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.seconds):
                await self.killed.wait()
            raise LoadError(ResourceError("was killed"), out_of_memory=True)
        self.engine, self.bytes = "PyTorch, fp32", SIZES[self.key.name]
        self.alive.append(self.key.name)
        self.is_alive = True

    def kill(self) -> None:
        self.killed.set()

    async def stop(self) -> None:
        await asyncio.sleep(0.001)
        self.alive.remove(self.key.name)


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeProcess.alive, FakeProcess.fail, FakeProcess.seconds = [], [], 0.0
    monkeypatch.setattr(resident_models, "ModelProcess", FakeProcess)
    monkeypatch.setattr(resident_models, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(resident_models, "MIN_TURN_SECONDS", 0.0)
    monkeypatch.setattr(ResidentModels, "_weights", lambda self, key: 1)


def run(body: Callable[[ResidentModels], Awaitable[None]], budget: int = 100, keep_alive: float = 60) -> None:
    async def main() -> None:
        models = ResidentModels("cpu", budget, keep_alive)
        upkeep = asyncio.create_task(models.run())
        async with asyncio.timeout(10):
            await body(models)
        upkeep.cancel()

    asyncio.run(main())


def key(name: str) -> ModelKey:
    return ModelKey(models=(name,), engine="pytorch", precision="fp32")


async def use(models: ResidentModels, *names: str, keep_alive: float | None = None) -> None:
    for name in names:
        async with models.use(key(name), SELECTION, keep_alive):
            assert name in FakeProcess.alive


def test_the_least_recently_used_makes_room():
    async def body(models: ResidentModels) -> None:
        await use(models, "a", "b", "a", "c")
        assert FakeProcess.alive == ["a", "c"]
        assert (models.used, models.loads, models.evictions) == (70, 3, 1)
        await use(models, "b")
        assert FakeProcess.alive == ["c", "b"]

    run(body)


def test_a_model_in_use_is_never_unloaded():
    async def body(models: ResidentModels) -> None:
        async with models.use(key("a"), SELECTION):
            await use(models, "b")
            await use(models, "c")
            assert FakeProcess.alive == ["a", "c"]
            waiting = asyncio.create_task(use(models, "b"))
            models.find("c")[0].pinned = True
            await asyncio.sleep(0.05)
            assert not waiting.done()
            assert FakeProcess.alive == ["a", "c"]
        await waiting
        assert FakeProcess.alive == ["c", "b"]

    run(body)


def test_a_busy_model_gives_way_after_its_turn():
    """Two models in constant use, with memory for one: both are served."""

    async def body(models: ResidentModels) -> None:
        served = {"a": 0, "b": 0}

        async def client(name: str) -> None:
            while min(served.values()) < 5:
                await use(models, name)
                served[name] += 1
                await asyncio.sleep(0)

        await asyncio.gather(*(client(name) for name in "aabb"))
        assert models.evictions > 2

    run(body, budget=60)


def test_a_pinned_model_stays():
    async def body(models: ResidentModels) -> None:
        await use(models, "a", keep_alive=0.0)
        while models.find("a"):
            await asyncio.sleep(0.001)
        async with models.use(key("a"), SELECTION, 0.0) as resident:
            resident.pinned = True
        await use(models, "b", "c")
        assert "a" in FakeProcess.alive
        models.find("c")[0].pinned = True
        with pytest.raises(ResourceError, match="pinned models leave no room for b"):
            await use(models, "b")
        await models.unload(models.find("a")[0])
        await use(models, "b")

    run(body)


def test_models_that_grow_are_unloaded_until_they_fit():
    async def body(models: ResidentModels) -> None:
        await use(models, "a", "b")
        models.find("b")[0].process.bytes = 90
        while "a" in FakeProcess.alive:
            await asyncio.sleep(0.001)
        models.find("b")[0].process.bytes = 120  # alone, it stays
        await asyncio.sleep(0.01)
        assert (FakeProcess.alive, models.evictions) == (["b"], 1)

    run(body)


def test_a_model_that_grows_beyond_the_budget_is_loaded_again():
    async def body(models: ResidentModels) -> None:
        for _ in range(3):
            async with models.use(key("a"), SELECTION) as resident:
                resident.process.bytes = 120
            await use(models, "b")
        assert (models.loads, models.evictions) == (6, 5)

    run(body)


def test_models_are_unloaded_when_they_expire():
    async def body(models: ResidentModels) -> None:
        await use(models, "a", keep_alive=-1)
        await use(models, "b", keep_alive=0)
        while "b" in FakeProcess.alive:
            await asyncio.sleep(0.001)
        await use(models, "c")  # the server's own
        while "c" in FakeProcess.alive:
            await asyncio.sleep(0.001)
        assert FakeProcess.alive == ["a"]
        assert (models.status()[0].expires, models.evictions) == (None, 0)

    run(body, keep_alive=0.02)


def test_a_model_larger_than_the_budget_is_refused():
    async def body(models: ResidentModels) -> None:
        await use(models, "a")
        for _ in range(2):
            with pytest.raises(ResourceError, match=r"huge takes 0.2 kB of memory.*may take 0.1 kB"):
                await use(models, "huge")
        assert (FakeProcess.alive, models.loads) == (["a"], 1)

    run(body)


def test_where_memory_runs_out_idle_models_are_unloaded_and_it_is_tried_again():
    async def body(models: ResidentModels) -> None:
        await use(models, "a", "b")
        FakeProcess.fail = ["c"]
        await use(models, "c")
        assert FakeProcess.alive == ["c"]
        FakeProcess.fail = ["a", "a"]
        with pytest.raises(ResourceError, match="out of memory"):
            await use(models, "a")
        await use(models, "a")

    run(body)


def test_idle_work_makes_no_room():
    async def body(models: ResidentModels) -> None:
        await use(models, "a", "b")
        with pytest.raises(ResourceError, match="no memory for c beside the models in use"):
            async with models.use(key("c"), SELECTION, make_room=False):
                pass
        assert FakeProcess.alive == ["a", "b"]

        async def modestly() -> None:
            with contextlib.suppress(ResourceError):
                async with models.use(key("c"), SELECTION, make_room=False):
                    pass

        await asyncio.gather(modestly(), use(models, "c"))  # both wait for one load, and it may not make room
        assert FakeProcess.alive == ["b", "c"]

    run(body)


def test_a_load_that_fails_while_another_model_is_unloaded_stops_nothing():
    async def body(models: ResidentModels) -> None:
        await use(models, "a")
        FakeProcess.seconds = 60.0
        loading = asyncio.create_task(use(models, "b"))
        while not models.find("b") or models.find("b")[0].expected == 0:
            await asyncio.sleep(0)
        (a, b) = (models.find(name)[0] for name in "ab")
        a.leaving = True
        while not a.ending:
            await asyncio.sleep(0)
        b.process.kill()
        with pytest.raises(ResourceError, match="was killed"):
            await loading
        FakeProcess.seconds = 0.0
        await use(models, "c", keep_alive=0)
        while "c" in FakeProcess.alive:  # expired models are still unloaded
            await asyncio.sleep(0.001)

    run(body)


def test_a_server_that_ends_while_models_are_loaded():
    async def body(models: ResidentModels) -> None:
        await use(models, "c")
        FakeProcess.seconds = 60.0
        asked = [asyncio.create_task(use(models, name)) for name in "ab"]
        while not models.find("a") or models.find("a")[0].expected == 0:
            await asyncio.sleep(0)
        await models.unload_all()
        assert (models.status(), models.loads) == ([], 1)
        for one, error in zip(asked, (ResourceError, StoppingError), strict=True):
            with pytest.raises(error):
                await one

    run(body)


def test_a_server_that_ends_while_a_model_is_unloaded():
    async def main() -> None:
        models = ResidentModels("cpu", 100, 60)
        upkeep = asyncio.create_task(models.run())
        await use(models, "a", keep_alive=0)
        while not models.find("a")[0].ending:
            await asyncio.sleep(0)
        upkeep.cancel()
        async with asyncio.timeout(5):
            await models.unload_all()
        assert models.status() == []

    asyncio.run(main())


def test_a_version_that_is_removed_meanwhile_stops_nothing(monkeypatch):
    async def body(models: ResidentModels) -> None:
        FakeProcess.seconds = 0.02
        loading = asyncio.create_task(use(models, "a", keep_alive=0))
        while not models.used:
            await asyncio.sleep(0)
        monkeypatch.setattr(ResidentModels, "_weights", lambda self, key: {}[key])
        await loading
        while "a" in FakeProcess.alive:  # expired models are still unloaded
            assert models.used <= 40
            await asyncio.sleep(0.001)

    run(body)


def test_a_model_is_loaded_once_for_all_who_ask():
    async def body(models: ResidentModels) -> None:
        await asyncio.gather(*(use(models, "a") for _ in range(5)))
        assert models.loads == 1

    run(body)


def test_a_model_whose_process_ended_is_loaded_again():
    async def body(models: ResidentModels) -> None:
        await use(models, "a")
        models.find("a")[0].process.is_alive = False
        await use(models, "a")
        assert (models.loads, FakeProcess.alive) == (2, ["a"])

    run(body)


async def use_idly(models: ResidentModels, name: str) -> None:
    async with models.use(key(name), SELECTION, make_room=False):
        assert name in FakeProcess.alive


def test_what_idle_work_loaded_makes_room_first(monkeypatch):
    async def body(models: ResidentModels) -> None:
        await use(models, "a")
        async with models.use(key("c"), SELECTION, make_room=False):
            monkeypatch.setattr(resident_models, "MIN_TURN_SECONDS", 60.0)
            waiting = asyncio.create_task(use(models, "b"))
            while not models.find("c")[0].leaving:
                await asyncio.sleep(0.001)
        await waiting
        assert FakeProcess.alive == ["a", "b"]

    run(body)


def test_idle_work_does_not_keep_the_models_of_others():
    async def body(models: ResidentModels) -> None:
        await use(models, "a", "c")
        await use_idly(models, "a")
        await use(models, "b")
        assert FakeProcess.alive == ["c", "b"]

    run(body)


def test_what_idle_work_loaded_is_a_users_once_one_uses_it():
    async def body(models: ResidentModels) -> None:
        await use_idly(models, "c")
        await use(models, "a", "c", "b")
        assert FakeProcess.alive == ["c", "b"]

    run(body)
