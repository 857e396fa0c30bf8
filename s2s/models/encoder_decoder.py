"""A network: an encoder, a decoder and an output projection.

B sentences, K hypotheses of each, T target positions, D width of the hidden vectors, V vocabulary.
"""

import torch
from torch import Tensor, nn

from s2s.models.heads import ProjectedLoss
from s2s.models.interface import PAD, Batch, Decoder, Encoder, LossSums, State, StepOutput, TokenInput


class EncoderDecoder(nn.Module):
    """Encoder, decoder and projection to the vocabulary: the `Model` of the interface."""

    def __init__(
        self, encoder: Encoder, decoder: Decoder, weight: Tensor, *, bias: bool = True, label_smoothing: float = 0.0
    ) -> None:
        """`weight` [V, D] projects hidden vectors to logits, with a bias [V]; it may be an embedding's own table."""
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.weight = weight
        self.bias = nn.Parameter(torch.zeros(len(weight))) if bias else None
        self.label_smoothing = label_smoothing

    def forward(self, batch: Batch) -> LossSums:
        """Teacher-forced loss of sources [B, S] and targets [B, T]; in chunks, padding left out."""
        memory = self.encoder(batch.source.ids, batch.source.lengths)
        hidden = self.decoder(memory, batch.inputs).hidden
        real = batch.labels != PAD
        bias = hidden.new_zeros(len(self.weight)) if self.bias is None else self.bias
        loss, nll = ProjectedLoss.apply(hidden[real], self.weight, bias, batch.labels[real], self.label_smoothing)
        return LossSums(loss=loss, nll=nll, tokens=real.sum())

    def start(self, source: TokenInput, *, steps: int) -> State:
        """Encode B sentences, and the state before the first step, K = 1."""
        return self.decoder.start(self.encoder(source.ids, source.lengths), steps=steps)

    def step(self, tokens: Tensor, state: State, *, need_attention: bool = False) -> tuple[StepOutput, State]:
        """Logits [B, K, V] and the next state, from tokens [B, K]."""
        decoded, state = self.decoder.step(tokens, state, need_attention=need_attention)
        logits = nn.functional.linear(decoded.hidden, self.weight, self.bias)
        return StepOutput(logits.float(), decoded.attention), state

    def weights(self) -> dict[str, Tensor]:
        """Every trained tensor by name, shared ones once."""
        return {name: parameter.detach() for name, parameter in self.named_parameters()}

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Copy tensors of the names and shapes that `weights()` gives. Raises ValueError where one differs."""
        own = self.weights()
        if wrong := own.keys() ^ weights.keys():
            raise ValueError(f"these weights are missing or not known: {', '.join(sorted(wrong))}")
        for name, value in own.items():
            if value.shape != weights[name].shape:
                raise ValueError(f"{name} has shape {tuple(weights[name].shape)} instead of {tuple(value.shape)}")
            value.copy_(weights[name])
