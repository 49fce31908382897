"""The network over an image of any size, piece by piece, with the whole-image answer.

Only the channel means that feed the gates look at the whole image. So one stage after another (head, each block, tail) goes over the
image, and the next stage's means are summed up while it writes. A block goes down the image in strips of rows, once and in place:
each of its convolutions follows one row behind the one before, the few rows that are still needed are carried from strip to strip,
and nothing is computed twice. The head, which goes through a quarter of the resolution, runs over tiles with enough context. Zero and
reflection padding act where the image truly ends.

Once the gates of a pass are known, any window of it can be computed by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from copy import deepcopy
from math import isqrt

import torch
from torch import Tensor, nn

from napari_drcr.models.drcr.network import DRCRBlock, DRCRNet
from napari_drcr.models.drcr.strips import BlockInStrips
from napari_drcr.models.execution import Answer, Execution, Steps, ieee_arithmetic, to_network
from napari_drcr.models.feature_map import FeatureMap
from napari_drcr.models.regions import Box, Region, tile_regions

# Context on each side, in pixels. The head's longest way is through the NPM's quarter resolution: 2 for the shallow
# convolutions, 4 for each of two convolutions at a quarter, up to 3 for interpolating from there, 1 for the last convolution.
HEAD_CONTEXT = 16
BLOCK_CONTEXT = 6
TAIL_CONTEXT = 2
PYRAMID = 4

# Values of one map of a piece. On CPUs each thread gets about as many as its share of the caches holds, and enough to be worth waking.
VALUES_A_THREAD = 2**20
LARGEST_PIECE = 2**24
# On GPUs, in pixels, a piece takes no more than this share of the free memory, which holds this many maps of its size at a time.
GPU_SHARE = 0.5
MAPS = 12
GPU_PIECE = 2**22
SMALLEST_PIECE = 2**10

Gates = tuple[tuple[Tensor, Tensor], ...]
"""Both gates of every block, each (1, C), float32."""


def place(network: DRCRNet, device: str, kind: torch.dtype) -> DRCRNet:
    """A copy of a network, where and as it is to run.

    Parameters
    ----------
    network : DRCRNet
        In float32; stays what it is.
    device : str
        torch's name of it.
    kind : torch.dtype
        Of the convolutions. The gates, next to no work, stay in float32.

    Returns
    -------
    DRCRNet
        Channels-last.
    """
    placed = deepcopy(network).to(device)
    for module in placed.modules():
        if isinstance(module, nn.Conv2d | nn.PReLU):
            module.to(dtype=kind, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


class Strips(Execution):
    """DRCR Net over an image of any size.

    Parameters
    ----------
    network : DRCRNet
        In float32; stays what it is.
    device : str
        torch's name of it.
    kind : torch.dtype
        Of the convolutions; see `place`.
    """

    title = "strips"

    def __init__(self, network: DRCRNet, device: str, kind: torch.dtype) -> None:
        self.device = device
        self.network = place(network, device, kind)

    def piece_side(self, height: int, width: int) -> int:
        """See `Execution.piece_side`."""
        network, like = self.network, next(self.network.parameters())
        if like.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(like.device)
            each = like.element_size() * network.channels
            pixels = (free - each * height * width) * GPU_SHARE / (MAPS * each)
            return isqrt(int(min(max(pixels, SMALLEST_PIECE), GPU_PIECE)))
        threads = torch.get_num_threads() if like.device.type == "cpu" else LARGEST_PIECE
        return isqrt(min(VALUES_A_THREAD * threads, LARGEST_PIECE) // network.channels)

    @torch.inference_mode()
    def run(
        self, rgb: Tensor, *, side: int | None = None, size: tuple[int, int] | None = None
    ) -> Generator[Steps, None, Answer]:
        """See `Execution.run`: strip by strip, in memory that grows with the strip, besides one feature map of the image.

        In float32 the cube differs from the whole-image answer by rounding only.
        """
        network, work = self.network, self._work(rgb, side)
        total = work.tiles + work.strips * (len(network.blocks) + 1)
        yield from _numbered(work.head(), 0, total)
        for number, block in enumerate(network.blocks):
            yield from _numbered(work.refine(block), work.tiles + number * work.strips, total)
        height, width = size or rgb.shape[-2:]
        cube = torch.empty((network.bands, height, width))
        yield from _numbered(work.tail(cube), total - work.strips, total)
        return Answer(cube, tuple(work.gates))

    @torch.inference_mode()
    def gather(self, rgb: Tensor, *, side: int | None = None) -> Generator[Steps, None, Gates]:
        """See `Execution.gather`: the gates of a pass, which take all but the last block and the tail of `run`."""
        *blocks, last = self.network.blocks
        work = self._work(rgb, side)
        total = work.tiles + work.strips * len(blocks)
        yield from _numbered(work.head(), 0, total)
        for number, block in enumerate(blocks):
            yield from _numbered(work.refine(block), work.tiles + number * work.strips, total)
        return (*work.gates, work.gates_of(last))

    @torch.inference_mode()
    def window(self, rgb: Tensor, gathered: Gates, box: Box) -> Tensor:
        """See `Execution.window`: with the gates of the same pass the answer is the pass's own but for rounding."""
        network, like = self.network, next(self.network.parameters())
        height, width = rgb.shape[-2:]
        reach = TAIL_CONTEXT + BLOCK_CONTEXT * len(network.blocks)
        read = Region(*box).grown(reach, height, width).aligned(PYRAMID)
        seen = read.grown(HEAD_CONTEXT, height, width)
        with ieee_arithmetic():
            features = network.head(to_network(rgb[None, :, seen.y, seen.x], network))[..., *read.inside(seen)]
            for block, (gate1, gate2) in zip(network.blocks, gathered, strict=True):
                assert isinstance(block, DRCRBlock)
                reach -= BLOCK_CONTEXT
                needed = Region(*box).grown(reach, height, width)
                refined = block.refine(features, gate1.to(like), gate2.to(like))
                features, read = refined[..., *needed.inside(read)], needed
            cube: Tensor = network.tail(features.contiguous(memory_format=torch.channels_last))[
                0, :, *Region(*box).inside(read)
            ]
        return cube.float().cpu()

    def _work(self, rgb: Tensor, side: int | None) -> _Work:
        return _Work(self.network, rgb, side or self.piece_side(*rgb.shape[-2:]))


