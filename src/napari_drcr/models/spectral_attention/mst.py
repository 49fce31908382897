"""MST++ and MST-L: U-Nets of spectral attention, as wide as the cube has bands.

Cai et al., "MST++: Multi-stage Spectral-wise Transformer for Efficient Spectral Reconstruction", CVPRW 2022, and "Mask-guided
Spectral-wise Transformer for Efficient Hyperspectral Image Reconstruction", CVPR 2022. Parameters have the published names.
Shapes in comments are (batch, channels, y, x); a level has C channels, in heads of as many channels as there are bands.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_drcr.models.extent import CosineGram, Local
from napari_drcr.models.spectral_attention.parts import ChannelNorm, HeadProduct, PixelLinear, depthwise

SLOPE = 0.1  # of the LeakyReLUs of MST-L


class Guidance(nn.Module):
    """Factors of the values (MM): ``n sigmoid(depthwise5x5(conv1x1(n))) + n`` with ``n = conv1x1(mask)``.

    Parameters
    ----------
    channels : int
        C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1)
        self.conv2 = nn.Conv2d(channels, channels, 1)
        self.depth_conv = depthwise(channels, 5, bias=True)

    def forward(self, mask: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        mask = self.conv1(mask)
        return mask * torch.sigmoid(self.depth_conv(self.conv2(mask))) + mask


class SpectralAttention(nn.Module):
    """Multi-head attention between channels (S-MSA): ``proj(M v) + p(v)``.

    Parameters
    ----------
    channels : int
        C.
    heads : int
    masked : bool
        Whether v in the first term is multiplied by `Guidance`.

    Notes
    -----
    q, k and v are linear in every pixel. Head h has ``M = softmax(s_h cos(k, q))`` with the cosines of the channels of k (rows) and
    q over all pixels, and the learned scale s_h. The position term p is two depthwise convolutions with a GELU between.
    """

    def __init__(self, channels: int, heads: int, *, masked: bool = False) -> None:
        super().__init__()
        self.rescale = nn.Parameter(torch.ones(heads, 1, 1))
        self.to_q = PixelLinear(channels, channels, bias=False)
        self.to_k = PixelLinear(channels, channels, bias=False)
        self.to_v = PixelLinear(channels, channels, bias=False)
        self.proj = PixelLinear(channels, channels)
        self.pos_emb = nn.Sequential(depthwise(channels), nn.GELU(), depthwise(channels))
        self.mm = Guidance(channels) if masked else None
        self.cosines = CosineGram(heads)
        self.product = HeadProduct()

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(batch, C, y, x), and a mask of that shape where it is masked, to the same shape."""
        values = self.to_v(x)
        weights = (self.rescale * self.cosines(self.to_k(x), self.to_q(x))).softmax(dim=-1)
        guided = values if self.mm is None else values * self.mm(mask)
        return self.proj(self.product(guided, weights)) + self.pos_emb(values)  # type: ignore[no-any-return]


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
    masked : bool
        See `SpectralAttention`.
    """

    def __init__(self, channels: int, heads: int, *, masked: bool = False) -> None:
        super().__init__((SpectralAttention(channels, heads, masked=masked), FeedForward(channels)))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """See `SpectralAttention.forward`."""
        attention, feed_forward = self
        x = attention(x, mask) + x
        return feed_forward(x) + x  # type: ignore[no-any-return]


class AttentionBlocks(nn.Module):
    """Blocks one after another.

    Parameters
    ----------
    channels : int
        C.
    heads, count : int
        Of each block, and of blocks.
    masked : bool
        See `SpectralAttention`.
    """

    def __init__(self, channels: int, heads: int, count: int, *, masked: bool = False) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(AttentionBlock(channels, heads, masked=masked) for _ in range(count))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """See `SpectralAttention.forward`."""
        for block in self.blocks:
            x = block(x, mask)
        return x


class EncoderLevel(nn.ModuleList):
    """Blocks, and a convolution to half the resolution and twice the channels; where it is masked, another one for the mask.

    Parameters
    ----------
    channels : int
        C.
    heads, count : int
        See `AttentionBlocks`.
    masked : bool
        See `SpectralAttention`.
    """

    def __init__(self, channels: int, heads: int, count: int, *, masked: bool = False) -> None:
        halving = [nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1, bias=False) for _ in range(1 + masked)]
        super().__init__((AttentionBlocks(channels, heads, count, masked=masked), *halving))

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """(batch, C, y, x) and perhaps a mask to the same shape, and both (batch, 2C, y/2, x/2) for the next level."""
        blocks, halve, *halve_mask = self
        x = blocks(x, mask)
        return x, halve(x), halve_mask[0](mask) if halve_mask else None


