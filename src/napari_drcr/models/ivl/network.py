"""The modules of IVL's networks. Shapes in comments are (batch, channels, y, x); F is `FEATURES`."""

from __future__ import annotations

from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_drcr.models.extent import Gathered, Local, Statistic, WholeMap
from napari_drcr.models.ivl.squeezenet import SqueezeNet

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FEATURES = 3 * (2 + len(QUANTILES)) + 1
"""Numbers that describe an image."""
BINS = 1024
"""Of a histogram over the square roots of 0 to 1, which is finer in the dark."""
DARKEST = 1e-6
SIDE = 256
"""Of the image that the factor is estimated from, in pixels."""


class ColourStatistics(Statistic):
    """What an image looks like, in a few numbers: (batch, 3, y, x) to (batch, F).

    Of every channel, divided by the maximum of the image: mean, standard deviation and five quantiles; then the logarithm of the mean
    brightness before the division. Quantiles cannot be added up piece by piece, histograms can: they are as fine as `BINS`.
    """

    def gather(self, *maps: Tensor) -> Gathered:
        """See `Statistic.gather`: histogram, sums, sums of squares and maximum."""
        rgb = maps[0].detach()
        values = rgb.to(torch.promote_types(rgb.dtype, torch.float32)).flatten(2)
        places = (values.clamp(0, 1).sqrt() * BINS).long().clamp_max(BINS - 1)
        counts = torch.zeros((*values.shape[:2], BINS), dtype=torch.int64, device=values.device)
        counts.scatter_add_(2, places, torch.ones_like(places))
        return counts, values.sum(dim=2), values.square().sum(dim=2), values.amax(dim=(1, 2))

    def merge(self, one: Gathered, other: Gathered) -> Gathered:
        """Sums, and the larger maximum."""
        return *super().merge(one[:-1], other[:-1]), torch.maximum(one[-1], other[-1])

    def settle(self, gathered: Gathered, pixels: int) -> Tensor:
        """See `Statistic.settle`."""
        counts, sums, squares, largest = gathered
        means = sums / pixels
        deviations = (squares / pixels - means.square()).clamp_min(0).sqrt()
        below = counts.long().cumsum(dim=2)
        # As many bins are below a quantile as have fewer pixels up to them than it asks for.
        bins = torch.stack([(below < ceil(share * pixels)).sum(dim=2) for share in QUANTILES], dim=2)
        quantiles = ((bins + 0.5) / BINS).square()
        relative = torch.cat([means[..., None], deviations[..., None], quantiles.to(means)], dim=2)
        relative = relative / largest.clamp_min(DARKEST)[:, None, None]
        brightness = means.mean(dim=1, keepdim=True).clamp_min(DARKEST).log()
        return torch.cat([relative.flatten(1), brightness], dim=1)


class Retrieval(Local):
    """The element-wise median of the matrices of the training scenes that an image looks most like: (batch, F) to (batch, bands, 3).

    Until `fill` is called, every scene looks the same.

    Parameters
    ----------
    bands : int
        Of the cubes.
    scenes : int
        How many are kept.
    neighbours : int
        How many the median is taken of.

    Notes
    -----
    The median gives its gradient to the matrix that it took an entry from. Of an even number, it takes the lower of the two in the middle.
    """

    def __init__(self, bands: int, scenes: int, neighbours: int) -> None:
        super().__init__()
        if neighbours > scenes:
            raise ValueError(f"there are no {neighbours} neighbours among {scenes} scenes.")
        self.neighbours = neighbours
        self.matrices = nn.Parameter(torch.empty(scenes, bands, 3).uniform_(0, 2 / 3))
        self.register_buffer("looks", torch.zeros(scenes, FEATURES))
        self.register_buffer("known", torch.ones(scenes))
        self.register_buffer("centre", torch.zeros(FEATURES))
        self.register_buffer("spread", torch.ones(FEATURES))

    def fill(self, matrices: Tensor, statistics: Tensor) -> None:
        """Take over training scenes, evenly chosen where there are more than places.

        Parameters
        ----------
        matrices : Tensor, shape (scenes, bands, 3)
            From RGB to spectra, of each scene.
        statistics : Tensor, shape (scenes, F)
            Of each scene's image.
        """
        centre, spread = statistics.mean(dim=0), statistics.std(dim=0, correction=0)
        spread = torch.where(spread > DARKEST, spread, 1.0)
        places = len(self.matrices)
        if len(matrices) > places:
            chosen = torch.linspace(0, len(matrices) - 1, places, dtype=torch.float64).round().long()
            matrices, statistics = matrices[chosen], statistics[chosen]
        count = len(matrices)
        with torch.no_grad():
            self.matrices.zero_()[:count] = matrices.to(self.matrices)
        for name, values in (("centre", centre), ("spread", spread)):
            self.get_buffer(name).copy_(values)
        self.get_buffer("looks").zero_()[:count] = ((statistics - centre) / spread).to(self.get_buffer("looks"))
        self.get_buffer("known").zero_()[:count] = 1

    def forward(self, statistics: Tensor) -> Tensor:
        """The matrices for images."""
        known = self.get_buffer("known") > 0
        looks = (statistics - self.get_buffer("centre")) / self.get_buffer("spread")
        distances = (looks[:, None] - self.get_buffer("looks")).square().sum(dim=2)
        nearest = distances.masked_fill(~known, torch.inf).topk(self.neighbours, largest=False).indices
        found = self.matrices[nearest].masked_fill(~known[nearest][..., None, None], torch.nan)
        return found.nanmedian(dim=1).values


