"""How networks go through images: the whole image at once, or in pieces that give the whole image's answer.

`napari_drcr.models.piecewise` has the pieces of networks that look at whole images. A network with a faster way of its own brings an
`Execution` of its own (`napari_drcr.models.drcr.tiles`).
"""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn

from napari_drcr.errors import Cancelled
from napari_drcr.models.memory import peak_memory
from napari_drcr.models.regions import Box, Region, tile_regions
from napari_drcr.system.memory import NotEnoughMemory, free_memory

PIECE_VALUES = 2**24
"""Pixels of a piece times the bytes that a pixel takes at the peak are kept near this many, on CPUs; see `Tiles.piece_side`."""
GPU_SHARE = 0.5
"""Of the free memory of a GPU, for one piece."""
SMALLEST_PIECE, LARGEST_PIECE = 64, 2048
"""Sides in pixels."""
PROBE = 64
"""Side in pixels of the image that memory by pixel is found with."""

Steps = tuple[int, int]
"""Steps done, steps in all."""


@dataclass(frozen=True)
class Answer:
    """What a pass over an image gave.

    Attributes
    ----------
    cube : Tensor, shape (bands, y, x)
        float32, on the CPU.
    gathered : object
        What `Execution.window` needs to know of the whole image; None for nothing.
    """

    cube: Tensor
    gathered: Any = None


class Execution(ABC):
    """A network on a device, ready for images.

    Attributes
    ----------
    title : str
        What tables call this way to run a network.
    device : str
        torch's name of it.
    in_pieces : bool
        Whether memory grows with the piece and not with the image.
    refinable : bool
        Whether any window of an image can be computed by itself.
    """

    title: str
    device: str
    in_pieces: bool = True
    refinable: bool = True

    @abstractmethod
    def piece_side(self, height: int, width: int) -> int | None:
        """Side in pixels of a square with as many pixels as a piece is best, for an image; None without pieces."""

    @abstractmethod
    def run(self, rgb: Tensor, *, side: int | None, size: tuple[int, int]) -> Generator[Steps, None, Answer]:
        """Estimate a cube.

        Parameters
        ----------
        rgb : Tensor, shape (3, y, x)
            What the network takes, float32 on the CPU, padded to its multiple.
        side : int or None
            As `piece_side`, which is the default.
        size : tuple of int
            Height and width of the cube; what the image has beyond is padding.

        Yields
        ------
        tuple of int
            Steps done, steps in all. Stop iterating to cancel.

        Returns
        -------
        Answer

        Raises
        ------
        FloatingPointError
            If values come up that are not finite.
        NotEnoughMemory
            If the image would not fit.
        """

    def gather(self, rgb: Tensor, *, side: int | None) -> Generator[Steps, None, Any]:
        """What `window` needs to know of the whole image, without its cube.

        Parameters
        ----------
        rgb, side
            As for `run`.

        Yields
        ------
        tuple of int
            As `run`.

        Returns
        -------
        object

        Raises
        ------
        FloatingPointError
            As `run`.
        """
        yield from ()

    def window(self, rgb: Tensor, gathered: Any, box: Box) -> Tensor:
        """Compute a part of a pass by itself.

        Parameters
        ----------
        rgb : Tensor, shape (3, y, x)
            The whole image, as `run` took it.
        gathered : object
            From `run` or `gather` of that image.
        box : tuple of int
            Top, left, bottom and right in the image, the last two excluded.

        Returns
        -------
        Tensor, shape (bands, bottom - top, right - left)
            float32, on the CPU.
        """
        raise NotImplementedError(f"{type(self).__name__} computes no windows.")


