"""One image in its 8 flips and quarter turns: the mean of the estimates, and how far they disagree."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import numpy as np
import numpy.typing as npt

from napari_drcr.system.steps import mapped

Float32Array = npt.NDArray[np.float32]
Estimate = Callable[[Float32Array], Generator[tuple[int, int], None, Float32Array]]
"""Estimates (bands, y, x) from (channels, y, x); yields steps done and steps in all."""

ORIENTATIONS = tuple((turns, flipped) for flipped in (False, True) for turns in range(4))
"""Quarter turns, and whether the image is mirrored before."""

FLOOR = 0.01
"""What small means are raised to before anything is divided by them: the default floor of MRAE."""

FLIP_MEANING = (
    "How far the estimates of the 8 flips and quarter turns of the image differ: per pixel the mean over bands of their standard "
    "deviation, relative to their mean. Where it is high the estimate hangs on how the image lies and is worth a doubt. Where it "
    "is low the estimate can still be wrong: spectra with the same RGB (metamers) look the same in every orientation. It is no "
    "uncertainty, and bounds no error."
)
"""What flip disagreement is and is not, for users."""


def turn(image: Float32Array, turns: int, flipped: bool) -> Float32Array:
    """Mirror an image left to right if `flipped`, then turn it.

    Parameters
    ----------
    image : ndarray, shape (channels, y, x)
        What to turn.
    turns : int
        Quarter turns, counterclockwise.
    flipped : bool
        Whether it is mirrored.

    Returns
    -------
    ndarray, shape (channels, y, x) or (channels, x, y)
        A view.
    """
    return np.rot90(image[..., ::-1] if flipped else image, turns, axes=(-2, -1))


def turn_back(image: Float32Array, turns: int, flipped: bool) -> Float32Array:
    """Undo `turn`.

    Parameters
    ----------
    image, turns, flipped
        As for `turn`.

    Returns
    -------
    ndarray
        A view.
    """
    upright = np.rot90(image, -turns, axes=(-2, -1))
    return upright[..., ::-1] if flipped else upright


def average_orientations(
    estimate: Estimate, image: Float32Array
) -> Generator[tuple[int, int], None, tuple[Float32Array, Float32Array]]:
    """Estimate a cube from each orientation of an image, and average.

    Mean and squared deviation are kept as running sums (B. P. Welford, "Note on a Method for Calculating Corrected Sums of
    Squares and Products", Technometrics 1962): two cubes besides the present one, however many orientations there are.

    Parameters
    ----------
    estimate : callable
        One pass. The image comes turned; whatever padding it needs is the pass's own affair.
    image : ndarray, shape (channels, y, x), float32
        What a pass takes.

    Yields
    ------
    tuple of int
        Steps done, steps in all, over all passes. Stop iterating to cancel.

    Returns
    -------
    tuple of two ndarray
        The mean cube (bands, y, x); and flip disagreement (y, x): the mean over bands of the standard deviation over the 8
        estimates, relative to their mean or to 0.01 where that is larger, so that it compares with MRAE@0.01. The deviation
        is divided by 8, not 7: these are all the orientations there are, not a sample of them.
    """
    count = len(ORIENTATIONS)
    mean = squares = np.zeros((0, 0, 0), dtype=np.float32)
    for number, orientation in enumerate(ORIENTATIONS):
        steps = estimate(np.ascontiguousarray(turn(image, *orientation)))
        total = 1

        def overall(step: tuple[int, int], before: int = number) -> tuple[int, int]:
            nonlocal total
            done, total = step
            return before * total + done, count * total

        cube = turn_back((yield from mapped(steps, overall)), *orientation)
        if number == 0:
            mean = np.ascontiguousarray(cube)
            squares = np.zeros(mean.shape, dtype=np.float32)
        else:
            for _ in _include(mean, squares, cube, number):
                yield (number + 1) * total, count * total
        del cube  # or it would stay throughout the next pass
    disagreement = np.zeros(mean.shape[1:], dtype=np.float64)
    for mean_band, squares_band in zip(mean, squares, strict=True):
        with np.errstate(invalid="ignore", over="ignore"):
            disagreement += np.sqrt(squares_band / count) / np.maximum(mean_band, FLOOR)
        yield count * total, count * total
    return mean, (disagreement / len(mean)).astype(np.float32)


def _include(mean: Float32Array, squares: Float32Array, cube: Float32Array, number: int) -> Iterator[None]:
    """Take one more cube into mean and squared deviation, `number` of them being in already; band by band."""
    for mean_band, squares_band, band in zip(mean, squares, cube, strict=True):
        # Values that are not finite are the caller's to refuse.
        with np.errstate(invalid="ignore", over="ignore"):
            deviation = band - mean_band
            mean_band += deviation / (number + 1)
            squares_band += deviation**2 * (number / (number + 1))
        yield
