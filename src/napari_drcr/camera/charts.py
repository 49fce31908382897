"""Charts of given spectra, to measure on them how well models estimate materials."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
from napari_drcr.errors import InputError

DARKEST = 0.8
"""The factor that shading may go down to."""


def chart_of(
    spectra: npt.ArrayLike, side: int = 24, *, wavelengths: npt.ArrayLike = WAVELENGTHS, seed: int = 0
) -> xr.DataArray:
    """Paint spectra as squares of a chart, each under its own gentle shading.

    Parameters
    ----------
    spectra : array_like, shape (n, bands)
        Reflectances, such as `napari_drcr.io.library.Library.values`.
    side : int
        Of a square, in pixels.
    wavelengths : array_like, shape (bands,)
        In nm, ascending.
    seed : int
        Of the shading: in each square a plane from 1 down to between 0.8 and 1, in a random direction.

    Returns
    -------
    xarray.DataArray, shape (bands, rows * side, columns * side), float32
        Reflectance, the squares row by row, as near to a square chart as possible. Its integer coordinate `spectrum` (y, x) is
        the number of the spectrum, from 0; where the last row is not full, it begins again with the first.

    Raises
    ------
    InputError
        If there are no spectra, they do not fit the wavelengths or are not finite, or the side is not positive.

    Examples
    --------
    >>> chart_of(np.linspace(0.1, 0.9, 5)[:, None] * np.ones(31)).shape
    (31, 48, 72)
    """
    values, nm = np.asarray(spectra, dtype=np.float32), np.asarray(wavelengths, dtype=np.float64)
    if values.ndim != 2 or not len(values) or values.shape[1] != nm.size:
        raise InputError(
            f"a chart takes spectra of the shape (n, {nm.size}), one value for each wavelength, not {values.shape}."
        )
    if not np.isfinite(values).all():
        raise InputError("a chart takes spectra without gaps, but some values are NaN or infinite; leave these spectra out.")
    if side < 1 or seed < 0:
        raise InputError(f"a chart takes squares of at least 1 pixel and a seed of 0 or more, not {side} and {seed}.")
    random = np.random.default_rng(seed)
    columns = math.ceil(math.sqrt(len(values)))
    numbers = np.arange(math.ceil(len(values) / columns) * columns) % len(values)
    angles = random.uniform(0, 2 * np.pi, (len(numbers), 1, 1))
    depths = random.uniform(0, 1 - DARKEST, (len(numbers), 1, 1))
    rows, places = np.mgrid[:side, :side] / max(side - 1, 1) - 0.5
    slopes = np.cos(angles) * rows + np.sin(angles) * places
    shading = (1 - depths * (slopes + np.sqrt(0.5)) / np.sqrt(2)).astype(np.float32)
    squares = values[numbers][:, :, None, None] * shading[:, None]
    tiled = squares.reshape(-1, columns, nm.size, side, side).transpose(2, 0, 3, 1, 4)
    cube = make_cube(tiled.reshape(nm.size, -1, columns * side), nm, quantity="reflectance", name="chart")
    of_pixels = np.kron(numbers.reshape(-1, columns), np.ones((side, side), np.int64))
    return cube.assign_coords(spectrum=(("y", "x"), of_pixels))
