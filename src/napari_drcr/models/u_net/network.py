"""The modules of the U-Nets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_drcr.models.awan.network import AWANNet
from napari_drcr.models.extent import Mean


class StiebelLevel(nn.Module):
    """One level of `StiebelUNet` and those below it: a map two pixels smaller, and back.

    Parameters
    ----------
    channels : int
        Of its input.
    widths : Sequence of int
        Channels of the maps below, the next level's first.
    enlarged : int
        Channels that it comes back with.
    """

    def __init__(self, channels: int, widths: Sequence[int], enlarged: int) -> None:
        super().__init__()
        below, *deeper = widths
        self.down = nn.Sequential(nn.Conv2d(channels, below, 3), nn.LeakyReLU(0.2))
        inner = [StiebelLevel(below, deeper, below)] if deeper else []
        self.inmodel = nn.Sequential(*inner, nn.ConvTranspose2d((1 + len(inner)) * below, enlarged, 3), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Its input and what comes back from below: (batch, C, y, x) to (batch, C + enlarged, y, x)."""
        return torch.cat((x, self.below(x)), dim=1)

    def below(self, x: Tensor) -> Tensor:
        """What comes back from below: (batch, C, y, x) to (batch, enlarged, y, x)."""
        return self.inmodel(self.down(x))  # type: ignore[no-any-return]


class StiebelUNet(nn.Module):
    """A U-Net without pooling: unpadded convolutions on the way down, transposed ones on the way up.

    Stiebel et al., "Reconstructing Spectral Images from RGB-Images Using a Convolutional Neural Network", CVPR Workshops 2018.

    Parameters
    ----------
    bands : int
        Bands of the cube.
    channels : int
        Of the first level (32 in the paper); they double twice and stay.
    levels : int
        How many (5 in the paper).

    Notes
    -----
    Input (batch, 3, y, x) of more than ``2 * levels`` pixels on each side; output (batch, bands, y, x), not negative.
    """

    def __init__(self, bands: int, channels: int = 32, levels: int = 5) -> None:
        super().__init__()
        self.model = StiebelLevel(3, [channels * min(2**level, 4) for level in range(levels)], bands)

    def forward(self, rgb: Tensor) -> Tensor:
        """Estimate the cube: (batch, 3, y, x) to (batch, bands, y, x)."""
        return self.model.below(rgb)


def double_convolution(
    channels_in: int, channels_out: int, *, padding_mode: Literal["zeros", "reflect"] = "zeros"
) -> nn.Module:
    """Two convolutions 3x3, each with a ReLU.

    Parameters
    ----------
    channels_in, channels_out : int
    padding_mode : {"zeros", "reflect"}
        What lies around a map.

    Returns
    -------
    torch.nn.Module
        (batch, channels_in, y, x) to (batch, channels_out, y, x).
    """
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, padding_mode=padding_mode),
        nn.ReLU(),
        nn.Conv2d(channels_out, channels_out, 3, padding=1, padding_mode=padding_mode),
        nn.ReLU(),
    )


class DenseConvolutions(nn.Module):
    """Two convolutions 3x3, each of which sees everything before it, and one 1x1 over all, each with a ReLU.

    Parameters
    ----------
    channels_in, channels_out : int
        The convolutions 3x3 give half of `channels_out` each.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        half = channels_out // 2
        self.first = nn.Conv2d(channels_in, half, 3, padding=1)
        self.second = nn.Conv2d(channels_in + half, half, 3, padding=1)
        self.fuse = nn.Conv2d(channels_in + 2 * half, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels_in, y, x) to (batch, channels_out, y, x)."""
        x = torch.cat((x, F.relu(self.first(x))), dim=1)
        x = torch.cat((x, F.relu(self.second(x))), dim=1)
        return F.relu(self.fuse(x))


