"""MRAE, RMSE, SAM and PSNR: as a scalar, a map over pixels and a curve over bands."""

from __future__ import annotations

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
from napari_drcr.errors import InputError

METRICS = ("mrae", "rmse", "sam", "psnr")


def mrae(truth: Cube, estimate: Cube, floor: float | None = None) -> float:
    """Mean relative absolute error, ``mean(|truth - estimate| / truth)`` (NTIRE spectral recovery challenges).

    Parameters
    ----------
    truth, estimate : xarray.DataArray or ndarray, shape (bands, y, x)
        Cubes on other bands are first put on common ones (`napari_drcr.cubes.cube.align`); arrays must agree in shape.
    floor : float, optional
        Count only entries with ``truth >= floor``. Without it every entry above 0 counts, with a notice if that leaves
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
    return _finish_scalar("mrae", *_sums(truth, estimate, "mrae", floor, axis=None))


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
    return _finish_scalar("rmse", *_sums(truth, estimate, "rmse", None, axis=None))


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
    return _finish_scalar("psnr", *_sums(truth, estimate, "psnr", None, axis=None))


def error_map(
    truth: Cube,
    estimate: Cube,
    metric: str = "mrae",
    floor: float | None = None,
    *,
    clipped: npt.ArrayLike | None = None,
    quiet: bool = False,
) -> xr.DataArray:
    """One error per pixel, over its bands.

    Parameters
    ----------
    truth, estimate, floor
        As for `mrae`.
    metric : {"mrae", "rmse", "sam", "psnr"}
        Which.
    clipped : array_like, shape (y, x), bool, optional
        Pixels to leave out, such as the coordinate `clipped` of a reconstruction.
    quiet : bool
        Whether to keep to itself what MRAE leaves out without a floor.

    Returns
    -------
    xarray.DataArray, shape (y, x)
        Named by `metric_name`. NaN where no band reaches the floor, where there is no angle, and in clipped pixels;
        ``attrs["left_out"]`` is the number of such pixels, and the coordinate ``counted_share`` the part of its bands in which each pixel
        counts.

    Raises
    ------
    InputError
        As for the scalar, or if there is no such metric.
    """
    if _known(metric) == "sam":
        errors = _angles(*_values(truth, estimate))
        counted_share = (~np.isnan(errors)).astype(np.float32)
    else:
        first, second = aligned(truth, estimate)
        total, counts = _sums(first, second, metric, floor, axis=0, quiet=quiet)
        errors = finish(metric, total, counts)
        counted_share = (counts / first.sizes["wavelength"]).astype(np.float32)
    left_out = check_clipped(clipped, errors.shape)
    errors[left_out], counted_share[left_out] = np.nan, 0
    attrs = {"units": _units(metric), "left_out": int(np.isnan(errors).sum())}
    coords = {COUNTED_SHARE: (("y", "x"), counted_share)}
    return xr.DataArray(errors, dims=("y", "x"), coords=coords, name=metric_name(metric, floor), attrs=attrs)


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
    first, second = aligned(truth, estimate)
    errors = finish(metric, *_sums(first, second, metric, floor, axis=(1, 2)))
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


def _values(truth: Cube, estimate: Cube) -> tuple[FloatArray, FloatArray]:
    first, second = aligned(truth, estimate)
    return check_finite(first.values, "truth"), check_finite(second.values, "estimate")


def _sums(
    truth: Cube,
    estimate: Cube,
    metric: str,
    floor: float | None,
    axis: int | tuple[int, ...] | None,
    quiet: bool = False,
) -> tuple[FloatArray, FloatArray]:
    """Sum of the errors along `axis`, and how many entries it has."""
    first, second = _values(truth, estimate)
    if metric == "mrae":
        counted = _counted(first, floor, quiet)
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
    return reaches(truth, check_floor(floor))


def _counted(truth: FloatArray, floor: float | None, quiet: bool) -> npt.NDArray[np.bool_]:
    counted = counts_for_mrae(truth, floor)
    if not (quiet and counted.any()):
        tell_of_the_uncounted(int(np.count_nonzero(counted)), counted.size, floor)
    return counted


def _finish_scalar(metric: str, total: FloatArray, count: FloatArray) -> float:
    return float(finish(metric, total, count))


def _angles(truth: FloatArray, estimate: FloatArray) -> FloatArray:
    first, second = truth.astype(np.float64), estimate.astype(np.float64)
    lengths = np.linalg.norm(first, axis=0) * np.linalg.norm(second, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.einsum("byx,byx->yx", first, second) / lengths
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
