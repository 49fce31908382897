"""A network over an image on some device: the pass itself, what to do where memory runs out, and parts of it once more."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_drcr.errors import InputError, notify
from napari_drcr.models.drcr.network import DRCRNet
from napari_drcr.models.drcr.tiles import PYRAMID, Box, Gates, Steps, measure_gates, piece_side, place, run_strips, run_window
from napari_drcr.system.devices import choose_device, choose_precision, devices, limit_threads
from napari_drcr.system.memory import is_lack_of_memory

KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SMALLEST_SIDE = 32
"""Of pieces, in pixels; where even these do not fit, smaller ones will not."""
WINDOW = 256
"""Largest side in pixels of what is refined at a time."""

Float32Array = npt.NDArray[np.float32]


class Runner:
    """A network on a device, ready for images.

    Where memory runs out it goes on with smaller pieces, and where these do not help on a GPU, on the CPU; and says so.

    Parameters
    ----------
    network : DRCRNet
        In float32; stays what it is.
    device, precision : str
        See `napari_drcr.system.devices`.
    tile : int, optional
        See `napari_drcr.models.drcr.tiles.run_strips`; by default what suits the device.

    Attributes
    ----------
    device, precision : str
        What was chosen, or fallen back to.
    latest : Pass or None
        Of the last image.

    Raises
    ------
    InputError
        If there is no such device, or it does not do that precision.
    """

    def __init__(self, network: DRCRNet, device: str = "auto", precision: str = "auto", tile: int | None = None) -> None:
        limit_threads()
        self._network = network
        self._wanted_precision = precision
        self._tile = tile
        self._move(choose_device(device), precision)
        self.latest: Pass | None = None

    def _move(self, device: str, precision: str) -> None:
        self.device, self.precision = device, choose_precision(precision, device)
        self._placed = place(self._network, device, KINDS[self.precision])

    @property
    def hardware(self) -> dict[str, Any]:
        """What a cube's attributes say about where it was made."""
        name = devices()[self.device]
        return {"device": self.device, "device_name": name, "precision": self.precision, "tile": self._tile}

    def estimate(self, image: Float32Array) -> Generator[Steps, None, Float32Array]:
        """Estimate the cube of an image.

        Parameters
        ----------
        image : ndarray, shape (3, y, x), float32
            As the model takes it.

        Yields
        ------
        tuple of int
            Steps done, steps in all; begins anew where memory ran out. Stop iterating to cancel.

        Returns
        -------
        ndarray, shape (bands, y, x), float32
            `latest` is then what is to be remembered of the pass.

        Raises
        ------
        InputError
            If values come up that are not finite, or nothing helps against the lack of memory.
        """
        size = image.shape[1], image.shape[2]
        beyond = [(0, 0), *((0, -length % PYRAMID) for length in size)]
        padded = np.pad(image, beyond, mode="reflect") if any(after for _, after in beyond) else image
        while True:
            self._tile = self._tile or piece_side(self._placed, *padded.shape[1:])
            try:
                answer = yield from run_strips(self._placed, torch.from_numpy(padded), side=self._tile, size=size)
            except FloatingPointError:
                raise InputError(
                    f"the estimate in {self.precision} holds values that are not finite; try fp32, or another model."
                ) from None
            except (MemoryError, RuntimeError) as error:
                if not is_lack_of_memory(error):
                    raise
            else:
                self.latest = Pass(self._network, padded, size, answer.gates, self.device, self.precision, self._tile)
                return answer.cube.numpy()
            # Out of the handler, whose traceback holds on to what was in memory.
            self._retreat()

    def _retreat(self) -> None:
        assert self._tile is not None
        short = f"{devices()[self.device]} has too little memory free"
        if self._tile > SMALLEST_SIDE:
            self._tile = max(self._tile // 2, SMALLEST_SIDE)
            notify(f"{short}: going on with smaller pieces (tile {self._tile}), which gives the same cube.")
        elif self.device != "cpu":
            there = choose_precision("auto", "cpu") if self._wanted_precision == "auto" else "fp32"
            self._move("cpu", there)
            self._tile = None
            notify(f"{short}: going on with {devices()['cpu']} in {there}, which takes longer.")
        else:
            raise InputError(f"{short} even for the smallest pieces; close other programs, or take a smaller image.")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@dataclass
class Pass:
    """What is remembered of a pass: enough to compute any part of it again, in float32 as well.

    Attributes
    ----------
    network : DRCRNet
        In float32.
    image : ndarray, shape (3, y, x), float32
        As the network took it, padding included.
    size : tuple of int
        Height and width of the cube.
    gates : Gates
        Of this pass.
    device, precision : str
        Where and how it was computed.
    tile : int
        Side of its pieces.
    """

    network: DRCRNet
    image: Float32Array
    size: tuple[int, int]
    gates: Gates
    device: str
    precision: str
    tile: int
    _exact_gates: Gates | None = field(default=None, init=False)

    @property
    def knows_exact_gates(self) -> bool:
        """Whether the gates of a float32 pass are known, so that `refine` needs no pass of its own."""
        return self.precision == "fp32" or self._exact_gates is not None

    def refine(self, box: Sequence[int], *, exact: bool = True) -> Generator[Steps, None, Float32Array]:
        """Compute a window of the cube in float32.

        Parameters
        ----------
        box : sequence of int
            Top, left, bottom and right in pixels, the last two excluded.
        exact : bool
            With the gates of a float32 pass: what that pass would give, but for rounding. Where they are not known yet they take a
            pass without a cube, once. False takes the gates of this pass instead, at once; the answer is then that of no pass.

        Yields
        ------
        tuple of int
            Steps done, steps in all; first of the extra pass, where there is one. Stop iterating to cancel.

        Returns
        -------
        ndarray, shape (bands, bottom - top, right - left), float32

        Raises
        ------
        InputError
            If the window is empty or not in the image, or values come up that are not finite.
        """
        top, left, bottom, right = _window(box, *self.size)
        placed = place(self.network, self.device, torch.float32)
        image = torch.from_numpy(self.image)
        gates = self.gates
        if exact and self.precision != "fp32":
            if self._exact_gates is None:
                try:
                    self._exact_gates = yield from measure_gates(placed, image, side=self.tile)
                except FloatingPointError:
                    raise InputError("the float32 pass holds values that are not finite; try another model.") from None
            gates = self._exact_gates
        values = np.empty((placed.bands, bottom - top, right - left), dtype=np.float32)
        windows: list[Box] = [
            (y, x, min(y + WINDOW, bottom), min(x + WINDOW, right))
            for y in range(top, bottom, WINDOW)
            for x in range(left, right, WINDOW)
        ]
        for number, window in enumerate(windows, start=1):
            part = run_window(placed, image, gates, window).numpy()
            if not np.isfinite(part).all():
                raise InputError("the window holds values that are not finite; try another model.")
            values[:, window[0] - top : window[2] - top, window[1] - left : window[3] - left] = part
            yield number, len(windows)
        return values


def _window(box: Sequence[int], height: int, width: int) -> Box:
    top, left, bottom, right = box
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise InputError(
            f"the window from {top},{left} to {bottom},{right} is empty or not inside the image of {height} x {width} pixels."
        )
    return top, left, bottom, right
