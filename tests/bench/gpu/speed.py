"""Sections that measure: what the device can do, and how much of it training and decoding use."""

import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from bench import TINY, Bench, Pairs, search, step
from torch.nn import functional as F

from s2s.data.batching import plan_batches
from s2s.decoding.engine import DecodingInput
from s2s.devices.runtime import Precision, prepare
from s2s.models import heads
from s2s.models.build import build_model
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.models.profile import BatchShape, training_cost, training_memory
from s2s.recipe.model import ModelOptions
from s2s.text.tokenizer import EOS

PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # dense bf16, from the data sheets
TRAINED: list[tuple[str, int, Precision]] = [  # network, tokens per batch, precision
    ("base", 25_000, "bf16"),
    ("big", 25_000, "bf16"),
    ("gru", 4096, "bf16"),
    ("gru", 4096, "tf32"),  # without the casts of every time step
    ("gru", 16_384, "bf16"),
    ("small", 4096, "bf16"),
    ("bottleneck", 4096, "bf16"),
    ("luong", 4096, "bf16"),
]
TRANSLATED = [  # network, beam size, tokens in a batch: the default on a GPU first
    ("base", 5, 65_536),
    ("base", 1, 65_536),
    ("gru", 5, 65_536),
    ("gru", 1, 65_536),
    ("base", 5, 16_384),
]


def ceilings(bench: Bench) -> None:
    """What the device can do at most: matrix products, copies, launches."""
    if bench.cuda:
        bench.report(
            "device",
            name=torch.cuda.get_device_name(bench.device),
            torch=torch.__version__,
            cuda=torch.version.cuda,
            memory_gb=torch.cuda.mem_get_info(bench.device)[1] / 1e9,
        )
    size = 64 if bench.tiny else 8192
    for precision in ("bf16", "tf32", "fp32") if bench.cuda else ("fp32",):
        prepare(bench.device, torch.get_num_threads(), precision)
        left, right = (
            torch.randn(size, size, device=bench.device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
            for _ in range(2)
        )
        time_ms = bench.milliseconds(lambda left=left, right=right: left @ right)
        bench.report("ceilings", product=precision, tflops=2 * size**3 / time_ms / 1e9)
    values = torch.zeros(2**16 if bench.tiny else 2**30, dtype=torch.bfloat16, device=bench.device)
    copy_ms = bench.milliseconds(values.clone)
    bench.report("ceilings", copy_tb_per_s=2 * values.nbytes / copy_ms / 1e9)
    small = torch.zeros(8, device=bench.device)
    started = time.perf_counter()
    for _ in range(1000):
        small.add_(1)
    bench.report("ceilings", launch_us=(time.perf_counter() - started) * 1e3)


def attention(bench: Bench) -> None:
    """Time the first call of a new shape and later ones, for each attention kernel."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    backends = [SDPBackend.MATH]
    if bench.cuda:
        backends += [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
    B, N, d = (2, 2, 8) if bench.tiny else (800, 8, 64)
    dtype = torch.bfloat16 if bench.cuda else torch.float32
    for kind in ("padded", "causal"):
        for backend in backends:
            first, warm = [], []
            try:
                for length in (19, 23, 29, 31):
                    query, keys, values = (
                        torch.randn(B, N, length, d, device=bench.device, dtype=dtype, requires_grad=True)
                        for _ in range(3)
                    )
                    mask = torch.ones(B, 1, 1, length, dtype=torch.bool, device=bench.device)
                    mask[::2, :, :, length // 2 :] = False

                    given = {"is_causal": True} if kind == "causal" else {"attn_mask": mask}

                    def run(query=query, keys=keys, values=values, given=given) -> None:  # type: ignore[no-untyped-def]
                        F.scaled_dot_product_attention(query, keys, values, **given).sum().backward()

                    with sdpa_kernel(backend):
                        bench.wait()
                        started = time.perf_counter()
                        run()
                        bench.wait()
                        first.append(1e3 * (time.perf_counter() - started))
                        warm.append(bench.milliseconds(run))
            except RuntimeError as error:
                bench.report("attention", kind=kind, backend=backend.name, refused=str(error).splitlines()[0][:80])
                continue
            bench.report(
                "attention", kind=kind, backend=backend.name, first_ms=statistics.mean(first), ms=statistics.mean(warm)
            )


def steps(bench: Bench) -> None:
    """Synchronizations, kernels and the busy share of the device in one training step."""
    for name, tokens in (("small", 200),) if bench.tiny else (("base", 25_000), ("gru", 4096)):
        learner, pairs = bench.learner(bench.network(name)), bench.pairs(name, 300 if bench.tiny else 20_000)
        batches = plan_batches(pairs.source, pairs.target, tokens, 1, 0)
        for rows in batches[:3]:
            step(learner, pairs, rows)
        if not bench.cuda:
            bench.report("steps", network=name, skipped="synchronizations and kernels are those of a GPU")
            continue
        waits = _synchronizations(lambda learner=learner, pairs=pairs, rows=batches[3]: step(learner, pairs, rows))
        with torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CUDA, torch.profiler.ProfilerActivity.CPU]
        ) as profile:
            started = time.perf_counter()
            step(learner, pairs, batches[3])
            host = time.perf_counter() - started
            bench.wait()
            seconds = time.perf_counter() - started
        events = profile.events()
        kernels = [event for event in events if event.device_type == torch.autograd.DeviceType.CUDA]
        busy = sum(event.device_time for event in kernels) / 1e6
        driver = Counter[str]()  # milliseconds of the host in CUDA's own functions
        for event in events:
            if event.device_type == torch.autograd.DeviceType.CPU and event.name.startswith("cu"):
                driver[event.name] += event.cpu_time_total / 1e3
        bench.check("steps", not waits, network=name, tokens=tokens, waits=waits[:3], kernels=len(kernels))
        bench.report(
            "steps",
            network=name,
            busy=busy / seconds,
            host_ms=1e3 * host,
            total_ms=1e3 * seconds,
            **{call: round(spent, 2) for call, spent in driver.most_common(4)},
        )


def _synchronizations(run: Callable[[], Any]) -> list[str]:
    """Return where a call waits for the GPU."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return [
        f"{Path(warning.filename).name}:{warning.lineno}" for warning in caught if "synchron" in str(warning.message)
    ]


