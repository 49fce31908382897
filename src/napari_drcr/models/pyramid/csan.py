"""CSAN: branches of several resolutions that are aggregated again and again.

The entry of team AIDAR in Arad et al., "NTIRE 2020 Challenge on Spectral Reconstruction from an RGB Image", CVPRW 2020. Shapes in comments
are (batch, channels, y, x); C is the number of channels of every branch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STAGES = 4


class ResidualDenseBlock(nn.Module):
    """Four convolutions with ReLUs, each seeing the block's input and all results before it, fused by a 1x1 convolution and added.

    Parameters
    ----------
    channels : int
        C.
    growth : int
        Channels of each of the four results.
    """

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(channels + k * growth, growth, 3, padding=1) for k in range(4))
        self.fuse = nn.Conv2d(channels + 4 * growth, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        known = x
        for convolution in self.convolutions:
            known = torch.cat((known, F.relu(convolution(known))), dim=1)
        return x + self.fuse(known)  # type: ignore[no-any-return]


class Enlarge(nn.Module):
    """Bilinear interpolation.

    Parameters
    ----------
    factor : int
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to (batch, C, factor y, factor x)."""
        return F.interpolate(x, scale_factor=self.factor, mode="bilinear", align_corners=False)


class Aggregation(nn.Module):
    """Cross-scale aggregation (CSA): every branch takes in all others, and one of half the coarsest resolution is added.

    Parameters
    ----------
    channels : int
        C.
    branches : int
        How many come in, from the finest.

    Notes
    -----
    Branches are brought to one size, concatenated and fused by a 1x1 convolution; the result is added to the branch of that size, if there
    was one. Strided 3x3 convolutions halve; bilinear interpolation and a 1x1 convolution enlarge.
    """

    def __init__(self, channels: int, branches: int) -> None:
        super().__init__()
        self.resized = nn.ModuleList(
            nn.ModuleList(_resize(channels, target - source) for source in range(branches)) for target in range(branches + 1)
        )
        self.fuse = nn.ModuleList(nn.Conv2d(branches * channels, channels, 1) for _ in range(branches + 1))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps (batch, C, y, x), (batch, C, y/2, x/2) and so on, to as many and a smaller one."""
        results = []
        for target, (resize, fuse) in enumerate(zip(self.resized, self.fuse, strict=True)):
            assert isinstance(resize, nn.ModuleList)
            result = fuse(torch.cat([each(x) for each, x in zip(resize, maps, strict=True)], dim=1))
            results.append(maps[target] + result if target < len(maps) else result)
        return results


def _resize(channels: int, halvings: int) -> nn.Module:
    """To a resolution so many times halved, or doubled if negative."""
    if halvings < 0:
        return nn.Sequential(nn.Conv2d(channels, channels, 1), Enlarge(2**-halvings))
    return nn.Sequential(*(nn.Conv2d(channels, channels, 3, stride=2, padding=1) for _ in range(halvings)))


class CSAN(nn.Module):
    """Cross-scale aggregation network; one more resolution every stage.

    Parameters
    ----------
    bands : int
        Of the cube.
    channels : int
        C.
    growth : int
        See `ResidualDenseBlock`.
    blocks : int
        Residual dense blocks in a group (SRDG).

    Notes
    -----
    Input (batch, 3, y, x) with y and x multiples of 8; output (batch, bands, y, x), not clipped.

    The report gives the structure: a first convolution, four stages of ten groups in parallel branches, an aggregation between stages,
    skips within each level, one global skip, a reconstruction in steps. We chose what it leaves open: that the stages have 1, 2, 3 and 4
    branches, all widths, three blocks of four convolutions a group with a skip around the group, how `Aggregation` resizes and fuses, and
    that the reconstruction goes from coarse to fine, by bilinear interpolation, concatenation and a 3x3 convolution with a ReLU.
    """

    def __init__(self, bands: int = 31, channels: int = 64, growth: int = 32, blocks: int = 3) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.groups = nn.ModuleList(
            nn.ModuleList(nn.Sequential(*(ResidualDenseBlock(channels, growth) for _ in range(blocks))) for _ in range(stage))
            for stage in range(1, STAGES + 1)
        )
        self.aggregations = nn.ModuleList(Aggregation(channels, stage) for stage in range(1, STAGES))
        self.enlarge = Enlarge(2)
        self.reconstruction = nn.ModuleList(nn.Conv2d(2 * channels, channels, 3, padding=1) for _ in range(1, STAGES))
        self.tail = nn.Conv2d(channels, bands, 3, padding=1)

    def forward(self, rgb: Tensor) -> Tensor:
        """Estimate the cube.

        Parameters
        ----------
        rgb : Tensor, shape (batch, 3, y, x)

        Returns
        -------
        Tensor, shape (batch, bands, y, x)
        """
        first = self.head(rgb)
        maps = _grouped(self.groups[0], [first])
        for aggregate, groups in zip(self.aggregations, self.groups[1:], strict=True):
            maps = _grouped(groups, aggregate(maps))
        x = maps.pop()
        for convolution in self.reconstruction:
            x = F.relu(convolution(torch.cat((maps.pop(), self.enlarge(x)), dim=1)))
        return self.tail(x + first)  # type: ignore[no-any-return]


def _grouped(groups: nn.Module, maps: Sequence[Tensor]) -> list[Tensor]:
    """Every branch through its group, with a skip around it."""
    assert isinstance(groups, nn.ModuleList)
    return [x + group(x) for group, x in zip(groups, maps, strict=True)]
