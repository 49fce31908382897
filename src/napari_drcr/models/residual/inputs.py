"""What residual networks derive from the image: further input channels, or an estimate that they refine."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_drcr.models.extent import Local, Mean
from napari_drcr.models.residual.frame import convolution

PIXELS = 2**16
"""Of a scene, at most, that the linear estimate is fitted to."""


class LinearEstimate(Local):
    """The linear estimate of a cube from the principal axes of spectra and the response of the camera; fixed, not learned.

    ``A = T' (C T')^-1``, where the rows of T are the first three principal axes of the training spectra, not centred, and C is the response.
    Spectra in the span of T are recovered exactly.

    Parameters
    ----------
    bands : int
        Of the cube.

    Notes
    -----
    The matrix A is a buffer, stored with the parameters, and zero until `fit`.
    """

    matrix: Tensor

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.zeros(bands, 3, 1, 1))

    def forward(self, rgb: Tensor) -> Tensor:
        """(batch, 3, y, x) to (batch, bands, y, x)."""
        return F.conv2d(rgb, self.matrix)

    def fit(self, scenes: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Find the matrix, with the response that fits colours to spectra best in the sense of least squares.

        Parameters
        ----------
        scenes : iterable of (Tensor, Tensor)
            Images (3, y, x) and their cubes (bands, y, x).

        Notes
        -----
        With the sums over pixels S of s s' and X of c s' (spectra s, colours c), the response is ``C = X S^-1``. The axes are eigenvectors
        of S, with eigenvalues L, so ``C T' = X T' L^-1`` and ``A = T' L (X T')^-1``: no ill-conditioned inverse of S is needed.
        """
        bands = len(self.matrix)
        spectra, colours = (torch.zeros(rows, bands, dtype=torch.float64) for rows in (bands, 3))
        for image, cube in scenes:
            step = -(-cube[0].numel() // PIXELS)
            c, s = (each.flatten(1)[:, ::step].double().cpu() for each in (image, cube))
            spectra += s @ s.mT
            colours += c @ s.mT
        values, vectors = torch.linalg.eigh(spectra)
        axes, strengths = vectors[:, -3:], values[-3:]
        matrix = (axes * strengths) @ torch.linalg.pinv(colours @ axes)
        with torch.no_grad():
            self.matrix.copy_(matrix[:, :, None, None])


class NineChannels(nn.Module):
    """The image, the image balanced to a grey mean, and the image with a gamma of 1 / 2.2."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = Mean()

    def forward(self, rgb: Tensor) -> Tensor:
        """(batch, 3, y, x) to (batch, 9, y, x)."""
        means = self.mean(rgb)
        balanced = (rgb * (means.mean(dim=1, keepdim=True) / means.clamp_min(1e-6))).clamp(0, 1)
        return torch.cat([rgb, balanced, rgb.clamp_min(0) ** (1 / 2.2)], dim=1)


class Brightness(nn.Module):
    """One number for every band, from the means of features.

    Parameters
    ----------
    channels : int
        Features.
    bands : int
        Of the cube.
    """

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__()
        self.features = nn.Sequential(convolution(3, channels), nn.ReLU(), convolution(channels, channels), nn.ReLU())
        self.mean = Mean()
        self.last = convolution(channels, bands, 1)

    def forward(self, rgb: Tensor) -> Tensor:
        """(batch, 3, y, x) to (batch, bands, 1, 1)."""
        return self.last(self.mean(self.features(rgb)))  # type: ignore[no-any-return]