def loss(bench: Bench) -> None:
    """Time the projection and loss by the rows computed at a time."""
    tuning = heads.tuning
    rows, vocabulary = (100, 60) if bench.tiny else (23_000, 32_000)
    for size in (8,) if bench.tiny else (512, 1024):
        dtype = torch.bfloat16 if bench.cuda else torch.float32
        hidden = torch.randn(rows, size, device=bench.device, dtype=dtype, requires_grad=True)
        weight = torch.randn(vocabulary, size, device=bench.device).mul_(size**-0.5).requires_grad_()
        bias = torch.zeros(vocabulary, device=bench.device, requires_grad=True)
        labels = torch.randint(EOS, vocabulary, (rows,), device=bench.device)
        for at_once in (1024, 4096, 8192, rows):
            chosen = replace(tuning("cpu"), loss_rows=at_once)
            heads.tuning = lambda _, chosen=chosen: chosen
            try:
                time_ms = bench.milliseconds(
                    lambda hidden=hidden, weight=weight, bias=bias, labels=labels: heads.ProjectedLoss.apply(
                        hidden, weight, bias, labels, 0.1, 0.0, True
                    )[0].backward()
                )
            finally:
                heads.tuning = tuning
            bench.report("loss", size=size, rows=at_once, ms=time_ms)


def training(bench: Bench) -> None:
    """Target tokens per second, share of the peak, slowest step, and memory against the estimate."""
    tiny: list[tuple[str, int, Precision]] = [(name, 200, "fp32") for name in TINY]
    for name, tokens, precision in tiny if bench.tiny else TRAINED:
        if bench.left() < 15:
            bench.report("training", network=name, tokens=tokens, skipped="no time left")
            continue
        _train(bench, name, tokens, precision)


