"""Restormer: a U-Net of attention between channels, with gated feed-forward.

Zamir et al., "Restormer: Efficient Transformer for High-Resolution Image Restoration", CVPR 2022, in the size that the toolbox of the
NTIRE 2022 winners gives it for spectral reconstruction. Parameters have the published names. Shapes in comments are
(batch, channels, y, x); a level has C channels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_drcr.models.extent import CosineGram
from napari_drcr.models.spectral_attention.parts import ChannelNorm, HeadProduct, depthwise

EXPANSION = 2.66  # of the channels inside the feed-forward


class TransposedAttention(nn.Module):
    """Multi-head attention between channels (MDTA), the paper's equation 1.

    Parameters
    ----------
    channels : int
        C.
    heads : int

    Notes
    -----
    q, k and v come from a 1x1 and a depthwise convolution. Head h has the weights ``softmax(t_h cos(q, k))`` with the cosines of the
    channels of q (rows) and k over all pixels, and the learned temperature t_h.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.qkv_dwconv = depthwise(3 * channels)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=False)
        self.cosines = CosineGram(heads)
        self.product = HeadProduct()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        queries, keys, values = torch.chunk(self.qkv_dwconv(self.qkv(x)), 3, dim=1)
        weights = (self.temperature * self.cosines(queries, keys)).softmax(dim=-1)
        return self.project_out(self.product(values, weights))  # type: ignore[no-any-return]


class GatedFeedForward(nn.Module):
    """Gated feed-forward (GDFN), the paper's equation 2: ``conv1x1(gelu(a) b)``, a and b by a 1x1 and a depthwise convolution.

    Parameters
    ----------
    channels : int
        C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = int(EXPANSION * channels)
        self.project_in = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.dwconv = depthwise(2 * hidden)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        gate, values = torch.chunk(self.dwconv(self.project_in(x)), 2, dim=1)
        return self.project_out(F.gelu(gate) * values)  # type: ignore[no-any-return]


class TransformerBlock(nn.Module):
    """Attention and feed-forward, each after a normalisation and added to its input.

    Parameters
    ----------
    channels : int
        C.
    heads : int
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.Sequential(OrderedDict(body=ChannelNorm(channels)))
        self.attn = TransposedAttention(channels, heads)
        self.norm2 = nn.Sequential(OrderedDict(body=ChannelNorm(channels)))
        self.ffn = GatedFeedForward(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))  # type: ignore[no-any-return]


class Restormer(nn.Module):
    """Restormer with an RGB image in and a cube out; the image is not added to the result.

    Parameters
    ----------
    bands : int
        Of the cube.
    channels : int
        Of the finest level, even; every coarser level has twice as many. The published size is 48.
    blocks : sequence of int
        Of the four levels, from the finest; the coarsest is passed once, the others twice.
    refinement : int
        Blocks after the decoder.

    Notes
    -----
    Input (batch, 3, y, x) with y and x multiples of 8; output (batch, bands, y, x), not clipped.
    """

    def __init__(self, bands: int = 31, channels: int = 48, blocks: Sequence[int] = (2, 3, 3, 4), refinement: int = 3) -> None:
        super().__init__()
        one, two, three, four = (channels << level for level in range(4))
        self.patch_embed = nn.Sequential(OrderedDict(proj=_convolution(3, one)))
        self.encoder_level1 = _blocks(one, 1, blocks[0])
        self.down1_2 = _halving(one)
        self.encoder_level2 = _blocks(two, 2, blocks[1])
        self.down2_3 = _halving(two)
        self.encoder_level3 = _blocks(three, 4, blocks[2])
        self.down3_4 = _halving(three)
        self.latent = _blocks(four, 8, blocks[3])
        self.up4_3 = _doubling(four)
        self.reduce_chan_level3 = nn.Conv2d(four, three, 1, bias=False)
        self.decoder_level3 = _blocks(three, 4, blocks[2])
        self.up3_2 = _doubling(three)
        self.reduce_chan_level2 = nn.Conv2d(three, two, 1, bias=False)
        self.decoder_level2 = _blocks(two, 2, blocks[1])
        self.up2_1 = _doubling(two)
        self.decoder_level1 = _blocks(two, 1, blocks[0])
        self.refinement = _blocks(two, 1, refinement)
        self.skip_conv = nn.Conv2d(one, two, 1, bias=False)
        self.output = _convolution(two, bands)

    def forward(self, rgb: Tensor) -> Tensor:
        """Estimate the cube.

        Parameters
        ----------
        rgb : Tensor, shape (batch, 3, y, x)

        Returns
        -------
        Tensor, shape (batch, bands, y, x)
        """
        embedded = self.patch_embed(rgb)  # (batch, C, y, x)
        one = self.encoder_level1(embedded)
        two = self.encoder_level2(self.down1_2(one))  # (batch, 2C, y/2, x/2)
        three = self.encoder_level3(self.down2_3(two))  # (batch, 4C, y/4, x/4)
        four = self.latent(self.down3_4(three))  # (batch, 8C, y/8, x/8)
        three = self.decoder_level3(self.reduce_chan_level3(torch.cat((self.up4_3(four), three), dim=1)))
        two = self.decoder_level2(self.reduce_chan_level2(torch.cat((self.up3_2(three), two), dim=1)))
        one = self.decoder_level1(torch.cat((self.up2_1(two), one), dim=1))  # (batch, 2C, y, x)
        return self.output(self.refinement(one) + self.skip_conv(embedded))  # type: ignore[no-any-return]


def _convolution(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)


def _blocks(channels: int, heads: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(TransformerBlock(channels, heads) for _ in range(count)))


def _halving(channels: int) -> nn.Sequential:
    """(batch, C, y, x) to (batch, 2C, y/2, x/2)."""
    return nn.Sequential(OrderedDict(body=nn.Sequential(_convolution(channels, channels // 2), nn.PixelUnshuffle(2))))


def _doubling(channels: int) -> nn.Sequential:
    """(batch, C, y, x) to (batch, C/2, 2y, 2x)."""
    return nn.Sequential(OrderedDict(body=nn.Sequential(_convolution(channels, 2 * channels), nn.PixelShuffle(2))))
