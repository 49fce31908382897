"""Blocks of residual networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_drcr.models.residual.attention import EfficientChannelAttention, PatchAttention
from napari_drcr.models.residual.frame import Padding, convolution


class Block(nn.Module):
    """``x + attention(conv(ReLU(conv(x))))``, perhaps with a ReLU after the sum.

    Parameters
    ----------
    channels : int
        Of its maps.
    attention : torch.nn.Module, optional
        Weights the residual.
    relu_after : bool
        Whether a ReLU follows the sum, as in the ResNet of He et al. 2016; without it, as in EDSR.
    bias : bool
        Whether the convolutions have biases.
    """

    def __init__(
        self, channels: int, attention: nn.Module | None = None, *, relu_after: bool = False, bias: bool = True
    ) -> None:
        super().__init__()
        self.conv1 = convolution(channels, channels, bias=bias)
        self.conv2 = convolution(channels, channels, bias=bias)
        self.attention = attention
        self.relu_after = relu_after

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        residual = self.conv2(torch.relu(self.conv1(x)))
        if self.attention is not None:
            residual = self.attention(residual)
        return torch.relu(residual + x) if self.relu_after else residual + x


class Shift(nn.Module):
    """Adds one learned number, 0 at the start."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        return x + self.bias


class FixupBlock(nn.Module):
    """A residual block without normalisation, which is nothing but a ReLU at the start.

    Zhang, Dauphin and Ma, "Fixup Initialization", ICLR 2019: ``ReLU(scale * conv2(ReLU(conv1(x + b1a) + b1b) + b2a) + b2b + x)``, where
    scale and every b is one number.

    Parameters
    ----------
    channels : int
        Of its maps.
    depth : int
        How many blocks follow one another; the deeper, the smaller the first convolution's weights are at the start.
    padding_mode : {"zeros", "replicate"}
    """

    def __init__(self, channels: int, depth: int, *, padding_mode: Padding = "zeros") -> None:
        super().__init__()
        self.bias1a, self.bias1b, self.bias2a, self.bias2b = Shift(), Shift(), Shift(), Shift()
        self.conv1 = convolution(channels, channels, bias=False, padding_mode=padding_mode)
        self.conv2 = convolution(channels, channels, bias=False, padding_mode=padding_mode)
        self.scale = nn.Parameter(torch.ones(1))
        nn.init.normal_(self.conv1.weight, std=(2 / (9 * channels) / depth) ** 0.5)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        y = torch.relu(self.bias1b(self.conv1(self.bias1a(x))))
        y = self.conv2(self.bias2a(y))
        return torch.relu(self.bias2b(self.scale * y) + x)


class DualAttentionBlock(nn.Module):
    """The block of RDAN: attention to patches beside attention to channels, then a pyramid of growing groups.

    ``y = x + patches(z) + channels(z)`` with ``z = conv(PReLU(conv(x)))``; the output is ``x + pyramid(PReLU(y))``.

    Parameters
    ----------
    channels : int
        Of its maps, a multiple of 8.
    patch : int
        Side of a patch in pixels.
    """

    def __init__(self, channels: int, patch: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(convolution(channels, channels), nn.PReLU(), convolution(channels, channels))
        self.patches = PatchAttention(channels, patch)
        self.channels = EfficientChannelAttention()
        self.activation = nn.PReLU()
        self.pyramid = Pyramid(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        z = self.convs(x)
        y = x + self.patches(z) + self.channels(z)
        return x + self.pyramid(self.activation(y))  # type: ignore[no-any-return]


class Pyramid(nn.Module):
    """Channels in four groups; the convolution of each also sees the results of those before it (after Res2Net).

    Parameters
    ----------
    channels : int
        A multiple of 4.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = channels // 4
        self.convs = nn.ModuleList(convolution((group + 1) * width, width) for group in range(4))
        self.fuse = convolution(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        groups = torch.chunk(x, 4, dim=1)
        results: list[Tensor] = []
        for group, conv in enumerate(self.convs):
            results.append(conv(torch.cat([groups[group], *results], dim=1)))
        return self.fuse(torch.cat(results, dim=1))  # type: ignore[no-any-return]