class _Work:
    """A feature map on its way through the network, and the gates so far."""

    def __init__(self, network: DRCRNet, rgb: Tensor, side: int) -> None:
        self._network = network
        self._like = next(network.parameters())
        self._rgb = rgb[None].to(self._like.device)
        self._height, self._width = rgb.shape[-2:]
        self._rows = max(side**2 // self._width, 1)
        # Larger than the strips, since the context of small tiles costs more than what leaves the caches: up to four times as many
        # pixels in half precision, in as many bytes as that twice in float32.
        larger = isqrt(side**2 * 8 // self._like.element_size())
        tile = max(side, min(larger, isqrt(LARGEST_PIECE // network.channels)))
        self._tiles = tile_regions(self._height, self._width, tile, PYRAMID)
        self.tiles = len(self._tiles)
        self.strips = -(-self._height // self._rows)
        self._features = FeatureMap(network.channels, self._height, self._width, self._like, border=1)
        self._sums: list[Tensor] = []
        self.gates: list[tuple[Tensor, Tensor]] = []

    def head(self) -> Iterator[None]:
        """Fill the map, a tile at a time."""
        for tile in self._tiles:
            seen = tile.grown(HEAD_CONTEXT, self._height, self._width)
            with ieee_arithmetic():
                piece = self._network.head(to_network(self._rgb[..., seen.y, seen.x], self._network))[..., *tile.inside(seen)]
                self._features.rows[:, :, tile.top + 1 : tile.bottom + 1, tile.x] = piece
                self._sums.append(piece.sum(dim=(0, 2, 3), dtype=torch.float32))
            self._features.release()
            yield

    def gates_of(self, block: nn.Module) -> tuple[Tensor, Tensor]:
        """Both gates of a block, from the means of what is in the map."""
        assert isinstance(block, DRCRBlock)
        mean = torch.stack(self._sums).cpu().double().sum(dim=0) / (self._height * self._width)
        if not mean.isfinite().all():
            raise FloatingPointError("a channel's mean is not finite")
        return block.gates(mean.float().to(self._like.device)[None])

    def refine(self, block: nn.Module) -> Iterator[None]:
        """Take the map through a block in place, a strip at a time."""
        assert isinstance(block, DRCRBlock)
        gate1, gate2 = self.gates_of(block)
        self.gates.append((gate1.cpu(), gate2.cpu()))
        self._sums.clear()
        carry_on = BlockInStrips(block, gate1, gate2, self._features.rows)
        for start in range(0, self._height, self._rows):
            with ieee_arithmetic():
                written = carry_on(min(start + self._rows, self._height))
                if written is not None:
                    self._sums.append(written.sum(dim=(0, 2, 3), dtype=torch.float32))
            self._features.release()
            yield

    def tail(self, cube: Tensor) -> Iterator[None]:
        """Fill the cube, a strip at a time."""
        _, height, width = cube.shape
        arrivals = _Arrivals()
        for start in range(0, self._height, self._rows):
            strip = Region(start, 0, min(start + self._rows, self._height), self._width)
            seen = strip.grown(TAIL_CONTEXT, self._height, self._width)
            with ieee_arithmetic():
                features = self._features.rows[:, :, seen.top + 1 : seen.bottom + 1]
                values = self._network.tail(features)[0, :, strip.top - seen.top :][:, : max(height - start, 0), :width]
            arrivals.expect(values, cube[:, start : start + values.shape[1]])
            self._features.release()
            yield
        arrivals.wait()


class _Arrivals:
    """Values on their way from a GPU, which goes on computing meanwhile."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[torch.cuda.Event, Tensor, Tensor]] = deque()

    def expect(self, values: Tensor, target: Tensor) -> None:
        """Bring values to where they belong, now or later."""
        if values.device.type != "cuda":
            self._deliver(values, target)
            return
        staged = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        staged.copy_(values, non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        self._waiting.append((event, staged, target))
        if len(self._waiting) > 1:
            self._take_next()

    def wait(self) -> None:
        """Until all are there."""
        while self._waiting:
            self._take_next()

    def _take_next(self) -> None:
        event, staged, target = self._waiting.popleft()
        event.synchronize()
        self._deliver(staged, target)

    def _deliver(self, values: Tensor, target: Tensor) -> None:
        target.copy_(values)
        if not target.isfinite().all():
            raise FloatingPointError("a value of the cube is not finite")


def _numbered(stage: Iterator[None], before: int, total: int) -> Iterator[Steps]:
    for number, _ in enumerate(stage, start=before + 1):
        yield number, total
