"""What numbers and maps have in common: two cubes brought together, checked and counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.cubes.cube import WAVELENGTHS, align, make_cube
from napari_drcr.errors import InputError, notify

Cube = xr.DataArray | npt.NDArray[Any]
FloatArray = npt.NDArray[Any]
COUNTED_SHARE = "counted_share"
"""Coordinate (y, x) of maps over all bands: in which part of the bands a pixel counts."""


def aligned(truth: Cube, estimate: Cube) -> tuple[xr.DataArray, xr.DataArray]:
    """Two cubes, or two arrays made into cubes, on common bands."""
    if isinstance(truth, xr.DataArray) and isinstance(estimate, xr.DataArray):
        return align(truth, estimate)
    shapes = np.shape(truth), np.shape(estimate)
    if shapes[0] != shapes[1] or len(shapes[0]) != 3:
        raise InputError(f"the cubes differ in shape, or have not three axes (bands, y, x): {shapes[0]} and {shapes[1]}.")
    nm = next((cube["wavelength"].values for cube in (truth, estimate) if isinstance(cube, xr.DataArray)), None)
    if nm is None:
        bands = shapes[0][0]
        nm = np.asarray(WAVELENGTHS) if bands == len(WAVELENGTHS) else np.arange(1, bands + 1)
    return make_cube(np.asarray(truth), nm), make_cube(np.asarray(estimate), nm)


def check_finite(values: FloatArray, name: str) -> FloatArray:
    """Return the values if all are finite, else say how many are not."""
    if wrong := int(np.count_nonzero(~np.isfinite(values))):
        raise InputError(f"the {name} holds {wrong} values that are NaN or infinite; replace or leave out these pixels first.")
    return values


def check_clipped(mask: npt.ArrayLike | None, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """The mask of pixels to leave out, all False if there is none; rejected if it does not fit `shape`."""
    if mask is None:
        return np.zeros(shape, dtype=bool)
    clipped = np.asarray(mask, dtype=bool)
    if clipped.shape != shape:
        raise InputError(
            f"the marks of clipped pixels have the shape {clipped.shape}, the cubes {shape[0]} x {shape[1]} pixels."
        )
    return clipped


def reaches(truth: FloatArray, floor: float | None) -> npt.NDArray[np.bool_]:
    """Which entries a relative error counts: those of at least the floor, or above 0 without one."""
    return np.asarray(truth >= floor if floor else truth > 0)


def check_floor(floor: float | None) -> float | None:
    """Return the floor if it can be one."""
    if floor is not None and not floor >= 0:
        raise InputError(f"the floor of MRAE must be positive, or left out, not {floor:g}.")
    return floor


def tell_of_the_uncounted(counted: int, size: int, floor: float | None) -> None:
    """Reject a truth without any entry to count, and give a notice of entries left out if no floor was given."""
    if not counted:
        raise InputError(
            f"no entry of the truth {f'reaches the floor of {floor:g}' if floor else 'is above 0'}, so there is no MRAE."
        )
    if not floor and counted < size:
        notify(
            f"MRAE without a floor leaves out {size - counted} of {size} entries, whose truth is not above 0; consider a floor."
        )


def finish(metric: str, total: FloatArray, count: FloatArray) -> FloatArray:
    """From sums of errors and counts of entries to the metric."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: FloatArray = np.divide(total, count)
        if metric == "rmse":
            mean = np.sqrt(mean)
        elif metric == "psnr":
            mean = -10 * np.log10(mean)
    return mean
