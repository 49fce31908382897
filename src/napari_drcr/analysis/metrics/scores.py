"""MRAE, RMSE and SAM together, of a whole image or of a region."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from napari_drcr.analysis.metrics._shared import Cube, aligned, check_finite
from napari_drcr.analysis.metrics.totals import counts_for_mrae, error_map, mrae, rmse
from napari_drcr.errors import InputError


class Scores(NamedTuple):
    """How far an estimate is from the truth over some pixels."""

    mrae: float
    """NaN if no entry of the truth reaches the floor."""
    rmse: float
    sam: float
    """In degrees; NaN if no pixel has an angle."""
    pixels: int


def scores(truth: Cube, estimate: Cube, floor: float | None = 0.01, *, mask: npt.NDArray[np.bool_] | None = None) -> Scores:
    """MRAE, RMSE and SAM over the same pixels.

    Parameters
    ----------
    truth, estimate
        As for `napari_drcr.analysis.metrics.mrae`. Of lazy cubes only the rectangle around the mask is read.
    floor : float, optional
        Of the MRAE.
    mask : ndarray of bool, shape (y, x), optional
        The pixels that count; by default all of them.

    Returns
    -------
    Scores
        As `mrae`, `rmse` and `sam` give them for these pixels.

    Raises
    ------
    InputError
        As for `mrae`, or if the mask does not fit the cubes or holds no pixel. That none reaches the floor, or has an angle, is
        marked by NaN.

    Examples
    --------
    >>> truth, estimate = np.full((31, 2, 2), 0.5), np.full((31, 2, 2), 0.4)
    >>> found = scores(truth, estimate, mask=np.array([[True, False], [False, False]]))
    >>> round(found.mrae, 3), round(found.rmse, 3), round(found.sam, 3), found.pixels
    (0.2, 0.1, 0.0, 1)
    """
    first, second = aligned(truth, estimate)
    if mask is not None:
        if mask.shape != first.shape[1:]:
            raise InputError(f"the mask has the shape {mask.shape}, the cubes {first.shape[1]} x {first.shape[2]} pixels.")
        if not mask.any():
            raise InputError("the mask holds no pixel, so there is nothing to compare in it.")
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        window = {"y": slice(rows[0], rows[-1] + 1), "x": slice(columns[0], columns[-1] + 1)}
        inside = mask[window["y"], window["x"]]
        exact, guess = (cube.isel(window).values[:, inside][:, :, None] for cube in (first, second))
    else:
        exact, guess = first.values, second.values
    check_finite(exact, "truth")
    angles = error_map(exact, guess, "sam").values
    return Scores(
        mrae=mrae(exact, guess, floor) if counts_for_mrae(exact, floor).any() else math.nan,
        rmse=rmse(exact, guess),
        sam=math.nan if np.isnan(angles).all() else float(np.nanmean(angles)),
        pixels=angles.size,
    )
