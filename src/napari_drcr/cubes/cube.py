"""What a cube is: a labelled (wavelength, y, x) array that knows its bands in nm and what its numbers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.cubes.colorimetry import illuminant
from napari_drcr.errors import InputError, notify

DIMS = ("wavelength", "y", "x")
Quantity = Literal["reflectance", "radiance", "unknown"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
WAVELENGTHS = tuple(float(nm) for nm in range(400, 701, 10))
"""The 31 bands, in nm, of DRCR Net and of the ARAD, CAVE and NTIRE data."""

NOT_COMPARABLE = "One cube holds reflectance, the other radiance: they are not comparable as they stand."

BLOCK_VALUES = 4_000_000
"""How many values of a cube that is not in chunks are taken into memory at once, where they are read block by block."""

CLIPPED = "clipped"
"""Coordinate (y, x), boolean, of a cube estimated from an RGB image: where the image was at its white level."""

FLIP_DISAGREEMENT = "flip_disagreement"
"""Coordinate (y, x), float32, of a cube estimated by self-ensemble; see `napari_drcr.inference.ensemble.average_orientations`."""

UNFAMILIARITY = "unfamiliarity"
"""Coordinate (y, x), float32, of a cube estimated by a model that states what it learned from; see `napari_drcr.unfamiliarity`."""


def make_cube(
    values: Any,
    wavelengths: Sequence[float] | npt.NDArray[Any] | None = None,
    *,
    quantity: str = "unknown",
    scale: float = 1.0,
    illuminant: str | None = None,
    name: str | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """Label an array as a cube.

    Parameters
    ----------
    values : array_like, shape (bands, y, x)
        Band-first values; dask arrays stay lazy. Integers become float32.
    wavelengths : sequence of float, optional
        Band centres in nm, length ``bands``, strictly ascending. Left out, 31 bands are taken as 400-700 nm and the caller
        is told; any other count is refused.
    quantity : {"reflectance", "radiance", "unknown"}
        What the values are. Light may be multiplied onto reflectance only.
    scale : float
        What the stored values were divided by: ``value * scale`` is what the file holds. 1 if nothing was divided out.
    illuminant : str, optional
        Name of the light that the values contain (radiance) or were freed from (reflectance).
    name : str, optional
        A name for plots and layers, usually the file's stem.
    attrs : mapping, optional
        Further attributes, kept as they are.

    Returns
    -------
    xarray.DataArray
        Dims ``("wavelength", "y", "x")``, coordinate ``wavelength`` in nm.

    Raises
    ------
    InputError
        If the shape, the wavelengths or the quantity make no cube.

    Examples
    --------
    >>> import numpy as np
    >>> cube = make_cube(np.ones((3, 4, 5)), [450, 550, 650], quantity="reflectance")
    >>> float(cube.sel(wavelength=550).mean())
    1.0
    """
    if not hasattr(values, "dtype"):
        values = np.asarray(values)
    if values.ndim != 3 or 0 in values.shape:
        raise InputError(f"a cube has three axes (band, y, x), none of them empty, but these values have shape {values.shape}.")
    if values.dtype.kind in "iub":
        values = values.astype(np.float32)
    if values.dtype.kind != "f":
        raise InputError(f"a cube holds real numbers, but these values are of type {values.dtype}.")
    if wavelengths is None:
        wavelengths = _assumed_wavelengths(values.shape[0])
    try:
        nm = np.asarray(wavelengths, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        raise InputError(f"wavelengths must be numbers in nm, not {wavelengths!r:.60}.") from None
    labels = {"quantity": quantity, "scale": float(scale), "illuminant": illuminant}
    if nm.size != values.shape[0]:
        raise InputError(f"{nm.size} wavelengths do not fit {values.shape[0]} bands.")
    coordinate = xr.Variable("wavelength", nm, {"units": "nm"})
    cube = xr.DataArray(values, dims=DIMS, coords={"wavelength": coordinate}, name=name, attrs={**(attrs or {}), **labels})
    return check_cube(cube)


def _assumed_wavelengths(bands: int) -> tuple[float, ...]:
    if bands != len(WAVELENGTHS):
        raise InputError(
            f"a cube of {bands} bands comes without wavelengths; give them in nm (only 31 bands are taken as 400-700 nm)."
        )
    notify("No wavelengths are given: 31 bands are taken as 400-700 nm in steps of 10 nm.")
    return WAVELENGTHS


def check_cube(cube: Any) -> xr.DataArray:
    """Return `cube` if it is one, else say why not.

    Parameters
    ----------
    cube : object
        What should be a cube as `make_cube` builds it. Values are not read, so lazy cubes stay lazy.

    Returns
    -------
    xarray.DataArray
        The same object.

    Raises
    ------
    InputError
        Naming the first thing that is wrong.
    """
    if not isinstance(cube, xr.DataArray):
        raise InputError(f"a cube is an xarray.DataArray (see make_cube), not {type(cube).__name__}.")
    if cube.dims != DIMS:
        raise InputError(f"a cube has the dimensions {DIMS}, not {cube.dims}.")
    if "wavelength" not in cube.coords:
        raise InputError("this cube has no coordinate 'wavelength' in nm; give one wavelength per band.")
    nm = cube["wavelength"].values
    if not np.all(np.isfinite(nm)) or np.any(nm <= 0) or np.any(np.diff(nm) <= 0):
        run = np.array2string(nm, threshold=6, max_line_width=1000)
        raise InputError(f"wavelengths must be positive and ascend, in nm, but these run {run}.")
    quantity = cube.attrs.get("quantity", "unknown")
    if quantity not in QUANTITIES:
        raise InputError(f"quantity must be one of {', '.join(QUANTITIES)}, not {quantity!r}.")
    return cube


def resample(
    cube: xr.DataArray, wavelengths: Sequence[float] | npt.NDArray[Any], *, fwhm: float | Sequence[float] | None = None
) -> xr.DataArray:
    """Put a cube on other bands, never beyond its own range.

    Parameters
    ----------
    cube : xarray.DataArray, shape (bands, y, x)
        The cube to resample.
    wavelengths : sequence of float
        Target band centres in nm, ascending. Those outside the cube's range are left out of the result.
    fwhm : float or sequence of float, optional
        Width in nm of every, or of each, target band; by default the spacing of the targets.

    Returns
    -------
    xarray.DataArray, shape (targets within range, y, x)
        Averages over each target band where the cube is finer than that, linear interpolation where it is coarser.

    Raises
    ------
    InputError
        If the targets are no ascending wavelengths, a width is not positive, or no target lies within the cube's range.
    """
    check_cube(cube)
    source = cube["wavelength"].values
    target = np.asarray(wavelengths, dtype=np.float64).ravel()
    if target.size == 0 or not np.isfinite(target).all() or np.any(np.diff(target) <= 0):
        raise InputError(f"the wanted wavelengths must ascend, in nm, but are {np.array2string(target, threshold=6)}.")
    default = np.gradient(target) if target.size > 1 else (np.gradient(source).mean() if source.size > 1 else 1.0)
    widths = np.broadcast_to(np.asarray(default if fwhm is None else fwhm, dtype=np.float64), target.shape)
    if not np.all(widths > 0):
        raise InputError(f"the width of a band (fwhm) must be positive, in nm, not {widths.min():g}.")
    inside = (target >= source[0]) & (target <= source[-1])
    if not inside.any():
        raise InputError(
            f"no common range: the cube covers {source[0]:g}-{source[-1]:g} nm, the wanted bands {target[0]:g}-{target[-1]:g} nm."
        )
    target, widths = target[inside], widths[inside]
    if np.array_equal(target, source):
        return cube
    weights = xr.DataArray(
        _band_weights(source, target, widths).astype(cube.dtype), dims=("target", "wavelength"), coords={"wavelength": source}
    )
    resampled: xr.DataArray = xr.dot(weights, cube, dim="wavelength").rename(target="wavelength").transpose(*DIMS)
    coordinate = xr.Variable("wavelength", target, {"units": "nm"})
    # The widths of the old bands do not apply to the new ones.
    attrs = {key: value for key, value in cube.attrs.items() if key != "fwhm"}
    return resampled.assign_coords(wavelength=coordinate).assign_attrs(attrs).rename(cube.name)


def _band_weights(source: npt.NDArray[Any], target: npt.NDArray[Any], widths: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rows that turn spectra at `source` into spectra at `target`: shape (target, source), each row summing to 1."""
    spacing = np.gradient(source) if source.size > 1 else np.ones(1)
    weights = np.zeros((target.size, source.size))
    for row, nm, width in zip(weights, target, widths, strict=True):
        # At the ends of the range the band is narrowed on both sides, so that its centre stays where it is.
        half = min(width / 2, nm - source[0], source[-1] - nm)
        nodes = np.array([nm])
        if width > 1.001 * np.interp(nm, source, spacing) and half > 0:
            nodes = np.concatenate([[nm - half], source[(source > nm - half) & (source < nm + half)], [nm + half]])
        # The straight lines between the samples, at the nodes, integrated over the band by the trapezoidal rule.
        lines = np.stack([np.interp(nodes, source, unit) for unit in np.eye(source.size)], axis=1)
        row[:] = lines[0] if nodes.size == 1 else np.trapezoid(lines, nodes, axis=0) / (2 * half)
    return weights


