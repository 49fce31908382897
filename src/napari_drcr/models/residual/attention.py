"""Attention to channels, pixels, patches and layers; each takes maps and gives maps of the same shape."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_drcr.models.extent import Gathered, Local, Mean, Statistic, WholeMap
from napari_drcr.models.residual.frame import convolution


class ChannelAttention(nn.Module):
    """A factor for every channel, from the means of all channels: squeeze and excitation.

    Parameters
    ----------
    channels : int
        Of the maps.
    reduction : int
        By which the channels are narrowed in between.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        narrow = channels // reduction
        self.mean = Mean()
        self.gate = nn.Sequential(convolution(channels, narrow, 1), nn.ReLU(), convolution(narrow, channels, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        return x * self.gate(self.mean(x))  # type: ignore[no-any-return]


class EfficientChannelAttention(nn.Module):
    """A factor for every channel, from its mean and those of its two neighbours (ECA; Wang et al., CVPR 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = Mean()
        self.conv = nn.Conv2d(1, 1, (3, 1), padding=(1, 0), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        row_of_means = self.mean(x).transpose(1, 2)  # (batch, 1, C, 1)
        return x * torch.sigmoid(self.conv(row_of_means)).transpose(1, 2)


class SpatialAttention(nn.Module):
    """A factor for every pixel, from the mean and the maximum of its channels (CBAM; Woo et al., ECCV 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = convolution(2, 1, 7, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        return x * torch.sigmoid(self.conv(torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)))


class PixelAttention(nn.Module):
    """A factor for every channel of every pixel, from the channels of that pixel.

    Parameters
    ----------
    channels : int
        Of the maps.
    bias : bool
        Whether the convolutions have biases.
    """

    def __init__(self, channels: int, *, bias: bool = True) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            convolution(channels, channels, 1, bias=bias),
            nn.ReLU(),
            convolution(channels, channels, 1, bias=bias),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        return x * self.gate(x)  # type: ignore[no-any-return]


class PatchAttention(nn.Module):
    """A non-local operation over patches: every patch becomes a mean of all patches, weighted by how they match.

    Parameters
    ----------
    channels : int
        Of the maps; an eighth of them is compared.
    patch : int
        Side of a patch in pixels; sides of maps are multiples of it.
    """

    def __init__(self, channels: int, patch: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (convolution(channels, channels // 8, 1) for _ in range(3))
        self.match = _PatchMatch(patch)
        self.expand = convolution(channels // 8, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        return self.expand(self.match(self.query(x), self.key(x), self.value(x)))  # type: ignore[no-any-return]


class _PatchMatch(WholeMap):
    """``softmax(Q K') V``, where a row of each matrix holds a patch."""

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.patch = patch

    def forward(self, *maps: Tensor) -> Tensor:
        """See `WholeMap.forward`; queries, keys and values."""
        query, key, value = maps
        matched = F.scaled_dot_product_attention(self._rows(query), self._rows(key), self._rows(value), scale=1.0)
        height, width = query.shape[-2] // self.patch, query.shape[-1] // self.patch
        return F.pixel_shuffle(torch.unflatten(matched[:, 0].mT, 2, (height, width)), self.patch)

    def parts(self, *maps: Tensor) -> Iterator[tuple[tuple[slice, slice], Tensor]]:
        """See `WholeMap.parts`: a row of patches at a time."""
        query, key, value = maps
        for top in range(0, query.shape[-2], self.patch):
            rows = slice(top, top + self.patch)
            yield (rows, slice(None)), self(query[:, :, rows], key, value)

    def _rows(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to (batch, 1, patches, C patch^2)."""
        return F.pixel_unshuffle(x, self.patch).flatten(2).mT[:, None]


class LayerAttention(nn.Module):
    """Maps of several layers, each with a learned share of a mixture of all of them, brought together by a convolution.

    Niu et al., "Single Image Super-Resolution via a Holistic Attention Network", ECCV 2020.

    Parameters
    ----------
    layers : int
        How many maps there are.
    channels : int
        Of each.
    mean_energies : bool
        See `_LayerWeights`.
    """

    def __init__(self, layers: int, channels: int, *, mean_energies: bool) -> None:
        super().__init__()
        self.weights = _LayerWeights(mean_energies)
        self.mix = _Mixture()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.conv = convolution(layers * channels, channels)

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps (batch, C, y, x) to one of the same shape."""
        stacked = torch.cat(maps, dim=1)
        mixed = self.gamma * self.mix(stacked, self.weights(*maps)) + stacked
        return self.conv(mixed)  # type: ignore[no-any-return]


class _LayerWeights(Statistic):
    """With the products E of all pairs of maps, summed over channels and pixels: the softmax of each row of max(E) - E.

    With mean energies, E is brought to the size of a crop, so that an image of any size has the weights of one. Otherwise E grows with
    the image, and the softmax of a large one is almost 0 or 1 everywhere.
    """

    CROP = 64 * 64

    def __init__(self, mean_energies: bool) -> None:
        super().__init__()
        self.mean_energies = mean_energies

    def gather(self, *maps: Tensor) -> Gathered:
        """See `Statistic.gather`."""
        rows = torch.stack(maps, dim=2).flatten(3)  # (batch, C, layers, pixels)
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        products = rows @ rows.mT
        # The softmax turns absolute errors of large sums into relative ones of the weights. Not all devices have float64.
        return (products.sum(dim=1, dtype=products.dtype if products.device.type == "mps" else torch.float64),)

    def settle(self, gathered: Gathered, pixels: int) -> Tensor:
        """See `Statistic.settle`: (batch, layers, layers)."""
        energies = gathered[0] * (self.CROP / pixels) if self.mean_energies else gathered[0]
        return torch.softmax(energies.amax(dim=-1, keepdim=True) - energies, dim=-1)


class _Mixture(Local):
    """Weighted sums of maps."""

    def forward(self, stacked: Tensor, weights: Tensor) -> Tensor:
        """(batch, layers C, y, x) and (batch, layers, layers) to the shape of the first."""
        return torch.einsum("bij,bjcyx->bicyx", weights, torch.unflatten(stacked, 1, (weights.shape[1], -1))).flatten(1, 2)


class VolumeAttention(Local):
    """A factor for every channel of every pixel, from a convolution over channels, rows and columns; with a learned share.

    The channel-spatial attention of Niu et al. 2020; see `LayerAttention`.
    """

    radius = 1

    def __init__(self) -> None:
        super().__init__()
        # Holds a 3 x 3 x 3 kernel in four axes: channels-last networks have no parameters with five.
        self.conv = nn.Conv2d(3, 1, 3)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        scores = F.conv3d(x[:, None], self.conv.weight[:, None], self.conv.bias, padding=1)[:, 0]
        return x * (self.gamma * torch.sigmoid(scores)) + x


class HolisticAttention(nn.Module):
    """The body of HAN: groups, attention to their outputs and to the volume of the last.

    Niu et al. 2020; see `LayerAttention`.

    Parameters
    ----------
    groups : list of torch.nn.Module
        One follows the other.
    channels : int
        Of their maps.
    mean_energies : bool
        Whether attention to layers does not depend on the size of the image.
    """

    def __init__(self, groups: list[nn.Module], channels: int, *, mean_energies: bool) -> None:
        super().__init__()
        self.groups = nn.ModuleList(groups)
        self.close = convolution(channels, channels)
        self.layers = LayerAttention(len(groups) + 1, channels, mean_energies=mean_energies)
        self.volume = VolumeAttention()
        self.fuse = convolution(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        outputs: list[Tensor] = []
        for group in self.groups:
            x = group(x)
            outputs.insert(0, x)
        closed = self.close(x)
        return self.fuse(torch.cat([self.volume(closed), self.layers(closed, *outputs)], dim=1))  # type: ignore[no-any-return]