class Product(Local):
    """A matrix on every pixel: (batch, 3, y, x) and (batch, bands, 3) to (batch, bands, y, x)."""

    def forward(self, rgb: Tensor, matrix: Tensor) -> Tensor:
        """Of the size of the image."""
        return torch.einsum("bcyx,bnc->bnyx", rgb, matrix)


class Fast(nn.Module):
    """One matrix for the whole image, from RGB to spectra.

    IVL, "Fast" in: Arad et al., "NTIRE 2022 Spectral Recovery Challenge and Data Set", CVPRW 2022.

    Parameters
    ----------
    bands, scenes, neighbours : int
        As for `Retrieval`.
    """

    def __init__(self, bands: int = 31, scenes: int = 64, neighbours: int = 15) -> None:
        super().__init__()
        self.statistics = ColourStatistics()
        self.retrieval = Retrieval(bands, scenes, neighbours)
        self.product = Product()

    def forward(self, rgb: Tensor) -> Tensor:
        """(batch, 3, y, x) to (batch, bands, y, x), not clipped."""
        cube: Tensor = self.product(rgb, self.retrieval(self.statistics(rgb)))
        return cube


class Factor(WholeMap):
    """A factor for the image, by SqueezeNet: (batch, 3, y, x) to (batch, 1, y, x), the same at every pixel.

    SqueezeNet sees the image at a fixed size, divided by its maximum. Where the pixels of that size come from follows from the size of the whole
    image, so it is no `Statistic`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.squeezenet = SqueezeNet()

    def forward(self, *maps: Tensor) -> Tensor:
        """See `WholeMap.forward`."""
        rgb = maps[0]
        largest = rgb.amax(dim=(1, 2, 3), keepdim=True).clamp_min(DARKEST)
        small = F.interpolate(rgb, size=(SIDE, SIDE), mode="bilinear", align_corners=False) / largest
        factor: Tensor = self.squeezenet(small)
        return factor[:, :, None, None].expand(-1, -1, *rgb.shape[-2:])


class Squeeze(nn.Module):
    """`Fast`, times a factor of the image.

    Parameters
    ----------
    bands, scenes, neighbours : int
        As for `Fast`.
    share : float
        Of the estimate with the factor; the rest is that of `Fast` alone. Fast-n-Squeeze takes the mean of both, 0.5.
    """

    def __init__(self, bands: int = 31, scenes: int = 64, neighbours: int = 15, *, share: float = 1.0) -> None:
        super().__init__()
        self.fast = Fast(bands, scenes, neighbours)
        self.factor = Factor()
        self.share = share

    def forward(self, rgb: Tensor) -> Tensor:
        """(batch, 3, y, x) to (batch, bands, y, x), not clipped."""
        cube: Tensor = self.fast(rgb) * (self.factor(rgb) * self.share + (1 - self.share))
        return cube


def matrix_of(rgb: Tensor, cube: Tensor) -> Tensor:
    """The matrix that takes a scene's RGB to its spectra with the least squared error: the cube times the pseudo-inverse of its image.

    Parameters
    ----------
    rgb : Tensor, shape (3, y, x)
    cube : Tensor, shape (bands, y, x)

    Returns
    -------
    Tensor, shape (bands, 3)
        float64.
    """
    pixels, spectra = (values.flatten(1).double() for values in (rgb, cube))
    inverse: Tensor = torch.linalg.pinv(pixels @ pixels.T, hermitian=True)
    return spectra @ pixels.T @ inverse
