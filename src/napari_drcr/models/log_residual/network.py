"""The modules of the log-residual network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from napari_drcr.cubes.colorimetry import LUMINANCE
from napari_drcr.models.extent import Local

DARKEST = 1e-4
"""Linear light below which colours look alike, and which no estimate goes below; the darkest grey of 8-bit sRGB is three times as bright."""
FLOOR = 0.01
"""True values below it count in the fit as if they were this bright, as in MRAE@0.01."""
PIXELS = 2**14
"""Of a scene, at most, that the classical estimate is fitted to."""


class ClassicalEstimate(Local):
    """Features of the colour of a pixel times a table, at least `DARKEST`.

    The features are R, G, B and, for "polynomial", the roots of their products: Finlayson, Mackiewicz and Hurlbert, "Color Correction Using
    Root-Polynomial Regression", IEEE Transactions on Image Processing 2015, second order.

    Parameters
    ----------
    bands : int
        Of the cube.
    kind : {"polynomial", "linear"}
        Which features.

    Notes
    -----
    The table is learned; until `fit`, it takes the mean of R, G and B for every band.
    """

    def __init__(self, bands: int, kind: Literal["polynomial", "linear"]) -> None:
        super().__init__()
        self.kind = kind
        self.table = nn.Conv2d(6 if kind == "polynomial" else 3, bands, 1, bias=False)
        nn.init.zeros_(self.table.weight)
        nn.init.constant_(self.table.weight[:, :3], 1 / 3)

    def features(self, rgb: Tensor) -> Tensor:
        """What the table takes.

        Parameters
        ----------
        rgb : Tensor, shape (batch, 3, y, x)
            Linear light, 1 is white.

        Returns
        -------
        Tensor, shape (batch, 3 or 6, y, x)
            R, G, B, perhaps the roots of RG, GB and BR.
        """
        if self.kind == "linear":
            return rgb
        rgb = rgb.clamp_min(0)
        # At zero the slope of the root is infinite.
        roots = (rgb * rgb.roll(-1, dims=1)).clamp_min(1e-12).sqrt()
        return torch.cat([rgb, roots], dim=1)

    def forward(self, rgb: Tensor) -> Tensor:
        """(batch, 3, y, x) to (batch, bands, y, x)."""
        return self.table(self.features(rgb)).clamp_min(DARKEST)  # type: ignore[no-any-return]

    def fit(self, scenes: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Find the table that minimises the squared relative error, band by band.

        Parameters
        ----------
        scenes : iterable of (Tensor, Tensor)
            Images (3, y, x) and their cubes (bands, y, x). Of each, evenly chosen pixels.

        Notes
        -----
        With features f and the true value t, the error is the sum over pixels of ``((table f - t) / max(t, FLOOR))^2``. Of each scene only the
        normal equations are kept. Where features are not independent, as in grey scenes, the smallest table is taken.
        """
        bands, count = self.table.weight.shape[:2]
        products = torch.zeros(bands, count, count, dtype=torch.float64)
        targets = torch.zeros(bands, count, dtype=torch.float64)
        for rgb, cube in scenes:
            step = -(-cube[0].numel() // PIXELS)
            pixels, truth = (each.flatten(1)[:, ::step].double().cpu() for each in (rgb, cube))
            features = self.features(pixels[None, :, None])[0, :, 0]
            weights = truth.clamp_min(FLOOR) ** -2
            products += torch.einsum("bn,ijn->bij", weights, features[:, None] * features)
            targets += (weights * truth) @ features.mT
        table = torch.linalg.pinv(products, rtol=1e-9, hermitian=True) @ targets[:, :, None]
        with torch.no_grad():
            self.table.weight.copy_(table[..., None])


class ColourChannels(Local):
    """The cube roots of R, G and B, their shares of R + G + B, and the decimal logarithm of the luminance.

    Every colour is at least `DARKEST`, so that black is a neutral colour with finite values.
    """

    luminance: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("luminance", torch.tensor(LUMINANCE)[:, None, None], persistent=False)

    def forward(self, rgb: Tensor) -> Tensor:
        """(batch, 3, y, x) to (batch, 7, y, x)."""
        light = rgb.clamp_min(DARKEST)
        shares = light / light.sum(dim=1, keepdim=True)
        luminance = (light * self.luminance).sum(dim=1, keepdim=True)
        return torch.cat([light ** (1 / 3), shares, luminance.log10()], dim=1)


class Block(nn.Module):
    """``x + conv2(leaky ReLU(conv1(x)))``, with a slope of 0.1 below zero.

    Parameters
    ----------
    channels : int
        Of its maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = nn.LeakyReLU(0.1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        return x + self.conv2(self.activation(self.conv1(x)))  # type: ignore[no-any-return]


class LogResidualNet(nn.Module):
    """``start(rgb) * exp(tail(body(head(colours(rgb)))))``.

    The residual is the logarithm of the ratio of the estimate to the classical one, so the estimate is positive. The last convolution
    starts at zero, and the network at the classical estimate.

    Parameters
    ----------
    bands : int
        Of the cube.
    channels : int
        Of every feature map.
    blocks : int
        How many follow one another; the network looks 2 pixels further than twice as many.
    start : {"polynomial", "linear"}
        See `ClassicalEstimate`.
    """

    def __init__(self, bands: int, channels: int, blocks: int, start: Literal["polynomial", "linear"]) -> None:
        super().__init__()
        self.start = ClassicalEstimate(bands, start)
        self.colours = ColourChannels()
        self.head = nn.Conv2d(7, channels, 3, padding=1)
        self.body = nn.Sequential(*(Block(channels) for _ in range(blocks)))
        self.tail = nn.Conv2d(channels, bands, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]

    def forward(self, rgb: Tensor) -> Tensor:
        """Estimate a cube.

        Parameters
        ----------
        rgb : Tensor, shape (batch, 3, y, x)
            Linear light, 1 is white.

        Returns
        -------
        Tensor, shape (batch, bands, y, x)
            Positive, not clipped above.
        """
        residual = self.tail(self.body(self.head(self.colours(rgb))))
        return self.start(rgb) * torch.exp(residual)  # type: ignore[no-any-return]
