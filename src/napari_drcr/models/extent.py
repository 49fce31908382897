"""How far the parts of a network look: some pixels, the whole image through a few numbers, or the whole image pixel by pixel.

Networks are written as usual, from the modules and functions of torch. Whatever looks at the whole image is one of the modules here, so
that `napari_drcr.models.graph` can find it and run the rest in pieces.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

Gathered = tuple[Tensor, ...]
"""What a `Statistic` knows of some pixels."""


class Local(nn.Module):
    """A part of a network that looks `radius` pixels around each pixel, and is not taken apart.

    Derive from it what tensors are reshaped in. Its arguments are maps (batch, channels, y, x), or results of statistics; it gives a map of
    the same height and width.

    Attributes
    ----------
    radius : int
        In pixels of its maps.
    """

    radius: int = 0


class Statistic(nn.Module):
    """A few numbers about a whole image, from sums that can be gathered piece by piece.

    Its arguments are maps (batch, channels, y, x) of one size. A subclass says what is gathered from a piece and what follows from all.
    """

    def forward(self, *maps: Tensor) -> Tensor:
        """The statistic of whole images.

        Parameters
        ----------
        *maps : Tensor, shape (batch, channels, y, x)

        Returns
        -------
        Tensor
            Its first axis is the batch.
        """
        return self.settle(self.gather(*maps), maps[0].shape[-2] * maps[0].shape[-1]).to(maps[0])

    def gather(self, *maps: Tensor) -> Gathered:
        """What a piece contributes.

        Parameters
        ----------
        *maps : Tensor, shape (batch, channels, y, x)
            The piece.

        Returns
        -------
        tuple of Tensor
            In float32 or better.
        """
        raise NotImplementedError

    def merge(self, one: Gathered, other: Gathered) -> Gathered:
        """What two pieces contribute together; here, the sums.

        Parameters
        ----------
        one, other : tuple of Tensor
            From `gather` or `merge`.

        Returns
        -------
        tuple of Tensor
        """
        return tuple(a + b for a, b in zip(one, other, strict=True))

    def settle(self, gathered: Gathered, pixels: int) -> Tensor:
        """The statistic, from what all pieces contributed.

        Parameters
        ----------
        gathered : tuple of Tensor
            Of the whole image.
        pixels : int
            How many the maps have.

        Returns
        -------
        Tensor
        """
        raise NotImplementedError


class Mean(Statistic):
    """The mean of every channel: (batch, C, y, x) to (batch, C, 1, 1)."""

    def gather(self, *maps: Tensor) -> Gathered:
        """See `Statistic.gather`."""
        return (maps[0].sum(dim=(2, 3), keepdim=True, dtype=torch.promote_types(maps[0].dtype, torch.float32)),)

    def settle(self, gathered: Gathered, pixels: int) -> Tensor:
        """See `Statistic.settle`."""
        return gathered[0] / pixels


class Maximum(Statistic):
    """The maximum of every channel: (batch, C, y, x) to (batch, C, 1, 1)."""

    def gather(self, *maps: Tensor) -> Gathered:
        """See `Statistic.gather`."""
        return (maps[0].amax(dim=(2, 3), keepdim=True),)

    def merge(self, one: Gathered, other: Gathered) -> Gathered:
        """The larger ones."""
        return (torch.maximum(one[0], other[0]),)

    def settle(self, gathered: Gathered, pixels: int) -> Tensor:
        """See `Statistic.settle`."""
        return gathered[0]


class SoftmaxMean(Statistic):
    """The mean of every channel, weighted by the softmax of scores over all pixels.

    Scores (batch, 1, y, x) and maps (batch, C, y, x) to (batch, C, 1, 1). The largest score travels along, so that no exponential
    overflows.
    """

    def gather(self, *maps: Tensor) -> Gathered:
        """See `Statistic.gather`."""
        scores, values = (each.to(torch.promote_types(each.dtype, torch.float32)) for each in maps)
        largest = scores.amax(dim=(2, 3), keepdim=True)
        weights = (scores - largest).exp()
        # A matrix product in place of a product as large as the maps.
        weighted = torch.einsum("bcyx,byx->bc", values, weights[:, 0])[:, :, None, None]
        return largest, weights.sum(dim=(2, 3), keepdim=True), weighted

    def merge(self, one: Gathered, other: Gathered) -> Gathered:
        """Sums, brought to the larger of both maxima."""
        largest = torch.maximum(one[0], other[0])
        first, second = (one[0] - largest).exp(), (other[0] - largest).exp()
        return largest, first * one[1] + second * other[1], first * one[2] + second * other[2]

    def settle(self, gathered: Gathered, pixels: int) -> Tensor:
        """See `Statistic.settle`."""
        return gathered[2] / gathered[1]


class CosineGram(Statistic):
    """The cosine between every two channels of two maps, head by head.

    Two maps (batch, C, y, x), say keys and queries, to (batch, heads, C/heads, C/heads); entry (i, j) belongs to channel i of the first
    and j of the second. Norms over all pixels are at least 1e-12.

    Parameters
    ----------
    heads : int
        Into which the channels are split, one head after the other.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def gather(self, *maps: Tensor) -> Gathered:
        """See `Statistic.gather`."""
        first, second = (_split(each.to(torch.promote_types(each.dtype, torch.float32)), self.heads) for each in maps)
        return first @ second.mT, first.square().sum(dim=-1), second.square().sum(dim=-1)

    def settle(self, gathered: Gathered, pixels: int) -> Tensor:
        """See `Statistic.settle`."""
        products, first, second = gathered
        norms = [square.sqrt().clamp_min(1e-12) for square in (first, second)]
        return products / (norms[0][..., :, None] * norms[1][..., None, :])


def _split(values: Tensor, heads: int) -> Tensor:
    """(batch, C, y, x) to (batch, heads, C / heads, y x)."""
    batch, channels, height, width = values.shape
    return values.reshape(batch, heads, channels // heads, height * width)


class WholeMap(nn.Module):
    """A part of a network that needs every pixel of its maps at once, and gives a map of their height and width.

    Its maps should have few channels, since all of them are kept. Its result is computed in parts, so that it can be stopped.
    """

    def forward(self, *maps: Tensor) -> Tensor:
        """The result for whole maps.

        Parameters
        ----------
        *maps : Tensor, shape (batch, channels, y, x)

        Returns
        -------
        Tensor, shape (batch, channels, y, x)
        """
        raise NotImplementedError

    def parts(self, *maps: Tensor) -> Iterator[tuple[tuple[slice, slice], Tensor]]:
        """The same, some pixels at a time.

        Parameters
        ----------
        *maps : Tensor, shape (batch, channels, y, x)

        Yields
        ------
        tuple of slice
            Rows and columns.
        Tensor
            The result there.
        """
        yield (slice(None), slice(None)), self(*maps)
