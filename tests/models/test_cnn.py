"""The image encoder, and every decoder over its grid. C: channels; h, w: height and width of the grid."""

import random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from s2s.data.collate import real_positions
from s2s.models.build import build_model
from s2s.models.cnn import CnnEncoder, ResidualBlock
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.models.interface import Batch, ImageInput
from s2s.recipe.model import ModelOptions
from s2s.recipe.sides import CnnEncoderOptions

B, HEIGHT, WIDTH, T, K, V, D, E, H = 3, 12, 20, 7, 4, 17, 10, 12, 9
GRID = (3, 5)
S = GRID[0] * GRID[1]
DECODERS: dict[str, dict[str, Any]] = {
    "fixed": {"hidden_size": H, "context": "fixed"},
    "initial": {"hidden_size": H, "context": "initial", "cell": "lstm"},
    "previous": {"hidden_size": H, "query": "previous"},
    "current": {"hidden_size": H, "query": "current", "layers": 2},
    "transformer": {"family": "transformer", "layers": 2, "heads": 3, "ffn_size": 14},
}
decoders = pytest.mark.parametrize("decoder", DECODERS)


def options(**changes: Any) -> CnnEncoderOptions:
    return CnnEncoderOptions(
        family="cnn", **{"channels": [6, 8], "blocks": [0, 0], "hidden_size": D, "grid": GRID, **changes}
    )


def network(decoder: str, **changes: Any) -> EncoderDecoder:
    torch.manual_seed(1)
    model = build_model(ModelOptions(embedding_size=E, encoder=options(**changes), decoder=DECODERS[decoder]), V)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    for name, value in model.named_buffers():  # as after some training
        if value.is_floating_point():
            nn.init.uniform_(value, 0.5, 1.5) if "var" in name else nn.init.normal_(value)
    return model.eval()


def images() -> ImageInput:
    pixels = torch.randint(256, (B, 3, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    return ImageInput(pixels)


def targets() -> Tensor:
    return torch.randint(4, V, (B, T), generator=torch.Generator().manual_seed(3))


def same(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_memory_is_the_grid_row_by_row():
    encoder = network("previous").encoder
    memory = encoder(images())
    assert (memory.states.shape, memory.summary.shape, memory.grid) == ((B, S, D), (B, D), GRID)
    assert memory.mask.shape == (B, S)
    assert memory.mask.all()
    assert same(memory.summary, memory.states.mean(1))
    features = torch.relu(encoder.projection(encoder.stages(images().pixels / 127.5 - 1)))
    assert features.shape == (B, D, *GRID)
    for row in range(GRID[0]):
        for column in range(GRID[1]):
            place = encoder.row_embedding[row, 0] + encoder.column_embedding[0, column]
            assert same(memory.states[:, row * GRID[1] + column], features[:, :, row, column] + place)


def test_a_cell_of_a_plain_stage_is_a_normalized_sum():
    """One strided convolution against loops over its window."""
    encoder = network("previous", channels=[6], blocks=[0], grid=(6, 10)).encoder
    convolution, norm = encoder.stages[0][0]
    pixels = nn.functional.pad(images().pixels / 127.5 - 1, (1, 1, 1, 1))
    found = encoder.stages(images().pixels / 127.5 - 1)
    for row, column, channel in [(0, 0, 0), (5, 9, 5), (2, 7, 3)]:
        window = pixels[:, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        total = (window * convolution.weight[channel]).sum((1, 2, 3))
        scaled = (total - norm.running_mean[channel]) / (norm.running_var[channel] + norm.eps).sqrt()
        assert same(found[:, channel, row, column], torch.relu(scaled * norm.weight[channel] + norm.bias[channel]))


def test_a_residual_block_adds_to_its_input():
    block = ResidualBlock("group", 6)
    nn.init.zeros_(block.second[1].weight)  # its branch is then zero
    x = torch.randn(B, 6, 5, 7)
    assert same(block(x), torch.relu(x))


def test_a_larger_last_stage_is_pooled_to_the_grid():
    encoder = network("previous", grid=(1, 5)).encoder
    features = encoder.projection(encoder.stages(images().pixels / 127.5 - 1))
    states = encoder(images()).states - (encoder.row_embedding + encoder.column_embedding).flatten(0, 1)
    assert same(states.transpose(1, 2), torch.relu(features.unflatten(2, (1, 3)).mean(3).flatten(2)))


@decoders
def test_forward_is_repeated_step(decoder: str):
    model = network(decoder)
    memory = model.encoder(images())
    whole = model.decoder(memory, targets(), need_attention=True)
    state = model.decoder.start(memory, max_steps=T)
    for t in range(T):
        decoded, state = model.decoder.step(targets()[:, t : t + 1], state, need_attention=True)
        assert same(decoded.hidden[:, 0], whole.hidden[:, t])
        assert (decoded.attention is None) == (decoder in {"fixed", "initial"})
        if decoded.attention is not None and whole.attention is not None:
            assert whole.attention.shape == (B, T, S)
            assert same(decoded.attention[:, 0], whole.attention[:, t])
            assert same(whole.attention.sum(-1), torch.ones(B, T))


@decoders
def test_hypotheses_share_the_grid(decoder: str):
    """Every hypothesis has the logits that its tokens have alone, whatever is selected."""
    model, draw = network(decoder), random.Random(4)
    state = model.start(images(), max_steps=T)
    first = torch.randint(4, V, (B, 1))
    _, state = model.step(first, state)
    rows, beams = torch.tensor([2, 0]), torch.zeros(2, K, dtype=torch.long)
    state = state.select(rows, beams)
    second = torch.tensor([[draw.randrange(4, V) for _ in range(K)] for _ in rows])
    found, _ = model.step(second, state)
    for index, row in enumerate(rows.tolist()):
        memory = model.encoder(ImageInput(images().pixels[row : row + 1]))
        for k in range(K):
            tokens = torch.stack([first[row, 0], second[index, k]]).unsqueeze(0)
            hidden = model.decoder(memory, tokens).hidden[0, -1]
            assert same(found.logits[index, k], nn.functional.linear(hidden, model.weight, model.bias))


@decoders
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_every_weight_learns_in_either_precision(decoder: str, norm: str):
    model = network(decoder, norm=norm, blocks=[1, 2]).train()
    batch = Batch(images(), targets(), targets(), real_positions(targets()))
    model(batch).loss.backward()
    unused = [name for name, value in model.named_parameters() if value.grad is None]
    assert unused == []
    with torch.autocast("cpu", torch.bfloat16):
        half = model(batch)
    half.loss.backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())


def test_statistics_of_batches_are_weights():
    names = network("fixed").weights().keys()
    assert {"running_mean", "running_var", "num_batches_tracked"} <= {name.rpartition(".")[2] for name in names}
    assert not any("running" in name for name in network("fixed", norm="group").weights())


def test_images_use_no_source_embedding():
    model = build_model(ModelOptions(embedding_size=E, tied_embeddings="none", encoder=options()), V)
    assert isinstance(model.encoder, CnnEncoder)
    assert not any(isinstance(module, nn.Embedding) for module in model.encoder.modules())
