"""Convolutional encoder of images: a small residual network whose grid of features is the memory.

C: channels; h, w: height and width of the grid, so S = h × w.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2s.devices.runtime import tuning
from s2s.models.autocast import autocast_device
from s2s.models.dropout import Dropout
from s2s.models.interface import Encoder, ImageInput, Memory, MemorySpec, Source
from s2s.recipe.sides import CnnEncoderOptions

GROUPS = 8  # of GroupNorm, or fewer where they do not divide the channels


class CnnEncoder(Encoder):
    """Stages of residual blocks (He et al. 2016), each of which halves height and width.

    Without stages, the input is the grid: features that another network has computed.

    A projection gives the states their size D, and learned embeddings of row and column tell the cells of the grid
    apart. The summary is the mean of the states, so M = D.
    """

    def __init__(self, options: CnnEncoderOptions, dropout: float) -> None:
        super().__init__()
        D, (h, w) = options.hidden_size, options.grid
        self.spec = MemorySpec(states=D, summary=D)
        self.grid = (h, w)
        self.reads_pixels = bool(options.channels)
        sizes = [options.input_channels, *options.channels]
        self.stages = nn.Sequential(
            *(
                nn.Sequential(
                    _convolution(options.norm, sizes[stage], channels, stride=2),
                    nn.ReLU(),
                    *(ResidualBlock(options.norm, channels) for _ in range(blocks)),
                )
                for stage, (channels, blocks) in enumerate(zip(options.channels, options.blocks, strict=True))
            )
        )
        self.projection = nn.Conv2d(sizes[-1], D, kernel_size=1)
        self.row_embedding = nn.Parameter(torch.empty(h, 1, D))
        self.column_embedding = nn.Parameter(torch.empty(1, w, D))
        self.dropout = Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the embeddings of rows and columns anew."""
        for embedding in (self.row_embedding, self.column_embedding):
            nn.init.normal_(embedding, std=embedding.shape[-1] ** -0.5)

    def forward(self, source: Source) -> Memory:
        """Encode B images: pixels or features [B, C, height, width] -> states [B, h · w, D], summary [B, D]."""
        assert isinstance(source, ImageInput)
        kind = autocast_device(source.pixels)
        in_bf16 = torch.is_autocast_enabled(kind) and tuning(source.pixels.device.type).bf16_convolutions
        with torch.autocast(kind, torch.bfloat16, enabled=in_bf16):
            numbers = source.pixels.float()
            features = self.projection(self.stages(numbers / 127.5 - 1 if self.reads_pixels else numbers))
        if features.shape[2:] != self.grid:
            features = F.adaptive_avg_pool2d(features, self.grid)
        positions = (self.row_embedding + self.column_embedding).flatten(0, 1)
        states = torch.relu(features).flatten(2).transpose(1, 2) + positions
        return Memory(
            states=self.dropout(states),
            mask=torch.ones(states.shape[:2], dtype=torch.bool, device=states.device),
            summary=self.dropout(states.mean(1)),
            grid=self.grid,
        )


class ResidualBlock(nn.Module):
    """relu(x + F(x)), where F is two convolutions with a normalization each (He et al. 2016, equation 1)."""

    def __init__(self, norm: str, channels: int) -> None:
        super().__init__()
        self.first = _convolution(norm, channels, channels)
        self.second = _convolution(norm, channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Transform features [B, C, ...]."""
        return torch.relu(x + self.second(torch.relu(self.first(x))))


def _convolution(norm: str, inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """Return a 3 × 3 convolution, normalized by batch (Ioffe and Szegedy 2015) or by group (Wu and He 2018)."""
    convolution = nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
    if norm == "batch":
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs))
    groups = next(groups for groups in range(GROUPS, 0, -1) if outputs % groups == 0)
    return nn.Sequential(convolution, nn.GroupNorm(groups, outputs))
