"""Something white in the image: what the light and the exposure did to it, taken out again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_drcr.errors import InputError

Box = tuple[int, int, int, int]
"""Top, left, bottom, right in pixels, the last two excluded."""
Gains = tuple[float, float, float]
"""Factors on red, green and blue, in linear light."""

DARKEST = 0.02
"""Mean of a channel, in linear light, below which 8 bits and noise no longer show how bright white is."""
CHANNELS = ("red", "green", "blue")


def check_box(box: Sequence[int], height: int, width: int) -> Box:
    """Return `box` if it lies in an image, else say why not.

    Parameters
    ----------
    box : sequence of int
        Top, left, bottom, right: rows ``top`` to ``bottom - 1`` and columns ``left`` to ``right - 1``.
    height, width : int
        Of the image in pixels.

    Returns
    -------
    tuple of int

    Raises
    ------
    InputError
        If it is no box, empty, or reaches beyond the image.
    """
    try:
        numbers = [int(number) for number in box]
        whole = all(number == given for number, given in zip(numbers, box, strict=True))
    except (TypeError, ValueError):
        numbers, whole = [], False
    if len(numbers) != 4 or not whole:
        raise InputError(f"a white patch is four whole numbers, top, left, bottom and right in pixels, not {box!r:.60}.")
    top, left, bottom, right = numbers
    if top >= bottom or left >= right:
        raise InputError(f"the white patch {_text(numbers)} is empty: bottom must exceed top, and right exceed left.")
    if top < 0 or left < 0 or bottom > height or right > width:
        raise InputError(
            f"the white patch {_text(numbers)} reaches beyond the image of {height} x {width} pixels; "
            f"it may go from 0,0 to {height},{width}."
        )
    return top, left, bottom, right


def gains_of_patch(linear: npt.NDArray[Any], clipped: npt.NDArray[np.bool_]) -> Gains:
    """What brings a patch to white: 1 in every channel, on average.

    Parameters
    ----------
    linear : ndarray, shape (y, x, 3)
        The pixels of the patch in linear light.
    clipped : ndarray, shape (y, x), bool
        Which of them are at the image's white level.

    Returns
    -------
    tuple of three float
        The inverse of each channel's mean.

    Raises
    ------
    InputError
        If pixels are clipped, or a channel is too dark.
    """
    if clipped.any():
        raise InputError(
            f"{clipped.mean():.0%} of the white patch's pixels are clipped, so its brightness is unknown; "
            "choose another, or a photo of less exposure."
        )
    means = linear.mean(axis=(0, 1), dtype=np.float64)
    darkest = int(np.argmin(means))
    # Written so that NaN, which fails every comparison, is refused too.
    if not means[darkest] >= DARKEST:
        raise InputError(
            f"the white patch is too dark: its {CHANNELS[darkest]} is {means[darkest]:.3f} of white in linear light, "
            f"and at least {DARKEST} is needed; choose something brighter."
        )
    red, green, blue = (1 / means).tolist()
    return red, green, blue


def _text(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))
