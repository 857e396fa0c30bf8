"""Encoder-only Transformers, which are planned but not trained: BERT (Devlin et al. 2019), and XLNet's size.

The hidden size equals the embedding size: H = E. F: size of the feed-forward layer.
"""

import torch
from torch import nn

from s2s.models.autocast import matmul_dtype
from s2s.models.blocks import NORMS, XavierLinear
from s2s.models.dropout import Dropout
from s2s.models.embedding import Embedding
from s2s.models.heads import ProjectedLoss
from s2s.models.interface import NLL, Batch, LossSums, Objective, TokenInput
from s2s.models.positions import LearnedPositions
from s2s.models.sizes import Shape, Sizes
from s2s.models.transformer import EncoderBlock, attention_mask, final_norm
from s2s.recipe.sides import TransformerEncoderOptions


class EncoderOnly(nn.Module):
    """BERT's encoder: normalized sum of three embeddings, blocks, and a pooler of the first position's state."""

    def __init__(self, options: TransformerEncoderOptions, embedding: nn.Embedding, dropout: float) -> None:
        super().__init__()
        H = embedding.embedding_dim
        self.embedding = embedding
        self.positions = LearnedPositions(options.max_positions, H)
        self.token_types = Embedding(options.token_types, H)
        self.embedding_norm = NORMS[options.norm_kind](H)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(EncoderBlock(H, options, dropout) for _ in range(options.layers))
        self.norm = final_norm(options, H)
        self.pooler = XavierLinear(H, H, bias=True)

    def forward(self, batch: Batch, objective: Objective = NLL) -> LossSums:
        """Return the loss of predicting the labels [B, S] from the source's states, as BERT predicts masked tokens.

        The head is the embedding table alone; BERT's has another layer before it.
        """
        assert isinstance(batch.source, TokenInput)
        ids = batch.source.ids
        mask = torch.arange(ids.shape[1], device=ids.device) < batch.source.lengths.unsqueeze(1)
        embedded = self.embedding(ids)
        types = self.token_types(torch.zeros_like(ids))
        x = self.dropout(self.embedding_norm(embedded + self.positions.added(ids.shape[1], embedded) + types))
        padding = attention_mask(mask, matmul_dtype(x))
        for block in self.blocks:
            x = block(x, None, padding)
        states = self.norm(x)
        hidden = states.flatten(0, 1).to(matmul_dtype(states))
        bias = hidden.new_zeros(self.embedding.num_embeddings)
        labels = batch.labels.flatten()
        loss, nll = ProjectedLoss.apply(hidden, self.embedding.weight, bias, labels, 0.0, 0.0, True)
        pooled = torch.tanh(self.pooler(states[:, 0]))
        return LossSums(loss=loss + 0 * pooled.sum(), nll=nll, tokens=len(labels))


def relative_sizes(options: TransformerEncoderOptions, H: int, V: int) -> Sizes:
    """Return the sizes of XLNet by its formula, without building its relative attention (Yang et al. 2019).

    A block is Transformer-XL's (Dai et al. 2019, section 3.3): queries, keys, values, outputs and relative positions
    are projected without biases, and scores have three learned vectors and one for each token type. Besides blocks and
    tokens there is only the vector with which the query stream starts.
    """
    F = options.ffn_size or 4 * H
    attention: list[Shape] = [(H, H)] * 5 + [(H,)] * (3 + options.token_types)
    feed_forward: list[Shape] = [(F, H), (F,), (H, F), (H,)]
    norms: list[Shape] = [(H,)] * 4  # gains and biases after attention and after the feed-forward layer
    return Sizes(tables=[(V, H)], blocks=[attention + feed_forward + norms] * options.layers, rest=[(H,)])
