"""DRCA: two branches over independent patches that know where their pixels are. Shapes in comments are (batch, channels, y, x)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_drcr.models.extent import Maximum, Mean
from napari_drcr.models.layers import BatchNorm, PatchNetwork, with_coordinates
from napari_drcr.models.residual.attention import ChannelAttention, SpatialAttention
from napari_drcr.models.residual.frame import convolution

SLOPE = 0.2
"""Of every leaky ReLU."""


class DenseBranch(nn.Module):
    """Five convolutions, the later ones of which see several before them.

    Parameters
    ----------
    inputs, channels : int
        Of the image and of every feature map.
    """

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            convolution(channels_in, channels) for channels_in in (inputs, channels, 2 * channels, 2 * channels, 4 * channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, y, x) to (batch, C, y, x)."""
        one = F.leaky_relu(self.convs[0](x), SLOPE)
        two = F.leaky_relu(self.convs[1](one), SLOPE)
        three = F.leaky_relu(self.convs[2](torch.cat([one, two], dim=1)), SLOPE)
        four = F.leaky_relu(self.convs[3](torch.cat([two, three], dim=1)), SLOPE)
        return F.leaky_relu(self.convs[4](torch.cat([one, two, three, four], dim=1)), SLOPE)


class DualResidualBlock(nn.Module):
    """Two residuals on one shortcut: a normalised convolution, then attention to channels.

    Parameters
    ----------
    channels : int
        Of its maps.
    reduction : int
        By which attention narrows them.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.shortcut, self.conv1, self.conv2 = (convolution(channels, channels) for _ in range(3))
        self.norm = BatchNorm(channels)
        self.attention = ChannelAttention(channels, reduction)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        shortcut = F.leaky_relu(self.shortcut(x), SLOPE)
        y = F.leaky_relu(self.norm(self.conv1(x)), SLOPE) + shortcut
        return self.attention(F.leaky_relu(self.conv2(y), SLOPE)) + shortcut  # type: ignore[no-any-return]


class AttentionBranch(nn.Module):
    """Three times a convolution, two dual residual blocks and a skip over them; then a convolution.

    Parameters
    ----------
    inputs, channels : int
        Of the image and of every feature map.
    reduction : int
        Of the blocks.
    """

    def __init__(self, inputs: int, channels: int, reduction: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convolution(channels_in, channels) for channels_in in (inputs, channels, channels))
        self.blocks = nn.ModuleList(
            nn.Sequential(DualResidualBlock(channels, reduction), DualResidualBlock(channels, reduction)) for _ in range(3)
        )
        self.close = convolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, y, x) to (batch, C, y, x)."""
        for conv, blocks in zip(self.convs, self.blocks, strict=True):
            features = F.leaky_relu(conv(x), SLOPE)
            x = blocks(features) + features
        return F.leaky_relu(self.close(x), SLOPE)


class ParallelAttention(nn.Module):
    """``x + x * channels(x) + x * pixels(x)``, the factors of CBAM side by side.

    Parameters
    ----------
    channels : int
        Of its maps.
    reduction : int
        By which the factors of channels narrow them; means and maxima share the layers.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        narrow = channels // reduction
        self.mean, self.maximum = Mean(), Maximum()
        self.channel_scores = nn.Sequential(convolution(channels, narrow, 1), nn.ReLU(), convolution(narrow, channels, 1))
        self.pixels = SpatialAttention()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        channels = torch.sigmoid(self.channel_scores(self.mean(x)) + self.channel_scores(self.maximum(x)))
        return x + x * channels + self.pixels(x)  # type: ignore[no-any-return]


class DRCA(PatchNetwork):
    """Both branches over patches of 64 x 64 pixels, the sum of which passes attention.

    Parameters
    ----------
    bands : int
        Of the cube.
    channels : int
        Of every feature map.
    reduction : int
        By which attention narrows them.
    """

    def __init__(self, bands: int, channels: int, reduction: int) -> None:
        super().__init__()
        self.dense = DenseBranch(5, channels)
        self.attentive = AttentionBranch(5, channels, reduction)
        self.attention = ParallelAttention(channels, reduction)
        self.tail = convolution(channels, bands)

    def estimate(self, patches: Tensor) -> Tensor:
        """See `PatchNetwork.estimate`."""
        x = with_coordinates(patches)
        return self.tail(self.attention(self.dense(x) + self.attentive(x)))  # type: ignore[no-any-return]
