"""The network over an image of any size, piece by piece, with the whole-image answer.

Only the channel means that feed the gates look at the whole image, so one stage after another (head, each block, tail) is
run over tiles with just enough context, and the means are taken from the finished feature map in between. Zero and
reflection padding then act where the image truly ends, and what they do at the inner edges of a tile is cut away.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from napari_drcr.network import DRCRBlock, DRCRNet

TILE = 256
"""Default side of a tile in pixels."""

# Context on each side, in pixels. The head's longest way is through the NPM's quarter resolution: 2 for the shallow
# convolutions, 2 * 4 for two convolutions at a quarter, up to 5 for interpolating from there, 1 for the last convolution;
# 16, and another 4 so that every tile starts on the pyramid's grid with some room.
HEAD_CONTEXT = 20
BLOCK_CONTEXT = 6
TAIL_CONTEXT = 2
PYRAMID = 4


@dataclass(frozen=True)
class Tile:
    """Where a tile lies: what is read, what of that is kept, and where it goes; slices of the last two axes."""

    read: tuple[slice, slice]
    keep: tuple[slice, slice]
    write: tuple[slice, slice]


def tiles(height: int, width: int, side: int, context: int) -> Iterator[Tile]:
    """Cover an image.

    Parameters
    ----------
    height, width : int
        Of the image.
    side : int
        Of a tile, without context.
    context : int
        Pixels read beyond the tile on each side, as far as the image goes.

    Yields
    ------
    Tile
        Row by row.
    """

    def spans(length: int) -> Iterator[tuple[slice, slice, slice]]:
        for start in range(0, length, side):
            stop = min(start + side, length)
            first, last = max(start - context, 0), min(stop + context, length)
            yield slice(first, last), slice(start - first, stop - first), slice(start, stop)

    columns = list(spans(width))
    for read_y, keep_y, write_y in spans(height):
        for read_x, keep_x, write_x in columns:
            yield Tile((read_y, read_x), (keep_y, keep_x), (write_y, write_x))


@torch.inference_mode()
def run_tiled(network: DRCRNet, rgb: Tensor, *, side: int = TILE) -> Generator[tuple[int, int], None, Tensor]:
    """Estimate a cube tile by tile.

    Parameters
    ----------
    network : DRCRNet
        On the device and in the precision to use.
    rgb : Tensor, shape (3, y, x)
        What the network takes, of any floating type, y and x multiples of 4.
    side : int
        Of a tile in pixels, rounded up to a multiple of 4. Memory for intermediate results grows with its square; besides,
        two feature maps of the image are kept.

    Yields
    ------
    tuple of int
        Tiles done, tiles in all. Stop iterating to cancel.

    Returns
    -------
    Tensor, shape (bands, y, x)
        float32, on the CPU. In float32 it differs from the whole-image answer by rounding only.
    """
    parameter = next(network.parameters())
    side = max(-(-side // PYRAMID), 1) * PYRAMID
    height, width = rgb.shape[-2:]
    features = torch.empty((1, network.channels, height, width), dtype=parameter.dtype, device=parameter.device)
    refined = torch.empty_like(features)
    cube = torch.empty((1, network.bands, height, width))
    total = len(list(tiles(height, width, side, 0))) * (len(network.blocks) + 2)
    done = 0

    def sweep(stage: Callable[[Tensor], Tensor], source: Tensor, target: Tensor, context: int) -> Iterator[tuple[int, int]]:
        nonlocal done
        for tile in tiles(height, width, side, context):
            piece = source[..., *tile.read].to(parameter).contiguous(memory_format=torch.channels_last)
            target[..., *tile.write] = stage(piece)[..., *tile.keep]
            done += 1
            yield done, total

    yield from sweep(network.head, rgb[None], features, HEAD_CONTEXT)
    for block in network.blocks:
        assert isinstance(block, DRCRBlock)
        gate1, gate2 = block.gates(features.mean(dim=(2, 3), dtype=torch.float32).to(parameter.dtype))
        yield from sweep(partial(block.refine, gate1=gate1, gate2=gate2), features, refined, BLOCK_CONTEXT)
        features, refined = refined, features
    yield from sweep(network.tail, features, cube, TAIL_CONTEXT)
    return cube[0]
