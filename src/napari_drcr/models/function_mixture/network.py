"""Function-mixture networks, read from top to bottom.

Zhang et al., "Pixel-aware Deep Function-mixture Network for Spectral Super-Resolution", AAAI 2020, and what its authors changed for NTIRE 2020.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from napari_drcr.models.extent import Mean
from napari_drcr.models.layers import Interpolation

SIDES = (3, 7, 11)
"""Of the convolutions in the functions of a published mixture, in pixels."""
DEPTHS = (2, 4, 6)
"""Convolutions of 3 x 3 pixels in the functions of an improved mixture; in pairs, their fields are 5, 9 and 13 pixels wide."""
NARROWEST = 4
"""Hidden channels of a gate: with a single one, a ReLU at zero would stop it from learning."""


class FunctionMixtureNet(nn.Module):
    """Estimate a spectral cube from an RGB image.

    Parameters
    ----------
    bands : int
        Bands of the cube.
    channels : int
        Feature channels C (64 in the paper).
    blocks : int
        Mixtures T before the last two (4 in the paper).
    mixing_layers : int
        Inner convolutions of the weights of a mixture.
    reduction : int or None
        Where it is given, the improved network: functions are chains of 3 x 3 convolutions, and their results and their mixture are re-calibrated
        by squeeze and excitation (SE) with this reduction.

    Notes
    -----
    Input (batch, 3, y, x), output (batch, bands, y, x), not clipped. With the paper's sizes it has 11,792,925 parameters. The image is first
    interpolated to as many channels as the cube has, and the result is added to that.

    Of the improved network no code is public. Assumed are chains of 2, 4 and 6 convolutions, SE on the results of all three functions of a
    mixture and on the mixture, a reduction of 16 but not below 4 channels, and that the rest is as published.
    """

    def __init__(
        self, bands: int = 31, channels: int = 64, blocks: int = 4, mixing_layers: int = 3, reduction: int | None = None
    ) -> None:
        super().__init__()
        self.lift = Interpolation(bands)
        self.first = _convolution(bands, channels, bias=False)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                _convolution(channels, channels, bias=False),
                nn.ReLU(),
                Mixture(channels, channels, channels, mixing_layers, reduction),
            )
            for _ in range(blocks)
        )
        self.collect = Mixture(blocks * channels, channels, channels, mixing_layers, reduction)
        self.last = Mixture(channels, channels, bands, mixing_layers, reduction)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, rgb: Tensor) -> Tensor:
        """Estimate the cube: (batch, 3, y, x) to (batch, bands, y, x)."""
        lifted = self.lift(rgb)
        x = self.first(lifted)
        mixed = []
        for block in self.blocks:
            x = block(x)
            mixed.append(x)
        return self.last(self.collect(torch.cat(mixed, dim=1))) + lifted  # type: ignore[no-any-return]


def _convolution(channels_in: int, channels_out: int, side: int = 3, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, side, padding=side // 2, bias=bias)


class Mixture(nn.Module):
    """Functions of different receptive fields, weighted at every pixel.

    Parameters
    ----------
    channels_in, channels, channels_out : int
        Of its input, inside, and of its result.
    mixing_layers : int
        See `Weights`.
    reduction : int or None
        See `FunctionMixtureNet`.
    """

    def __init__(self, channels_in: int, channels: int, channels_out: int, mixing_layers: int, reduction: int | None) -> None:
        super().__init__()
        self.functions = nn.ModuleList(
            _chain([channels_in, channels, channels_out], side)
            if reduction is None
            else nn.Sequential(
                *_chain([channels_in, *[channels] * (depth - 1), channels_out], 3),
                SqueezeExcitation(channels_out, reduction),
            )
            for side, depth in zip(SIDES, DEPTHS, strict=True)
        )
        self.weights = Weights(channels_in, channels, len(self.functions), mixing_layers)
        self.after = nn.Identity() if reduction is None else SqueezeExcitation(channels_out, reduction)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels_in, y, x) to (batch, channels_out, y, x)."""
        weights = self.weights(x)
        mixed = self.functions[0](x) * weights[:, 0:1]
        for number, function in enumerate(self.functions[1:], start=1):
            mixed = mixed + function(x) * weights[:, number : number + 1]
        return self.after(mixed)  # type: ignore[no-any-return]


def _chain(channels: list[int], side: int) -> nn.Sequential:
    """Convolutions with biases, and a ReLU between any two."""
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [_convolution(before, after, side), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Weights(nn.Module):
    """How much each function counts at each pixel, one altogether: sigmoids, divided by their sum.

    Parameters
    ----------
    channels_in, channels : int
        Of its input and inside.
    functions : int
        How many are weighted.
    layers : int
        Inner convolutions.
    """

    def __init__(self, channels_in: int, channels: int, functions: int, layers: int) -> None:
        super().__init__()
        self.first = _convolution(channels_in, channels, bias=False)
        self.inner = nn.ModuleList(_convolution(channels, channels, bias=False) for _ in range(layers))
        self.last = _convolution(channels, functions, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels_in, y, x) to (batch, functions, y, x)."""
        x = torch.relu(self.first(x))
        for layer in self.inner:
            x = torch.relu(layer(x))
        x = torch.sigmoid(self.last(x))
        return x / (torch.sum(x, dim=1, keepdim=True) + 1e-9)


class SqueezeExcitation(nn.Module):
    """Channels times gates that follow from their means (SE).

    Parameters
    ----------
    channels : int
        Of its input.
    reduction : int
        By which the channels are narrowed, to `NARROWEST` at least.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(channels // reduction, NARROWEST)
        self.mean = Mean()
        self.gate = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, y, x) to the same shape."""
        gated: Tensor = x * self.gate(self.mean(x))
        return gated
