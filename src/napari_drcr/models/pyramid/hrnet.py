"""HRNet: four levels of resolution, the coarser ones feeding the finer ones.

Zhao et al., "Hierarchical Regression Network for Spectral Reconstruction from RGB Images", CVPRW 2020. Parameters have the published
names. Shapes in comments are (batch, channels, y, x); C is the number of channels at full resolution.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_drcr.models.extent import Mean

SLOPE = 0.2  # of every LeakyReLU
STEP = 0.1  # of every residual
Padding = Literal["zeros", "reflect"]


class Convolution(nn.Module):
    """A convolution and a LeakyReLU.

    Parameters
    ----------
    channels_in, channels_out : int
    kernel : int
        Odd side of the filters.
    padding : {"zeros", "reflect"}
        What lies beyond the image.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 3, *, padding: Padding) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, padding_mode=padding)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels_in, y, x) to (batch, channels_out, y, x)."""
        return F.leaky_relu(self.conv2d(x), SLOPE)


class DenseBlock(nn.Module):
    """Residual dense block: five convolutions, each sees the block's input and all results before it.

    Parameters
    ----------
    channels : int
        D.
    padding : {"zeros", "reflect"}
        See `Convolution`.
    """

    def __init__(self, channels: int, *, padding: Padding) -> None:
        super().__init__()
        growth = channels // 2
        self.conv1 = Convolution(channels, growth, padding=padding)
        self.conv2 = Convolution(channels + growth, growth, padding=padding)
        self.conv3 = Convolution(channels + 2 * growth, growth, padding=padding)
        self.conv4 = Convolution(channels + 3 * growth, growth, padding=padding)
        self.conv5 = Convolution(channels + 4 * growth, channels, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, D, y, x) to the same shape."""
        known = x
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            known = torch.cat((known, convolution(known)), dim=1)
        return x + STEP * self.conv5(known)  # type: ignore[no-any-return]


class GlobalBlock(nn.Module):
    """Residual global block: two convolutions, between them a gate on every channel from the means of all.

    Parameters
    ----------
    channels : int
        D.
    gated : bool
        False leaves out the gate.
    padding : {"zeros", "reflect"}
        See `Convolution`.
    """

    def __init__(self, channels: int, *, gated: bool, padding: Padding) -> None:
        super().__init__()
        hidden = channels // 4
        self.conv1 = Convolution(channels, channels, padding=padding)
        self.conv2 = Convolution(channels, channels, padding=padding)
        self.mean = Mean()
        self.fc = (
            nn.Sequential(
                nn.Linear(channels, hidden, bias=False),
                nn.ReLU(),
                nn.Linear(hidden, hidden, bias=False),
                nn.ReLU(),
                nn.Linear(hidden, channels, bias=False),
                nn.Sigmoid(),
            )
            if gated
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, D, y, x) to the same shape."""
        features = self.conv1(x)
        if self.fc is not None:
            features = features * self.fc(self.mean(features).flatten(1))[:, :, None, None]
        return x + STEP * self.conv2(features)  # type: ignore[no-any-return]


class HRNet(nn.Module):
    """Estimate a cube from an RGB image in four resolutions.

    Parameters
    ----------
    bands : int
        Of the cube.
    channels : int
        C, a multiple of 4; levels have 8C, 4C, 2C and C. The published size is 64.
    gated : bool
        Whether global blocks have gates. The toolbox of the NTIRE 2022 winners computes them without using them, so there the network
        looks only 159 pixels around each pixel.
    padding : {"zeros", "reflect"}
        What lies beyond the image: the authors reflect, the toolbox of the NTIRE 2022 winners has zeros.
    global_first : bool
        Whether the global block of a level comes before its dense blocks, as in the authors' second variant.
    xavier_start : bool
        Whether filters start from Xavier's normal distribution with a gain of 0.02, as the authors' do, in place of PyTorch's
        start. They are so small that short training does not get far.

    Notes
    -----
    Input (batch, 3, y, x) with y and x multiples of 8, with reflection at least 16; output (batch, bands, y, x), not clipped above: the
    last convolution has a LeakyReLU too.
    """

    def __init__(
        self,
        bands: int = 31,
        channels: int = 64,
        *,
        gated: bool = True,
        padding: Padding = "reflect",
        global_first: bool = False,
        xavier_start: bool = True,
    ) -> None:
        super().__init__()

        def convolution(channels_in: int, channels_out: int, kernel: int = 3) -> Convolution:
            return Convolution(channels_in, channels_out, kernel, padding=padding)

        def blocks(channels: int, dense: int) -> list[nn.Module]:
            all_dense = [DenseBlock(channels, padding=padding) for _ in range(dense)]
            one_global = GlobalBlock(channels, gated=gated, padding=padding)
            return [one_global, *all_dense] if global_first else [*all_dense, one_global]

        self.top1 = convolution(3 * 64, 8 * channels)
        self.top21, self.top22 = blocks(8 * channels, 1)
        self.top3 = convolution(8 * channels, 8 * channels, 1)
        self.mid1 = convolution(3 * 16, 4 * channels)
        self.mid2 = convolution(6 * channels, 4 * channels)
        self.mid31, self.mid32 = blocks(4 * channels, 1)
        self.mid4 = convolution(4 * channels, 4 * channels)
        self.bot1 = convolution(3 * 4, 2 * channels)
        self.bot2 = convolution(3 * channels, 2 * channels)
        self.bot31, self.bot32, self.bot33 = blocks(2 * channels, 2)
        self.bot4 = convolution(2 * channels, 2 * channels)
        self.main1 = convolution(3, channels)
        self.main2 = convolution(channels + channels // 2, channels)
        self.main31, self.main32, self.main33, self.main34, self.main35 = blocks(channels, 4)
        self.main4 = convolution(channels, bands)
        if xavier_start:
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.xavier_normal_(module.weight, gain=0.02)

    def forward(self, rgb: Tensor) -> Tensor:
        """Estimate the cube.

        Parameters
        ----------
        rgb : Tensor, shape (batch, 3, y, x)

        Returns
        -------
        Tensor, shape (batch, bands, y, x)
        """
        top = self.top1(F.pixel_unshuffle(rgb, 8))  # (batch, 8C, y/8, x/8)
        top = self.top3(self.top22(self.top21(top)))
        mid = self.mid2(
            torch.cat((self.mid1(F.pixel_unshuffle(rgb, 4)), F.pixel_shuffle(top, 2)), dim=1)
        )  # (batch, 4C, y/4, x/4)
        mid = self.mid4(self.mid32(self.mid31(mid)))
        bot = self.bot2(
            torch.cat((self.bot1(F.pixel_unshuffle(rgb, 2)), F.pixel_shuffle(mid, 2)), dim=1)
        )  # (batch, 2C, y/2, x/2)
        bot = self.bot4(self.bot33(self.bot32(self.bot31(bot))))
        main = self.main2(torch.cat((self.main1(rgb), F.pixel_shuffle(bot, 2)), dim=1))  # (batch, C, y, x)
        main = self.main35(self.main34(self.main33(self.main32(self.main31(main)))))
        return self.main4(main)  # type: ignore[no-any-return]
