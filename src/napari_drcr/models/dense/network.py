"""The modules of HSCNN-D and of the networks derived from it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Paths(nn.Module):
    """Two paths side by side, each a convolution 3x3 and one 1x1 that follows it, all with a ReLU.

    Parameters
    ----------
    channels : int
        Of the input.
    wide, point : int
        Channels that a convolution 3x3, and one 1x1, ends with.
    bias : bool
        Whether convolutions have one.
    """

    def __init__(self, channels: int, wide: int, point: int, *, bias: bool) -> None:
        super().__init__()
        self.wide1 = nn.Conv2d(channels, wide, 3, padding=1, bias=bias)
        self.point1 = nn.Conv2d(wide, point, 1, bias=bias)
        self.wide2 = nn.Conv2d(channels, wide, 3, padding=1, bias=bias)
        self.point2 = nn.Conv2d(wide, point, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """What both paths give in between and at their ends: (batch, channels, y, x) to (batch, 2 wide + 2 point, y, x)."""
        first = F.relu(self.wide1(x))
        second = F.relu(self.wide2(x))
        return torch.cat((first, F.relu(self.point1(first)), second, F.relu(self.point2(second))), dim=1)


class DenseBlock(Paths):
    """Appends channels to a map: it is narrowed by a convolution 1x1, taken along two `Paths`, and what they give is fused by another.

    Parameters
    ----------
    channels : int
        Of the input.
    growth : int
        Channels that are appended; the paths have as many, and half as many at their ends.
    bias : bool
        Whether convolutions have one.
    """

    def __init__(self, channels: int, growth: int, *, bias: bool) -> None:
        super().__init__(4 * growth, growth, growth // 2, bias=bias)
        self.narrow = nn.Conv2d(channels, 4 * growth, 1, bias=bias)
        self.fuse = nn.Conv2d(2 * growth + 2 * (growth // 2), growth, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, y, x) to (batch, channels + growth, y, x)."""
        paths = super().forward(F.relu(self.narrow(x)))
        return torch.cat((x, F.relu(self.fuse(paths))), dim=1)


def dense_blocks(channels: int, growth: int, count: int, *, bias: bool) -> nn.Sequential:
    """Dense blocks that follow one another.

    Parameters
    ----------
    channels : int
        Of the first one's input.
    growth : int
        Channels that each appends.
    count : int
        How many.
    bias : bool
        Whether convolutions have one.

    Returns
    -------
    torch.nn.Sequential
    """
    return nn.Sequential(*(DenseBlock(channels + number * growth, growth, bias=bias) for number in range(count)))


class Branch(nn.Module):
    """Two `Paths` from the image, and dense blocks: (batch, 3, y, x) to (batch, (4 + blocks) growth, y, x).

    Parameters
    ----------
    growth : int
        Channels that a block appends; the paths have as many.
    blocks : int
        How many.
    bias : bool
        Whether convolutions have one.
    """

    def __init__(self, growth: int, blocks: int, *, bias: bool) -> None:
        super().__init__()
        self.start = Paths(3, growth, growth, bias=bias)
        self.blocks = dense_blocks(4 * growth, growth, blocks, bias=bias)

    def forward(self, rgb: Tensor) -> Tensor:
        """Features of the image, all of them joined."""
        return self.blocks(self.start(rgb))  # type: ignore[no-any-return]


class DenseNetwork(nn.Module):
    """Branches of dense blocks side by side, perhaps more dense blocks over all of them, and a convolution 1x1 to the bands.

    Shi et al., "HSCNN+: Advanced CNN-Based Hyperspectral Recovery from RGB Images", CVPR Workshops 2018.

    Parameters
    ----------
    bands : int
        Bands of the cube.
    growth : int
        Channels that a block appends; a branch starts with four times as many.
    blocks : int
        In each branch.
    branches : int
        Side by side.
    fusion : int
        Blocks over the branches.
    bias : bool
        Whether convolutions have one.

    Notes
    -----
    Input (batch, 3, y, x); output (batch, bands, y, x), not clipped.
    """

    def __init__(self, bands: int, growth: int, blocks: int, *, branches: int = 1, fusion: int = 0, bias: bool = True) -> None:
        super().__init__()
        self.branches = nn.ModuleList(Branch(growth, blocks, bias=bias) for _ in range(branches))
        joined = branches * (4 + blocks) * growth
        self.fusion = dense_blocks(joined, growth, fusion, bias=bias)
        self.output = nn.Conv2d(joined + fusion * growth, bands, 1, bias=bias)

    def forward(self, rgb: Tensor) -> Tensor:
        """Estimate the cube: (batch, 3, y, x) to (batch, bands, y, x)."""
        joined = torch.cat([branch(rgb) for branch in self.branches], dim=1)
        return self.output(self.fusion(joined))  # type: ignore[no-any-return]


def start_as_published(network: DenseNetwork) -> None:
    """Give a network the random weights that HSCNN-D starts from.

    Parameters
    ----------
    network : DenseNetwork
        Changed in place: He normal, and normal with a standard deviation of 0.001, cut at two of them, in the last convolution.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    nn.init.trunc_normal_(network.output.weight, std=0.001, a=-0.002, b=0.002)
