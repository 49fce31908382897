"""The modules of RDA. Shapes in comments are (batch, channels, y, x)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_drcr.models.layers import BatchNorm, PatchNetwork, with_coordinates

MOMENTUM = 0.01
"""Weight of a batch in the running statistics, the default of Keras."""
EPSILON = 1e-4
"""Of batch normalisation."""


class ChannelGate(nn.Module):
    """A factor for every channel, from its mean and its maximum over the patch, which share two linear layers.

    Parameters
    ----------
    channels : int
        Of its maps.
    reduction : int
        By which it narrows the channels.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to (batch, C, 1, 1)."""
        means, maxima = x.mean(dim=(2, 3)), x.amax(dim=(2, 3))
        scores = self.excite(F.relu(self.squeeze(means))) + self.excite(F.relu(self.squeeze(maxima)))
        return torch.sigmoid(scores)[:, :, None, None]


class PixelGate(nn.Module):
    """A factor for every pixel, from the mean and the maximum of its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to (batch, 1, y, x)."""
        return torch.sigmoid(self.conv(torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)))


class AttentionBlock(nn.Module):
    """A residual block in which both gates act on the features, side by side.

    Parameters
    ----------
    channels : int
        Of its maps, which keep their size.
    reduction : int
        Of the channel gate.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            BatchNorm(channels, MOMENTUM, EPSILON),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            BatchNorm(channels, MOMENTUM, EPSILON),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            BatchNorm(channels, MOMENTUM, EPSILON),
            nn.ReLU(),
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), BatchNorm(channels, MOMENTUM, EPSILON), nn.ReLU()
        )
        self.channel_gate = ChannelGate(channels, reduction)
        self.pixel_gate = PixelGate()
        self.last = nn.Sequential(BatchNorm(channels, MOMENTUM, EPSILON), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Of the size of its input."""
        features = self.features(x)
        gated = features * self.channel_gate(features) + features * self.pixel_gate(features)
        last: Tensor = self.last(gated + x + self.shortcut(x))
        return last


class DenseBranch(nn.Module):
    """Four convolutions, each of which sees the two before it; the last sees all of them.

    Parameters
    ----------
    bands : int
        Of its result.
    growth : int
        Features of each convolution.
    """

    def __init__(self, bands: int, growth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(5, growth, 1)
        self.conv2 = nn.Conv2d(growth, growth, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * growth, growth, 5, padding=2)
        self.conv4 = nn.Conv2d(2 * growth, growth, 7, padding=3)
        self.last = nn.Conv2d(4 * growth, bands, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 5, y, x) to (batch, bands, y, x)."""
        one = F.relu(self.conv1(x))
        two = F.relu(self.conv2(one))
        three = F.relu(self.conv3(torch.cat([one, two], dim=1)))
        four = F.relu(self.conv4(torch.cat([two, three], dim=1)))
        last: Tensor = self.last(torch.cat([one, two, three, four], dim=1))
        return last


class UpConv(nn.ConvTranspose2d):
    """A transposed convolution to twice the size, cut at the bottom and the right only, as Keras cuts it.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, stride=2)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(batch, inputs, y, x) to (batch, outputs, 2 y, 2 x)."""
        return super().forward(x, output_size)[:, :, :-1, :-1]


class UNetBranch(nn.Module):
    """A U-Net of three levels, made of attention blocks.

    Parameters
    ----------
    bands : int
        Of its result.
    features : int
        Of the first level; each further level has twice as many.
    reduction : int
        Of the channel gates.
    dropout : float
        Share of values that are left out in training, before the lowest level and on the way up.
    """

    def __init__(self, bands: int, features: int, reduction: int, dropout: float) -> None:
        super().__init__()
        one, two, three = features, 2 * features, 4 * features

        def blocks(channels: int, count: int) -> list[nn.Module]:
            return [AttentionBlock(channels, reduction) for _ in range(count)]

        self.down1 = nn.Sequential(nn.Conv2d(5, one, 3, padding=1), *blocks(one, 2))
        self.down2 = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(one, two, 3, padding=1), *blocks(two, 2))
        self.down3 = nn.Sequential(nn.MaxPool2d(2), nn.Dropout(dropout), nn.Conv2d(two, three, 3, padding=1), *blocks(three, 2))
        self.up2 = nn.Sequential(UpConv(three, two), *blocks(two, 2))
        self.up1 = nn.Sequential(nn.Dropout(dropout), UpConv(2 * two, one), *blocks(one, 1))
        self.last = nn.Conv2d(2 * one, bands, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 5, y, x) to (batch, bands, y, x)."""
        one = self.down1(x)
        two = self.down2(one)
        up = self.up2(self.down3(two))
        up = self.up1(torch.cat([up, two], dim=1))
        last: Tensor = self.last(torch.cat([up, one], dim=1))
        return last


class RDA(PatchNetwork):
    """Residual dense attention over independent patches of 64 x 64 pixels, whose rows and columns are inputs of their own.

    Nathan et al. of Image Lab, "Light Weight Residual Dense Attention Net for Spectral Reconstruction from RGB Images", 2020.

    Parameters
    ----------
    bands : int
        Bands of the cube.
    growth : int
        Features of each convolution of the dense branch.
    features : int
        Of the U-Net's first level, at least `reduction`.
    reduction : int
        Of the channel gates.
    dropout : float
        In training.
    """

    def __init__(
        self, bands: int = 31, *, growth: int = 16, features: int = 8, reduction: int = 8, dropout: float = 0.2
    ) -> None:
        super().__init__()
        if features < reduction:
            raise ValueError(f"reduction {reduction} leaves nothing of {features} features.")
        self.dense = DenseBranch(bands, growth)
        self.u_net = UNetBranch(bands, features, reduction, dropout)
        self.tail = nn.Conv2d(bands, bands, 5, padding=2)

    def estimate(self, patches: Tensor) -> Tensor:
        """See `PatchNetwork.estimate`; sides are multiples of 4."""
        x = with_coordinates(patches)
        cube: Tensor = self.tail(self.dense(x) + self.u_net(x))
        return cube
