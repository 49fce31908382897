"""What the spectral transformers share: linear layers and norms on pixels, and attention weights put to use."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_drcr.models.extent import Local


class PixelLinear(nn.Linear, Local):
    """A linear layer on the channels of every pixel: (batch, C, y, x) to (batch, D, y, x), its weights (D, C)."""

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class ChannelNorm(nn.LayerNorm, Local):
    """Layer normalisation over the channels of every pixel: (batch, C, y, x) to the same shape."""

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class HeadProduct(Local):
    """Attention weights times values, head by head.

    Maps (batch, C, y, x) and weights (batch, heads, C/heads, C/heads), a row for each channel of the result, to the maps' shape.
    """

    def forward(self, values: Tensor, weights: Tensor) -> Tensor:
        """See the class."""
        split = torch.unflatten(values.movedim(1, -1), -1, weights.shape[1:3])
        return torch.einsum("bhij,byxhj->byxhi", weights, split).flatten(-2).movedim(-1, 1)


def depthwise(channels: int, kernel: int = 3, *, bias: bool = False) -> nn.Conv2d:
    """A convolution of each channel by itself, zero padded.

    Parameters
    ----------
    channels : int
    kernel : int
        Odd side of the filters.
    bias : bool

    Returns
    -------
    torch.nn.Conv2d
    """
    return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=bias)
