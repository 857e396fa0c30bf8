"""The PyTorch engine: any network, on any device; the reference for the others."""

from collections.abc import Sequence

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from s2s.data.collate import source_batch
from s2s.decoding.beam import BeamSearch
from s2s.decoding.constraints import Constraints
from s2s.decoding.hypothesis import Answer, Hypothesis, Request
from s2s.decoding.sampling import random_numbers, sample
from s2s.devices.select import Precision
from s2s.errors import ArtefactError
from s2s.models.build import build_model
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.models.interface import Model
from s2s.registry.version import Version
from s2s.text.tokenizer import Tokenizer


class PyTorchEngine:
    """Searches with a network, in batches of sentences of like length."""

    def __init__(self, model: Model, device: torch.device, precision: Precision = "fp32") -> None:
        self.model = model
        self.device = device
        self.precision = precision

    def begin(self, request: Request) -> Answer:
        """Nothing is computed before the answer is asked for."""
        return lambda: self._searched(request)

    def describe(self) -> str:
        """`PyTorch, fp32`."""
        return f"PyTorch, {self.precision}"

    @torch.no_grad()  # in inference mode, autocast would convert the weights anew at every step
    def _searched(self, request: Request) -> list[list[Hypothesis]]:
        """Return the hypotheses of each sentence; batches hold sentences of similar length, longest first."""
        found: dict[int, list[Hypothesis]] = {}
        for rows in request.batches():
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                found.update(zip(rows, self._batch(request, rows), strict=True))
        return [found[row] for row in range(len(request.sentences))]

    def _batch(self, request: Request, rows: Sequence[int]) -> list[list[Hypothesis]]:
        options, constraints = request.options, Constraints.of(request, rows, self.device)
        source = source_batch([request.sentences[row] for row in rows], self.device)
        if options.sample:
            numbers, steps = [request.numbers[row] for row in rows], int(constraints.max_length.max())
            uniform = random_numbers(options.seed, numbers, request.nbest, steps)
            found = sample(self.model, source, options, constraints, uniform, need_attention=request.need_attention)
        else:
            search = BeamSearch(options, constraints, nbest=request.nbest)
            found = search.run(self.model, source, need_attention=request.need_attention)
        return found


def load_network(version: Version) -> EncoderDecoder:
    """Load the network of a published model on the CPU, in evaluation mode.

    Raises: ArtefactError where its files do not fit together.
    """
    network = build_model(version.recipe().model, Tokenizer(version.read("tokenizer.model")).size)
    try:
        network.load_weights(load_file(version.path("weights.safetensors")))
    except (ValueError, SafetensorError) as error:
        raise ArtefactError(f"model {version.reference}: weights and recipe do not fit together: {error}") from error
    return network.eval()
