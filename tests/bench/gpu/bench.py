"""What the sections share: settings, networks, synthetic sentence pairs, results."""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from s2s.decoding.engine import DecodingInput, Hypothesis, Request
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.devices.runtime import Precision
from s2s.models.build import build_model
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.model import ModelOptions
from s2s.recipe.training import TrainingOptions
from s2s.text.tokenizer import EOS
from s2s.training.distributed import DistributedContext
from s2s.training.step import Learner, StepResult, train_step


def transformer(size: int, layers: int, heads: int, dropout: float) -> dict[str, Any]:
    """Return the options of a Transformer."""
    side = {"family": "transformer", "layers": layers, "heads": heads}
    return {"embedding_size": size, "dropout": dropout, "encoder": side, "decoder": side}


def recurrent(size: int = 256, **decoder: Any) -> dict[str, Any]:
    """Return the options of a bidirectional RNN encoder and an RNN decoder of twice its size."""
    cell = {"family": "rnn", "cell": decoder.pop("cell", "gru")}
    sides = {"encoder": cell | {"hidden_size": size}, "decoder": cell | {"hidden_size": 2 * size} | decoder}
    return {"embedding_size": size, "dropout": 0.3} | sides


LUONG = {"cell": "lstm", "score": "general", "query": "current"}
NETWORKS: dict[str, tuple[dict[str, Any], int, str]] = {  # options, vocabulary, lengths
    "small": (transformer(256, 3, 4, 0.3), 8000, "multi30k"),
    "gru": (recurrent(), 8000, "multi30k"),
    "bottleneck": (recurrent(context="fixed"), 8000, "multi30k"),
    "luong": (recurrent(**LUONG), 8000, "multi30k"),
    "base": (transformer(512, 6, 8, 0.1), 32_000, "news"),
    "big": (transformer(1024, 6, 16, 0.3), 32_000, "news"),
}
TINY: dict[str, tuple[dict[str, Any], int, str]] = {
    "small": (transformer(16, 1, 2, 0.3), 60, "multi30k"),
    "gru": (recurrent(8), 60, "multi30k"),
    "bottleneck": (recurrent(8, context="fixed"), 60, "multi30k"),
    "luong": (recurrent(8, **LUONG), 60, "multi30k"),
}


@dataclass
class Bench:
    """Settings and results of a run."""

    device: torch.device
    tiny: bool
    seconds: float
    out: Path
    begun: float = field(default_factory=time.monotonic)
    failed: list[str] = field(default_factory=list)

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def networks(self) -> dict[str, tuple[dict[str, Any], int, str]]:
        return TINY if self.tiny else NETWORKS

    @property
    def precision(self) -> Precision:
        return "bf16" if self.cuda else "fp32"

    def left(self) -> float:
        """Return the seconds left."""
        return self.seconds - (time.monotonic() - self.begun)

    def report(self, section: str, **values: Any) -> None:
        """Print and append one result."""
        line = {"section": section, "at": round(time.monotonic() - self.begun, 1)} | values
        with self.out.open("a") as file:
            file.write(json.dumps(line) + "\n")
        shown = "  ".join(
            f"{key} {value:,.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()
        )
        print(f"{line['at']:6.1f}s {section:12} {shown}", flush=True)

    def check(self, section: str, passed: bool, **values: Any) -> None:
        """Report a result that passes or fails."""
        if not passed:
            self.failed.append(section)
        self.report(section, passed=bool(passed), **values)

    def wait(self) -> None:
        """Wait until the device has computed everything."""
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def milliseconds(self, run: Callable[[], Any], repeats: int = 10) -> float:
        """Return the median time of a call, the device's part included."""
        for _ in range(3):
            run()
        times = []
        for _ in range(1 if self.tiny else repeats):
            self.wait()
            started = time.perf_counter()
            run()
            self.wait()
            times.append(1e3 * (time.perf_counter() - started))
        return statistics.median(times)

    def network(self, name: str, dropout: float | None = None) -> EncoderDecoder:
        """Build a network on the CPU with the same weights every time."""
        options, vocabulary, _ = self.networks[name]
        torch.manual_seed(1)
        changed = options if dropout is None else options | {"dropout": dropout}
        return build_model(ModelOptions.model_validate(changed), vocabulary)

    def pairs(self, name: str, count: int) -> "Pairs":
        """Return synthetic sentence pairs for a network."""
        _, vocabulary, kind = self.networks[name]
        return Pairs(kind, vocabulary, count)

    def learner(self, network: EncoderDecoder, precision: Precision | None = None) -> Learner:
        """Move a network to the device and prepare it for training."""
        return Learner(
            network.to(self.device).train(),
            TrainingOptions(),
            self.device,
            precision or self.precision,
            DistributedContext(),
        )


class Pairs:
    """Synthetic sentence pairs, cut from one stream of tokens."""

    def __init__(self, kind: str, vocabulary: int, count: int) -> None:
        random = np.random.default_rng(1)
        if kind == "multi30k":
            source = np.clip(np.round(random.normal(14.6, 4.9, count)), 3, 52)
        else:
            source = np.clip(random.lognormal(3.2, 0.6, count), 1, 199)
        self.source = source.astype(np.int32)
        self.target = np.clip(source * np.exp(random.normal(0.02, 0.18, count)), 1, 199).astype(np.int32)
        ranks = np.exp(random.random(200_000) * np.log(vocabulary - EOS - 1)).astype(np.int32)
        self.stream = EOS + np.clip(ranks, 1, vocabulary - EOS - 1)
        self.starts = random.integers(0, len(ranks) - 200, (2, count))

    def encoded(self, rows: Any) -> tuple[list[Any], list[Any]]:
        """Return the sources and targets of some pairs."""
        return tuple(  # type: ignore[return-value]
            [self.stream[starts[row] : starts[row] + lengths[row]] for row in rows]
            for starts, lengths in zip(self.starts, (self.source, self.target), strict=True)
        )


def step(learner: Learner, pairs: Pairs, rows: Any) -> StepResult:
    """Take one training step."""
    return train_step(learner, *pairs.encoded(rows), lr=1e-4, micro_batch_tokens=0)


def search(
    network: EncoderDecoder, device: torch.device, precision: Precision, sentences: list[DecodingInput], **options: Any
) -> list[Hypothesis]:
    """Return the best hypothesis of each sentence."""
    engine = PyTorchEngine(network.to(device).eval(), device, precision)
    return [best for (best, *_) in engine.search(Request(sentences, DecodingOptions(**options)))]
