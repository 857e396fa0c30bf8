"""Sections that check: results against the CPU's, exactness, leases."""

import copy
import subprocess
import sys
from typing import Any

import numpy as np
import torch
from bench import Bench, Pairs, search, step

from s2s.data.batching import plan_batches
from s2s.data.collate import pair_batch
from s2s.decoding.engine import DecodingInput
from s2s.decoding.forced import forced_sentences
from s2s.devices.leases import lease
from s2s.devices.runtime import prepare
from s2s.devices.select import gpus_by_free_memory
from s2s.text.tokenizer import EOS
from s2s.training.optimizer import optimizer_tensors, restore_optimizer
from s2s.training.rng import restore_rng, rng_state
from s2s.training.step import Learner

CPU = torch.device("cpu")
LEASE_AGAIN = """
import sys
from s2s.devices.leases import lease
from s2s.errors import ResourceError
try:
    with lease(sys.argv[1], wait=0, command="bench"):
        print("leased twice")
except ResourceError:
    print("refused")
"""


def correctness(bench: Bench) -> None:
    """Loss, gradient, translations and scores against the CPU's in fp32."""
    for name in [name for name in bench.networks if name != "big"]:
        _gradients(bench, name)
        _translations(bench, name)


def _gradients(bench: Bench, name: str) -> None:
    pairs = bench.pairs(name, 64)
    found = {}
    for label, device, precision in (
        ("cpu", CPU, "fp32"),
        ("fp32", bench.device, "fp32"),
        ("bf16", bench.device, "bf16"),
    ):
        prepare(device, torch.get_num_threads(), precision)  # type: ignore[arg-type]
        network = bench.network(name, dropout=0.0).to(device).train()
        batch = pair_batch(*pairs.encoded(range(64)), device)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            sums = network(batch)
        (sums.loss / sums.tokens).backward()
        norm = torch.nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None])
        found[label] = float(sums.loss.detach()), float(norm)
    loss, norm = found["cpu"]
    for label, loss_limit, norm_limit in (("fp32", 1e-5, 1e-4), ("bf16", 1e-3, 2e-2)):
        errors = abs(found[label][0] / loss - 1), abs(found[label][1] / norm - 1)
        passed = errors[0] < loss_limit and errors[1] < norm_limit
        bench.check("correctness", passed, network=name, precision=label, loss=errors[0], gradient_norm=errors[1])


def _translations(bench: Bench, name: str) -> None:
    count = 20 if bench.tiny else 200
    sources, _ = bench.pairs(name, count).encoded(range(count))
    sentences = [DecodingInput(source.tolist(), max_length=30) for source in sources]
    network = bench.network(name)
    with torch.no_grad():
        network.bias[:EOS] = -1e4  # never predicted: probabilities of the search and of forced decoding are the same
    here = search(copy.deepcopy(network), CPU, "fp32", sentences, beam_size=5)
    prepare(bench.device, torch.get_num_threads(), "fp32")
    there = search(network, bench.device, "fp32", sentences, beam_size=5)
    same = [one.tokens == other.tokens for one, other in zip(here, there, strict=True)]
    score = max(
        (abs(a.score - b.score) for a, b, equal in zip(here, there, same, strict=True) if equal), default=float("inf")
    )
    bench.check(
        "correctness", sum(same) >= 0.995 * count and score < 1e-4, network=name, same=sum(same), of=count, score=score
    )
    whole = [(row, hypothesis) for row, hypothesis in enumerate(there) if not hypothesis.truncated]
    targets = [np.array(hypothesis.tokens, dtype=np.int32) for _, hypothesis in whole]
    error = 0.0
    for index, forced in forced_sentences(network, [sources[row] for row, _ in whole], targets, bench.device):
        error = max(error, abs(float(forced.log_probabilities.sum()) - whole[index][1].log_probability))
    bench.check("correctness", error < 1e-3, network=name, sentences=len(whole), forced_minus_search=error)


def exactness(bench: Bench) -> None:
    """Deterministic updates repeat, also after a restart; a step that is not finite changes nothing."""
    for name in ("small", "gru"):
        pairs = bench.pairs(name, 400)
        batches = plan_batches(pairs.source, pairs.target, 400, 1, 0)[:10]
        prepare(bench.device, torch.get_num_threads(), bench.precision, deterministic=True)
        try:
            whole, again = (_updates(bench, name, pairs, batches) for _ in range(2))
            bench.check("exactness", _same(whole, again), network=name, what="10 updates twice")
            stopped = _updates(bench, name, pairs, batches[:5])
            tensors = {
                key: value.clone() for key, value in optimizer_tensors(stopped.optimizer, stopped.network).items()
            }
            state = rng_state()
            resumed = bench.learner(bench.network(name))
            resumed.network.load_weights({key: value.clone() for key, value in stopped.network.weights().items()})  # type: ignore[operator]
            restore_optimizer(resumed.optimizer, resumed.network, tensors)
            restore_rng([state], 0)
            for rows in batches[5:]:
                step(resumed, pairs, rows)
            bench.check("exactness", _same(whole, resumed), network=name, what="stopped and resumed")
        finally:
            prepare(bench.device, torch.get_num_threads(), bench.precision)
        _skip_step(bench, name, pairs, batches[0], whole)


def _updates(bench: Bench, name: str, pairs: Pairs, batches: list[Any]) -> Learner:
    learner = bench.learner(bench.network(name))
    torch.manual_seed(3)
    for rows in batches:
        step(learner, pairs, rows)
    return learner


def _same(one: Learner, other: Learner) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters, other.parameters, strict=True))


def _skip_step(bench: Bench, name: str, pairs: Pairs, rows: Any, learner: Learner) -> None:
    before = [value.detach().clone() for value in learner.parameters]
    counts = [float(values["step"]) for values in learner.optimizer.state.values()]
    hook = learner.parameters[0].register_hook(lambda gradient: gradient * torch.nan)
    result = step(learner, pairs, rows)
    hook.remove()
    same = all(torch.equal(a, b) for a, b in zip(before, learner.parameters, strict=True))
    counted = counts == [float(values["step"]) for values in learner.optimizer.state.values()]
    passed = not result.applied and same and counted
    bench.check("exactness", passed, network=name, what="a gradient that is not a number")


def leases(bench: Bench) -> None:
    """Another process cannot lease the device; `auto` prefers free memory."""
    name = str(bench.device) if bench.device.index is not None or not bench.cuda else f"{bench.device}:0"
    if not bench.cuda:
        bench.report("leases", skipped="several processes may share a CPU")
        return
    with lease(name, wait=0, command="gpu bench"):
        other = subprocess.run(
            [sys.executable, "-c", LEASE_AGAIN, name], capture_output=True, text=True, check=False, timeout=120
        )
    bench.check("leases", other.stdout.strip() == "refused", device=name, gpus=gpus_by_free_memory())
