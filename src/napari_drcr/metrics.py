"""How far an estimate is from the truth: a scalar, a map and a per-band curve of MRAE, RMSE, SAM and PSNR."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.cube import WAVELENGTHS, align, make_cube
from napari_drcr.errors import InputError, notify

METRICS = ("mrae", "rmse", "sam", "psnr")

Cube = xr.DataArray | npt.NDArray[Any]
FloatArray = npt.NDArray[Any]


def mrae(truth: Cube, estimate: Cube, floor: float | None = None) -> float:
    """Mean relative absolute error, ``mean(|truth - estimate| / truth)`` (NTIRE spectral recovery challenges).

    Parameters
    ----------
    truth, estimate : xarray.DataArray or ndarray, shape (bands, y, x)
        Cubes on other bands are first put on common ones (`napari_drcr.cube.align`); arrays must agree in shape.
    floor : float, optional
        Count only entries with ``truth >= floor``. Without it every entry above 0 counts, and the caller is told if that leaves
        any out; the challenges leave out the whole scene then.

    Returns
    -------
    float
        Dimensionless. Name it with `metric_name`.

    Raises
    ------
    InputError
        If the shapes differ, a value is not finite, or no entry reaches the floor.
    """
    return _finish("mrae", *_sums(truth, estimate, "mrae", floor, axis=None))


def rmse(truth: Cube, estimate: Cube) -> float:
    """Root mean square error.

    Parameters
    ----------
    truth, estimate
        As for `mrae`.

    Returns
    -------
    float
        In the unit of the cubes, 0 or more.

    Raises
    ------
    InputError
        If the shapes differ or a value is not finite.
    """
    return _finish("rmse", *_sums(truth, estimate, "rmse", None, axis=None))


def sam(truth: Cube, estimate: Cube) -> float:
    """Mean spectral angle between the spectra of each pixel (spectral angle mapper, Kruse et al. 1993).

    Parameters
    ----------
    truth, estimate
        As for `mrae`.

    Returns
    -------
    float
        In degrees, 0-180. Pixels whose spectrum is zero in either cube have no angle: they are left out here, and NaN and
        counted (attribute ``left_out``) in `error_map`.

    Raises
    ------
    InputError
        If the shapes differ, a value is not finite, or no pixel has an angle.
    """
    angles = _angles(*_values(truth, estimate))
    if np.isnan(angles).all():
        raise InputError("no pixel has a spectral angle: in every one truth or estimate is zero in all bands.")
    return float(np.nanmean(angles))


def psnr(truth: Cube, estimate: Cube) -> float:
    """Peak signal-to-noise ratio for a peak of 1.

    Parameters
    ----------
    truth, estimate
        As for `mrae`.

    Returns
    -------
    float
        In dB; infinite for equal cubes.

    Raises
    ------
    InputError
        If the shapes differ or a value is not finite.
    """
    return _finish("psnr", *_sums(truth, estimate, "psnr", None, axis=None))


def error_map(truth: Cube, estimate: Cube, metric: str = "mrae", floor: float | None = None) -> xr.DataArray:
    """One error per pixel, over its bands.

    Parameters
    ----------
    truth, estimate, floor
        As for `mrae`.
    metric : {"mrae", "rmse", "sam", "psnr"}
        Which.

    Returns
    -------
    xarray.DataArray, shape (y, x)
        Named by `metric_name`. NaN where no band reaches the floor, or where there is no angle; ``attrs["left_out"]`` says in
        how many pixels.

    Raises
    ------
    InputError
        As for the scalar, or if there is no such metric.
    """
    if _known(metric) == "sam":
        errors = _angles(*_values(truth, estimate))
    else:
        errors = _finish_array(metric, *_sums(truth, estimate, metric, floor, axis=0))
    attrs = {"units": _units(metric), "left_out": int(np.isnan(errors).sum())}
    return xr.DataArray(errors, dims=("y", "x"), name=metric_name(metric, floor), attrs=attrs)


def error_curve(truth: Cube, estimate: Cube, metric: str = "mrae", floor: float | None = None) -> xr.DataArray:
    """One error per band, over all pixels.

    Parameters
    ----------
    truth, estimate, floor
        As for `mrae`.
    metric : {"mrae", "rmse", "psnr"}
        Which. A spectral angle needs all bands at once, so there is no curve of SAM.

    Returns
    -------
    xarray.DataArray, shape (bands,)
        With the coordinate ``wavelength`` in nm; NaN in bands where nothing reaches the floor.

    Raises
    ------
    InputError
        As for the scalar, or if there is no such metric per band.
    """
    if _known(metric) == "sam":
        raise InputError("there is no SAM per band: an angle needs the whole spectrum; choose mrae, rmse or psnr.")
    first, second = _aligned(truth, estimate)
    errors = _finish_array(metric, *_sums(first, second, metric, floor, axis=(1, 2)))
    return xr.DataArray(
        errors,
        dims=("wavelength",),
        coords={"wavelength": first["wavelength"]},
        name=metric_name(metric, floor),
        attrs={"units": _units(metric)},
    )


def metric_name(metric: str, floor: float | None = None) -> str:
    """How a figure is labelled.

    Parameters
    ----------
    metric : {"mrae", "rmse", "sam", "psnr"}
        Which.
    floor : float, optional
        Of the MRAE; the others have none.

    Returns
    -------
    str
        ``MRAE``, ``MRAE@0.01``, ``RMSE``, ``SAM`` or ``PSNR``.

    Raises
    ------
    InputError
        If there is no such metric.
    """
    return f"MRAE@{floor:g}" if _known(metric) == "mrae" and floor else metric.upper()


def _units(metric: str) -> str:
    return {"sam": "degree", "psnr": "dB"}.get(metric, "1")


def _known(metric: str) -> str:
    if metric not in METRICS:
        raise InputError(f"there is no metric {metric!r}; there is {', '.join(METRICS)}.")
    return metric


def _aligned(truth: Cube, estimate: Cube) -> tuple[xr.DataArray, xr.DataArray]:
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


def _values(truth: Cube, estimate: Cube) -> tuple[FloatArray, FloatArray]:
    # Read once: every look at the values of a lazy cube reads them anew.
    first, second = (cube.values for cube in _aligned(truth, estimate))
    for name, values in (("truth", first), ("estimate", second)):
        if wrong := int(np.count_nonzero(~np.isfinite(values))):
            raise InputError(
                f"the {name} holds {wrong} values that are NaN or infinite; replace or leave out these pixels first."
            )
    return first, second


def _sums(
    truth: Cube, estimate: Cube, metric: str, floor: float | None, axis: int | tuple[int, ...] | None
) -> tuple[FloatArray, FloatArray]:
    """Sum of the errors along `axis`, and how many entries it has."""
    first, second = _values(truth, estimate)
    if metric == "mrae":
        counted = _counted(first, floor)
        errors = np.where(counted, np.abs(first - second) / np.where(counted, first, 1), 0)
        counts = np.sum(counted, axis=axis)
    else:
        errors = np.square(first - second, dtype=np.float64)
        counts = np.sum(np.ones_like(first, dtype=bool), axis=axis)
    return np.asarray(np.sum(errors, axis=axis, dtype=np.float64)), np.asarray(counts)


def counts_for_mrae(truth: FloatArray, floor: float | None) -> npt.NDArray[np.bool_]:
    """Which entries the MRAE is taken over.

    Parameters
    ----------
    truth : ndarray
        The true values.
    floor : float, optional
        As for `mrae`.

    Returns
    -------
    ndarray of bool, of the same shape
        True where the truth reaches the floor; without one, where it is above 0.

    Raises
    ------
    InputError
        If the floor is negative.
    """
    if floor is not None and not floor >= 0:
        raise InputError(f"the floor of MRAE must be positive, or left out, not {floor:g}.")
    return np.asarray(truth >= floor if floor else truth > 0)


def _counted(truth: FloatArray, floor: float | None) -> npt.NDArray[np.bool_]:
    counted = counts_for_mrae(truth, floor)
    if not counted.any():
        raise InputError(
            f"no entry of the truth {f'reaches the floor of {floor:g}' if floor else 'is above 0'}, so there is no MRAE."
        )
    if not floor and (left_out := counted.size - np.count_nonzero(counted)):
        notify(
            f"MRAE without a floor leaves out {left_out} of {counted.size} entries, whose truth is not above 0; consider a floor."
        )
    return np.asarray(counted)


def _finish(metric: str, total: FloatArray, count: FloatArray) -> float:
    return float(_finish_array(metric, total, count))


def _finish_array(metric: str, total: FloatArray, count: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: FloatArray = np.divide(total, count)
        if metric == "rmse":
            mean = np.sqrt(mean)
        elif metric == "psnr":
            mean = -10 * np.log10(mean)
    return mean


def _angles(truth: FloatArray, estimate: FloatArray) -> FloatArray:
    first, second = truth.astype(np.float64), estimate.astype(np.float64)
    lengths = np.linalg.norm(first, axis=0) * np.linalg.norm(second, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.einsum("byx,byx->yx", first, second) / lengths
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
