"""Spectra of pixels: picked, scaled, compared, looked up and written; a lazy cube is not read whole for any of it."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr

from napari_drcr.analysis.metrics import counts_for_mrae, error_curve, error_map, rmse
from napari_drcr.cubes.cube import BLOCK_VALUES, align, check_cube, common_bands, resample
from napari_drcr.errors import InputError, notify
from napari_drcr.io.library import Library
from napari_drcr.system.files import atomic_path

Scaling = Literal["raw", "maximum", "area"]

CSV_COLUMNS = ("name", "layer", "model", "y", "x")


@dataclass(frozen=True)
class Comparison:
    """How far one curve is from another, on the bands they share."""

    mrae: float
    """NaN if no band of the truth reaches the floor."""
    rmse: float
    sam: float
    """In degrees; NaN if one of the curves is zero in all bands."""
    floor: float | None
    relative_error: xr.DataArray
    """Absolute error divided by the truth, per band; NaN below the floor."""
    common_range: tuple[float, float]
    """First and last of the shared bands, in nm."""


def spectrum_at(cube: xr.DataArray, y: float, x: float) -> xr.DataArray:
    """The spectrum of one pixel.

    Parameters
    ----------
    cube : xarray.DataArray, shape (bands, y, x)
        The cube; of a lazy one only this pixel is read.
    y, x : float
        Where, in pixels; the centre of the first pixel is (0, 0).

    Returns
    -------
    xarray.DataArray, shape (bands,)
        A copy in memory, with the cube's name and attributes, and the pixel's row and column as coordinates ``y`` and ``x``.

    Raises
    ------
    InputError
        If the place lies outside the image.

    Examples
    --------
    >>> from napari_drcr.cubes.cube import make_cube
    >>> cube = make_cube(np.arange(24.0).reshape(2, 3, 4), [450, 550])
    >>> spectrum_at(cube, 1.2, 2.9).values.tolist()
    [7.0, 19.0]
    """
    check_cube(cube)
    rows, columns = cube.shape[1:]
    # Written so that NaN, which fails every comparison, is rejected too.
    if not (-0.5 <= y < rows - 0.5 and -0.5 <= x < columns - 0.5):
        raise InputError(f"the place (y {y:g}, x {x:g}) lies outside the image of {rows} x {columns} pixels.")
    row, column = math.floor(y + 0.5), math.floor(x + 0.5)
    spectrum = cube.isel(y=row, x=column)
    values = np.array(spectrum.values, dtype=_floating(cube.dtype))
    return spectrum.copy(data=values).assign_coords(y=row, x=column)


def scaled(spectrum: xr.DataArray, how: Scaling = "raw", like: xr.DataArray | None = None) -> xr.DataArray:
    """Divide a spectrum by its maximum or its area, so that shapes can be compared.

    Parameters
    ----------
    spectrum : xarray.DataArray, shape (bands,)
        The curve.
    how : {"raw", "maximum", "area"}
        As it is, divided by its largest value, or by its integral over wavelength in nm (trapezoidal rule).
    like : xarray.DataArray, shape (bands,), optional
        The curve whose maximum or area is taken, such as the centre of a region for its `low` and `high`; by default `spectrum`.

    Returns
    -------
    xarray.DataArray, shape (bands,)
        With name, coordinates and attributes as they were.

    Raises
    ------
    InputError
        If the maximum or area is not above 0, or there is no such scaling.
    """
    if how not in get_args(Scaling):
        raise InputError(f"there is no scaling {how!r}; there is {', '.join(get_args(Scaling))}.")
    if how == "raw":
        return spectrum
    curve = spectrum if like is None else like
    known = np.isfinite(curve.values)
    values = curve.values[known].astype(np.float64)
    divisor = values.max(initial=0.0) if how == "maximum" else np.trapezoid(values, curve["wavelength"].values[known])
    if not divisor > 0:
        raise InputError(f"this spectrum cannot be divided by its {how}, which is {divisor:g} and not above 0.")
    return spectrum.copy(data=spectrum.values / divisor)


def match_scale(truth: xr.DataArray, estimate: xr.DataArray) -> float:
    """The factor that brings an estimate closest to the truth in the sense of least squares.

    Parameters
    ----------
    truth, estimate : xarray.DataArray, shape (bands,) or (bands, y, x)
        Two curves or two cubes of one size, compared on the bands they share (`napari_drcr.cubes.cube.align`).

    Returns
    -------
    float
        ``sum(truth * estimate) / sum(estimate**2)``. Whoever shows ``factor * estimate`` has to say so: it hides that the
        brightness is wrong.

    Raises
    ------
    InputError
        If they share no bands, hold values that are not finite, or no positive factor brings them closer.
    """
    first, second = _as_cube(truth), _as_cube(estimate)
    if first.shape[1:] != second.shape[1:]:
        raise InputError(f"truth and estimate differ in size: {first.shape[1:]} and {second.shape[1:]} pixels (y, x).")
    nm, widths = common_bands(first, second)
    both = own = 0.0
    for rows in _row_blocks(first, second):
        one, two = (resample(cube.isel(y=rows), nm, fwhm=widths) for cube in (first, second))
        sums = _computed(both=xr.dot(one, two, dtype=np.float64), own=xr.dot(two, two, dtype=np.float64))
        both, own = both + float(sums["both"]), own + float(sums["own"])
    if not (np.isfinite(both) and np.isfinite(own)):
        raise InputError("truth or estimate holds values that are NaN or infinite, so no factor can be matched.")
    if not (both > 0 and own > 0):
        raise InputError(
            "no positive factor brings the estimate closer to the truth: one of them is zero, or they are opposed."
        )
    return both / own


def compare(truth: xr.DataArray, estimate: xr.DataArray, floor: float | None = 0.01) -> Comparison:
    """How far one curve is from another.

    Parameters
    ----------
    truth, estimate : xarray.DataArray, shape (bands,)
        Two spectra, each at its own wavelengths; as with cubes (`napari_drcr.cubes.cube.align`) the finer is averaged over the bands of
        the coarser, within the range of both.
    floor : float, optional
        Of the MRAE, see `napari_drcr.analysis.metrics.mrae`.

    Returns
    -------
    Comparison
        MRAE with its floor, RMSE, SAM, the relative error per band and the common range.

    Raises
    ------
    InputError
        If they share no bands, or hold values that are not finite.
    """
    first, second = align(_as_cube(truth), _as_cube(estimate))
    angle = float(error_map(first, second, "sam").item())
    if counts_for_mrae(first.values, floor).any():
        relative = error_curve(first, second, "mrae", floor)
    else:
        relative = xr.full_like(first[:, 0, 0].reset_coords(drop=True), np.nan, dtype=np.float64)
    nm = first["wavelength"].values
    known = relative.values[np.isfinite(relative.values)]
    return Comparison(
        mrae=float(known.mean()) if known.size else math.nan,
        rmse=rmse(first, second),
        sam=angle,
        floor=floor,
        relative_error=relative,
        common_range=(float(nm[0]), float(nm[-1])),
    )


def spectral_angle_map(cube: xr.DataArray, spectrum: xr.DataArray) -> xr.DataArray:
    """The spectral angle between every pixel of a cube and one spectrum (spectral angle mapper, Kruse et al. 1993).

    Parameters
    ----------
    cube : xarray.DataArray, shape (bands, y, x)
        The cube; read block by block.
    spectrum : xarray.DataArray, shape (bands,)
        The spectrum, of this cube or from elsewhere; on other wavelengths both are put on common ones.

    Returns
    -------
    xarray.DataArray, shape (y, x), float64
        In degrees, 0-180; NaN where the cube is zero in all bands or not finite. ``attrs["left_out"]`` is the number of such pixels.

    Raises
    ------
    InputError
        If they share fewer than two bands, or the spectrum is zero in all of these or not finite.
    """
    check_cube(cube)
    curve = _as_cube(spectrum)
    nm, widths = common_bands(cube, curve)
    if nm.size < 2:
        raise InputError(f"cube and spectrum share only the band at {nm[0]:g} nm, but an angle needs at least two.")
    curve = resample(curve, nm, fwhm=widths)[:, 0, 0].reset_coords(drop=True).astype(np.float64)
    length = float(np.linalg.norm(curve.values))
    if not (np.isfinite(length) and length > 0):
        raise InputError("the spectrum is zero in all bands, or not finite, so nothing has an angle to it.")
    angles = np.empty(cube.shape[1:])
    for rows in _row_blocks(cube):
        block = resample(cube.isel(y=rows), nm, fwhm=widths)
        # In this form nothing of the block's size is made, and dask reads each chunk once.
        sums = _computed(
            along=xr.dot(block, curve, dim="wavelength", dtype=np.float64),
            square=xr.dot(block, block, dim="wavelength", dtype=np.float64),
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            cosine = sums["along"].values / (np.sqrt(sums["square"].values) * length)
        angles[rows] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    attrs = {"units": "degree", "left_out": int(np.isnan(angles).sum()), "common_range": [float(nm[0]), float(nm[-1])]}
    return xr.DataArray(angles, dims=("y", "x"), name="SAM", attrs=attrs)


def _row_blocks(*cubes: xr.DataArray) -> Iterator[slice]:
    """Rows to be read at once; all of them where every cube is in chunks, which are read one by one anyway."""
    rows = cubes[0].shape[1]
    row_size = max(cube.shape[0] * cube.shape[2] for cube in cubes)
    step = rows if all(cube.chunks for cube in cubes) else max(1, BLOCK_VALUES // row_size)
    for first in range(0, rows, step):
        yield slice(first, min(first + step, rows))


def _computed(**sums: xr.DataArray) -> xr.Dataset:
    """Lazy sums worked out together, so that what they share is read once."""
    return xr.Dataset({name: value.reset_coords(drop=True) for name, value in sums.items()}).compute()


def nearest(library: Library, spectrum: xr.DataArray, count: int = 5) -> list[tuple[str, float]]:
    """The spectra of a library that are most like a given one.

    Parameters
    ----------
    library : Library
        From `napari_drcr.io.read_library` or `napari_drcr.io.library.colorchecker`.
    spectrum : xarray.DataArray, shape (bands,)
        The spectrum to look up. What it is multiplied by makes no difference.
    count : int
        How many names at most.

    Returns
    -------
    list of tuple of (str, float)
        Names and spectral angles in degrees, over the common range of spectrum and library, the nearest first.

    Raises
    ------
    InputError
        If they share fewer than two bands, the spectrum is zero, or no material can be compared. Materials whose values do not
        reach over the whole common range, or are zero, are left out, with a notice.
    """
    nm = library.wavelengths
    wanted = _as_cube(spectrum)["wavelength"].values
    low, high = max(nm[0], wanted[0]), min(nm[-1], wanted[-1])
    if low > high:
        raise InputError(
            f"{library.name} and the spectrum share no wavelengths: {nm[0]:g}-{nm[-1]:g} nm and {wanted[0]:g}-{wanted[-1]:g} nm."
        )
    found: list[tuple[str, float]] = []
    patterns, pattern_of = np.unique(np.isfinite(library.values), axis=0, return_inverse=True)
    for number, known in enumerate(patterns):
        if known.any() and nm[known][0] <= low and nm[known][-1] >= high:
            materials = np.flatnonzero(pattern_of.ravel() == number)
            table = xr.DataArray(
                library.values[materials][:, known].T[:, :, None],
                dims=("wavelength", "y", "x"),
                coords={"wavelength": nm[known]},
            )
            angles = spectral_angle_map(table, spectrum).values[:, 0]
            found += [(library.names[i], float(angle)) for i, angle in zip(materials, angles, strict=True) if angle == angle]
    left_out = len(library.names) - len(found)
    if not found:
        raise InputError(f"no spectrum of {library.name} reaches over {low:g}-{high:g} nm, so none can be compared.")
    if left_out:
        notify(
            f"{left_out} of {len(library.names)} spectra of {library.name} are zero or do not reach over {low:g}-{high:g} nm "
            "and are left out."
        )
    return sorted(found, key=lambda pair: pair[1])[:count]


def write_spectra_csv(path: str | os.PathLike[str], curves: Iterable[tuple[str, xr.DataArray]]) -> None:
    """Write spectra as a table, one a row.

    Parameters
    ----------
    path : path-like
        The file; one that is already there is replaced once the new one is whole.
    curves : iterable of tuple of (str, xarray.DataArray of shape (bands,))
        The name of each curve, such as "pick 1" or "leaf (mean)", and the curve. Its ``name`` is the layer, ``attrs["model"]`` the
        model if there is one, and the coordinates ``y`` and ``x`` the pixel, as `spectrum_at` sets them.

    Raises
    ------
    InputError
        If there are no curves, or the file cannot be written.

    Notes
    -----
    The columns are ``name``, ``layer``, ``model``, ``y``, ``x`` and one for each wavelength in nm that any curve has; a cell is
    empty where a curve has no value. UTF-8, commas. `napari_drcr.io.read_library` reads it back.
    """
    rows = []
    for name, curve in curves:
        where = [curve.coords[key].item() if key in curve.coords else "" for key in ("y", "x")]
        values = dict(zip(curve["wavelength"].values.tolist(), curve.values, strict=True))
        rows.append(([name, curve.name or "", curve.attrs.get("model", ""), *where], values))
    if not rows:
        raise InputError("there are no spectra to write; pick a pixel or draw a region first.")
    wavelengths = sorted({nm for _, values in rows for nm in values})
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([*CSV_COLUMNS, *(f"{nm:.12g}" for nm in wavelengths)])
        for labels, values in rows:
            cells = (values.get(nm, math.nan) for nm in wavelengths)
            # The shortest text that gives the number again; str rounds once colour-science has set numpy's printing back to 1.13.
            table.writerow(
                [*labels, *(np.format_float_positional(cell, trim="-") if np.isfinite(cell) else "" for cell in cells)]
            )


def _as_cube(values: xr.DataArray) -> xr.DataArray:
    """A curve as a cube of one pixel; a cube as it is."""
    if values.dims != ("wavelength",):
        return check_cube(values)
    return check_cube(values.reset_coords(drop=True).expand_dims({"y": 1, "x": 1}, axis=(1, 2)))


def _floating(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype if dtype.kind == "f" else np.dtype(np.float32)
