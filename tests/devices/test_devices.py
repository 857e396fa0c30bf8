import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from s2s.devices import runtime, select
from s2s.devices.runtime import (
    LIBRARY_DEFAULTS,
    Machine,
    cpu_features,
    package_versions,
    prepare,
    request_threads,
    thread_limits,
    threads_for,
    usable_threads,
)
from s2s.devices.select import available_devices, choose_precision, device_identity, resolve_device
from s2s.errors import ResourceError, UsageError


def test_threads_follow_affinity():
    one = min(os.sched_getaffinity(0))
    code = (
        "import os; from s2s.devices.runtime import usable_threads; "
        f"os.sched_setaffinity(0, {{{one}}}); print(usable_threads())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


@pytest.mark.parametrize(
    ("quota", "threads"),
    [([], 8), ([3.0], 3), ([0.5], 1), ([99.0], 8), ([5.0, 2.6, 4.0], 3)],
)
def test_threads_follow_the_cgroups_quota(monkeypatch, quota, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(runtime, "processor_quotas", lambda: quota)
    assert usable_threads() == threads


@pytest.mark.parametrize(
    ("variable", "option", "threads", "by"),
    [
        ("3", None, 3, "OMP_NUM_THREADS"),
        ("3,2", None, 3, "OMP_NUM_THREADS"),
        ("99", None, 8, "processors"),
        ("0", None, 8, "processors"),
        ("many", None, 8, "processors"),
        ("3", 2, 2, "--threads"),
        ("3", 5, 3, "OMP_NUM_THREADS"),
    ],
)
def test_the_smallest_number_of_threads_counts(monkeypatch, variable, option, threads, by):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(runtime, "processor_quotas", list)
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    if option:
        request_threads(option)
    limits = thread_limits()
    assert usable_threads() == limits[by] == threads
    assert min(limits, key=lambda name: limits[name]) == by
    assert [threads_for(size, recurrent=True) for size in (999_999, 1_000_000)] == [1, threads]
    assert threads_for(5, recurrent=False) == threads


@pytest.mark.parametrize(
    ("cpuinfo", "features"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 avx512f amx_bf16\n", ["avx2", "avx512f", "amx_bf16"]),
        ("processor : 0\nFeatures\t: fp asimd bf16\n", ["asimd", "bf16"]),
        ("processor : 0\n", []),
    ],
)
def test_processor_features(monkeypatch, cpuinfo, features):
    monkeypatch.setattr(Path, "read_text", lambda path: cpuinfo)
    assert cpu_features() == features


def test_versions_name_what_shapes_a_result():
    found = package_versions()
    assert found["torch"] == torch.__version__
    assert {"python", "s2s", "sacrebleu", "sentencepiece", "datasets", "numpy"} <= set(found)


def test_the_machine_in_words():
    found = Machine.current()
    assert found.threads == usable_threads()
    assert found.features == cpu_features()
    assert Machine("Linux", "x86_64", ["avx2", "amx_bf16"], 2).describe() == "Linux x86_64 (avx2, amx_bf16)"
    assert Machine("Linux", "riscv64", [], 2).describe() == "Linux riscv64 (no vector extensions)"


def test_the_processor_is_always_there_and_the_last_choice():
    assert available_devices()[-1] == "cpu"
    assert resolve_device("cpu") == torch.device("cpu")


def test_graphics_cards_come_first(monkeypatch):
    monkeypatch.setattr(select, "_has_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert available_devices() == ["cuda:0", "cuda:1", "cpu"]
    assert resolve_device("cuda") == torch.device("cuda:0")
    assert resolve_device("cuda:1") == torch.device("cuda:1")


@pytest.mark.parametrize("name", ["gpu", "", "mps", "tpu:0"])
def test_a_device_that_does_not_exist(name):
    with pytest.raises(UsageError, match="s2s supports cpu and cuda"):
        resolve_device(name)


@pytest.mark.parametrize("name", ["cuda:2", "cuda:99", "cuda:x"])
def test_a_device_that_is_not_here(monkeypatch, name):
    monkeypatch.setattr(select, "_has_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ResourceError) as caught:
        resolve_device(name)
    assert "cuda:0, cuda:1, cpu" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("wanted", "features", "precision"),
    [
        ("auto", ["avx2", "avx512_bf16"], "bf16"),
        ("auto", ["amx_bf16"], "bf16"),
        ("auto", ["avx2", "avx512f"], "fp32"),
        ("fp32", ["amx_bf16"], "fp32"),
        ("bf16", [], "bf16"),
    ],
)
def test_precision(monkeypatch, wanted, features, precision):
    monkeypatch.setattr(select, "cpu_features", lambda: features)
    assert choose_precision(wanted, torch.device("cpu")) == precision


def test_a_small_network_computes_in_fp32_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr(select, "cpu_features", lambda: ["avx512_bf16"])
    found = [choose_precision("auto", torch.device("cpu"), size) for size in (999_999, 1_000_000)]
    assert found == ["fp32", "bf16"]
    assert choose_precision("bf16", torch.device("cpu"), 5) == "bf16"


@pytest.mark.parametrize(("supported", "precision"), [(True, "bf16"), (False, "fp32")])
def test_precision_of_a_graphics_card(monkeypatch, supported, precision):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert choose_precision("auto", torch.device("cuda:0")) == precision
    assert choose_precision("auto", torch.device("cuda:0"), 5) == ("tf32" if supported else "fp32")
    assert choose_precision("fp32", torch.device("cuda:0")) == "fp32"


def test_a_processor_has_no_tf32():
    with pytest.raises(UsageError, match="only GPUs have it"):
        choose_precision("tf32", torch.device("cpu"))


@pytest.mark.parametrize(("precision", "products"), [("tf32", "tf32"), ("fp32", "ieee"), ("bf16", "ieee")])
def test_preparation_of_a_graphics_card(monkeypatch, precision, products):
    current = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    before = torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision
    try:
        prepare(torch.device("cuda:1"), 2, precision)
        assert current == [torch.device("cuda:1")]
        assert torch.backends.cuda.matmul.fp32_precision == products
        assert torch.backends.cudnn.conv.fp32_precision == products
        assert not torch.backends.cuda.cudnn_sdp_enabled()
    finally:
        torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision = before


def test_the_processor_has_one_identity():
    assert device_identity("cpu") == "cpu"


def python(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in LIBRARY_DEFAULTS} | variables
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)


def test_the_users_library_settings_stay():
    program = "import os, s2s; print(os.environ['ONEDNN_PRIMITIVE_CACHE_CAPACITY'], os.environ['GOMP_SPINCOUNT'])"
    assert python(program).stdout == "64 10000\n"
    assert python(program, ONEDNN_PRIMITIVE_CACHE_CAPACITY="99").stdout == "99 10000\n"


GROWTH = """
import s2s, torch
from pathlib import Path
resident = lambda: int(Path("/proc/self/statm").read_text().split()[1])
factor = torch.ones(64, 64, dtype=torch.bfloat16)
for rows in range(1, 501):
    torch.ones(rows, 64, dtype=torch.bfloat16) @ factor
    if rows == 100:
        before = resident()
print(resident() - before)
"""


def test_memory_does_not_grow_with_every_new_shape():
    libraries_own = python(GROWTH, LRU_CACHE_CAPACITY="1024", ONEDNN_PRIMITIVE_CACHE_CAPACITY="1024")
    if int(libraries_own.stdout) < 10_000:
        pytest.skip("oneDNN does not prepare products in bf16 on this processor")
    assert int(python(GROWTH).stdout) < int(libraries_own.stdout) / 5


def test_torch_imported_too_early_is_reported():
    message = "torch was imported before s2s"
    assert message in python("import torch, s2s").stderr
    assert message not in python("import s2s, torch").stderr