class DecoderLevel(nn.ModuleList):
    """A transposed convolution to twice the resolution, a 1x1 convolution that takes in the encoder's features, and blocks.

    Parameters
    ----------
    channels : int
        C.
    heads, count : int
        See `AttentionBlocks`.
    masked : bool
        See `SpectralAttention`.
    """

    def __init__(self, channels: int, heads: int, count: int, *, masked: bool = False) -> None:
        double = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        fuse = nn.Conv2d(2 * channels, channels, 1, bias=False)
        super().__init__((double, fuse, AttentionBlocks(channels, heads, count, masked=masked)))

    def forward(self, x: Tensor, encoded: Tensor, mask: Tensor | None) -> Tensor:
        """(batch, 2C, y/2, x/2), (batch, C, y, x) and perhaps a mask to the shape of the second."""
        double, fuse, blocks = self
        return blocks(fuse(torch.cat((double(x), encoded), dim=1)), mask)  # type: ignore[no-any-return]


class SpectralUNet(nn.Module):
    """A U-Net of attention blocks.

    Parameters
    ----------
    bands : int
        Channels of the finest level.
    blocks : sequence of int
        Of each level, from the finest; the coarsest is passed once, the others twice.
    masked : bool
        See `SpectralAttention`.
    """

    def __init__(self, bands: int, blocks: Sequence[int], *, masked: bool = False) -> None:
        super().__init__()
        *finer, coarsest = [(bands << level, 1 << level, count) for level, count in enumerate(blocks)]
        self.encoder_layers = nn.ModuleList(EncoderLevel(*sizes, masked=masked) for sizes in finer)
        self.bottleneck = AttentionBlocks(*coarsest, masked=masked)
        self.decoder_layers = nn.ModuleList(DecoderLevel(*sizes, masked=masked) for sizes in reversed(finer))
        self.mapping = nn.Conv2d(bands, bands, 3, padding=1, bias=False)

    def refine(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(batch, bands, y, x), and a mask of that shape where it is masked, to the same shape."""
        encoded = []
        for encoder in self.encoder_layers:
            kept, x, halved = encoder(x, mask)
            encoded.append((kept, mask))
            mask = halved
        x = self.bottleneck(x, mask)
        for decoder in self.decoder_layers:
            x = decoder(x, *encoded.pop())
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
        return self.refine(self.embedding(x)) + x


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


class FirstOfBatch(Local):
    """The first image of a batch: (batch, C, y, x) to (1, C, y, x)."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x[:1]


class MSTL(SpectralUNet):
    """MST-L for RGB images: one U-Net, whose attention is guided by a mask that is itself made from the image.

    Parameters
    ----------
    bands : int
        Of the cube.
    blocks : sequence of int
        Of each level, from the finest; the published network has 4, 7 and 5.
    mask_of_first : bool
        Whether all images of a batch share the mask of the first, as in the published network, where training in batches therefore
        differs from single images.

    Notes
    -----
    Input (batch, 3, y, x) with y and x multiples of 4, of 2 with two levels; output (batch, bands, y, x), not clipped. The authors pad
    to multiples of 8.
    """

    def __init__(self, bands: int = 31, blocks: Sequence[int] = (4, 7, 5), *, mask_of_first: bool = True) -> None:
        super().__init__(bands, blocks, masked=True)
        self.embedding_1 = nn.Conv2d(3, bands, 3, padding=1, bias=False)
        self.embedding_2 = nn.Conv2d(3, bands, 3, padding=1, bias=False)
        self.masked_by = FirstOfBatch() if mask_of_first else nn.Identity()

    def forward(self, rgb: Tensor) -> Tensor:
        """Estimate the cube.

        Parameters
        ----------
        rgb : Tensor, shape (batch, 3, y, x)

        Returns
        -------
        Tensor, shape (batch, bands, y, x)
        """
        mask = F.leaky_relu(self.embedding_1(self.masked_by(rgb)), SLOPE)
        features = F.leaky_relu(self.embedding_2(rgb), SLOPE)
        return self.refine(features, mask) + features
