"""AWAN, read from top to bottom.

Li et al., "Adaptive Weighted Attention Network with Camera Spectral Sensitivity Prior for Spectral Reconstruction from RGB
Images", CVPRW 2020. Modules have the names of published checkpoints.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_drcr.models.extent import SoftmaxMean, WholeMap

PAIRS = 2**27
"""Pairs of pixels that attention compares at a time: a fraction of a second on one core, and 512 MiB where torch stores scores."""


class AWANNet(nn.Module):
    """Estimate a spectral cube from an RGB image.

    Parameters
    ----------
    bands : int
        Bands of the cube.
    channels : int
        Feature channels C (200 in the paper).
    blocks : int
        Dual residual attention blocks (8 in the paper).
    reduction : int
        AWCA squeezes C to ``channels // reduction``.
    non_local : bool
        Whether the patch-level second-order non-local module (PSNL) comes last.

    Notes
    -----
    Input (batch, 3, y, x) with y and x at least 3, for the reflection padding; output (batch, bands, y, x), not clipped. The published
    sizes have 17,461,521 parameters. No convolution has a bias; every activation is a PReLU with one parameter.
    """

    def __init__(
        self, bands: int = 31, channels: int = 200, blocks: int = 8, reduction: int = 16, *, non_local: bool = True
    ) -> None:
        super().__init__()
        self.input_conv2D = _convolution(3, channels)
        self.input_prelu2D = nn.PReLU()
        self.head_conv2D = _convolution(channels, channels)
        self.backbone = nn.ModuleList(DualResidualBlock(channels, reduction) for _ in range(blocks))
        self.tail_conv2D = _convolution(channels, channels)
        self.output_prelu2D = nn.PReLU()
        self.output_conv2D = _convolution(channels, bands)
        self.tail_nonlocal = nn.Sequential(OrderedDict(non_local=NonLocal(bands))) if non_local else nn.Identity()

    def forward(self, rgb: Tensor) -> Tensor:
        """Estimate the cube: (batch, 3, y, x) to (batch, bands, y, x)."""
        features = self.head_conv2D(self.input_prelu2D(self.input_conv2D(rgb)))
        x = residual = features
        for block in self.backbone:
            x, residual = block(x, residual)
        cube = self.output_conv2D(self.output_prelu2D(self.tail_conv2D(x) + features))
        return self.tail_nonlocal(cube)  # type: ignore[no-any-return]


def _convolution(channels_in: int, channels_out: int, side: int = 3) -> nn.Sequential:
    """Without bias, with reflection padding."""
    padded = nn.Conv2d(channels_in, channels_out, side, padding=side // 2, padding_mode="reflect", bias=False)
    return nn.Sequential(OrderedDict(conv2d=padded))


class DualResidualBlock(nn.Module):
    """Dual residual attention block (DRAB): two chains of residuals, one of which is re-calibrated (AWCA).

    Parameters
    ----------
    channels : int
        Feature channels C.
    reduction : int
        See `AWANNet`.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.conv1 = _convolution(channels, channels)
        self.relu1 = nn.PReLU()
        self.conv2 = _convolution(channels, channels)
        self.relu2 = nn.PReLU()
        self.up_conv = _convolution(channels, channels, 5)
        self.up_relu = nn.PReLU()
        self.se = Recalibration(channels, reduction)
        self.down_conv = _convolution(channels, channels)
        self.down_relu = nn.PReLU()

    def forward(self, x: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Both chains, each (batch, C, y, x) to the same shape."""
        y = self.relu2(self.conv2(self.relu1(self.conv1(x))) + x)
        residual = self.up_relu(self.up_conv(y) + residual)
        return self.down_relu(self.down_conv(self.se(residual)) + x), residual


class Recalibration(nn.Module):
    """Adaptive weighted channel attention (AWCA): channels times a gate that follows from their weighted means.

    Parameters
    ----------
    channels : int
        Feature channels C.
    reduction : int
        See `AWANNet`.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 1, 1, bias=False)
        self.pool = SoftmaxMean()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // reduction, bias=False),
            nn.PReLU(),
            nn.Linear(channels // reduction, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        gate = self.fc(torch.flatten(self.pool(self.conv(x), x), 1))
        recalibrated: Tensor = x * gate[:, :, None, None]
        return recalibrated


class NonLocal(nn.Module):
    """Patch-level second-order non-local module (PSNL): what the other pixels of a quadrant say is added.

    Parameters
    ----------
    bands : int
        Of its input and output; attention has an eighth of them, but at least 2, since one channel less its own mean is nothing.

    Notes
    -----
    It starts as the identity.
    """

    def __init__(self, bands: int) -> None:
        super().__init__()
        inner = max(bands // 8, 2)
        self.theta = nn.Conv2d(bands, inner, 1, bias=False)
        self.g = nn.Conv2d(bands, inner, 1, bias=False)
        self.attention = QuadrantAttention()
        self.W = nn.Conv2d(inner, bands, 1, bias=False)
        nn.init.zeros_(self.W.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, bands, y, x) to the same shape."""
        return x + self.W(self.attention(self.theta(x), self.g(x)))  # type: ignore[no-any-return]


class QuadrantAttention(WholeMap):
    """Attention between all pixels of each quadrant of two maps, theta and g, of K channels each.

    For pixels i and j of a quadrant, and theta_i less its mean over the channels::

        y_i = sum over j of softmax_j((theta_i - mean(theta_i)) . theta_j / K) g_j
    """

    def forward(self, *maps: Tensor) -> Tensor:
        """Two maps (batch, K, y, x) to one of that shape."""
        output = torch.empty_like(maps[1])
        for (rows, columns), part in self.parts(*maps):
            output[:, :, rows, columns] = part
        return output

    def parts(self, *maps: Tensor) -> Iterator[tuple[tuple[slice, slice], Tensor]]:
        """The same, some rows of a quadrant at a time; see `WholeMap.parts`."""
        theta, _ = maps
        queries = theta - theta.mean(dim=1, keepdim=True)
        height, width = theta.shape[-2:]
        for top, bottom in ((0, height // 2), (height // 2, height)):
            for columns in (slice(0, width // 2), slice(width // 2, width)):
                key, value = (_pixels(each[:, :, top:bottom, columns]) for each in maps)
                across = columns.stop - columns.start
                step = max(PAIRS // max(key.shape[-2] * across, 1), 1)
                for start in range(top, bottom, step):
                    rows = slice(start, min(start + step, bottom))
                    found = F.scaled_dot_product_attention(
                        _pixels(queries[:, :, rows, columns]), key, value, scale=1 / theta.shape[1]
                    )
                    shape = (*theta.shape[:2], rows.stop - rows.start, across)
                    yield (rows, columns), found[:, 0].mT.reshape(shape)


def _pixels(values: Tensor) -> Tensor:
    """(batch, K, y, x) to (batch, 1, y x, K), one head, in the order that fused attention needs."""
    return values.flatten(2).mT[:, None].contiguous()
