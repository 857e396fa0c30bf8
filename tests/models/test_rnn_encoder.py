"""The recurrent encoder against torch's networks with copied weights."""

import pytest
import torch
from torch import nn

from s2s.models.interface import TokenInput
from s2s.models.rnn_encoder import RnnEncoder, RnnLayer
from s2s.recipe.sides import RnnEncoderOptions

B, S, V, E, W = 3, 5, 17, 6, 4
LENGTHS = torch.tensor([5, 2, 4])
THEIRS: dict[str, type[nn.RNNBase]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def source() -> torch.Tensor:
    ids = torch.randint(4, V, (B, S), generator=torch.Generator().manual_seed(2))
    return ids.masked_fill(torch.arange(S) >= LENGTHS.unsqueeze(1), 0)


def encoder(cell: str, layers: int, *, bidirectional: bool = True, reverse_source: bool = False) -> RnnEncoder:
    torch.manual_seed(4)
    options = RnnEncoderOptions(
        cell=cell, layers=layers, hidden_size=W, bidirectional=bidirectional, reverse_source=reverse_source
    )
    made = RnnEncoder(options, nn.Embedding(V, E), 0.0).eval()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made


def with_weights_of(made: RnnEncoder, cell: str, *, bidirectional: bool) -> nn.RNNBase:
    theirs = THEIRS[cell](E, W, num_layers=len(made.layers), bidirectional=bidirectional, batch_first=True)
    for index, layer in enumerate(made.layers):
        assert isinstance(layer, RnnLayer)
        for direction, suffix in enumerate(["", "_reverse"][: len(layer.reverse)]):
            name, count = f"l{index}{suffix}", len(layer.reverse)
            getattr(theirs, f"weight_ih_{name}").data = layer.input_proj.weight.data.chunk(count)[direction]
            getattr(theirs, f"bias_ih_{name}").data = layer.input_proj.bias.data.chunk(count)[direction]
            getattr(theirs, f"weight_hh_{name}").data = layer.recurrent_proj.data[direction].t()
            getattr(theirs, f"bias_hh_{name}").data = layer.bias.data[direction, 0]
    return theirs


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_encoder_is_torchs_with_copied_weights(cell: str, layers: int, bidirectional: bool) -> None:
    made = encoder(cell, layers, bidirectional=bidirectional)
    theirs = with_weights_of(made, cell, bidirectional=bidirectional)
    packed = nn.utils.rnn.pack_padded_sequence(
        made.embedding(source()), LENGTHS, batch_first=True, enforce_sorted=False
    )
    states, final = theirs(packed)
    states, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True)
    memory = made(TokenInput(source(), LENGTHS))
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(memory.states[row, :length], states[row, :length])
    both = torch.cat(final, dim=-1) if cell == "lstm" else final  # h and c of each layer and direction
    torch.testing.assert_close(memory.summary, both.transpose(0, 1).flatten(1))
    assert memory.summary.shape[1] == made.spec.summary
    assert memory.states.shape[2] == made.spec.states
    assert memory.mask.sum(1).tolist() == LENGTHS.tolist()


def test_a_reversed_source_is_read_from_its_end_and_remembered_in_its_own_order() -> None:
    backward, forward = (
        encoder("gru", 1, bidirectional=False, reverse_source=True),
        encoder("gru", 1, bidirectional=False),
    )
    ids = source()
    for row, length in enumerate(LENGTHS):
        ids[row, :length] = ids[row, :length].flip(0)
    of_source, of_turned = backward(TokenInput(source(), LENGTHS)), forward(TokenInput(ids, LENGTHS))
    torch.testing.assert_close(of_source.summary, of_turned.summary)
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(of_source.states[row, :length], of_turned.states[row, :length].flip(0))


def test_dropout_between_layers_while_training_alone() -> None:
    made = encoder("gru", 2)
    made.dropout.dropped = 128
    assert torch.equal(made(TokenInput(source(), LENGTHS)).states, made(TokenInput(source(), LENGTHS)).states)
    made.train()
    assert not torch.equal(made(TokenInput(source(), LENGTHS)).states, made(TokenInput(source(), LENGTHS)).states)