def align(first: xr.DataArray, second: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Put two cubes on common bands: the overlap of their ranges, on the grid of the coarser one.

    Parameters
    ----------
    first, second : xarray.DataArray, shape (bands, y, x)
        Cubes of the same y and x.

    Returns
    -------
    tuple of two xarray.DataArray
        Both at the same wavelengths; unchanged if they already were.

    Raises
    ------
    InputError
        If the spatial sizes differ or the ranges do not overlap.
    """
    check_cube(first)
    check_cube(second)
    if first.shape[1:] != second.shape[1:]:
        raise InputError(
            f"the cubes differ in size: {first.shape[1]} x {first.shape[2]} and {second.shape[1]} x {second.shape[2]} pixels."
        )
    if len(_known_quantities(first, second)) > 1:
        notify(NOT_COMPARABLE)
    nm, fwhm = common_bands(first, second)
    return resample(first, nm, fwhm=fwhm), resample(second, nm, fwhm=fwhm)


def explain_difference(first: xr.DataArray, second: xr.DataArray) -> str:
    """Why the values of two cubes are not comparable as they stand.

    Parameters
    ----------
    first, second : xarray.DataArray
        Two cubes, of which only the attributes are looked at.

    Returns
    -------
    str
        A sentence; empty if nothing that they say speaks against comparing them.
    """
    quantities = _known_quantities(first, second)
    if len(quantities) > 1:
        return NOT_COMPARABLE
    one, two = (float(cube.attrs.get("scale", 1.0)) for cube in (first, second))
    if quantities == {"radiance"} and not np.isclose(one, two):
        return f"The radiances were divided by {one:g} and {two:g}: match the scale before comparing them."
    return ""


def _known_quantities(*cubes: xr.DataArray) -> set[str]:
    return {cube.attrs.get("quantity", "unknown") for cube in cubes} - {"unknown"}


def common_bands(first: xr.DataArray, second: xr.DataArray) -> tuple[npt.NDArray[Any], list[float] | None]:
    """The bands on which two cubes are compared: those of the coarser one within the range of both.

    Parameters
    ----------
    first, second : xarray.DataArray
        Two cubes, of which only the wavelengths are looked at.

    Returns
    -------
    tuple of (ndarray, shape (bands,), list of float or None)
        Band centres and, where the coarser cube knows them, widths, in nm: what `resample` needs for both.

    Raises
    ------
    InputError
        If the ranges do not overlap, or no band of the coarser cube lies in the overlap.
    """
    one, two = first["wavelength"].values, second["wavelength"].values
    if np.array_equal(one, two):
        return one, None
    coarser = max((first, second), key=lambda cube: _mean_spacing(cube["wavelength"].values))
    nm = coarser["wavelength"].values
    common = (nm >= max(one[0], two[0])) & (nm <= min(one[-1], two[-1]))
    if not common.any():
        raise InputError(f"the cubes share no wavelengths: {one[0]:g}-{one[-1]:g} nm and {two[0]:g}-{two[-1]:g} nm.")
    widths = np.asarray(coarser.attrs.get("fwhm", ()), dtype=np.float64)
    return nm[common], widths[common].tolist() if widths.size == nm.size else None


def _mean_spacing(nm: npt.NDArray[Any]) -> float:
    return float(np.ptp(nm)) / (nm.size - 1) if nm.size > 1 else np.inf


def relight(cube: xr.DataArray, light: str) -> xr.DataArray:
    """Put a reflectance under a light.

    Parameters
    ----------
    cube : xarray.DataArray, shape (bands, y, x)
        Reflectance; an unknown quantity is taken as reflectance, with a notice. Radiance has its light already.
    light : str
        One of `napari_drcr.cubes.colorimetry.illuminant_names`, such as "D50", "A", "FL2" or "LED-B3".

    Returns
    -------
    xarray.DataArray, shape (bands, y, x), of the cube's floating type
        Radiance, divided by its own maximum so that it fills [0, 1] as the cubes of ARAD do. ``scale`` is that maximum, where
        the light has a mean of 1 over the bands; ``illuminant`` is the light.

    Raises
    ------
    InputError
        If the cube holds radiance or nothing above 0, or the light is unknown or not tabulated at the cube's bands.

    Examples
    --------
    >>> gray = make_cube(np.full((31, 4, 5), 0.5), WAVELENGTHS, quantity="reflectance")
    >>> lit = relight(gray, "A")
    >>> lit.attrs["quantity"], float(lit.sel(wavelength=700).max())
    ('radiance', 1.0)
    """
    check_cube(cube)
    quantity = cube.attrs.get("quantity", "unknown")
    if quantity == "radiance":
        raise InputError(
            f"this cube holds radiance, which has a light already; {light} can be multiplied onto reflectance only."
        )
    power = illuminant(light, cube["wavelength"].values)
    if quantity == "unknown":
        notify(f"This cube does not state its quantity: it is taken as reflectance and lit with {light}.")
    lit = cube * xr.DataArray(power.astype(cube.dtype), dims="wavelength")
    scale = float(lit.max())
    if not (np.isfinite(scale) and scale > 0):
        raise InputError(f"this cube has no brightest value to scale by under {light}: its maximum is {scale:g}.")
    # What ARAD's files call norm_factor belongs to the values as they were.
    attrs = {key: value for key, value in cube.attrs.items() if key != "norm_factor"}
    lit = (lit / scale).astype(cube.dtype, copy=False).rename(cube.name)
    lit.attrs = {**attrs, "quantity": "radiance", "scale": scale, "illuminant": light}
    return lit
