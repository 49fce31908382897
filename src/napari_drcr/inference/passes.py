"""A network over an image on some device: the pass itself, what to do where memory runs out, and windows of it once more."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from napari_drcr.errors import InputError, notify
from napari_drcr.models.execution import Execution, Steps
from napari_drcr.models.memory import takes
from napari_drcr.models.regions import Box
from napari_drcr.models.store import Model
from napari_drcr.system.devices import choose_device, choose_precision, devices, limit_threads
from napari_drcr.system.memory import NotEnoughMemory, is_lack_of_memory
from napari_drcr.system.steps import mapped

if TYPE_CHECKING:
    from napari_drcr.inference.colours import ExactColours

KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SMALLEST_SIDE = 32
"""Of pieces, in pixels; where even these do not fit, smaller ones will not."""
SMALL = 64
"""Smallest side of an image, in pixels, from which on every network takes it."""
WINDOW = 256
"""Largest side in pixels of what is refined at a time."""
SMALLEST_WINDOW = 16
"""The same where memory is short."""

Float32Array = npt.NDArray[np.float32]


class NetworkRunner:
    """A network on a device, ready for images.

    Where memory runs out it goes on with smaller pieces, and where these do not help on a GPU, on the CPU; and says so.

    Parameters
    ----------
    model : Model
        With a network, not a per-pixel map.
    device, precision : str
        See `napari_drcr.system.devices`. "auto" takes a precision that was shown to be safe for the network.
    tile : int, optional
        What is computed at a time has as many pixels as a square of this side; by default what suits device and image.

    Attributes
    ----------
    device, precision : str
        What was chosen, or fallen back to.
    latest : Pass or None
        Of the last image, where windows of it can be computed again.

    Raises
    ------
    InputError
        If there is no such device, or it does not do that precision.
    """

    def __init__(self, model: Model, device: str = "auto", precision: str = "auto", tile: int | None = None) -> None:
        limit_threads()
        self._model = model
        self._wanted_precision = precision
        self._wanted_tile = self._tile = tile
        self._move(choose_device(device), precision)
        self.latest: Pass | None = None

    def _move(self, device: str, precision: str) -> None:
        self.device, self.precision = device, choose_precision(precision, device, safe=self._model.architecture.precisions)
        self._execution = execution_of(self._model, device, self.precision)

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
            If the image is too small for the network, values come up that are not finite, or nothing helps against the lack of memory.
        """
        size = image.shape[1], image.shape[2]
        padded = pad_to_multiple(image, self._model.architecture.multiple)
        self._tile = self._wanted_tile
        while True:
            self._tile = self._tile or self._execution.piece_side(*padded.shape[1:])
            try:
                answer = yield from self._execution.run(torch.from_numpy(padded), side=self._tile, size=size)
            except FloatingPointError:
                raise InputError(
                    f"the estimate in {self.precision} holds values that are not finite; try fp32, or another model."
                ) from None
            except (MemoryError, RuntimeError) as error:
                if not is_lack_of_memory(error):
                    if min(size) < SMALL and not takes(self._model.estimator, *padded.shape[1:]):
                        raise InputError(
                            f"{self._model.architecture.title} does not take images of {size[0]} x {size[1]} pixels: its layers "
                            "need more of them; take a larger image."
                        ) from None
                    raise
                lacking = error if isinstance(error, NotEnoughMemory) else None
            else:
                self.latest = None
                if self._execution.refinable:
                    self.latest = Pass(self._model, padded, size, answer.gathered, self.device, self.precision, self._tile)
                return answer.cube.numpy()
            # Out of the handler, whose traceback holds on to what was in memory.
            self._retreat(lacking, size)

    def _retreat(self, lacking: NotEnoughMemory | None, size: tuple[int, int]) -> None:
        short = f"{devices()[self.device]} has too little memory free"
        if self._execution.in_pieces and (self._tile or 0) > SMALLEST_SIDE:
            self._tile = self._wanted_tile = max((self._tile or 0) // 2, SMALLEST_SIDE)
            notify(f"{short}: going on with smaller pieces (tile {self._tile}), which gives the same cube.")
        elif self.device != "cpu":
            there = "auto" if self._wanted_precision == "auto" else "fp32"
            self._move("cpu", there)
            self._tile = self._wanted_tile = None
            notify(f"{short}: going on with {devices()['cpu']} in {self.precision}, which takes longer.")
        elif lacking is not None:
            raise InputError(
                f"{self._model.architecture.title} takes an image of {size[0]} x {size[1]} pixels at once, for which {lacking}; "
                "take a smaller image, or close other programs."
            )
        else:
            raise InputError(f"{short} even for the smallest pieces; close other programs, or take a smaller image.")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def execution_of(model: Model, device: str, precision: str) -> Execution:
    """A model's network on a device.

    Parameters
    ----------
    model : Model
        With a network, not a per-pixel map.
    device : str
        torch's name of it.
    precision : {"fp32", "bf16", "fp16"}

    Returns
    -------
    Execution
    """
    return model.architecture.execution(model.estimator, model.settings, device, KINDS[precision])


def pad_to_multiple(image: Float32Array, multiple: int) -> Float32Array:
    """Fill an image up by reflection.

    Parameters
    ----------
    image : ndarray, shape (channels, y, x)
        Both sides longer than half of `multiple`.
    multiple : int
        What the sides are to be multiples of.

    Returns
    -------
    ndarray, shape (channels, y, x)
        With rows below and columns on the right; the image itself where it fits.
    """
    beyond = [(0, 0), *((0, -length % multiple) for length in image.shape[1:])]
    return np.pad(image, beyond, mode="reflect") if any(after for _, after in beyond) else image


@dataclass
class Pass:
    """What is remembered of a pass: enough to compute any part of it again, in float32 as well.

    Attributes
    ----------
    model : Model
        Whose pass it was.
    image : ndarray, shape (3, y, x), float32
        As the network took it, padding included.
    size : tuple of int
        Height and width of the cube.
    gathered : object
        What windows of this pass need to know of the whole image.
    device, precision : str
        Where and how it was computed.
    tile : int or None
        Side of its pieces.
    colours : ExactColours or None
        What takes the photo's own colours into the cube, where it has them.
    """

    model: Model
    image: Float32Array
    size: tuple[int, int]
    gathered: Any
    device: str
    precision: str
    tile: int | None
    colours: ExactColours | None = None
    _exact: Any = field(default=None, init=False)
    _execution: Execution | None = field(default=None, init=False, repr=False)

    @property
    def knows_exact_statistics(self) -> bool:
        """Whether what a float32 pass gathers is known, so that `refine` needs no pass of its own."""
        return self.precision == "fp32" or self._exact is not None or self.gathered is None

    def refine(self, box: Sequence[int], *, exact: bool = True) -> Generator[Steps, None, Float32Array]:
        """Compute a window of the cube in float32.

        Where memory runs out it goes on with smaller windows, then on the CPU, and says so.

        Parameters
        ----------
        box : sequence of int
            Top, left, bottom and right in pixels, the last two excluded.
        exact : bool
            With what a float32 pass gathers: what that pass would give, but for rounding. Where it is not known yet it takes a
            pass without a cube, once. False takes what this pass has gathered instead, at once; the answer is then that of no pass.

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
            If the window is empty or not in the image, values come up that are not finite, or memory does not suffice.
        """
        window = _window(box, *self.size)
        largest, side = WINDOW, self.tile
        while True:
            try:
                return (yield from self._refine(window, exact, largest, side))
            except (MemoryError, RuntimeError) as error:
                if not is_lack_of_memory(error):
                    raise
            short = f"{devices()[self.device]} has too little memory free"
            if largest > SMALLEST_WINDOW:
                largest, side = largest // 4, max((side or 4 * SMALLEST_SIDE) // 2, SMALLEST_SIDE)
            elif self.device != "cpu":
                self.device, self._execution, largest = "cpu", None, WINDOW
                notify(f"{short}: going on with {devices()['cpu']}, which takes longer.")
            else:
                raise InputError(f"{short} to compute this window again; close other programs, or choose a smaller one.")

    def _placed(self) -> Execution:
        if self._execution is None:
            self._execution = execution_of(self.model, self.device, "fp32")
        return self._execution

    def _refine(self, box: Box, exact: bool, largest: int, side: int | None) -> Generator[Steps, None, Float32Array]:
        top, left, bottom, right = box
        execution, image = self._placed(), torch.from_numpy(self.image)
        gathered = self.gathered
        if exact and self.precision != "fp32":
            if not self.knows_exact_statistics:
                try:
                    self._exact = yield from execution.gather(image, side=side)
                except FloatingPointError:
                    raise InputError("the float32 pass holds values that are not finite; try another model.") from None
            gathered = self._exact
        values: Float32Array | None = None
        windows: list[Box] = [
            (y, x, min(y + largest, bottom), min(x + largest, right))
            for y in range(top, bottom, largest)
            for x in range(left, right, largest)
        ]
        for number, window in enumerate(windows, start=1):
            part = execution.window(image, gathered, window).numpy()
            if not np.isfinite(part).all():
                raise InputError("the window holds values that are not finite; try another model.")
            if values is None:
                values = np.empty((len(part), bottom - top, right - left), dtype=np.float32)
            values[:, window[0] - top : window[2] - top, window[1] - left : window[3] - left] = part
            yield number, len(windows)
        assert values is not None
        if self.colours is not None:
            yield from mapped(
                self.colours.iter_correct(values, self.image[:, top:bottom, left:right]), lambda _: (len(windows), len(windows))
            )
        return values


def _window(box: Sequence[int], height: int, width: int) -> Box:
    top, left, bottom, right = box
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise InputError(
            f"the window from {top},{left} to {bottom},{right} is empty or not inside the image of {height} x {width} pixels."
        )
    return top, left, bottom, right
