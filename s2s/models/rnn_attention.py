"""Recurrent decoders with attention over the memory's states, asked before a step or after it.

B sentences, K hypotheses of each, S source positions, T target positions, H units of a layer, P × H numbers of a cell's
state, N × H of its gates, N width of a score's key, E width of an embedding and of the read-out, D width of the memory.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from s2s.models.attention import SCORES, AdditiveScore, attend
from s2s.models.autocast import autocast_device, matmul_dtype
from s2s.models.cells import GruStep
from s2s.models.interface import DecoderOutput, Memory, MemorySpec
from s2s.models.recurrence import AttentionGru
from s2s.models.rnn_decoder import RnnDecoder, RnnState
from s2s.recipe.model import RnnDecoderOptions


class AttentionDecoder(RnnDecoder):
    """What both kinds of attention share: a score, and what it needs of a sentence."""

    def __init__(
        self, options: RnnDecoderOptions, embedding: nn.Embedding, memory: MemorySpec, dropout: float, fed_size: int
    ) -> None:
        super().__init__(options, embedding, memory, dropout, context_size=memory.states, fed_size=fed_size)
        self.score = SCORES[options.score](
            options.hidden_size, memory.states, options.attention_size or options.hidden_size
        )

    def sentence_tensors(self, memory: Memory) -> tuple[Tensor, ...]:
        """Return the score's keys [B, S, N], the states [B, S, D] and the mask [B, S]."""
        return self.score.keys(memory.states), memory.states, memory.mask

    def attend(self, query: Tensor, sentence: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Return the context [B, K, D] and attention [B, K, S] of queries [B, K, H]."""
        keys, states, mask = sentence
        return attend(self.score(query, keys), mask, states)


class PreviousQueryDecoder(AttentionDecoder):
    """Attention before the step: it asks with s_{t−1}, and c_t enters g (Bahdanau et al. 2015, equations 4–8).

    In several layers it asks with the first one's state, and c_t enters that one (Wu et al. 2016, section 3), so that
    the others are computed for all steps at once.
    """

    def __init__(self, options: RnnDecoderOptions, embedding: nn.Embedding, memory: MemorySpec, dropout: float) -> None:
        super().__init__(options, embedding, memory, dropout, fed_size=memory.states)

    def teacher_forced(self, embedded: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Read-outs [T, B, E] and attention [T, B, S]."""
        first, gates = self.initial_states(memory), self.first.input_proj(embedded).float()
        written_out = self.first.kind is GruStep and isinstance(self.score, AdditiveScore)
        first_layer = self._gru_layer if written_out else self._first_layer
        outputs, contexts, attention = first_layer(gates, first[0], memory)
        return self.read_out(self.upper_layers(outputs, first), contexts, embedded), attention

    def _gru_layer(self, gates: Tensor, state: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Tensor]:
        """As `_first_layer`, for a GRU and the additive score: several times as fast in training."""
        cell, score = self.first, self.score
        assert isinstance(score, AdditiveScore)
        assert cell.context_proj is not None
        dtype = matmul_dtype(gates)
        keys, states = score.keys(memory.states).to(gates.dtype), memory.states.to(gates.dtype)
        recurrent_proj = torch.cat((score.query_proj.weight, cell.recurrent_proj.weight)).t().to(dtype)
        context_proj = cell.context_proj.weight.t().to(dtype)
        bias = torch.cat((score.query_proj.bias, cell.recurrent_proj.bias))
        with torch.autocast(autocast_device(gates), enabled=False):
            return AttentionGru.apply(
                gates, state, keys, states, memory.mask, context_proj, recurrent_proj, bias, score.v
            )

    def _first_layer(self, gates: Tensor, state: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Tensor]:
        """Return outputs [T, B, H], contexts [T, B, D], attention [T, B, S] from shares of the gates [T, B, N × H]."""
        sentence, states = self.sentence_tensors(memory), (state.unsqueeze(1),)
        outputs, contexts, attentions = [], [], []
        for share in gates.unsqueeze(2):
            context, attention = self.attend(self.output(states[0]), sentence)
            states = (self.first(self._with_context(share, context), states[0]),)
            outputs.append(self.output(states[0]))
            contexts.append(context)
            attentions.append(attention)
        return _over_steps(outputs), _over_steps(contexts), _over_steps(attentions)

    def _with_context(self, share: Tensor, context: Tensor) -> Tensor:
        assert self.first.context_proj is not None
        return share + self.first.context_proj(context)

    def step(self, inputs: Tensor, state: RnnState, *, need_attention: bool = False) -> tuple[DecoderOutput, RnnState]:  # type: ignore[override]
        """Run one step: inputs [B, K] -> hidden [B, K, E] and the next state."""
        embedded = self.embedding(inputs)
        context, attention = self.attend(self.output(state.hypothesis[0]), state.sentence)
        states = self.next_states(self._with_context(self.first.input_proj(embedded), context), state.hypothesis)
        hidden = self.read_out(self.output(states[-1]), context, embedded)
        return DecoderOutput(hidden, attention if need_attention else None), RnnState(states, state.sentence)


class CurrentQueryDecoder(AttentionDecoder):
    """Attention after the step: it asks with s_t of the top layer (Luong et al. 2015, section 3).

    The read-out is the attentional state h̃_t = tanh(W_c [c_t; s_t]) (equation 5), here of an embedding's width; h̃_{t−1}
    enters the first layer with y_{t−1} (input feeding, section 3.3).
    """

    def __init__(self, options: RnnDecoderOptions, embedding: nn.Embedding, memory: MemorySpec, dropout: float) -> None:
        super().__init__(options, embedding, memory, dropout, fed_size=embedding.embedding_dim)
        del self.from_input

    def teacher_forced(self, embedded: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Attentional states [T, B, E] and attention [T, B, S]."""
        state, noise = self.start(memory, max_steps=len(embedded)), self._noise(embedded)
        hidden, attentions = [], []
        for t, share in enumerate(self.first.input_proj(embedded).float().unsqueeze(2)):
            attention, state = self._step(share, state, [layer[t].unsqueeze(1) for layer in noise])
            hidden.append(state.hypothesis[-1])
            attentions.append(attention)
        return _over_steps(hidden), _over_steps(attentions)

    def _noise(self, embedded: Tensor) -> list[Tensor]:
        """Dropout between layers, drawn for all steps at once, since variational dropout is one for all of them."""
        shape = (*embedded.shape[:2], self.first.hidden_size)
        return [self.dropout(embedded.new_ones(shape)) for _ in self.layers[1:]] if self.training else []

    def start(self, memory: Memory, *, max_steps: int) -> RnnState:
        """Return the state before the first step, K = 1, with h̃_0 = 0."""
        state = super().start(memory, max_steps=max_steps)
        nothing = state.hypothesis[0].new_zeros(len(memory.summary), 1, self.hidden_size)
        return RnnState((*state.hypothesis, nothing), state.sentence)

    def step(self, inputs: Tensor, state: RnnState, *, need_attention: bool = False) -> tuple[DecoderOutput, RnnState]:  # type: ignore[override]
        """Run one step: inputs [B, K] -> hidden [B, K, E] and the next state."""
        attention, state = self._step(self.first.input_proj(self.embedding(inputs)), state)
        return DecoderOutput(state.hypothesis[-1], attention if need_attention else None), state

    def _step(self, share: Tensor, state: RnnState, noise: Sequence[Tensor] = ()) -> tuple[Tensor, RnnState]:
        """Return attention [B, K, S] and the next state, from the input's share of the gates [B, K, N × H]."""
        *states, fed = state.hypothesis
        assert self.first.context_proj is not None
        following = self.next_states(share + self.first.context_proj(fed), tuple(states), noise)
        query = self.output(following[-1])
        context, attention = self.attend(query, state.sentence)
        return attention, RnnState((*following, self.read_out(query, context, None)), state.sentence)


def _over_steps(steps: Sequence[Tensor]) -> Tensor:
    """T tensors [B, 1, ...] as one [T, B, ...]."""
    return torch.cat([step.transpose(0, 1) for step in steps])