class UNet(nn.Module):
    """A U-Net whose maps are made smaller by learned, linear convolutions in place of pooling.

    Parameters
    ----------
    channels_out : int
        Channels of its result.
    channels : int
        At full size; they double with each step.
    steps : int
        How often the maps are halved.
    block : callable
        Makes the part that computes on a map, from channels in and out.

    Notes
    -----
    Input (batch, 3, y, x) with y and x multiples of ``2 ** steps``. `contract` and `expand` are apart for networks that also
    need the smallest map.
    """

    def __init__(
        self, channels_out: int, channels: int, steps: int, block: Callable[[int, int], nn.Module] = double_convolution
    ) -> None:
        super().__init__()
        widths = [channels * 2**step for step in range(steps + 1)]
        self.contracting = nn.ModuleList(block(before, width) for before, width in pairwise([3, *widths]))
        self.halving = nn.ModuleList(nn.Conv2d(width, width, 2, stride=2, bias=False) for width in widths[:-1])
        self.doubling = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 2, stride=2) for width in widths[:-1])
        self.expanding = nn.ModuleList(block(2 * width, width) for width in widths[:-1])
        self.head = nn.Conv2d(channels, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 3, y, x) to (batch, channels_out, y, x)."""
        return self.expand(self.contract(x))

    def contract(self, x: Tensor) -> list[Tensor]:
        """The maps of all sizes, the largest first.

        Parameters
        ----------
        x : Tensor, shape (batch, 3, y, x)

        Returns
        -------
        list of Tensor, shape (batch, channels 2^i, y / 2^i, x / 2^i)
        """
        maps = [self.contracting[0](x)]
        for halve, compute in zip(self.halving, self.contracting[1:], strict=True):
            maps.append(compute(halve(maps[-1])))
        return maps

    def expand(self, maps: list[Tensor]) -> Tensor:
        """Back to full size.

        Parameters
        ----------
        maps : list of Tensor
            From `contract`.

        Returns
        -------
        Tensor, shape (batch, channels_out, y, x)
        """
        *skips, x = maps
        for skip, double, compute in reversed(list(zip(skips, self.doubling, self.expanding, strict=True))):
            x = compute(torch.cat((double(x), skip), dim=1))
        return self.head(x)  # type: ignore[no-any-return]


class BasisUNet(nn.Module):
    """Spectra as weighted sums of basis spectra; a U-Net estimates the weights of every pixel.

    Fubara, Sedky and Dyke, "RGB to Spectral Reconstruction via Learned Basis Functions and Weights", CVPR Workshops 2020:
    ``cube = sum over k of w_k B_k``, where w is a map for each of the K basis functions and B (K, bands) is learned too.

    Parameters
    ----------
    bands : int
        Bands of the cube.
    channels : int
        Of the U-Net at full size.
    steps : int
        How often its maps are halved (4 in the paper).
    basis : int
        Basis functions K (10 in the paper).

    Notes
    -----
    Not said in the paper, and chosen here: the widths, two convolutions with ReLU for each size, halving by convolutions 2x2
    without bias, doubling by transposed convolutions 2x2.
    """

    def __init__(self, bands: int, channels: int = 32, steps: int = 4, basis: int = 10) -> None:
        super().__init__()
        self.weights = UNet(basis, channels, steps)
        self.basis = nn.Conv2d(basis, bands, 1, bias=False)

    def forward(self, rgb: Tensor) -> Tensor:
        """Estimate the cube: (batch, 3, y, x), y and x multiples of ``2 ** steps``, to (batch, bands, y, x)."""
        return self.basis(self.weights(rgb))  # type: ignore[no-any-return]


class StarSpectralNet(nn.Module):
    """A U-Net cleans the image; an inverse filter, one matrix for the whole image, turns its colours into spectra.

    Team star-spectral in Arad et al., "NTIRE 2022 Spectral Recovery Challenge and Data Set", CVPR Workshops 2022:
    ``cube = R r + G g + B b``, where each of r, g and b (bands) comes from a fully connected layer.

    Parameters
    ----------
    bands : int
        Bands of the cube.
    channels : int
        Of the U-Net at full size.
    steps : int
        How often its maps are halved.

    Notes
    -----
    Said in the report: a DenseNet-like U-Net, and three fully connected layers, one a colour. Chosen here: the U-Net of `BasisUNet`
    with `DenseConvolutions`, which adds to the image; its smallest map's means enter the layers; both are trained at once.
    """

    def __init__(self, bands: int, channels: int = 16, steps: int = 3) -> None:
        super().__init__()
        self.clean = UNet(3, channels, steps, DenseConvolutions)
        self.mean = Mean()
        self.red, self.green, self.blue = (nn.Linear(channels * 2**steps, bands) for _ in range(3))

    def forward(self, rgb: Tensor) -> Tensor:
        """Estimate the cube: (batch, 3, y, x), y and x multiples of ``2 ** steps``, to (batch, bands, y, x)."""
        maps = self.clean.contract(rgb)
        clean = rgb + self.clean.expand(maps)
        mean = torch.flatten(self.mean(maps[-1]), 1)
        red, green, blue = (layer(mean)[:, :, None, None] for layer in (self.red, self.green, self.blue))
        return clean[:, :1] * red + clean[:, 1:2] * green + clean[:, 2:] * blue  # type: ignore[no-any-return]


class IMRNet(nn.Module):
    """A U-Net turns the image into the three maps of a camera that was learned with its decoder, which turns them into spectra.

    Team OPT KLSIT in Arad et al., "NTIRE 2022 Spectral Recovery Challenge and Data Set", CVPR Workshops 2022.

    Parameters
    ----------
    bands : int
        Bands of the cube.
    channels : int
        Of the U-Net at full size.
    steps : int
        How often its maps are halved.
    features : int
        Channels of the decoder.
    blocks : int
        Of the decoder.
    non_local : bool
        Whether the decoder ends with attention between pixels.

    Notes
    -----
    Said in the report: an autoencoder of cubes, its decoder with the attention of AWAN, whose encoder gives three maps; a U-Net with
    gain and bias that maps RGB to them; reflection padding; Xavier's start. Chosen here: the U-Net of `BasisUNet`, ``maps = gain
    U(rgb) + bias + rgb`` with a gain and a bias for each map, AWAN as the decoder, with its own start. The encoder takes no part in
    an estimate and is left out: U-Net and decoder are trained at once, the last of the four steps of the report.
    """

    def __init__(
        self, bands: int, channels: int = 32, steps: int = 4, features: int = 64, blocks: int = 4, *, non_local: bool = True
    ) -> None:
        super().__init__()
        self.u_net = UNet(3, channels, steps, partial(double_convolution, padding_mode="reflect"))
        for module in self.u_net.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)
        self.gain = nn.Parameter(torch.ones(1, 3, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.decoder = AWANNet(bands, features, blocks, non_local=non_local)

    def forward(self, rgb: Tensor) -> Tensor:
        """Estimate the cube: (batch, 3, y, x), y and x multiples of ``2 ** (steps + 1)``, to (batch, bands, y, x)."""
        return self.decoder(self.gain * self.u_net(rgb) + self.bias + rgb)  # type: ignore[no-any-return]
