"""MST++ and MST-L: U-Nets of spectral attention, as wide as the cube has bands.

Cai et al., "MST++: Multi-stage Spectral-wise Transformer for Efficient Spectral Reconstruction", CVPRW 2022, and "Mask-guided
Spectral-wise Transformer for Efficient Hyperspectral Image Reconstruction", CVPR 2022. Parameters have the published names.
Shapes in comments are (batch, channels, y, x); a level has C channels, in heads of as many channels as there are bands.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from napari_drcr.models.extent import CosineGram
from napari_drcr.models.spectral_attention.parts import ChannelNorm, HeadProduct, PixelLinear, depthwise


class SpectralAttention(nn.Module):
    """Multi-head attention between channels (S-MSA): ``proj(M v) + p(v)``.

    Parameters
    ----------
    channels : int
        C.
    heads : int

    Notes
    -----
    q, k and v are linear in every pixel. Head h has ``M = softmax(s_h cos(k, q))`` with the cosines of the channels of k (rows) and
    q over all pixels, and the learned scale s_h. The position term p is two depthwise convolutions with a GELU between.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.rescale = nn.Parameter(torch.ones(heads, 1, 1))
        self.to_q = PixelLinear(channels, channels, bias=False)
        self.to_k = PixelLinear(channels, channels, bias=False)
        self.to_v = PixelLinear(channels, channels, bias=False)
        self.proj = PixelLinear(channels, channels)
        self.pos_emb = nn.Sequential(depthwise(channels), nn.GELU(), depthwise(channels))
        self.cosines = CosineGram(heads)
        self.product = HeadProduct()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        values = self.to_v(x)
        weights = (self.rescale * self.cosines(self.to_k(x), self.to_q(x))).softmax(dim=-1)
        return self.proj(self.product(values, weights)) + self.pos_emb(values)  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Normalisation, then 1x1, depthwise 3x3 and 1x1 convolutions with GELUs between, four times as wide inside.

    Parameters
    ----------
    channels : int
        C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 4 * channels
        self.norm = ChannelNorm(channels)
        net = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False),
            nn.GELU(),
            depthwise(wide),
            nn.GELU(),
            nn.Conv2d(wide, channels, 1, bias=False),
        )
        self.fn = nn.Sequential(OrderedDict(net=net))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        return self.fn(self.norm(x))  # type: ignore[no-any-return]


class AttentionBlock(nn.ModuleList):
    """Attention and feed-forward (SAB), each added to its input.

    Parameters
    ----------
    channels : int
        C.
    heads : int
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__((SpectralAttention(channels, heads), FeedForward(channels)))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        attention, feed_forward = self
        x = attention(x) + x
        return feed_forward(x) + x  # type: ignore[no-any-return]


class AttentionBlocks(nn.Module):
    """Blocks one after another.

    Parameters
    ----------
    channels : int
        C.
    heads, count : int
        Of each block, and of blocks.
    """

    def __init__(self, channels: int, heads: int, count: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(AttentionBlock(channels, heads) for _ in range(count)))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        return self.blocks(x)  # type: ignore[no-any-return]


class EncoderLevel(nn.ModuleList):
    """Blocks, and a convolution to half the resolution and twice the channels.

    Parameters
    ----------
    channels : int
        C.
    heads, count : int
        See `AttentionBlocks`.
    """

    def __init__(self, channels: int, heads: int, count: int) -> None:
        down = nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1, bias=False)
        super().__init__((AttentionBlocks(channels, heads, count), down))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, C, y, x) to the same shape and (batch, 2C, y/2, x/2)."""
        blocks, down = self
        x = blocks(x)
        return x, down(x)


class DecoderLevel(nn.ModuleList):
    """A transposed convolution to twice the resolution, a 1x1 convolution that takes in the encoder's features, and blocks.

    Parameters
    ----------
    channels : int
        C.
    heads, count : int
        See `AttentionBlocks`.
    """

    def __init__(self, channels: int, heads: int, count: int) -> None:
        up = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        fuse = nn.Conv2d(2 * channels, channels, 1, bias=False)
        super().__init__((up, fuse, AttentionBlocks(channels, heads, count)))

    def forward(self, x: Tensor, encoded: Tensor) -> Tensor:
        """(batch, 2C, y/2, x/2) and (batch, C, y, x) to the shape of the second."""
        up, fuse, blocks = self
        return blocks(fuse(torch.cat((up(x), encoded), dim=1)))  # type: ignore[no-any-return]


class SpectralUNet(nn.Module):
    """A U-Net of attention blocks.

    Parameters
    ----------
    bands : int
        Channels of the finest level.
    blocks : sequence of int
        Of each level, from the finest; the coarsest is passed once, the others twice.
    """

    def __init__(self, bands: int, blocks: Sequence[int]) -> None:
        super().__init__()
        *finer, coarsest = [(bands << level, 1 << level, count) for level, count in enumerate(blocks)]
        self.encoder_layers = nn.ModuleList(EncoderLevel(*sizes) for sizes in finer)
        self.bottleneck = AttentionBlocks(*coarsest)
        self.decoder_layers = nn.ModuleList(DecoderLevel(*sizes) for sizes in reversed(finer))
        self.mapping = nn.Conv2d(bands, bands, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, bands, y, x) to the same shape."""
        encoded = []
        for encoder in self.encoder_layers:
            kept, x = encoder(x)
            encoded.append(kept)
        x = self.bottleneck(x)
        for decoder in self.decoder_layers:
            x = decoder(x, encoded.pop())
        return self.mapping(x)  # type: ignore[no-any-return]


class Stage(SpectralUNet):
    """One stage of MST++ (SST): a convolution and a U-Net of one block a level, added to the input.

    Parameters
    ----------
    bands : int
    """

    def __init__(self, bands: int) -> None:
        super().__init__(bands, (1, 1, 1))
        self.embedding = nn.Conv2d(bands, bands, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, bands, y, x) to the same shape."""
        return super().forward(self.embedding(x)) + x


class MSTPlusPlus(nn.Module):
    """MST++: stages one after another between two convolutions, added to what the first convolution gives.

    Parameters
    ----------
    bands : int
        Of the cube.
    stages : int
        The paper has 3.

    Notes
    -----
    Input (batch, 3, y, x) with y and x multiples of 4; output (batch, bands, y, x), not clipped. The authors pad to multiples of 8.
    Linear layers start from a truncated normal distribution of deviation 0.02, their biases from 0.
    """

    def __init__(self, bands: int = 31, stages: int = 3) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, bands, 3, padding=1, bias=False)
        self.body = nn.Sequential(*(Stage(bands) for _ in range(stages)))
        self.conv_out = nn.Conv2d(bands, bands, 3, padding=1, bias=False)
        for module in self.modules():
            if isinstance(module, PixelLinear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, rgb: Tensor) -> Tensor:
        """Estimate the cube.

        Parameters
        ----------
        rgb : Tensor, shape (batch, 3, y, x)

        Returns
        -------
        Tensor, shape (batch, bands, y, x)
        """
        features = self.conv_in(rgb)
        return self.conv_out(self.body(features)) + features  # type: ignore[no-any-return]
