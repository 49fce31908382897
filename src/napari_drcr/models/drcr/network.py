"""DRCR Net, read from top to bottom.

Li et al., "DRCR Net: Dense Residual Channel Re-calibration Network with Non-local Purification for Spectral Super
Resolution", CVPRW 2022. Shapes in comments are (batch, channels, y, x); C is the number of feature channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2  # of every LeakyReLU


class DRCRNet(nn.Module):
    """Estimate a spectral cube from an RGB image.

    Parameters
    ----------
    bands : int
        Bands of the cube.
    channels : int
        Feature channels C (100 in the paper).
    blocks : int
        DRCR blocks M (10 in the paper).
    reduction : int
        Channel re-calibration squeezes C to ``channels // reduction``.
    purification : bool
        Keep the non-local purification module (NPM); False is the paper's ablation "without NPM".
    recalibration : bool
        Keep the channel re-calibration modules (CRM); False is the paper's ablation "without CRM".
    released_npm : bool
        The published implementation runs the NPM's quarter-resolution level through the half-resolution level's first two
        convolutions and leaves its own unused. Published checkpoints need True; False gives the module of the paper.
    gate_offset : float
        Added before the sigmoid of each gate: 0 as in the paper, where gates start near 1/2; with 4 they start near 0.98.

    Notes
    -----
    Input (batch, 3, y, x) with y and x multiples of 4 and at least 4, values as the model's card says; output
    (batch, bands, y, x), not clipped. With the defaults the network has 9,478,482 parameters.

    The only operation that looks at the whole image is the mean over y and x in the channel re-calibration. It is a method
    of its own (`DRCRBlock.gates`), so that `napari_drcr.models.drcr.tiles` can run everything else piece by piece.
    """

    def __init__(
        self,
        bands: int = 31,
        channels: int = 100,
        blocks: int = 10,
        reduction: int = 8,
        *,
        purification: bool = True,
        recalibration: bool = True,
        released_npm: bool = True,
        gate_offset: float = 0.0,
    ) -> None:
        super().__init__()
        if min(bands, channels, blocks, reduction) < 1 or (recalibration and channels < reduction):
            raise ValueError(
                f"DRCR Net needs at least one band, block and channel and channels >= reduction, "
                f"not bands={bands}, channels={channels}, blocks={blocks}, reduction={reduction}."
            )
        self.bands = bands
        self.channels = channels
        self.reduction = reduction
        self.shallow = _double_convolution(3, channels, channels)
        self.purification = Purification(channels, released=released_npm) if purification else None
        self.blocks = nn.ModuleList(
            DRCRBlock(channels, reduction, recalibration=recalibration, gate_offset=gate_offset) for _ in range(blocks)
        )
        self.tail = _double_convolution(channels, channels, bands)

    def forward(self, rgb: Tensor) -> Tensor:
        """Estimate the cube, whole image at once.

        Parameters
        ----------
        rgb : Tensor, shape (batch, 3, y, x)
            y and x multiples of 4.

        Returns
        -------
        Tensor, shape (batch, bands, y, x)
        """
        features = self.head(rgb)
        for block in self.blocks:
            features = block(features)
        return self.tail(features)  # type: ignore[no-any-return]

    def head(self, rgb: Tensor) -> Tensor:
        """Shallow features, purified: (batch, 3, y, x) to (batch, C, y, x)."""
        features: Tensor = self.shallow(rgb)
        return features if self.purification is None else self.purification(features)


def _double_convolution(channels_in: int, channels: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, 3, padding=1, padding_mode="reflect", bias=False),
        nn.PReLU(),
        nn.Conv2d(channels, channels_out, 3, padding=1, padding_mode="reflect", bias=False),
    )


class Purification(nn.Module):
    """Non-local purification (NPM): noise is averaged away at half and quarter resolution and the result is added.

    Parameters
    ----------
    channels : int
        Feature channels C.
    released : bool
        See `DRCRNet`, ``released_npm``.
    """

    def __init__(self, channels: int, *, released: bool = True) -> None:
        super().__init__()
        self.released = released
        self.full_level = PurificationLevel(channels)
        self.half_level = PurificationLevel(channels)
        self.quarter_level = PurificationLevel(channels)
        self.fuse = nn.Conv2d(3 * channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Purify features: (batch, C, y, x) to the same shape, y and x multiples of 4."""
        half = F.avg_pool2d(x, 2)  # (batch, C, y/2, x/2)
        quarter = F.avg_pool2d(half, 2)  # (batch, C, y/4, x/4)
        shared = self.half_level if self.released else self.quarter_level
        levels = (
            self.full_level.merge(self.full_level.branches(x)),
            _enlarge(self.half_level.merge(self.half_level.branches(half)), 2),
            _enlarge(self.quarter_level.merge(shared.branches(quarter)), 4),
        )
        return F.leaky_relu(self.fuse(torch.cat(levels, dim=1)), SLOPE) + x


