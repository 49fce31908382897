"""Rendering of cubes: true colour for the CIE observer, or false colour from three bands."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.cubes.colorimetry import encode_srgb, srgb_response
from napari_drcr.cubes.cube import check_cube
from napari_drcr.cubes.lazy import pieces
from napari_drcr.errors import InputError, notify

SAME_BAND = 0.05
"""Distance in nm up to which a band counts as being at the requested wavelength."""


def render_srgb(cube: xr.DataArray) -> npt.NDArray[np.float32]:
    """The cube as the CIE 1931 observer sees it.

    Parameters
    ----------
    cube : xarray.DataArray, shape (bands, y, x)
        Reflectance is lit by D65; radiance is taken as it is; an unknown quantity is treated as reflectance, with a notice.
        A lazy cube is read one chunk at a time.

    Returns
    -------
    ndarray, shape (y, x, 3), float32
        sRGB-encoded values in [0, 1].
    """
    check_cube(cube)
    if cube.attrs.get("quantity", "unknown") == "unknown":
        notify("This cube does not state its quantity: it is shown as reflectance under D65.")
    light = None if cube.attrs.get("quantity") == "radiance" else "D65"
    response = srgb_response(cube["wavelength"].values, illuminant=light).astype(np.float32)
    linear = np.zeros((*cube.shape[1:], 3), dtype=np.float32)
    for (bands, y, x), values in pieces(cube):
        linear[y, x] += np.einsum("byx,bc->yxc", values, response[bands], optimize=True)
    return encode_srgb(linear)


def nearest_band(cube: xr.DataArray, nanometres: float) -> float:
    """The band of a cube to show for a wavelength.

    Parameters
    ----------
    cube : xarray.DataArray, shape (bands, y, x)
        Its values are not read.
    nanometres : float
        Wanted wavelength in nm.

    Returns
    -------
    float
        Centre of the nearest band in nm. A notice is given if that is another wavelength.

    Raises
    ------
    InputError
        If the wavelength lies outside the range of the cube.
    """
    nm = check_cube(cube)["wavelength"].values
    # Written so that NaN, which fails every comparison, is refused too.
    if not nm[0] <= nanometres <= nm[-1]:
        raise InputError(f"there is no band at {nanometres:g} nm: this cube covers {nm[0]:g}-{nm[-1]:g} nm.")
    nearest = float(nm[np.argmin(np.abs(nm - nanometres))])
    if not np.isclose(nearest, nanometres, rtol=0, atol=SAME_BAND):
        notify(f"There is no band at {nanometres:g} nm: the nearest, at {nearest:g} nm, is shown.")
    return nearest


def render_false_colour(
    cube: xr.DataArray, red: float, green: float, blue: float, *, percentile: float = 1.0
) -> npt.NDArray[np.float32]:
    """Three bands of a cube as the channels of a picture.

    Parameters
    ----------
    cube : xarray.DataArray, shape (bands, y, x)
        Only the three bands of a lazy cube are read.
    red, green, blue : float
        Wavelengths in nm; the nearest band is taken, with a notice if it differs, see `nearest_band`.
    percentile : float
        Each channel is stretched separately so that this share of its values in percent, 0 or more and less than 50, is black, and as
        many have the full brightness.

    Returns
    -------
    ndarray, shape (y, x, 3), float32
        In [0, 1], to be shown as it is; values that are not finite, and channels that are the same everywhere, are black.

    Raises
    ------
    InputError
        If a wavelength lies outside the range of the cube, or the percentile is out of range.
    """
    if not 0 <= percentile < 50:
        raise InputError(f"the percentile of the stretch must be 0 or more and less than 50, not {percentile:g}.")
    bands = [nearest_band(cube, nm) for nm in (red, green, blue)]
    return np.stack([_stretched(cube.sel(wavelength=nm).values, percentile) for nm in bands], axis=-1)


def _stretched(values: npt.NDArray[Any], percentile: float) -> npt.NDArray[np.float32]:
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, dtype=np.float32)
    low, high = np.percentile(values[finite], [percentile, 100 - percentile])
    width = high - low if high > low else np.inf
    return np.asarray(np.clip((np.where(finite, values, low) - low) / width, 0, 1), dtype=np.float32)
