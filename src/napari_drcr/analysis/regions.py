"""What the spectra of a region have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.cubes.cube import BLOCK_VALUES, check_cube
from napari_drcr.errors import InputError, notify

Statistic = Literal["mean", "median"]


class RegionSpectrum(NamedTuple):
    """What a region's spectra have in common: three curves over wavelength, `low` and `high` around `centre`."""

    centre: xr.DataArray
    low: xr.DataArray
    high: xr.DataArray


def region_spectrum(cube: xr.DataArray, region: npt.ArrayLike, statistic: Statistic = "mean") -> RegionSpectrum:
    """Centre and spread of the spectra in a region.

    Parameters
    ----------
    cube : xarray.DataArray, shape (bands, y, x)
        The cube; of a lazy one only the rectangle around the region is read.
    region : array_like
        Either a mask, boolean, shape (y, x); or the corners of a polygon, shape (corners, 2), as (y, x) in pixels. A polygon
        holds the pixels whose centres lie in it, and may reach beyond the image.
    statistic : {"mean", "median"}
        Mean with one standard deviation (over these pixels, ddof=0) to both sides, or median with the quartiles.

    Returns
    -------
    RegionSpectrum
        Three curves, float64. ``attrs["pixels"]`` is the number of pixels.

    Raises
    ------
    InputError
        If the region holds no pixel of the image, or there is no such statistic. Values that are not finite are left out band by
        band, with a notice.
    """
    check_cube(cube)
    if statistic not in get_args(Statistic):
        raise InputError(f"there is no statistic {statistic!r}; there is {', '.join(get_args(Statistic))}.")
    top, left, mask = _rectangle(np.asarray(region), cube.shape[1:])
    rectangle = cube.isel(y=slice(top, top + mask.shape[0]), x=slice(left, left + mask.shape[1]))
    curves = np.full((3, cube.shape[0]), np.nan)
    left_out = 0
    for bands in _band_blocks(rectangle):
        values = rectangle.isel(wavelength=bands).values[:, mask].astype(np.float64)
        known = np.isfinite(values)
        left_out += values.size - int(known.sum())
        some = known.any(axis=1)
        if some.any():
            curves[:, bands][:, some] = _spread(np.where(known, values, np.nan)[some], statistic)
    if left_out:
        notify(f"{left_out} values of the region are NaN or infinite and are left out of its {statistic}.")
    attrs = {**cube.attrs, "pixels": int(mask.sum()), "statistic": statistic}
    coords = {"wavelength": cube["wavelength"]}
    return RegionSpectrum(
        *(xr.DataArray(curve, dims="wavelength", coords=coords, name=cube.name, attrs=attrs) for curve in curves)
    )


def region_mask(region: npt.ArrayLike, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which pixels of an image belong to a region.

    Parameters
    ----------
    region : array_like
        As for `region_spectrum`.
    shape : tuple of (int, int)
        Height and width of the image in pixels.

    Returns
    -------
    ndarray of bool, shape (y, x)
        True for at least one pixel.

    Raises
    ------
    InputError
        If the region holds no pixel of the image.
    """
    top, left, kept = _rectangle(np.asarray(region), shape)
    mask = np.zeros(shape, dtype=bool)
    mask[top : top + kept.shape[0], left : left + kept.shape[1]] = kept
    return mask


def _spread(values: npt.NDArray[Any], statistic: Statistic) -> npt.NDArray[Any]:
    """Centre, low and high of (bands, pixels), along pixels."""
    if statistic == "median":
        low, centre, high = np.nanquantile(values, [0.25, 0.5, 0.75], axis=1)
        return np.stack([centre, low, high])
    centre, deviation = np.nanmean(values, axis=1), np.nanstd(values, axis=1)
    return np.stack([centre, centre - deviation, centre + deviation])


def _rectangle(region: npt.NDArray[Any], shape: tuple[int, ...]) -> tuple[int, int, npt.NDArray[np.bool_]]:
    """First row and column of the rectangle around a region, and which of its pixels belong to the region."""
    if region.dtype == bool:
        if region.shape != shape:
            raise InputError(f"the mask has the shape {region.shape}, but the image {shape[0]} x {shape[1]} pixels.")
        top, left, mask = 0, 0, region
    else:
        if region.ndim != 2 or region.shape[1] != 2 or len(region) < 3 or not np.isfinite(region).all():
            raise InputError(
                f"a region is a boolean mask (y, x), or at least three corners (y, x) of a polygon, not the shape {region.shape}."
            )
        low = np.clip(np.ceil(region.min(axis=0)), 0, shape).astype(int)
        high = np.clip(np.floor(region.max(axis=0)) + 1, 0, shape).astype(int)
        top, left = map(int, low)
        mask = _inside(region, np.arange(top, high[0])[:, None], np.arange(left, high[1]))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise InputError("the region holds the centre of no pixel of the image; draw it larger, or over the image.")
    kept = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return top + int(rows[0]), left + int(columns[0]), kept


def _inside(corners: npt.NDArray[Any], y: npt.NDArray[Any], x: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which points a ray to the left meets an odd number of sides from.

    Of two regions that share a side, a point on it belongs to exactly one, whatever the order of their corners.
    matplotlib's paths do not promise that, and scikit-image's polygons both take such points.
    """
    inside = np.zeros(np.broadcast_shapes(y.shape, x.shape), dtype=bool)
    for (y0, x0), (y1, x1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 <= y) != (y1 <= y)) & (x >= x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return inside


def _band_blocks(cube: xr.DataArray) -> Iterator[slice]:
    """Bands to be read at once, so many that memory stays bounded however large the region."""
    step = max(1, BLOCK_VALUES // (cube.shape[1] * cube.shape[2]))
    for first in range(0, cube.shape[0], step):
        yield slice(first, first + step)
