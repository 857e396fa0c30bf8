import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

import s2s
from s2s.devices import leases, select
from s2s.devices.leases import Holder, holders, lease, lease_directory, lease_several
from s2s.errors import ResourceError, UsageError
from s2s.io import locks

TRAIN = "s2s train numbers/attention"

HOLD = """
import sys
from s2s.devices.leases import lease
with lease("cpu", wait=0, command="s2s serve"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def two_slots(monkeypatch) -> None:
    monkeypatch.setattr(leases, "processors", lambda: 2)


@pytest.fixture
def gpus(monkeypatch) -> None:
    """A host with two GPUs."""
    monkeypatch.setattr(select, "available_devices", lambda: ["cuda:0", "cuda:1", "cpu"])
    monkeypatch.setattr(
        select, "device_identity", {"cuda:0": "gpu-aa/1", "cuda:1": "gpu-bb/1", "cpu": "cpu"}.__getitem__
    )


@contextmanager
def held(*wanted: str) -> Iterator[list[str]]:
    with ExitStack() as stack:
        yield [stack.enter_context(lease(device, wait=0, command=TRAIN)) for device in wanted]


def several(device: str, count: int) -> AbstractContextManager[list[str]]:
    return lease_several(device, count, wait=0, command=TRAIN)


def refusal(device: str) -> str:
    with pytest.raises(ResourceError) as caught, lease(device, wait=0, command="s2s translate"):
        pass
    return f"{caught.value.message} | {caught.value.hint}"


def test_who_holds_what():
    assert holders() == []
    with held("cpu") as names:
        assert names == ["cpu"]
        (holder,) = holders()
        assert (holder.device, holder.pid, holder.command) == ("cpu", os.getpid(), TRAIN)
        begun = datetime.fromisoformat(holder.since)
        assert abs(begun - datetime.now().astimezone()) < timedelta(hours=1)
    assert holders() == []


def test_the_processor_has_as_many_slots_as_threads():
    with held("cpu", "cpu"):
        assert len(holders()) == 2
        message = refusal("cpu")
        words = (
            f"root (pid {os.getpid()}, `{TRAIN}`) since " if os.geteuid() == 0 else f"(pid {os.getpid()}, `{TRAIN}`)"
        )
        assert message.startswith("device cpu is held by ")
        assert message.count(words) == 2
        assert "| --wait 10m waits for it, or --wait forever; s2s models ps lists holders" in message
    with held("cpu", "cpu") as names:
        assert names == ["cpu", "cpu"]


def test_many_holders_are_not_all_named(monkeypatch):
    monkeypatch.setattr(leases, "processors", lambda: 7)
    with held(*["cpu"] * 7):
        message = refusal("cpu")
    assert message.count(TRAIN) == 4
    assert "; 3 more |" in message


def test_auto_takes_the_first_free_gpu_and_never_the_processor(gpus):
    with held("auto", "auto") as names:
        assert names == ["cuda:0", "cuda:1"]
        assert refusal("auto").startswith("all 2 GPUs are held by ")
        assert {holder.device for holder in holders()} == {"cuda:0", "cuda:1"}
    with held("cuda:0", "auto", "cpu") as names:
        assert names == ["cuda:0", "cuda:1", "cpu"]
        assert refusal("cuda:0").startswith("device cuda:0 is held by ")


@pytest.fixture
def four_gpus(monkeypatch) -> None:
    names = [f"cuda:{index}" for index in range(4)]
    monkeypatch.setattr(select, "available_devices", lambda: [*names, "cpu"])
    monkeypatch.setattr(select, "device_identity", lambda name: f"gpu-{name[-1]}")


def test_two_jobs_on_two_gpus_each_do_not_collide(four_gpus):
    with several("auto", 2) as first, several("auto", 2) as second:
        assert (first, second) == (["cuda:0", "cuda:1"], ["cuda:2", "cuda:3"])
        assert len(holders()) == 4
    assert holders() == []


def test_all_devices_or_none_are_leased(four_gpus):
    with held("cuda:1", "cuda:2", "cuda:3"):
        with pytest.raises(ResourceError, match="1 of 4 GPUs are free; the others are held by") as caught:
            several("auto", 2).__enter__()
        assert caught.value.hint is not None
        assert len(holders()) == 3
        with held("cuda:0"):
            pass


def test_of_many_busy_gpus_none_is_called_free(four_gpus, monkeypatch):
    names = [f"cuda:{index}" for index in range(8)]
    monkeypatch.setattr(select, "available_devices", lambda: [*names, "cpu"])
    with held(*names):
        assert refusal("auto").startswith("all 8 GPUs are held by ")


def test_more_gpus_than_there_are(four_gpus):
    with pytest.raises(ResourceError, match="5 devices are wanted, but 4 are available"):
        several("auto", 5).__enter__()


def test_auto_takes_the_gpu_with_the_most_free_memory(four_gpus, monkeypatch):
    class NVMLError(Exception):
        pass

    def part(gpu: int, index: int) -> str:
        if gpu != 3 or index:
            raise NVMLError
        return "MIG-3"

    uuids = {0: "GPU-0", 1: "GPU-1", 2: "GPU-2", 3: "GPU-whole", "MIG-3": "MIG-3"}
    free = {0: 5, 1: 7, 2: 6, 3: 99, "MIG-3": 8}
    fake = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 4,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetUUID=uuids.__getitem__,
        nvmlDeviceGetMemoryInfo=lambda gpu: SimpleNamespace(free=free[gpu]),
        nvmlDeviceGetMaxMigDeviceCount=lambda gpu: 2,
        nvmlDeviceGetMigDeviceHandleByIndex=part,
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    with held("auto", "auto", "auto", "auto") as names:
        assert names == ["cuda:3", "cuda:1", "cuda:2", "cuda:0"]


def test_auto_without_a_gpu_is_the_processor(monkeypatch):
    monkeypatch.setattr(select, "available_devices", lambda: ["cpu"])
    with held("auto") as names:
        assert names == ["cpu"]


def test_a_gpu_is_one_whatever_a_process_calls_it(gpus, monkeypatch):
    with held("cuda:0"):
        monkeypatch.setattr(select, "device_identity", {"cuda:0": "gpu-bb/1", "cuda:1": "gpu-aa/1"}.__getitem__)
        with held("auto") as names:
            assert names == ["cuda:0"]
            assert "held" in refusal("cuda:1")


def test_devices_that_are_not_here(gpus):
    with pytest.raises(ResourceError, match="cuda:5 is not available"), lease("cuda:5", wait=0, command=TRAIN):
        pass
    with pytest.raises(UsageError, match="s2s supports cpu and cuda"), lease("abacus", wait=0, command=TRAIN):
        pass
    assert holders() == []


def test_a_lease_ends_with_an_exception():
    with pytest.raises(ZeroDivisionError), held("cpu"):
        raise ZeroDivisionError
    assert holders() == []


def test_a_lease_ends_with_its_process_however_that_ends():
    environment = os.environ | {"PYTHONPATH": str(Path(s2s.__file__).parents[1])}
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        (holder,) = holders()
        assert (holder.pid, holder.command) == (process.pid, "s2s serve")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert holders() == []
        with held("cpu", "cpu") as names:
            assert names == ["cpu", "cpu"]


def test_a_lease_ends_though_a_forked_child_lives_on():
    starter, start = os.pipe()
    with held("cpu", "cpu"):
        child = os.fork()
        if child == 0:
            os.close(start)
            os.read(starter, 1)
            os._exit(0)
    try:
        with held("cpu", "cpu") as names:
            assert names == ["cpu", "cpu"]
    finally:
        os.close(start)
        os.close(starter)
        os.waitpid(child, 0)


def test_waiting_says_whom_for_and_takes_what_gets_free(monkeypatch, said):
    monkeypatch.setattr(leases, "POLL_SECONDS", 0.01)
    free = threading.Event()

    def hold(ready: threading.Event) -> None:
        with held("cpu", "cpu"):
            ready.set()
            free.wait(0.5)

    ready = threading.Event()
    holder = threading.Thread(target=hold, args=(ready,))
    holder.start()
    assert ready.wait(30)
    with lease("cpu", wait=30, command="s2s translate") as name:
        assert name == "cpu"
        assert "s2s translate" in [found.command for found in holders()]
    holder.join()
    assert len(said) == 1
    assert said[0].startswith("device cpu is held by ")
    assert said[0].endswith(": waiting")


def test_waiting_ends(said):
    with held("cpu", "cpu"):
        begun = time.monotonic()
        with pytest.raises(ResourceError, match="device cpu is held by"), lease("cpu", wait=0.3, command=TRAIN):
            pass
        assert 0.3 <= time.monotonic() - begun < 20
    assert len(said) == 1


def test_waiting_for_what_is_free_says_nothing(said):
    with lease("cpu", wait=30, command=TRAIN):
        assert said == []


def test_a_look_at_the_locks_does_not_turn_a_taker_away(monkeypatch):
    monkeypatch.setattr(leases, "processors", lambda: 1)
    with held("cpu"):
        pass
    look = os.open(lease_directory() / "cpu-0", os.O_RDONLY)
    fcntl.flock(look, fcntl.LOCK_SH)
    monkeypatch.setattr(leases.time, "sleep", lambda _: fcntl.flock(look, fcntl.LOCK_UN))
    with held("cpu") as names:
        assert names == ["cpu"]
    os.close(look)


def test_every_user_of_the_host_may_take_a_lease():
    before = os.umask(0o077)
    try:
        with held("cpu"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE(lease_directory().stat().st_mode) == 0o1777
    assert {stat.S_IMODE(path.stat().st_mode) for path in lease_directory().iterdir()} == {0o666}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_takes_turns_with_this_one(monkeypatch):
    monkeypatch.setattr(leases, "processors", lambda: 1)
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        monkeypatch.setenv("S2S_LEASES", f"{directory}/leases")
        with held("cpu"):
            assert len(holders()) == 1
        os.seteuid(65534)
        try:
            with held("cpu"):
                os.seteuid(0)
                assert "device cpu is held by" in refusal("cpu")
                os.seteuid(65534)
        finally:
            os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_directory_that_may_not_be_written_is_refused_with_the_way_out(monkeypatch):
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        monkeypatch.setenv("S2S_LEASES", f"{directory}/leases")
        os.seteuid(65534)
        try:
            assert "S2S_LEASES" in refusal("cpu")
        finally:
            os.seteuid(0)


def test_a_link_in_place_of_the_directory_is_refused(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "leases").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("S2S_LEASES", str(tmp_path / "leases"))
    assert "is not a directory" in refusal("cpu")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("kind", ["symbolic", "hard", "fifo", "directory"])
def test_what_is_no_lease_is_refused_and_left_alone(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(leases, "processors", lambda: 2)
    lease_directory().mkdir()
    precious = tmp_path / "precious"
    precious.write_text("keep this")
    make_strange(lease_directory() / "cpu-0", kind, precious)
    with held("cpu"):
        assert [holder.device for holder in holders()] == ["cpu"]  # in cpu-1
    make_strange(lease_directory() / "cpu-1", kind, precious)
    assert "cpu-0 is a link or not a regular file" in refusal("cpu") or kind == "directory"
    assert precious.read_text() == "keep this"
    assert holders() == []


def make_strange(file, kind, target):
    file.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "directory":
        file.mkdir()
    else:
        file.symlink_to(target) if kind == "symbolic" else file.hardlink_to(target)


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b"\xff", b"{", b'{"pid": "many"}', b'{"pid": 3}', b'{"pid": 1e400}', b"[" * 4096]
)
def test_a_holder_that_says_nothing_of_use_is_still_one(content, monkeypatch):
    monkeypatch.setattr(locks, "PAUSE_SECONDS", 0)
    with held("cpu"):
        (lease_directory() / "cpu-0").write_bytes(content)
        assert [holder.user for holder in holders()] == ["unknown"]


def test_what_a_holder_says_is_kept_short_and_on_one_line():
    with lease("cpu", wait=0, command="s2s\ntrain " + "ü" * 9000):
        (holder,) = holders()
    assert holder.command == "s2s train " + "ü" * 150


@pytest.mark.parametrize(
    ("since", "shown"),
    [("2020-02-03T04:05:06+00:00", "2020-02-03 04:05"), ("1 o'clock", "1 o'clock")],
)
def test_since_when(since, shown, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    leases.time.tzset()
    assert Holder("cpu", 12, "ann", "s2s train x", since).describe() == f"ann (pid 12, `s2s train x`) since {shown}"
    today = datetime.now().astimezone().replace(hour=13, minute=5).isoformat()
    assert Holder("cpu", 12, "ann", "s2s train x", today).describe_since() == "13:05"


def test_listing_the_holders_imports_no_torch():
    code = "import json, sys; from s2s.devices.leases import holders; holders(); print(json.dumps(list(sys.modules)))"
    environment = os.environ | {"PYTHONPATH": str(Path(s2s.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "torch" not in json.loads(done.stdout)
