"""A recipe of tiny features, with the files that it names."""

from pathlib import Path

import torch
from safetensors.torch import save_file

RECIPE = """
extends = "scenes/attention"
name = "grids"
[data]
kind = "features"
images = "grids"
height = 2
width = 3
channels = 5
hold_out_validation = 6
hold_out_test = 8
[data.train]
files = "captions.tsv"
[tokenizer]
vocab_size = 30
[model]
embedding_size = 12
[model.encoder]
input_channels = 5
channels = []
blocks = []
hidden_size = 10
grid = [2, 3]
[model.decoder]
hidden_size = 14
attention_size = 9
[training]
stop_after = "9 updates"
validate_every = "3 updates"
batch_tokens = 100
warmup = 2
[decoding]
max_caption_length = 9
"""


def make_features(directory: Path) -> str:
    """Write 40 grids, whose captions tell which of five numbers is the largest of a cell; return the recipe's path."""
    (directory / "grids").mkdir()
    rows = []
    for number in range(40):
        grid = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(number))
        save_file({"features": grid}, directory / "grids" / f"{number}.safetensors")
        rows.append(f"{number}.safetensors\tlargest is {'abcde'[int(grid[0, 0].argmax())]} of {number % 4}\n")
    (directory / "captions.tsv").write_text("".join(rows))
    (directory / "grids.toml").write_text(RECIPE)
    return str(directory / "grids.toml")
