"""The systems of the residual frame: a function for each, of the name of its architecture's id.

What their settings mean is said in `napari_drcr.models.residual.architecture`.
"""

from __future__ import annotations

from torch import nn

from napari_drcr.models.residual.blocks import Block, FixupBlock, Shift
from napari_drcr.models.residual.frame import Chain, Padding, ResidualNetwork, convolution, start_he_normal
from napari_drcr.models.residual.inputs import LinearEstimate


def hscnn_r(bands: int, channels: int, blocks: int) -> ResidualNetwork:
    """HSCNN-R: a ReLU after every sum."""
    body = Chain([Block(channels, relu_after=True) for _ in range(blocks)], convolution(channels, channels))
    network = ResidualNetwork(convolution(3, channels), body, convolution(channels, bands), activation=nn.ReLU())
    start_he_normal(network)
    return network


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
