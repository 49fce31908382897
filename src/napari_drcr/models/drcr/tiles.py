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
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor, nn

from napari_drcr.models.drcr.features import FeatureMap
from napari_drcr.models.drcr.network import DRCRBlock, DRCRNet
from napari_drcr.models.drcr.strips import BlockInStrips

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
Steps = tuple[int, int]
"""Steps done, steps in all."""
Box = tuple[int, int, int, int]
"""Top, left, bottom, right, the last two excluded."""


@dataclass(frozen=True)
class Answer:
    """What a pass over an image gave.

    Attributes
    ----------
    cube : Tensor, shape (bands, y, x)
        float32, on the CPU.
    gates : Gates
        Of this pass: this image in this orientation, this network, this precision.
    """

    cube: Tensor
    gates: Gates


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


def piece_side(network: DRCRNet, height: int, width: int) -> int:
    """How large the pieces are best.

    Parameters
    ----------
    network : DRCRNet
        On its device.
    height, width : int
        Of the image.

    Returns
    -------
    int
        The side in pixels of a square that has as many pixels as a piece.
    """
    like = next(network.parameters())
    if like.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(like.device)
        each = like.element_size() * network.channels
        pixels = (free - each * height * width) * GPU_SHARE / (MAPS * each)
        return isqrt(int(min(max(pixels, SMALLEST_PIECE), GPU_PIECE)))
    threads = torch.get_num_threads() if like.device.type == "cpu" else LARGEST_PIECE
    return isqrt(min(VALUES_A_THREAD * threads, LARGEST_PIECE) // network.channels)


@torch.inference_mode()
def run_strips(
    network: DRCRNet, rgb: Tensor, *, side: int | None = None, size: tuple[int, int] | None = None
) -> Generator[Steps, None, Answer]:
    """Estimate a cube, strip by strip.

    Parameters
    ----------
    network : DRCRNet
        As `place` gives it.
    rgb : Tensor, shape (3, y, x)
        What the network takes, float32 on the CPU, y and x multiples of 4.
    side : int, optional
        A piece has as many pixels as a square of this side, but at least a row; by default `piece_side`. Memory for intermediate
        results grows with its square; besides, one feature map of the image is kept.
    size : tuple of int, optional
        Height and width of the cube, where the last rows and columns of the image are padding.

    Yields
    ------
    tuple of int
        Steps done, steps in all. Stop iterating to cancel.

    Returns
    -------
    Answer
        In float32 the cube differs from the whole-image answer by rounding only.

    Raises
    ------
    FloatingPointError
        If values come up that are not finite.
    """
    work = _Work(network, rgb, side)
    total = work.tiles + work.strips * (len(network.blocks) + 1)
    yield from _numbered(work.head(), 0, total)
    for number, block in enumerate(network.blocks):
        yield from _numbered(work.refine(block), work.tiles + number * work.strips, total)
    height, width = size or rgb.shape[-2:]
    cube = torch.empty((network.bands, height, width))
    yield from _numbered(work.tail(cube), total - work.strips, total)
    return Answer(cube, tuple(work.gates))


@torch.inference_mode()
def measure_gates(network: DRCRNet, rgb: Tensor, *, side: int | None = None) -> Generator[Steps, None, Gates]:
    """The gates of a pass, without its cube: all but the last block and the tail of `run_strips`.

    Parameters
    ----------
    network, rgb, side
        As for `run_strips`.

    Yields
    ------
    tuple of int
        Steps done, steps in all. Stop iterating to cancel.

    Returns
    -------
    Gates

    Raises
    ------
    FloatingPointError
        If values come up that are not finite.
    """
    *blocks, last = network.blocks
    work = _Work(network, rgb, side)
    total = work.tiles + work.strips * len(blocks)
    yield from _numbered(work.head(), 0, total)
    for number, block in enumerate(blocks):
        yield from _numbered(work.refine(block), work.tiles + number * work.strips, total)
    return (*work.gates, work.gates_of(last))


@torch.inference_mode()
def run_window(network: DRCRNet, rgb: Tensor, gates: Gates, box: Box) -> Tensor:
    """Compute a window of a pass again, by itself.

    Parameters
    ----------
    network : DRCRNet
        As `place` gives it.
    rgb : Tensor, shape (3, y, x)
        The whole image of that pass, as it was.
    gates : Gates
        Of that pass. With those of the same network on the same image in the same precision the answer is the pass's own but for
        rounding.
    box : tuple of int
        Top, left, bottom and right of the window in the image, the last two excluded.

    Returns
    -------
    Tensor, shape (bands, bottom - top, right - left)
        float32, on the CPU.
    """
    like = next(network.parameters())
    height, width = rgb.shape[-2:]
    reach = TAIL_CONTEXT + BLOCK_CONTEXT * len(network.blocks)
    read = _Region(*box).grown(reach, height, width).aligned(PYRAMID)
    seen = read.grown(HEAD_CONTEXT, height, width)
    with _ieee_arithmetic():
        features = network.head(_to(rgb[None, :, seen.y, seen.x], like))[..., *read.inside(seen)]
        for block, (gate1, gate2) in zip(network.blocks, gates, strict=True):
            assert isinstance(block, DRCRBlock)
            reach -= BLOCK_CONTEXT
            needed = _Region(*box).grown(reach, height, width)
            refined = block.refine(features, gate1.to(like), gate2.to(like))
            features, read = refined[..., *needed.inside(read)], needed
        cube: Tensor = network.tail(features.contiguous(memory_format=torch.channels_last))[0, :, *_Region(*box).inside(read)]
    return cube.float().cpu()


class _Work:
    """A feature map on its way through the network, and the gates so far."""

    def __init__(self, network: DRCRNet, rgb: Tensor, side: int | None) -> None:
        self._network = network
        self._like = next(network.parameters())
        self._rgb = rgb[None].to(self._like.device)
        self._height, self._width = rgb.shape[-2:]
        side = side or piece_side(network, self._height, self._width)
        self._rows = max(side**2 // self._width, 1)
        # Larger than the strips, since the context of small tiles costs more than what leaves the caches: up to four times as many
        # pixels in half precision, in as many bytes as that twice in float32.
        larger = isqrt(side**2 * 8 // self._like.element_size())
        tile = max(side, min(larger, isqrt(LARGEST_PIECE // network.channels)))
        self._tiles = _tiles(self._height, self._width, tile)
        self.tiles = len(self._tiles)
        self.strips = -(-self._height // self._rows)
        self._features = FeatureMap(network.channels, self._height, self._width, self._like)
        self._sums: list[Tensor] = []
        self.gates: list[tuple[Tensor, Tensor]] = []

    def head(self) -> Iterator[None]:
        """Fill the map, a tile at a time."""
        for tile in self._tiles:
            seen = tile.grown(HEAD_CONTEXT, self._height, self._width)
            with _ieee_arithmetic():
                piece = self._network.head(_to(self._rgb[..., seen.y, seen.x], self._like))[..., *tile.inside(seen)]
                self._features.rows[:, :, tile.top + 1 : tile.bottom + 1, tile.x] = piece
                self._sums.append(piece.sum(dim=(0, 2, 3), dtype=torch.float32))
            self._features.let_go()
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
            with _ieee_arithmetic():
                written = carry_on(min(start + self._rows, self._height))
                if written is not None:
                    self._sums.append(written.sum(dim=(0, 2, 3), dtype=torch.float32))
            self._features.let_go()
            yield

    def tail(self, cube: Tensor) -> Iterator[None]:
        """Fill the cube, a strip at a time."""
        _, height, width = cube.shape
        arrivals = _Arrivals()
        for start in range(0, self._height, self._rows):
            strip = _Region(start, 0, min(start + self._rows, self._height), self._width)
            seen = strip.grown(TAIL_CONTEXT, self._height, self._width)
            with _ieee_arithmetic():
                features = self._features.rows[:, :, seen.top + 1 : seen.bottom + 1]
                values = self._network.tail(features)[0, :, strip.top - seen.top :][:, : max(height - start, 0), :width]
            arrivals.expect(values, cube[:, start : start + values.shape[1]])
            self._features.let_go()
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


@dataclass(frozen=True)
class _Region:
    """A part of the image, the last row and column excluded."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def y(self) -> slice:
        return slice(self.top, self.bottom)

    @property
    def x(self) -> slice:
        return slice(self.left, self.right)

    def grown(self, pixels: int, height: int, width: int) -> _Region:
        """With so many pixels more on each side, as far as the image goes."""
        return _Region(
            max(self.top - pixels, 0),
            max(self.left - pixels, 0),
            min(self.bottom + pixels, height),
            min(self.right + pixels, width),
        )

    def aligned(self, grid: int) -> _Region:
        """Grown to the lines of a grid."""
        return _Region(
            self.top // grid * grid, self.left // grid * grid, -(-self.bottom // grid) * grid, -(-self.right // grid) * grid
        )

    def inside(self, other: _Region) -> tuple[slice, slice]:
        """Where it lies in a larger one."""
        return (
            slice(self.top - other.top, self.bottom - other.top),
            slice(self.left - other.left, self.right - other.left),
        )


def _tiles(height: int, width: int, side: int) -> list[_Region]:
    """Tiles of about equal size, no longer than `side` but for the grid."""

    def spans(length: int) -> list[tuple[int, int]]:
        step = -(-length // -(-length // side))
        step = -(-step // PYRAMID) * PYRAMID
        return [(start, min(start + step, length)) for start in range(0, length, step)]

    return [_Region(top, left, bottom, right) for top, bottom in spans(height) for left, right in spans(width)]


def _to(piece: Tensor, like: Tensor) -> Tensor:
    return piece.to(like).contiguous(memory_format=torch.channels_last)


def _numbered(stage: Iterator[None], before: int, total: int) -> Iterator[Steps]:
    for number, _ in enumerate(stage, start=before + 1):
        yield number, total


@contextmanager
def _ieee_arithmetic() -> Iterator[None]:
    """Without the 10-bit mantissas (TF32) that NVIDIA's GPUs otherwise take for float32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