def _train(bench: Bench, name: str, tokens: int, precision: Precision) -> None:
    prepare(bench.device, torch.get_num_threads(), precision)
    network, pairs = bench.network(name), bench.pairs(name, 300 if bench.tiny else 40_000)
    learner = bench.learner(network, precision)
    batches = plan_batches(pairs.source, pairs.target, tokens, 1, 0)[: 4 if bench.tiny else 300]
    if bench.cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(bench.device)
    started = time.perf_counter()
    for rows in batches[: 4 if bench.tiny else 40]:  # libraries prepare new shapes
        unread = step(learner, pairs, rows)
    bench.wait()
    warm_up, times, trained, flops = time.perf_counter() - started, [], 0, 0.0
    begun = before = time.perf_counter()
    while before - begun < (0.2 if bench.tiny else 3.0):
        rows = batches[len(times) % len(batches)]
        previous, unread = unread, step(learner, pairs, rows)
        assert previous.applied  # reads the figures one step late, as training does
        now = time.perf_counter()
        times.append(now - before)
        before = now
        trained += unread.tokens
        flops += _flops(network, int(pairs.source[rows].sum()) + len(rows), unread.tokens)
    bench.wait()
    seconds = time.perf_counter() - begun
    peak = next((value for card, value in PEAK_FLOPS.items() if bench.cuda and card in torch.cuda.get_device_name()), 0)
    values: dict[str, Any] = {"network": name, "tokens": tokens, "precision": precision}
    values |= {"tokens_per_s": trained / seconds, "warm_up_s": warm_up}
    values |= {"step_ms": 1e3 * statistics.median(times), "slowest": max(times) / statistics.median(times)}
    if peak:
        values["share_of_peak"] = flops / seconds / peak
    if bench.cuda:
        values["allocated_gb"] = torch.cuda.max_memory_allocated(bench.device) / 1e9
        values["reserved_gb"] = torch.cuda.max_memory_reserved(bench.device) / 1e9
        values["planned_gb"] = _planned_bytes(bench, name, precision, batches, pairs) / 1e9
        bench.check("training", max(times) < 3 * statistics.median(times), **values)
    else:
        bench.report("training", **values)


def _flops(network: EncoderDecoder, source: int, target: int) -> float:
    """Return 6 FLOPs for each weight of a matrix and token that passes it (Kaplan et al. 2020, section 2.1)."""
    table = network.weight

    def matrices(side: torch.nn.Module) -> int:
        return sum(value.numel() for value in side.parameters() if value.dim() > 1 and value is not table)

    return 6.0 * (matrices(network.encoder) * source + (matrices(network.decoder) + table.numel()) * target)


def _planned_bytes(bench: Bench, name: str, precision: Precision, batches: list[Any], pairs: Pairs) -> int:
    options, vocabulary, _ = bench.networks[name]
    with torch.device("meta"):
        network = build_model(ModelOptions.model_validate(options), vocabulary)
    longest = [int(max(pairs.source[rows].max(), pairs.target[rows].max())) + 1 for rows in batches]
    shape = max(zip(map(len, batches), longest, strict=True), key=lambda one: one[0] * one[1])
    parts = training_memory(network, training_cost(network, BatchShape(*shape), precision, kind="cuda").work)
    return parts.weights + parts.gradients + parts.optimizer + parts.activations


def decoding(bench: Bench) -> None:
    """Seconds to translate sentences of the lengths of news, by beam size and tokens in a batch."""
    count = 12 if bench.tiny else 3003
    for name, beam_size, tokens in [("small", 5, 4096), ("small", 1, 4096)] if bench.tiny else TRANSLATED:
        if bench.left() < 15:
            bench.report("decoding", network=name, beam_size=beam_size, batch_tokens=tokens, skipped="no time left")
            continue
        network = bench.network(name)
        with torch.no_grad():
            network.bias[EOS] = -1e4  # translations end at their given lengths, although weights are random
        pairs = Pairs("multi30k" if bench.tiny else "news", bench.networks[name][1], count)
        sources, targets = pairs.encoded(range(count))
        sentences = [
            DecodingInput(source.tolist(), max_length=len(target))
            for source, target in zip(sources, targets, strict=True)
        ]
        prepare(bench.device, torch.get_num_threads(), bench.precision)
        bench.wait()
        started = time.perf_counter()
        search(network, bench.device, bench.precision, sentences, beam_size=beam_size, batch_tokens=tokens)
        seconds = time.perf_counter() - started
        bench.report(
            "decoding", network=name, beam_size=beam_size, batch_tokens=tokens, sentences=count, seconds=seconds
        )
