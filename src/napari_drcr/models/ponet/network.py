"""PoNet+, read from top to bottom.

He et al., "Spectral Response Function-Guided Deep Optimization-Driven Network for Spectral Super-Resolution", IEEE TNNLS 2022: HSRnet, as it
was entered in NTIRE 2022 under the name PoNet+.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from napari_drcr.models.extent import Maximum, Mean

GROUPS = (6, 16)
"""Of 31 bands, where those that follow blue end and where those that follow green end; red has the rest."""


class PoNet(nn.Module):
    """Estimate a spectral cube from an RGB image.

    Parameters
    ----------
    bands : int
        Bands of the cube, by ascending wavelength.
    stages : int
        Steps of the optimisation (8 in the challenge).
    channels : int
        Hidden channels of a stage's prior (128 in the challenge).
    differences : {"signed", "absolute"}
        Between red and green, and between green and blue, which the first layer takes beside the RGB.

    Notes
    -----
    Input (batch, 3, y, x), output (batch, bands, y, x), not clipped. As entered it has 682,610 parameters. For other than 31 bands it is our
    assumption that the three groups of bands keep their shares.
    """

    def __init__(
        self,
        bands: int = 31,
        stages: int = 8,
        channels: int = 128,
        *,
        differences: Literal["signed", "absolute"] = "signed",
    ) -> None:
        super().__init__()
        self.absolute = differences == "absolute"
        ends = [0, *(round(end * bands / 31) for end in GROUPS), bands]
        sizes = (after - before for before, after in pairwise(ends))
        self.groups = nn.ModuleList(
            nn.Sequential(_convolution(5, size, 3), nn.LeakyReLU(), _convolution(size, size, 1), nn.LeakyReLU())
            for size in sizes
            if size
        )
        self.stages = nn.ModuleList(Stage(bands, channels) for _ in range(stages))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, rgb: Tensor) -> Tensor:
        """Estimate the cube: (batch, 3, y, x) to (batch, bands, y, x)."""
        red, green, blue = rgb[:, 0:1], rgb[:, 1:2], rgb[:, 2:3]
        differences = torch.cat((red - green, green - blue), dim=1)
        if self.absolute:
            differences = torch.abs(differences)
        spread = torch.cat((red, differences[:, 0:1], green, differences[:, 1:2], blue), dim=1)
        first = torch.cat([group(spread) for group in self.groups], dim=1)
        cube = first
        for stage in self.stages:
            cube = stage(cube, first)
        return cube


def _convolution(channels_in: int, channels_out: int, side: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, side, padding=side // 2, padding_mode="replicate")


class Stage(nn.Module):
    """One step of the optimisation: the gradient, the data and the prior, the latter two weighted band by band.

    Parameters
    ----------
    bands : int
        Bands of the cube.
    channels : int
        See `PoNet`.

    Notes
    -----
    With f_0 for what the first layers give, and f_k for the k-th stage::

        f_k = conv(f_{k-1}) + data_weight(f_{k-1}) f_0 + prior_weight(f_{k-1}) prior(f_{k-1})
    """

    def __init__(self, bands: int, channels: int) -> None:
        super().__init__()
        self.gradient = nn.Sequential(_convolution(bands, bands, 3), nn.LeakyReLU())
        self.data_weight = Weight(bands)
        self.prior = Prior(bands, channels)
        self.prior_weight = Weight(bands)

    def forward(self, cube: Tensor, first: Tensor) -> Tensor:
        """f_{k-1} and f_0, both (batch, bands, y, x), to f_k."""
        step: Tensor = self.gradient(cube) + first * self.data_weight(cube) + self.prior(cube) * self.prior_weight(cube)
        return step


class Prior(nn.Module):
    """What is known of spectra: a residual block and a last layer.

    Parameters
    ----------
    bands : int
        Bands of the cube.
    channels : int
        Hidden channels.
    """

    def __init__(self, bands: int, channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _convolution(bands, channels, 3), nn.LeakyReLU(0.2), nn.Conv2d(channels, bands, 3, padding=1)
        )
        self.activation = nn.LeakyReLU()
        self.last = nn.Sequential(_convolution(bands, bands, 1), nn.LeakyReLU(0.2))

    def forward(self, cube: Tensor) -> Tensor:
        """(batch, bands, y, x) to the same shape."""
        return self.last(self.activation(cube + self.residual(cube)))  # type: ignore[no-any-return]


class Weight(nn.Module):
    """A weight of every band, from the mean and the maximum of each band.

    Parameters
    ----------
    bands : int
        Bands of the cube.
    """

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.mean, self.maximum = Mean(), Maximum()
        self.shared = nn.Sequential(
            nn.Conv2d(bands, bands, 1, bias=False), nn.LeakyReLU(), nn.Conv2d(bands, bands, 1, bias=False)
        )

    def forward(self, cube: Tensor) -> Tensor:
        """(batch, bands, y, x) to (batch, bands, 1, 1), in (0, 1)."""
        return torch.sigmoid(self.shared(self.mean(cube)) + self.shared(self.maximum(cube)))