class PurificationLevel(nn.Module):
    """One resolution of the NPM, ``leaky_relu(conv3x3([conv3x3(x), conv1x1(x)]))``.

    Parameters
    ----------
    channels : int
        Feature channels C.

    Notes
    -----
    `branches` and `merge` are apart, because the published implementation runs one level's branches with another's weights.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(channels, channels, 3, padding=1)
        self.point = nn.Conv2d(channels, channels, 1)
        self.mix = nn.Conv2d(2 * channels, channels, 3, padding=1)

    def branches(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to (batch, 2C, y, x)."""
        return torch.cat((self.wide(x), self.point(x)), dim=1)

    def merge(self, branches: Tensor) -> Tensor:
        """(batch, 2C, y, x) to (batch, C, y, x)."""
        return F.leaky_relu(self.mix(branches), SLOPE)


def _enlarge(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class DRCRBlock(nn.Module):
    """Dense residual channel re-calibration block.

    Parameters
    ----------
    channels : int
        Feature channels C.
    reduction : int
        See `DRCRNet`.
    recalibration : bool
        Without it both gates are 1.
    gate_offset : float
        See `DRCRNet`.

    Notes
    -----
    With c1 to c6 for a 3x3 convolution and LeakyReLU each, and CRM1(x) = s1 x, CRM2(r) = s2 r for the gates::

        x1 = c1(x)    x2 = c2(x1)          x3 = c3(x2)
        r = CRM1(x)   x4 = c4([x3, r])     x5 = c5([x2, x4])
        out = c6([x1, x5]) + CRM2(r)
    """

    def __init__(self, channels: int, reduction: int = 8, *, recalibration: bool = True, gate_offset: float = 0.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv3 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv4 = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.conv5 = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.conv6 = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.gate1 = Gate(channels, reduction, gate_offset) if recalibration else None
        self.gate2 = Gate(channels, reduction, gate_offset) if recalibration else None

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        gate1, gate2 = self.gates(x.mean(dim=(2, 3)))
        return self.refine(x, gate1, gate2)

    def gates(self, mean: Tensor) -> tuple[Tensor, Tensor]:
        """Both gates, from nothing but the mean of the block's input.

        Parameters
        ----------
        mean : Tensor, shape (batch, C)
            Mean of the input over the whole image.

        Returns
        -------
        tuple of two Tensors, shape (batch, C)
            In (0, 1). The second gate sees the re-calibrated features, whose mean is the first gate times `mean`.
        """
        if self.gate1 is None or self.gate2 is None:
            return torch.ones_like(mean), torch.ones_like(mean)
        gate1 = self.gate1(mean)
        return gate1, self.gate2(gate1 * mean)

    def refine(self, x: Tensor, gate1: Tensor, gate2: Tensor) -> Tensor:
        """Everything but the gates; local, with 6 pixels of context on each side.

        Parameters
        ----------
        x : Tensor, shape (batch, C, y, x)
        gate1, gate2 : Tensor, shape (batch, C)

        Returns
        -------
        Tensor, shape (batch, C, y, x)
        """
        x1 = _activated(self.conv1, x)
        x2 = _activated(self.conv2, x1)
        x3 = _activated(self.conv3, x2)
        recalibrated = gate1[:, :, None, None] * x
        x4 = _activated(self.conv4, torch.cat((x3, recalibrated), dim=1))
        x5 = _activated(self.conv5, torch.cat((x2, x4), dim=1))
        x6 = _activated(self.conv6, torch.cat((x1, x5), dim=1))
        return x6 + gate2[:, :, None, None] * recalibrated


def _activated(convolution: nn.Module, x: Tensor) -> Tensor:
    return F.leaky_relu(convolution(x), SLOPE)


class Gate(nn.Module):
    """Channel re-calibration (CRM), ``s = sigmoid(offset + W_V relu(W_U relu(W_D gap(x))))``.

    With an offset of 0 it is that of the paper's section on the CRM.

    Parameters
    ----------
    channels : int
        Feature channels C.
    reduction : int
        W_D maps C to ``C // reduction``, W_U keeps that, W_V maps it back to C; none has a bias. The mean over y and x, gap(x),
        is taken by the caller.
    offset : float
        See `DRCRNet`, ``gate_offset``.
    """

    def __init__(self, channels: int, reduction: int, offset: float = 0.0) -> None:
        super().__init__()
        self.offset = offset
        hidden = channels // reduction
        self.down = nn.Linear(channels, hidden, bias=False)
        self.between = nn.Linear(hidden, hidden, bias=False)
        self.up = nn.Linear(hidden, channels, bias=False)

    def forward(self, mean: Tensor) -> Tensor:
        """The factor s of each channel.

        Parameters
        ----------
        mean : Tensor, shape (batch, C)
            gap(x).

        Returns
        -------
        Tensor, shape (batch, C)
            In (0, 1).
        """
        return torch.sigmoid(self.offset + self.up(F.relu(self.between(F.relu(self.down(mean))))))
