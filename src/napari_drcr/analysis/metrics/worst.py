"""Where an error map is worst, one pixel for each place."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.analysis.metrics._shared import COUNTED_SHARE
from napari_drcr.errors import InputError

LEAST_SHARE = 0.5
"""Share of a pixel's bands that must count: the mean of fewer, mostly dark ones is not meaningful."""


class WorstPixel(NamedTuple):
    """A pixel and its error."""

    y: int
    x: int
    error: float


def worst_pixels(errors: xr.DataArray | npt.NDArray[Any], count: int = 20, apart: int = 16) -> list[WorstPixel]:
    """The pixels with the largest errors, no two of them near each other.

    Parameters
    ----------
    errors : xarray.DataArray or ndarray, shape (y, x)
        A map, such as `napari_drcr.analysis.metrics.error_map` gives. Errors with a sign count by their size; NaN do not count, nor do pixels
        of whose bands fewer than half count (are above the floor, and not clipped), as the coordinate ``counted_share`` of the map
        says. An array, or a map without it, is taken as it is.
    count : int
        How many at most.
    apart : int
        Of two of them, rows or columns differ by at least as many pixels as this; 1 lets neighbours through.

    Returns
    -------
    list of WorstPixel
        The worst first, their errors with their sign. Fewer than `count` where no further pixel is left.

    Raises
    ------
    InputError
        If this is no map, or `count` or `apart` is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> worst_pixels(np.array([[0.9, 0.8, 0.1], [0.2, np.nan, 0.5]]), count=2, apart=2)
    [WorstPixel(y=0, x=0, error=0.9), WorstPixel(y=1, x=2, error=0.5)]
    """
    values = np.asarray(errors)
    if values.ndim != 2:
        raise InputError(f"an error map has two axes (y, x), but this one has the shape {values.shape}.")
    if count < 1 or apart < 1:
        raise InputError(f"the worst pixels need a count and a distance of at least 1, not {count} and {apart}.")
    left = np.where(np.isnan(values), -1.0, np.abs(values))
    if isinstance(errors, xr.DataArray) and COUNTED_SHARE in errors.coords:
        left[errors[COUNTED_SHARE].values < LEAST_SHARE] = -1.0
    found: list[WorstPixel] = []
    while len(found) < count:
        y, x = (int(place) for place in np.unravel_index(np.argmax(left), left.shape))
        if left[y, x] < 0:
            break
        found.append(WorstPixel(y, x, float(values[y, x])))
        left[max(0, y - apart + 1) : y + apart, max(0, x - apart + 1) : x + apart] = -1.0
    return found
