"""The error of every band of every pixel: a map for each band, and their mean."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.analysis.metrics._shared import (
    COUNTED_SHARE,
    Cube,
    FloatArray,
    aligned,
    check_clipped,
    check_finite,
    check_floor,
    finish,
    reaches,
    tell_of_the_uncounted,
)
from napari_drcr.analysis.metrics.totals import metric_name
from napari_drcr.errors import InputError

ENTRY_METRICS = ("relative", "absolute", "difference")
"""Errors of one band of one pixel, as `error_cube` gives them."""


def error_cube(
    truth: Cube,
    estimate: Cube,
    metric: str = "relative",
    floor: float | None = None,
    *,
    clipped: npt.ArrayLike | None = None,
    check: Callable[[], None] | None = None,
) -> xr.DataArray:
    """One error per band and pixel: a map for each band.

    Parameters
    ----------
    truth, estimate
        As for `mrae`. Of cubes that are lazy (dask) one piece is read at a time.
    metric : {"relative", "absolute", "difference"}
        ``|estimate - truth| / truth``, ``|estimate - truth|``, or ``estimate - truth`` with its sign.
    floor : float, optional
        As for `mrae`, for relative errors only.
    clipped : array_like, shape (y, x), bool, optional
        Pixels to leave out, such as the coordinate `clipped` of a reconstruction.
    check : callable, optional
        Called before each band, of a lazy cube before each band of a piece and from any thread; raises
        `napari_drcr.errors.Cancelled` to stop.

    Returns
    -------
    xarray.DataArray, shape (bands, y, x), float32
        Dims and wavelengths of a cube. NaN below the floor and in clipped pixels; ``attrs["left_out"]`` is the number of such entries,
        ``attrs["left_out_share"]`` in which part of them, ``attrs["metric"]`` and ``attrs["floor"]`` what this is. `mean_map` makes one map of it.

    Raises
    ------
    InputError
        As for the scalars, if there is no such metric, or if every entry is left out.

    Examples
    --------
    >>> import numpy as np
    >>> errors = error_cube(np.full((31, 2, 2), 0.5), np.full((31, 2, 2), 0.4))
    >>> round(float(errors.sel(wavelength=550).mean()), 3)
    0.2
    """
    if metric not in ENTRY_METRICS:
        raise InputError(f"there is no metric {metric!r} per band and pixel; there is {', '.join(ENTRY_METRICS)}.")
    floor = check_floor(floor) if metric == "relative" else None
    first, second = aligned(truth, estimate)
    # Resampled lazily, each of the few bands would read the whole cube again.
    first, second = (now.compute() if now is not given else now for now, given in ((first, truth), (second, estimate)))
    if first.chunks and second.chunks:
        second = second.chunk(first.chunksizes)
    # Compared by place: `align` has made sure of the bands, and nothing else about the coordinates matters.
    bare = [xr.DataArray(cube.variable) for cube in (first, second)]
    entries = partial(_entries, metric=metric, floor=floor, check=check)
    errors = xr.apply_ufunc(entries, *bare, dask="parallelized", output_dtypes=[np.float32]).values
    if metric == "relative":
        tell_of_the_uncounted(int(np.count_nonzero(~np.isnan(errors))), errors.size, floor)
    errors[:, check_clipped(clipped, errors.shape[1:])] = np.nan
    left_out = int(np.count_nonzero(np.isnan(errors)))
    if left_out == errors.size:
        raise InputError("no entry is left to compare: every pixel is clipped, or its truth below the floor.")
    attrs = {"units": "1", "metric": metric, "floor": floor, "left_out": left_out, "left_out_share": left_out / errors.size}
    name = "difference" if metric == "difference" else f"{metric} error"
    return xr.DataArray(errors, dims=first.dims, coords={"wavelength": first["wavelength"]}, name=name, attrs=attrs)


def mean_map(errors: xr.DataArray) -> xr.DataArray:
    """One map of the maps for each band.

    Parameters
    ----------
    errors : xarray.DataArray, shape (bands, y, x)
        From `error_cube`.

    Returns
    -------
    xarray.DataArray, shape (y, x)
        Of relative errors the mean over the bands that count, which is `error_map` of "mrae"; of absolute errors the root of the
        mean square, which is `error_map` of "rmse"; of differences the mean, negative where the estimate is too low. NaN where no
        band counts; ``attrs["left_out"]`` is the number of such pixels, and the coordinate ``counted_share`` the part of its bands in which each
        pixel counts.
    """
    means = _mean(errors, errors.dims[:1])
    means.attrs["left_out"] = int(np.isnan(means.values).sum())
    return means


def mean_curve(errors: xr.DataArray) -> xr.DataArray:
    """One error per band of the maps for each band.

    Parameters
    ----------
    errors : xarray.DataArray, shape (bands, y, x)
        From `error_cube`.

    Returns
    -------
    xarray.DataArray, shape (bands,)
        Named and averaged as by `mean_map`, over the pixels that count. NaN in bands where none does.
    """
    return _mean(errors, errors.dims[1:])


def _mean(errors: xr.DataArray, over: tuple[Hashable, ...]) -> xr.DataArray:
    """The mean of errors along some axes; of absolute ones, the root of the mean square."""
    metric, floor = errors.attrs["metric"], errors.attrs["floor"]
    axes = tuple(errors.dims.index(dim) for dim in over)
    values = np.square(errors.values) if metric == "absolute" else errors.values
    totals = np.asarray(np.nansum(values, axis=axes, dtype=np.float64))
    counts = np.sum(~np.isnan(values), axis=axes)
    means = finish("rmse" if metric == "absolute" else "mrae", totals, counts)
    name = "mean difference" if metric == "difference" else metric_name("rmse" if metric == "absolute" else "mrae", floor)
    rest = [dim for dim in errors.dims if dim not in over]
    coords: dict[Hashable, Any] = {dim: errors[dim] for dim in rest if dim in errors.coords}
    if over == errors.dims[:1]:
        coords[COUNTED_SHARE] = rest, (counts / errors.shape[0]).astype(np.float32)
    return xr.DataArray(means, dims=rest, coords=coords, name=name, attrs={"units": "1"})


def _entries(
    truth: FloatArray, estimate: FloatArray, *, metric: str, floor: float | None, check: Callable[[], None] | None
) -> npt.NDArray[np.float32]:
    """The errors of a piece of a cube, band by band, so that what is computed on the way stays small."""
    check_finite(truth, "truth")
    check_finite(estimate, "estimate")
    errors = np.empty(truth.shape, dtype=np.float32)
    for exact, guess, error in zip(truth, estimate, errors, strict=True):
        if check is not None:
            check()
        np.subtract(guess, exact, out=error, casting="same_kind")
        if metric != "difference":
            np.abs(error, out=error)
        if metric == "relative":
            counted = reaches(exact, floor)
            np.divide(error, exact, out=error, where=counted, casting="same_kind")
            error[~counted] = np.nan
    return errors
