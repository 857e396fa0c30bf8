"""Recurrent decoders with attention over the memory's states, before or after the recurrent step.

G: gates of a cell; P: parts of a cell's state. H is the hidden size of a layer; the readout has the embedding size E.
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
from s2s.recipe.sides import RnnDecoderOptions


class AttentionDecoder(RnnDecoder):
    """Base class of recurrent decoders with attention."""

    def __init__(
        self, options: RnnDecoderOptions, embedding: nn.Embedding, memory: MemorySpec, dropout: float, feed_size: int
    ) -> None:
        super().__init__(options, embedding, memory, dropout, context_size=memory.states, feed_size=feed_size)
        attention_size = options.attention_size or options.hidden_size
        self.score = SCORES[options.score](options.hidden_size, memory.states, attention_size)

    def sentence_tensors(self, memory: Memory) -> tuple[Tensor, ...]:
        """Return the attention keys [B, S, ...], the states [B, S, D] and the mask [B, S]."""
        return self.score.keys(memory.states), memory.states, memory.mask

    def attend(self, query: Tensor, sentence: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Return the context [B, K, D] and attention [B, K, S] of queries [B, K, H].

        `sentence`: keys [B, S, ...], states [B, S, D] and mask [B, S].
        """
        keys, states, mask = sentence
        return attend(self.score(query, keys), mask, states)


class PreviousQueryDecoder(AttentionDecoder):
    """Attention before the step: the query is s_{t−1}, and c_t is an input of the step (Bahdanau et al. 2015, eq. 4–8).

    With several layers, query and context belong to the first one (Wu et al. 2016, section 3), so that the others can
    be computed for all steps at once.
    """

    def __init__(self, options: RnnDecoderOptions, embedding: nn.Embedding, memory: MemorySpec, dropout: float) -> None:
        super().__init__(options, embedding, memory, dropout, feed_size=memory.states)

    def teacher_forced(self, embedded: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Return readouts [T, B, E] and attention [T, B, S] from embedded inputs [T, B, E]."""
        initial, gates = self.initial_states(memory), self.first.input_proj(embedded).float()
        fused = self.first.kind is GruStep and isinstance(self.score, AdditiveScore)
        first_layer = self._fused_first_layer if fused else self._first_layer
        outputs, contexts, attention = first_layer(gates, initial[0], memory)
        return self.readout(self.upper_layers(outputs, initial), contexts, embedded), attention

    def _fused_first_layer(self, gates: Tensor, state: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Tensor]:
        """Compute `_first_layer` of a GRU with the additive score; several times faster in training."""
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
        """Return outputs [T, B, H], contexts [T, B, D] and attention [T, B, S] from input gates [T, B, G × H]."""
        sentence, state = self.sentence_tensors(memory), state.unsqueeze(1)
        outputs, contexts, attentions = [], [], []
        for input_gates in gates.unsqueeze(2):
            context, attention = self.attend(self.output(state), sentence)
            state = self.first(self._add_context(input_gates, context), state)
            outputs.append(self.output(state))
            contexts.append(context)
            attentions.append(attention)
        return _stack_steps(outputs), _stack_steps(contexts), _stack_steps(attentions)

    def _add_context(self, gates: Tensor, context: Tensor) -> Tensor:
        assert self.first.context_proj is not None
        return gates + self.first.context_proj(context)

    def step(self, inputs: Tensor, state: RnnState, *, need_attention: bool = False) -> tuple[DecoderOutput, RnnState]:  # type: ignore[override]
        """Run one step: inputs [B, K] -> hidden [B, K, E], attention [B, K, S] if requested, and the next state."""
        embedded = self.embedding(inputs)
        context, attention = self.attend(self.output(state.hypothesis[0]), state.sentence)
        states = self.next_states(self._add_context(self.first.input_proj(embedded), context), state.hypothesis)
        hidden = self.readout(self.output(states[-1]), context, embedded)
        return DecoderOutput(hidden, attention if need_attention else None), RnnState(states, state.sentence)


class CurrentQueryDecoder(AttentionDecoder):
    """Attention after the step: the query is s_t of the top layer (Luong et al. 2015, section 3).

    The readout is the attentional state h̃_t = tanh(W_c [c_t; s_t]) (equation 5), here of size E; h̃_{t−1} enters the
    first layer together with y_{t−1} (input feeding, section 3.3).
    """

    def __init__(self, options: RnnDecoderOptions, embedding: nn.Embedding, memory: MemorySpec, dropout: float) -> None:
        super().__init__(options, embedding, memory, dropout, feed_size=embedding.embedding_dim)
        del self.from_input

    def teacher_forced(self, embedded: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Return attentional states [T, B, E] and attention [T, B, S] from embedded inputs [T, B, E]."""
        state, masks = self.start(memory, max_steps=len(embedded)), self._dropout_masks(embedded)
        hidden, attentions = [], []
        for t, gates in enumerate(self.first.input_proj(embedded).float().unsqueeze(2)):
            attention, state = self._step(gates, state, [layer[t].unsqueeze(1) for layer in masks])
            hidden.append(state.hypothesis[-1])
            attentions.append(attention)
        return _stack_steps(hidden), _stack_steps(attentions)

    def _dropout_masks(self, embedded: Tensor) -> list[Tensor]:
        """Draw masks [T, B, H] for the inputs of the upper layers at once: variational dropout shares them over T."""
        shape = (*embedded.shape[:2], self.first.hidden_size)
        return [self.dropout(embedded.new_ones(shape)) for _ in self.layers[1:]] if self.training else []

    def start(self, memory: Memory, *, max_steps: int) -> RnnState:
        """Return the state before the first step, K = 1, with h̃_0 = 0."""
        state = super().start(memory, max_steps=max_steps)
        feed = state.hypothesis[0].new_zeros(len(memory.summary), 1, self.hidden_size)
        return RnnState((*state.hypothesis, feed), state.sentence)

    def step(self, inputs: Tensor, state: RnnState, *, need_attention: bool = False) -> tuple[DecoderOutput, RnnState]:  # type: ignore[override]
        """Run one step: inputs [B, K] -> hidden [B, K, E], attention [B, K, S] if requested, and the next state."""
        attention, state = self._step(self.first.input_proj(self.embedding(inputs)), state)
        return DecoderOutput(state.hypothesis[-1], attention if need_attention else None), state

    def _step(self, gates: Tensor, state: RnnState, masks: Sequence[Tensor] = ()) -> tuple[Tensor, RnnState]:
        """Return attention [B, K, S] and the next state, from input gates [B, K, G × H]."""
        *states, feed = state.hypothesis
        assert self.first.context_proj is not None
        new_states = self.next_states(gates + self.first.context_proj(feed), tuple(states), masks)
        query = self.output(new_states[-1])
        context, attention = self.attend(query, state.sentence)
        return attention, RnnState((*new_states, self.readout(query, context, None)), state.sentence)


def _stack_steps(steps: Sequence[Tensor]) -> Tensor:
    """Stack T tensors [B, 1, ...] to one [T, B, ...]."""
    return torch.cat([step.transpose(0, 1) for step in steps])