def put(network: nn.Module, device: str, kind: torch.dtype) -> nn.Module:
    """A copy of a network where and as it is to run.

    Parameters
    ----------
    network : torch.nn.Module
        In float32; stays what it is.
    device : str
        torch's name of it.
    kind : torch.dtype
        Of its parameters.

    Returns
    -------
    torch.nn.Module
        Channels-last, in evaluation mode, without gradients.
    """
    placed = deepcopy(network).to(device=device, dtype=kind, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed.requires_grad_(False).eval()  # type: ignore[no-any-return]


class WholeImage(Execution):
    """Any network, with the whole image at once.

    The memory that a pass takes is worked out beforehand from its shapes; what would not fit is refused. Progress counts the layers that
    have run, and cancelling takes effect between two of them.

    Parameters
    ----------
    network : torch.nn.Module
        In float32; stays what it is.
    device : str
        torch's name of it.
    kind : torch.dtype
        To compute in.
    """

    title = "whole image"
    in_pieces = False
    refinable = False

    def __init__(self, network: nn.Module, device: str, kind: torch.dtype) -> None:
        self.device = device
        self._network = put(network, device, kind)
        self._layers = [layer for layer in self._network.modules() if not any(layer.children())]

    def piece_side(self, height: int, width: int) -> None:
        """None: there are no pieces."""
        return None

    def run(self, rgb: Tensor, *, side: int | None = None, size: tuple[int, int]) -> Generator[Steps, None, Answer]:
        """See `Execution.run`."""
        needed, free = peak_memory(self._network, *rgb.shape[-2:]), free_memory(self.device)
        if free is not None and needed > free:
            raise NotEnoughMemory(needed, free)
        output = yield from self._follow(rgb)
        cube = output[0, :, : size[0], : size[1]].float().cpu()
        if not cube.isfinite().all():
            raise FloatingPointError("a value of the cube is not finite")
        return Answer(cube)

    def _follow(self, rgb: Tensor) -> Generator[Steps, None, Tensor]:
        """Run the network in a thread, and count the layers from here, where the caller can stop."""
        finished: queue.SimpleQueue[BaseException | Tensor | None] = queue.SimpleQueue()
        stopped = threading.Event()

        def count(*_: Any) -> None:
            if stopped.is_set():
                raise Cancelled
            finished.put(None)

        def work() -> None:
            try:
                with torch.inference_mode(), ieee_arithmetic():
                    finished.put(self._network(to_network(rgb[None], self._network)))
            except BaseException as error:  # For the caller to raise.
                finished.put(error)

        hooks = [layer.register_forward_hook(count) for layer in self._layers]
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        done, total = 0, len(self._layers) + 1
        try:
            while (found := finished.get()) is None:
                # Layers that are used several times count once more than was planned.
                done += 1
                yield min(done, total - 1), total
        finally:
            stopped.set()
            thread.join()
            for hook in hooks:
                hook.remove()
        if isinstance(found, BaseException):
            raise found
        yield total, total
        return found


class Tiles(Execution):
    """A network that looks no further than its context, over tiles: each is computed with that much around it.

    Parameters
    ----------
    network : torch.nn.Module
        In float32; stays what it is.
    device : str
        torch's name of it.
    kind : torch.dtype
        To compute in.
    context : int
        How far around a pixel it looks, in pixels.
    multiple : int
        What the sides of an image must be multiples of; tiles lie on that grid.
    """

    title = "tiles"

    def __init__(self, network: nn.Module, device: str, kind: torch.dtype, *, context: int, multiple: int) -> None:
        self.device = device
        self._network = put(network, device, kind)
        self._context, self._multiple = context, multiple

    def piece_side(self, height: int, width: int) -> int:
        """See `Execution.piece_side`: by the memory that a pixel takes."""
        return best_side(self._network, self.device, self._multiple)

    @torch.inference_mode()
    def run(self, rgb: Tensor, *, side: int | None, size: tuple[int, int]) -> Generator[Steps, None, Answer]:
        """See `Execution.run`."""
        height, width = rgb.shape[-2:]
        tiles = tile_regions(height, width, side or self.piece_side(height, width), self._multiple)
        cube: Tensor | None = None
        for number, tile in enumerate(tiles, start=1):
            piece = self._compute(rgb, tile)
            if cube is None:
                cube = torch.empty((len(piece), *size))
            target = cube[:, tile.y, tile.x]
            target.copy_(piece[:, : target.shape[1], : target.shape[2]])
            if not target.isfinite().all():
                raise FloatingPointError("a value of the cube is not finite")
            yield number, len(tiles)
        assert cube is not None
        return Answer(cube)

    @torch.inference_mode()
    def window(self, rgb: Tensor, gathered: Any, box: Box) -> Tensor:
        """See `Execution.window`."""
        return self._compute(rgb, Region(*box))

    def _compute(self, rgb: Tensor, region: Region) -> Tensor:
        seen = region.grown(self._context, *rgb.shape[-2:]).aligned(self._multiple)
        with ieee_arithmetic():
            output: Tensor = self._network(to_network(rgb[None, :, seen.y, seen.x], self._network))
        return output[0, :, *region.inside(seen)].float().cpu()


def best_side(network: nn.Module, device: str, multiple: int) -> int:
    """The side of a tile that suits the caches of a CPU, or the free memory of a GPU.

    Parameters
    ----------
    network : torch.nn.Module
        Which needs so much memory for a pixel.
    device : str
        torch's name of it.
    multiple : int
        What the sides of an image must be multiples of.

    Returns
    -------
    int
        In pixels.
    """
    probe = -(-PROBE // multiple) * multiple
    each = peak_memory(network, probe, probe) / probe**2
    room = float(PIECE_VALUES * torch.get_num_threads())
    if device.startswith("cuda"):
        room = GPU_SHARE * (free_memory(device) or PIECE_VALUES)
    return min(max(isqrt(int(room / max(each, 1))), SMALLEST_PIECE), LARGEST_PIECE)


def to_network(values: Tensor, network: nn.Module) -> Tensor:
    """Values where and as a network has its parameters.

    Parameters
    ----------
    values : Tensor, shape (batch, channels, y, x)
    network : torch.nn.Module

    Returns
    -------
    Tensor
        Channels-last.
    """
    return values.to(next(network.parameters())).contiguous(memory_format=torch.channels_last)


class _IeeeArithmetic:
    """Switches torch's settings when the first thread needs it, and back when the last one is done: they hold for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before = (False, False)

    def begin(self) -> None:
        with self._lock:
            if not self._users:
                self._before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
                torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
            self._users += 1

    def end(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = self._before


_ieee = _IeeeArithmetic()


@contextmanager
def ieee_arithmetic() -> Iterator[None]:
    """Without the 10-bit mantissas (TF32) that NVIDIA's GPUs otherwise take for float32; several threads may overlap."""
    _ieee.begin()
    try:
        yield
    finally:
        _ieee.end()
