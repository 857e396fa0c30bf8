"""Small random networks and a source, for tests of searches."""

import torch
from torch import Tensor, nn

from s2s.data.collate import real_positions
from s2s.decoding.constraints import Constraints
from s2s.models.build import build_model
from s2s.models.interface import Batch, TokenInput
from s2s.models.network import Network
from s2s.recipe.model import ModelOptions
from s2s.recipe.sides import RnnDecoderOptions, RnnEncoderOptions, TransformerDecoderOptions, TransformerEncoderOptions

B, S = 3, 5
LENGTHS = torch.tensor([5, 2, 4])
FAMILIES = {
    "fixed": (RnnEncoderOptions(hidden_size=4), RnnDecoderOptions(hidden_size=9, context="fixed")),
    "attention": (RnnEncoderOptions(hidden_size=4), RnnDecoderOptions(hidden_size=9, context="attention")),
    "luong": (
        RnnEncoderOptions(hidden_size=4, cell="lstm"),
        RnnDecoderOptions(hidden_size=9, cell="lstm", layers=2, score="general", query="current"),
    ),
    "transformer": (
        TransformerEncoderOptions(family="transformer", layers=1, heads=3),
        TransformerDecoderOptions(family="transformer", layers=2, heads=3),
    ),
    "decoder only": (None, TransformerDecoderOptions(family="transformer", layers=2, heads=3)),
}


def network(family: str, vocabulary: int, seed: int = 1) -> Network:
    """A network that prefers some tokens clearly, but is sure of none."""
    torch.manual_seed(seed)
    encoder, decoder = FAMILIES[family]
    sides = {"encoder": encoder} if encoder else {"architecture": "decoder_only"}
    model = build_model(ModelOptions(embedding_size=6, decoder=decoder, **sides), vocabulary).eval()
    for name, parameter in model.named_parameters():
        if ".norm." not in name:
            nn.init.normal_(parameter, std=0.7)
    return model


def source(vocabulary: int) -> TokenInput:
    """B sentences, padded to S tokens."""
    ids = torch.randint(4, vocabulary, (B, S), generator=torch.Generator().manual_seed(2))
    return TokenInput(ids.masked_fill(torch.arange(S) >= LENGTHS.unsqueeze(1), 0), LENGTHS)


def pairs(given: TokenInput, inputs: Tensor, labels: Tensor) -> Batch:
    """A batch for teacher forcing: decoder inputs and labels [B, T]."""
    return Batch(given, inputs, labels, real_positions(labels))


def constraints(most: list[int], **given: object) -> Constraints:
    """The most tokens of each sentence, and what else is given."""
    nothing = {"min_length": torch.zeros(len(most)), "prefix": torch.zeros(len(most), 0, dtype=torch.long)}
    both = nothing | given
    largest = int(both["min_length"].max())  # type: ignore[attr-defined]
    return Constraints(max_length=torch.tensor(most), largest_min_length=largest, **both)  # type: ignore[arg-type]
