"""The PyTorch engine: every network on every device; the reference for other engines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch

from s2s.data.collate import source_batch
from s2s.data.sources import Sentences, Sources
from s2s.decoding.beam import BeamSearch
from s2s.decoding.constraints import Constraints
from s2s.decoding.engine import ForcedSentence, Hypothesis, Request
from s2s.decoding.forced import forced_sentences
from s2s.decoding.sampling import random_numbers, sample
from s2s.devices.runtime import Precision
from s2s.models.build import build_model
from s2s.models.interface import Model
from s2s.models.network import Network
from s2s.registry.version import Version
from s2s.text.tokenizer import Tokenizer


class PyTorchEngine:
    """Searches with a network, in batches of sources of similar length."""

    def __init__(self, model: Model, device: torch.device, precision: Precision = "fp32") -> None:
        self.model = model
        self.device = device
        self.precision = precision

    def start(self, request: Request) -> "PyTorchSearch":
        """Return a search that runs when its result is requested."""
        return PyTorchSearch(self, request)

    def describe(self) -> str:
        """Return `PyTorch, fp32`."""
        return f"PyTorch, {self.precision}"

    @torch.no_grad()  # in inference mode, autocast would convert the weights at every step
    def search(self, request: Request) -> list[list[Hypothesis]]:
        """Return the hypotheses of each source, best first; samples in the order they were drawn."""
        hypotheses: dict[int, list[Hypothesis]] = {}
        # one context for all batches, so that weights are converted once
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            for rows in request.batches(self.device.type):
                hypotheses.update(zip(rows, self._search_batch(request, rows), strict=True))
        return [hypotheses[row] for row in range(len(request.inputs))]

    def force(
        self, sources: Sentences, targets: Sentences, *, need_attention: bool = False
    ) -> Iterator[tuple[int, ForcedSentence]]:
        """Yield the index and scores of each target given its source, batch by batch, computed in fp32."""
        return forced_sentences(self.model, sources, targets, self.device, need_attention=need_attention)

    def _search_batch(self, request: Request, rows: Sequence[int]) -> list[list[Hypothesis]]:
        options, inputs = request.options, [request.inputs[row] for row in rows]
        constraints = Constraints.of(inputs, options.no_repeat_ngram, self.device)
        source = source_batch(cast(Sources, [one.source for one in inputs]), self.device)
        if not options.sample:
            search = BeamSearch(options, constraints, nbest=request.nbest)
            return search.run(self.model, source, need_attention=request.need_attention)
        keys, steps = [one.sample_key for one in inputs], int(constraints.max_length.max())
        uniform = random_numbers(options.seed, keys, request.nbest, steps)
        return sample(self.model, source, options, constraints, uniform, need_attention=request.need_attention)


@dataclass(frozen=True, slots=True)
class PyTorchSearch:
    """A search that has not run yet."""

    engine: PyTorchEngine
    request: Request

    def result(self) -> list[list[Hypothesis]]:
        """Run the search."""
        return self.engine.search(self.request)


def load_network(version: Version) -> Network:
    """Load the network of a published model on the CPU, in evaluation mode.

    Raises: ArtefactError if its weights are damaged or not finite, or do not fit its recipe.
    """
    recipe, vocab_size = version.recipe(), Tokenizer(version.read("tokenizer.model")).size
    weights = version.weights()
    network = build_model(recipe.model, vocab_size)
    network.load_weights(weights)
    return network.eval()
