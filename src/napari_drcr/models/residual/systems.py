"""The systems of the residual frame: a function for each, of the name of its architecture's id.

What their settings mean is said in `napari_drcr.models.residual.architecture`.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from napari_drcr.models.extent import Mean
from napari_drcr.models.layers import Interpolation
from napari_drcr.models.residual.attention import (
    ChannelAttention,
    EfficientChannelAttention,
    HolisticAttention,
    PixelAttention,
    SpatialAttention,
)
from napari_drcr.models.residual.blocks import Block, DualAttentionBlock, FixupBlock, Shift
from napari_drcr.models.residual.drca import DRCA
from napari_drcr.models.residual.frame import Chain, Concatenation, Padding, ResidualNetwork, convolution, start_he_normal
from napari_drcr.models.residual.inputs import Brightness, LinearEstimate, NineChannels


def hscnn_r(
    bands: int,
    channels: int,
    blocks: int,
    *,
    inputs: int = 3,
    lift: nn.Module | None = None,
    attention: Callable[[], nn.Module] | None = None,
    tail_bias: bool = True,
) -> ResidualNetwork:
    """HSCNN-R: a ReLU after every sum; perhaps with other inputs, or attention in every block."""
    units = [Block(channels, attention and attention(), relu_after=True) for _ in range(blocks)]
    network = ResidualNetwork(
        convolution(inputs, channels),
        Chain(units, convolution(channels, channels)),
        convolution(channels, bands, bias=tail_bias),
        lift=lift,
        activation=nn.ReLU(),
    )
    start_he_normal(network)
    return network


def hscnn_plus_tic(bands: int, channels: int, blocks: int, reduction: int) -> ResidualNetwork:
    """TIC-RC's HSCNN-R with attention to channels, from nine channels."""
    return hscnn_r(
        bands, channels, blocks, inputs=9, lift=NineChannels(), attention=lambda: ChannelAttention(channels, reduction)
    )


def edsr(bands: int, channels: int, blocks: int) -> ResidualNetwork:
    """EDSR without its enlargement: no activation after sums."""
    body = Chain([Block(channels) for _ in range(blocks)], convolution(channels, channels))
    return ResidualNetwork(convolution(3, channels), body, convolution(channels, bands))


def lfb(bands: int, channels: int, blocks: int, linear_start: bool) -> ResidualNetwork:
    """A Fixup ResNet that starts from nothing, or from the linear estimate."""
    padding: Padding = "replicate" if linear_start else "zeros"
    head = nn.Sequential(convolution(3, channels, bias=False, padding_mode=padding), Shift(), nn.ReLU())
    body = Chain([FixupBlock(channels, blocks, padding_mode=padding) for _ in range(blocks)])
    tail = convolution(channels, bands, padding_mode=padding)
    for start in tail.parameters():
        nn.init.zeros_(start)
    return ResidualNetwork(head, body, tail, skip=False, base=LinearEstimate(bands) if linear_start else None)


def _groups(channels: int, groups: int, blocks: int, block: Callable[[], nn.Module], *, bias: bool = True) -> list[nn.Module]:
    """Groups of blocks, each with a closing convolution and a skip over it."""
    return [
        Chain([block() for _ in range(blocks)], convolution(channels, channels, bias=bias), skip=True) for _ in range(groups)
    ]


def rcan(
    bands: int, channels: int, groups: int, blocks: int, reduction: int, *, base: nn.Module | None = None
) -> ResidualNetwork:
    """RCAN without its enlargement; with a base, it is added to the output."""
    units = _groups(channels, groups, blocks, lambda: Block(channels, ChannelAttention(channels, reduction)))
    body = Chain(units, convolution(channels, channels))
    return ResidualNetwork(convolution(3, channels), body, convolution(channels, bands), base=base)


def rcan_chain(bands: int, channels: int, restoring_blocks: int, blocks: int, reduction: int) -> nn.Sequential:
    """Yuelushan's three RCANs: two improve the image, the third estimates the cube."""
    return nn.Sequential(
        rcan(3, channels, 1, restoring_blocks, reduction, base=nn.Identity()),
        rcan(3, channels, 1, restoring_blocks, reduction, base=nn.Identity()),
        rcan(bands, channels, 1, blocks, reduction),
    )


def rpan(bands: int, channels: int, groups: int, blocks: int, bias: bool) -> ResidualNetwork:
    """GD322's network with attention inside pixels; the outputs of all groups are brought together."""
    units = _groups(
        channels, groups, blocks, lambda: Block(channels, PixelAttention(channels, bias=bias), bias=bias), bias=bias
    )
    body = Concatenation(units, channels, bias=bias)
    return ResidualNetwork(convolution(3, channels, bias=bias), body, convolution(channels, bands, bias=bias))


def han(bands: int, channels: int, groups: int, blocks: int, reduction: int, mean_energies: bool) -> ResidualNetwork:
    """HAN without its enlargement."""
    units = _groups(channels, groups, blocks, lambda: Block(channels, ChannelAttention(channels, reduction)))
    body = HolisticAttention(units, channels, mean_energies=mean_energies)
    return ResidualNetwork(convolution(3, channels), body, convolution(channels, bands))


def han_eca(bands: int, channels: int, groups: int, blocks: int, mean_energies: bool) -> ResidualNetwork:
    """SSR's HAN: other attention in its blocks, and what it estimates is added to the interpolated image."""
    units = _groups(
        channels, groups, blocks, lambda: Block(channels, nn.Sequential(EfficientChannelAttention(), SpatialAttention()))
    )
    body = HolisticAttention(units, channels, mean_energies=mean_energies)
    head, tail = convolution(bands, channels), convolution(channels, bands)
    return ResidualNetwork(head, body, tail, lift=Interpolation(bands), base=Interpolation(bands))


def rdan(bands: int, channels: int, blocks: int, patch: int) -> ResidualNetwork:
    """IFL's network with attention to patches and channels."""
    body = Chain([DualAttentionBlock(channels, patch) for _ in range(blocks)], convolution(channels, channels))
    return ResidualNetwork(convolution(3, channels), body, convolution(channels, bands))


class MeanAndResidual(nn.Module):
    """VIPLab's networks: one estimates the mean of every band, the other what is around it.

    Parameters
    ----------
    residual : torch.nn.Module
        Gives a cube, whose means are taken away.
    brightness : torch.nn.Module
        Gives the means.
    """

    def __init__(self, residual: nn.Module, brightness: nn.Module) -> None:
        super().__init__()
        self.residual = residual
        self.mean = Mean()
        self.brightness = brightness

    def forward(self, rgb: Tensor) -> Tensor:
        """(batch, 3, y, x) to (batch, bands, y, x)."""
        residual = self.residual(rgb)
        return residual - self.mean(residual) + self.brightness(rgb)  # type: ignore[no-any-return]


def mean_residual(bands: int, channels: int, blocks: int) -> MeanAndResidual:
    """VIPLab's networks, the residual of which is HSCNN-R."""
    return MeanAndResidual(hscnn_r(bands, channels, blocks, tail_bias=False), Brightness(channels, bands))


def drca(bands: int, channels: int, reduction: int) -> DRCA:
    """Image Lab's two branches over independent patches."""
    return DRCA(bands, channels, reduction)
