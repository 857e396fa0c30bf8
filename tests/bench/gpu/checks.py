"""Sections that check: results against the CPU's, exactness, leases."""

import copy
import subprocess
import sys
from typing import Any

import numpy as np
import torch
from bench import Bench, Pairs, search, step
from torch import Tensor

from s2s.data.batching import plan_batches
from s2s.data.collate import pair_batch
from s2s.decoding.engine import DecodingInput, Hypothesis
from s2s.decoding.forced import forced_sentences
from s2s.devices.leases import lease
from s2s.devices.runtime import prepare
from s2s.devices.select import gpus_by_free_memory
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.models.interface import Batch
from s2s.text.tokenizer import EOS
from s2s.training.optimizer import optimizer_tensors, restore_optimizer
from s2s.training.rng import restore_rng, rng_state
from s2s.training.step import Learner

CPU = torch.device("cpu")
TIE = 1e-5  # of scores, in nats per token; those of the same hypothesis differ by about 1e-6
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
    """Compare the loss and all gradients with the CPU's in fp32.

    Squares are summed in fp64: on a CPU, PyTorch's own fp32 norm of a table of millions of elements is 4e-5 to 2e-4
    too small. From gradients in fp64, those of a CPU in fp32 differ by 2e-7 (recurrent) to 1.1e-4 (base) of their norm,
    and by 2e-6 in the norm; in bf16 by 1e-2 and 3e-3. The limits are a few times that.
    """
    pairs = bench.pairs(name, 64)
    losses: dict[str, float] = {}
    gradients: dict[str, list[Tensor]] = {}
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
        losses[label] = float(sums.loss.detach())
        gradients[label] = [p.grad.to(CPU) for p in network.parameters() if p.grad is not None]
    norm = _norm(gradients["cpu"])
    for label, *limits in (("fp32", 1e-5, 1e-5, 5e-4), ("bf16", 1e-3, 1e-2, 3e-2)):
        errors = {
            "loss": abs(losses[label] / losses["cpu"] - 1),
            "gradient_norm": abs(_norm(gradients[label]) / norm - 1),
            "gradient": _norm([a.double() - b for a, b in zip(gradients[label], gradients["cpu"], strict=True)]) / norm,
        }
        passed = all(error < limit for error, limit in zip(errors.values(), limits, strict=True))
        bench.check("correctness", passed, network=name, precision=label, **errors)


def _norm(gradients: list[Tensor]) -> float:
    """Return the norm of all elements together, summed in fp64."""
    return float(sum(gradient.double().square().sum() for gradient in gradients)) ** 0.5


def _translations(bench: Bench, name: str) -> None:
    """Compare translations with the CPU's in fp32, and their scores with those of forced decoding."""
    count = 20 if bench.tiny else 200
    sources, targets = bench.pairs(name, count).encoded(range(count))
    sentences = [DecodingInput(source.tolist(), max_length=30) for source in sources]
    prepare(CPU, torch.get_num_threads())
    network = _sharpened(bench.network(name).eval(), pair_batch(sources[:16], targets[:16], CPU))
    here = search(copy.deepcopy(network), CPU, "fp32", sentences, beam_size=5)
    prepare(bench.device, torch.get_num_threads(), "fp32")
    there = search(network, bench.device, "fp32", sentences, beam_size=5)
    gaps = [abs(a.score - b.score) for a, b in zip(here, there, strict=True)]
    same = [a.tokens == b.tokens for a, b in zip(here, there, strict=True)]
    tied = sum(gap < TIE and not equal for gap, equal in zip(gaps, same, strict=True))
    score = max((gap for gap, equal in zip(gaps, same, strict=True) if equal), default=float("inf"))
    passed = sum(same) + tied >= 0.995 * count and sum(same) >= 0.98 * count and score < 1e-4
    bench.check("correctness", passed, network=name, same=sum(same), tied=tied, of=count, score=score)
    error = _forced_error(network, bench.device, sources, there)
    ended = sum(not hypothesis.truncated for hypothesis in there)
    bench.check("correctness", error < 1e-3, network=name, sentences=count, ended=ended, forced_minus_search=error)


@torch.no_grad()
def _sharpened(network: EncoderDecoder, batch: Batch) -> EncoderDecoder:
    """Give a random network distributions as sharp as those of a trained one, about 0.8 nats per token of a beam.

    With the nearly uniform ones that it starts with, rounding decides between hypotheses. PAD, UNK and BOS are never
    predicted, so that search and forced decoding compute the same probabilities; EOS sometimes.
    """
    torch.manual_seed(2)
    hidden = network.decoder(network.encoder(batch.source), batch.inputs).hidden
    weight = torch.randn_like(network.weight)  # not the embeddings, with which a token mostly predicts itself
    logits = hidden @ weight.t()
    scale = 5 / logits.std()
    network.weight = torch.nn.Parameter(weight * scale)
    assert network.bias is not None
    network.bias[:EOS] = -1e4
    network.bias[EOS] = scale * logits.amax(-1).mean() - 7.5
    return network


def _forced_error(
    network: EncoderDecoder, device: torch.device, sources: list[Any], hypotheses: list[Hypothesis]
) -> float:
    """Return by how much the log-probabilities of hypotheses differ at most between search and forced decoding."""
    targets = [np.array(hypothesis.tokens, dtype=np.int32) for hypothesis in hypotheses]
    errors = []
    for row, forced in forced_sentences(network, sources, targets, device):
        found = hypotheses[row]
        own = forced.log_probabilities[: len(found.tokens) + (not found.truncated)]
        errors.append(abs(float(own.sum()) - found.log_probability))
    return max(errors)


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
    if not bench.cuda:
        bench.report("leases", skipped="several processes may share a CPU")
        return
    name = str(bench.device)
    with lease(name, wait=0, command="gpu bench"):
        other = subprocess.run(
            [sys.executable, "-c", LEASE_AGAIN, name], capture_output=True, text=True, check=False, timeout=120
        )
    bench.check("leases", other.stdout.strip() == "refused", device=name, gpus=gpus_by_free_memory())
